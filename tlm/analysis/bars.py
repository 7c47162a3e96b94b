"""Bars of plain ASCII, so that any terminal and any test can read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def bar(share: float, width: int) -> str:
    """``share`` (0..1) of ``width`` as ``#``, at least one for anything above 0."""
    length = round(share * width)
    return "#" * max(length, 1 if share > 0 else 0)


def stacked(counts: Mapping[str, int], width: int) -> str:
    """A bar of exactly ``width`` characters, each key (one character) as long as its share.

    What is left after rounding down goes to the largest remainders, ties in the order of the keys.
    """
    total = sum(counts.values())
    if not total:
        return " " * width
    lengths = {key: count * width // total for key, count in counts.items()}
    by_remainder = sorted(counts, key=lambda key: -(counts[key] * width % total))
    for key in by_remainder[: width - sum(lengths.values())]:
        lengths[key] += 1
    return "".join(key * length for key, length in lengths.items())


def percent(part: float, whole: float) -> str:
    """``12.3%``; a dash where there is no whole."""
    return f"{100 * part / whole:.1f}%" if whole else "-"


def fitted(
    rows: list[list[str]], least: Sequence[str], width: int = 80, left: int = 1, indent: str = "  "
) -> list[str]:
    """Rows as lines that fit a terminal, the headings first.

    Args:
        rows: the first one holds the headings.
        least: headings of the columns that are left out if there is no room, the least important first; if even that
            is not enough, the longest texts of the first column end in dots.
        width: of the terminal; 0 for no limit.
        left: columns to the left.
        indent: before each line.
    """
    for heading in least:
        if not width or max(map(len, columns(rows, left, indent))) <= width:
            break
        at = rows[0].index(heading)
        rows = [[*row[:at], *row[at + 1 :]] for row in rows]
        left -= at < left
    lines = columns(rows, left, indent)
    room = max(len(row[0]) for row in rows) - (max(map(len, lines)) - width)
    if not width or room >= max(len(row[0]) for row in rows):
        return lines
    short = [[row[0] if len(row[0]) <= room else f"{row[0][: room - 2]}..", *row[1:]] for row in rows]
    return columns(short, left, indent)


def columns(rows: list[list[str]], left: int = 1, indent: str = "  ") -> list[str]:
    """Rows as lines with aligned columns, the first ``left`` of them to the left and the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append((indent + "  ".join(cells)).rstrip())
    return lines
