"""The terminal that tables and progress are drawn on, and the two kinds of tables that reports have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from tlm.core.errors import escaped

_MIN_COLUMNS = 76
"""Narrower terminals wrap the lines: the figures stay whole."""
_HEAD_COLUMNS = 12
_END_BLANKS = re.compile(r" +((?:\x1b\[[0-9;]*m)*)$", re.MULTILINE)
"""Before the end of a line, and of the style in which they stand."""


class Terminal(Console):
    """Rich's console that shows the control characters of names and texts instead of sending them."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Everything that is drawn comes through here, in pieces of one style each."""
        for segment in super().render(renderable, options):
            shown = segment.text if segment.control else escaped(segment.text)
            yield segment if shown == segment.text else segment._replace(text=shown)


class ReportTerminal(Terminal):
    """Lines end where their text does; Rich fills those of a table with blanks."""

    def print(self, *objects: Any, **options: Any) -> None:
        """As Rich prints it, without blanks at the ends of lines."""
        with self.capture() as captured:
            super().print(*objects, **options)
        self.file.write(_END_BLANKS.sub(r"\1", captured.get()))


def report_console() -> Console:
    """Standard output, as wide as the terminal but wide enough for a report."""
    width = max(Terminal().width, _MIN_COLUMNS)
    return ReportTerminal(highlight=False, markup=False, width=width)


def table_of(headings: Iterable[tuple[str, str]], rows: Iterable[Sequence[str]]) -> Table:
    """A table with a line a row.

    Args:
        headings: and how each column is justified; only the first one may be folded.
        rows: a cell for each heading.
    """
    table, cells = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)), [*rows]
    for column, (heading, justify) in enumerate(headings):
        # Rich is slow to find how wide a column must be.
        width = max(map(cell_len, (heading, *(row[column] for row in cells)))) if column else None
        table.add_column(Text(heading), justify=justify, no_wrap=bool(column), overflow="fold", width=width)  # type: ignore[arg-type]
    for row in cells:
        table.add_row(*map(Text, row))  # Rich looks for names of emojis in plain strings
    return table


def setting_text(settings: Mapping[str, Any]) -> str:
    """``amem_banks=4, taps=[9, 3]``: keys without their sections, where that leaves them apart."""
    short = [key.rpartition(".")[2] for key in settings]
    names = short if len(set(short)) == len(short) else settings
    values = (value if isinstance(value, str) else json.dumps(value) for value in settings.values())
    return ", ".join(f"{name}={value}" for name, value in zip(names, values, strict=True))


def facts(lines: Iterable[tuple[str, str]]) -> Table:
    """Lines with a heading each."""
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=_HEAD_COLUMNS, no_wrap=True)
    table.add_column()
    for heading, text in lines:
        table.add_row(Text(heading), Text(text))
    return table
