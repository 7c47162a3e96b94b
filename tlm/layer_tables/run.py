"""Run each layer of a table alone, and write a row for each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tlm.analysis.explain import grouped
from tlm.core.errors import InputError
from tlm.core.files import whole_file
from tlm.layer_tables.table import Row
from tlm.observe.causes import CAUSES
from tlm.results.files import csv_text
from tlm.scenario.checking import checked
from tlm.scenario.sources import Source, merged, override_source
from tlm.sweeps.columns import COLUMNS, DIFFERS, FAILED, OK
from tlm.sweeps.executors import Workers
from tlm.sweeps.runner import run_tasks
from tlm.sweeps.task import Outcome, Task

SCALE_SIM_COLUMNS: dict[str, Callable[[dict[str, Any]], int | float]] = {
    "Total Cycles (incl. prefetch)": lambda figures: int(figures["cycles"]),
    "Compute Util %": lambda figures: round(100 * figures["compute_utilization"], 4),
}
"""Columns that mean the same in SCALE-Sim's COMPUTE_REPORT.csv -> their value of a run's figures."""

_OWN = tuple(
    column.name
    for column in COLUMNS
    if column.name not in ("cycles", "compute_utilization") and "image" not in column.name
)


@dataclass(frozen=True)
class LayerOutcome:
    """What came of one layer.

    Attributes:
        row: of the table.
        status: ``OK``, ``DIFFERS`` or ``FAILED``.
        error: why it failed; empty if it did not.
        figures: column of :mod:`tlm.sweeps.columns` -> value; empty if it failed.
    """

    row: Row
    status: str
    error: str = ""
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def bound(self) -> str:
        """What takes most of its cycles; empty if it failed."""
        if not self.figures:
            return ""
        groups = grouped({cause: self.figures[f"{cause}_cycles"] or 0 for cause in CAUSES})
        return max(groups, key=groups.__getitem__)


def layer_tasks(
    path: Path, rows: Sequence[Row], pruning: dict[str, Any], seed: int, settings: Sequence[str]
) -> list[Task | LayerOutcome]:
    """A task for each row, with equal keys for equal layers; an outcome for one that makes no layer.

    Args:
        path: of the table, for messages.
        rows: of the table.
        pruning: keys of a layer, such as ``{"density": 0.5}``.
        seed: of weights and inputs.
        settings: ``KEY=VALUE`` of sections chip, energy or fidelity, for all layers.

    Raises:
        InputError: a setting is wrong.
    """
    extra = [override_source(text) for text in settings]
    for source in extra:
        for key in source.data:
            if key not in ("chip", "energy", "fidelity"):
                raise InputError(f"{source.label}: the table gives network and input; set keys of chip or energy")
    checked(merged(extra), extra)
    tasks: list[Task | LayerOutcome] = []
    for row in rows:
        if row.layer is None:
            tasks.append(LayerOutcome(row, FAILED, row.error))
            continue
        data = {
            "network": {"kind": "layers", "seed": seed, "layers": [{**row.layer.section(), **pruning}]},
            "input": {"shape": list(row.layer.shape), "seed": seed},
        }
        place = f"{path}:{row.line}"
        try:
            sources = [Source(place, "", data), *extra]
            config = checked(merged(sources), sources)
        except InputError as error:
            tasks.append(LayerOutcome(row, FAILED, str(error).removeprefix(f"{place}: ")))
            continue
        key = hashlib.sha256(repr(data).encode()).hexdigest()
        tasks.append(Task(key, place, config, key))
    return tasks


def run_table(
    rows: Sequence[Row],
    tasks: Sequence[Task | LayerOutcome],
    ready: Workers,
    ended: Callable[[], None] = lambda: None,
) -> list[LayerOutcome]:
    """Run all layers, equal ones once.

    Args:
        rows: of the table.
        tasks: of :func:`layer_tasks`, one a row.
        ready: runs them.
        ended: told of each layer's end.
    """
    done: dict[str, Outcome] = {}

    def record(outcome: Outcome) -> None:
        done[outcome.key] = outcome
        ended()

    run_tasks(distinct(tasks), ready.make_executor, ready.width, record)
    return [
        task if isinstance(task, LayerOutcome) else _outcome(row, done[task.key])
        for row, task in zip(rows, tasks, strict=True)
    ]


def distinct(tasks: Sequence[Task | LayerOutcome]) -> list[Task]:
    """What has to run."""
    return list({task.key: task for task in tasks if isinstance(task, Task)}.values())


def _outcome(row: Row, outcome: Outcome) -> LayerOutcome:
    error = (outcome.error or "").removeprefix("scenario: ").replace("layer 'layer': ", "")
    return LayerOutcome(row, outcome.status, error, outcome.figures)


def write_rows(outcomes: Sequence[LayerOutcome], path: Path) -> None:
    """Write a row for each layer (.csv), as a whole file."""
    rows = [
        {"LayerID": number, "Layer name": outcome.row.name}
        | {name: value(outcome.figures) if outcome.figures else None for name, value in SCALE_SIM_COLUMNS.items()}
        | {"status": outcome.status, "bound": outcome.bound}
        | {name: outcome.figures.get(name) for name in _OWN}
        | {"error": outcome.error}
        for number, outcome in enumerate(outcomes)
    ]
    with whole_file(path) as temporary:
        temporary.write_text(csv_text(rows), encoding="utf-8", newline="")


def counts(outcomes: Sequence[LayerOutcome]) -> dict[str, int]:
    """Layers by status."""
    return {status: sum(outcome.status == status for outcome in outcomes) for status in (OK, DIFFERS, FAILED)}
