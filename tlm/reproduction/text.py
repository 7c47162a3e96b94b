"""A report as Markdown, or on a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from tlm.reproduction.document import Document, Table


def markdown(document: Document) -> str:
    """The whole text; equal documents give equal text."""
    parts = [f"# {document.title}", *document.intro]
    for section in document.sections:
        parts.append(f"## {section.title}")
        for block in section.content:
            parts += [block] if isinstance(block, str) else [f"{block.caption}:", "\n".join(_lines(block))]
    return "\n\n".join(parts) + "\n"


def print_document(document: Document, console: Console) -> None:
    """Tables with lines that fold at the terminal's width."""
    console.print(Text(document.title, style="bold"))
    for paragraph in document.intro:
        console.print(Text(paragraph))
    for section in document.sections:
        console.print()
        console.print(Text(section.title, style="bold"))
        for block in section.content:
            if isinstance(block, str):
                console.print(Text(block))
                continue
            console.print(Text(f"{block.caption}:", style="dim"))
            console.print(_rich(block))


def _lines(table: Table) -> Iterator[str]:
    yield _line(table.head)
    yield _line(["---" if column in table.left else "---:" for column in range(len(table.head))])
    yield from map(_line, table.rows)


def _line(cells: tuple[str, ...] | list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rich(table: Table) -> RichTable:
    found = RichTable(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column, head in enumerate(table.head):
        found.add_column(Text(head), justify="left" if column in table.left else "right", overflow="fold")
    for row in table.rows:
        found.add_row(*map(Text, row))
    return found
