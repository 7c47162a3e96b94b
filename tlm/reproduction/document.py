"""What a report is made of, whatever it is written to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tlm.reproduction.figures import FIGURE_COLUMNS, Figure


@dataclass(frozen=True)
class Table:
    """Rows of cells under a caption that says unit and label where the cells do not."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: frozenset[int] = frozenset({0})
    """Columns that are aligned to the left; the others to the right."""


@dataclass(frozen=True)
class Section:
    """A heading, paragraphs and tables."""

    title: str
    content: tuple[str | Table, ...]


@dataclass(frozen=True)
class Document:
    """A title, paragraphs, and sections."""

    title: str
    intro: tuple[str, ...]
    sections: tuple[Section, ...]


def figure_table(caption: str, figures: Iterable[Figure]) -> Table:
    """A line for each figure; every cell has its own unit and label."""
    return Table(caption, FIGURE_COLUMNS, tuple(one.cells for one in figures), frozenset({0, 4, 5, 6}))
