"""Bars of plain ASCII, so that any terminal and any test can read them."""

from __future__ import annotations

from collections.abc import Mapping


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
    """``12.3 %``; a dash where there is no whole."""
    return f"{100 * part / whole:.1f} %" if whole else "-"


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
