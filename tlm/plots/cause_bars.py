"""Where the cycles go: a bar for each layer of a result, or for each of several results, stacked by cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tlm.observe.causes import words
from tlm.plots.chart import Chart, Panel, stacked
from tlm.plots.colours import CAUSES
from tlm.plots.moments import AT_END
from tlm.plots.sources import Source, names

_LOOKS = {cause: (words(cause), colour) for cause, colour in CAUSES.items()}


def causes_of(source: Source) -> Chart:
    """The layers of one result, waits included; together they are the run.

    Raises:
        InputError: they are not.
    """
    stored = source.stored
    rows: list[tuple[str, Mapping[str, int]]] = [(layer.name, layer.by_cause()) for layer in stored.layers]
    if stored.account.waits_at_end.total:
        rows.append((AT_END, stored.account.waits_at_end.by_cause()))
    if sum(sum(causes.values()) for _, causes in rows) != stored.cycles:
        raise source.edited("layers: their causes and account.waits_at_end are not the run's cycles in sum")
    return _chart(source.title, "layer, with the waits before it", rows, stored.cycles)


def causes_of_each(sources: Sequence[Source]) -> Chart:
    """A row for each result."""
    rows = [(name, one.stored.account.causes) for name, one in zip(names(sources), sources, strict=True)]
    return _chart(f"Cycles by cause, {len(rows)} results", "run", rows)


def _chart(title: str, what: str, rows: Sequence[tuple[str, Mapping[str, int]]], run_cycles: int = 0) -> Chart:
    """Cycles on the left, shares of each row on the right."""
    counts = [causes for _, causes in rows]
    totals = [sum(causes.values()) for causes in counts]
    shares = [{cause: 100 * n / (sum(row.values()) or 1) for cause, n in row.items()} for row in counts]
    texts = [f"{total:,}" + (f"  {100 * total / run_cycles:.1f} %" if run_cycles else "") for total in totals]
    note = "share of the run" if run_cycles else ""
    cycles = Panel(f"cycles of a {what} [S]", "cycles", stacked(counts, _LOOKS), max(totals), texts, note)
    of_row = Panel("share of its cycles, % [S]", "%", stacked(shares, _LOOKS, _share), 100)
    return Chart(title, [name for name, _ in rows], [cycles, of_row])


def _share(cause: str, share: float) -> str:
    return f"{share:.1f} %" if cause == "computing" else ""
