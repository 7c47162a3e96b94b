"""The points of a sweep that answer it: no other one is better in time and in energy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import Any, TypeAlias

from tlm.analysis.bars import columns
from tlm.results.console import setting_text
from tlm.sweeps.columns import FAILED

Row: TypeAlias = dict[str, Any]

_MOST = 8
"""Points, and failures, that a terminal shows."""


def done(rows: Sequence[Row]) -> list[Row]:
    """Those with figures."""
    return [row for row in rows if row["cycles"] is not None and row["energy_pj"] is not None]


def front(rows: Sequence[Row]) -> list[Row]:
    """The fastest point first, the thriftiest last; of equal ones the first. Time and energy are those of an image."""
    found: list[Row] = []
    for row in sorted(done(rows), key=lambda row: (*_costs(row), row["point"])):
        if not found or _costs(row)[1] < _costs(found[-1])[1]:
            found.append(row)
    return found


def _costs(row: Row) -> tuple[float, float]:
    """Time in us and energy in pJ of an image."""
    return row["time_us"] / row["images"], row["energy_pj"] / row["images"]


def front_cells(rows: Sequence[Row], axes: Sequence[str]) -> Iterator[list[str]]:
    """Cells: settings, point, cycles, time in us, energy in uJ, what the point is; of many points only some between.

    Cycles, time and energy are those of an image.
    """
    found = front(rows)
    last = len(found) - 1
    shown = sorted({round(index * last / (_MOST - 1)) for index in range(_MOST)}) if last >= _MOST else range(last + 1)
    for index in shown:
        row = found[index]
        names = [*(["fastest"] if index == 0 else []), *(["thriftiest"] if index == last else [])]
        time_us, energy_pj = _costs(row)
        yield [setting_text({axis: row[axis] for axis in axes}), str(row["point"]),
               f"{row['cycles'] / row['images']:,.0f}", f"{time_us:,.2f}", f"{energy_pj / 1e6:,.3f}",
               ", ".join(names) or "between"]  # fmt: skip


def front_lines(rows: Sequence[Row], axes: Sequence[str], width: int = 80) -> Iterator[str]:
    """A table that fits a terminal: settings behind the figures, or below them if they are too long for that."""
    of_image = " of an image" if any(row["images"] > 1 for row in done(rows)) else ""
    heads = ["", "point", f"cycles{of_image} [S]", "time us [S]", "energy uJ [A]"]
    cells = list(front_cells(rows, axes))
    head, *lines = columns([heads, *([name, *figures] for _, *figures, name in cells)])
    settings = [own for own, *_ in cells]
    beside = max(len(head) + 2 + len(own) for own in settings) <= width
    yield f"{head}  settings" if beside else head
    for line, own in zip(lines, settings, strict=True):
        yield f"{line}  {own}" if beside else line
        if not beside:
            yield from wrap(own, width, initial_indent=" " * 6, subsequent_indent=" " * 6, break_on_hyphens=False)


def failures(rows: Sequence[Row]) -> Iterator[str]:
    """A line for each of the first points that failed."""
    failed = [row for row in rows if row["status"] == FAILED]
    for row in failed[:_MOST]:
        yield f"point {row['point']} failed: {row['error']}"
    if len(failed) > _MOST:
        yield f"and {len(failed) - _MOST:,} more; the table has their messages (column error)"
