"""``tlm layers``: every layer of a SCALE-Sim topology file, each alone."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from tlm.cli.progress import progress
from tlm.core.errors import InputError
from tlm.layer_tables.run import LayerOutcome, counts, distinct, layer_tasks, run_table, write_rows
from tlm.layer_tables.table import read_table
from tlm.results.console import report_console, table_of
from tlm.results.files import check_writable_file
from tlm.sweeps.columns import DIFFERS, FAILED, OK
from tlm.sweeps.executors import workers

_OK, _FAILED = 0, 1


def run(arguments: argparse.Namespace) -> int:
    """Run it; 0 if a layer ran and no output differs from the golden model's."""
    path, output = arguments.table, arguments.output
    rows = read_table(path)
    pruning = {
        key: value
        for key in ("density", "word_density")
        if (value := getattr(arguments, key)) is not None
    }  # fmt: skip
    if len(pruning) > 1:
        raise InputError("--word-density: given beside --density; prune in one way only")
    for key, share in pruning.items():
        if not 0 <= share <= 1:
            raise InputError(f"--{key.replace('_', '-')}: {share} is not allowed; give a share from 0 to 1")
    if output is not None:
        if output.suffix != ".csv":
            raise InputError(f"-o: {output} does not end with .csv; give such a name")
        check_writable_file(output, "-o")
    tasks = layer_tasks(path, rows, pruning, arguments.seed or 0, arguments.overrides)
    with workers(arguments.processes) as ready, progress(path.name, len(distinct(tasks))) as count_one:
        outcomes = run_table(rows, tasks, ready, count_one)
    _print(outcomes)
    if output is not None:
        write_rows(outcomes, output)
        print(f"wrote {output}")
    found = counts(outcomes)
    return _FAILED if found[DIFFERS] or not found[OK] else _OK


def _print(outcomes: Sequence[LayerOutcome]) -> None:
    headings = ("layer", "cycles [S]", "util. % [S]", "DMA bytes [S]", "energy uJ [A]", "bound by")
    ran = [outcome for outcome in outcomes if outcome.figures]
    justify = ("left", "right", "right", "right", "right", "left")
    console = report_console()
    console.print(table_of(zip(headings, justify, strict=True), map(_cells, ran)))
    for line in _summary(outcomes, ran):
        console.print(line, soft_wrap=True)


def _cells(outcome: LayerOutcome) -> tuple[str, ...]:
    figures = outcome.figures
    return (
        outcome.row.name, f"{figures['cycles']:,}", f"{100 * figures['utilization']:.1f}",
        f"{figures['load_bytes'] + figures['store_bytes']:,}", f"{figures['energy_pj'] / 1e6:.2f}", outcome.bound,
    )  # fmt: skip


def _summary(outcomes: Sequence[LayerOutcome], ran: Sequence[LayerOutcome]) -> Iterator[str]:
    found = counts(outcomes)
    cycles, energy_pj = (sum(outcome.figures[key] for outcome in ran) for key in ("cycles", "energy_pj"))
    yield f"{found[OK]:,} of {len(outcomes):,} layers ran alone, with outputs equal to the golden model's"
    yield f"in sum {cycles:,} cycles [S], {energy_pj / 1e6:,.2f} uJ [A]"
    for outcome in outcomes:
        if outcome.status == DIFFERS:
            yield f"{outcome.row.name} (line {outcome.row.line}): {outcome.error}"
    for outcome in outcomes:
        if outcome.status == FAILED:
            yield f"{outcome.row.name} (line {outcome.row.line}) did not run: {outcome.error}"
