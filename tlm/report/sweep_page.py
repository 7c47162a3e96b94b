"""The report of a sweep, from its store."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tlm.core.errors import InputError
from tlm.report.page import PJ_PER_UJ, Number, energy_text, page
from tlm.sweeps.columns import COLUMNS, OK
from tlm.sweeps.front import done
from tlm.sweeps.store import DATABASE_NAME, read_store

_HIGHER_IS_BETTER = {"utilization", "compute_utilization", "tops_per_w", "images_per_s"}
_MANY = 9
_NAMES = {"energy_pj": "energy_uj", "off_chip_pj": "off_chip_uj"}
_UNITS = {"pJ": "µJ", "us": "µs"}
"""Energies of whole runs have too many digits in picojoules."""
_WORDS = {
    "tops_per_w": "efficiency",
    "macs": "MACs",
    "off_chip": "off-chip",
    "utilization": "utilisation",
    "_": " ",
}


def sweep_page(directory: Path) -> str:
    """The page of a sweep's directory.

    Raises:
        InputError: no sweep, or none of its points has a result yet.
    """
    with read_store(directory) as store:
        about, axes, rows, counts = store.about(), store.axes(), store.rows(), store.counts()
    if not done(rows):
        raise InputError(f"{directory / DATABASE_NAME}: {_why_empty(directory, rows)}")
    return page(
        "sweep",
        f"{about['scenario']} sweep - cartesian-tlm",
        _summary(axes, rows, counts),
        {"columns": _columns(axes), "rows": [_shown(row) for row in rows]},
        heading=f"{about['scenario']}: sweep over {', '.join(axes)}",
    )


def _why_empty(directory: Path, rows: list[dict[str, Any]]) -> str:
    if not rows:
        return f"there is no point in it; `tlm sweep {directory}` makes them"
    errors = [row["error"] for row in rows if row["error"] is not None]
    if len(errors) < len(rows):
        return f"no point has a result yet; `tlm sweep {directory}` goes on with it"
    return f"every point failed, the first with: {errors[0]}; `tlm sweep {directory} --retry-failed` runs them again"


def _summary(axes: list[str], rows: list[dict[str, Any]], counts: dict[str, int]) -> list[Number]:
    found = done(rows)
    fastest = min(found, key=lambda row: (row["cycles"], row["point"]))
    thrifty = min(found, key=lambda row: (row["energy_pj"], row["point"]))
    rest = ", ".join(f"{count:,} {status}" for status, count in sorted(counts.items()) if status != OK)
    return [
        ("points", f"{len(rows):,}", ""),
        ("equal to the golden model", f"{counts.get(OK, 0):,}", ""),
        *([("others", rest, "")] if rest else []),
        *((axis, _values(axis, rows), "") for axis in axes),
        (f"fewest cycles, point {fastest['point']}", f"{fastest['cycles']:,}", "[S]"),
        (f"least energy, point {thrifty['point']}", energy_text(thrifty["energy_pj"]), "[A]"),
    ]


def _values(axis: str, rows: list[dict[str, Any]]) -> str:
    values = list({json.dumps(row[axis]): row[axis] for row in rows}.values())
    if all(isinstance(value, (int, float)) for value in values):
        values.sort()  # of a sample they come in the order of the draws
        if len(values) > _MANY:
            return f"{values[0]:g} .. {values[-1]:g}, {len(values):,} values"
    shown = ", ".join(value if isinstance(value, str) else json.dumps(value) for value in values[:_MANY])
    return shown if len(values) <= _MANY else f"{shown}, .. ({len(values):,} values)"


def _columns(axes: list[str]) -> list[dict[str, Any]]:
    def column(name: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "title": name, "unit": "", "label": "", **more}

    numbers = [
        column(
            _NAMES.get(one.name, one.name),
            title=_title(one.name),
            unit=_UNITS.get(one.unit, one.unit),
            label=one.label,
            meaning=one.meaning,
            numeric=one.kind != "TEXT",
            higher_is_better=one.name in _HIGHER_IS_BETTER,
        )
        for one in COLUMNS
    ]
    parameters = [column(axis, parameter=True) for axis in axes]
    return [column("point"), *parameters, column("status"), *numbers, column("error")]


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """A row in the units of the page."""
    return {
        _NAMES.get(name, name): value / PJ_PER_UJ if name in _NAMES and value is not None else value
        for name, value in row.items()
    }


def _title(name: str) -> str:
    """A column's name without the unit, which stands beside it."""
    name = re.sub("_(us|pj|mw|bytes|cycles)$", "", name)
    for found, shown in _WORDS.items():
        name = name.replace(found, shown)
    return name
