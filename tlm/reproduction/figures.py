"""Numbers as text, and tables in Markdown."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence


def compared(
    published: float,
    simulated: float,
    unit: str,
    *,
    label: str = "[P]",
    digits: int = 2,
    published_digits: int | None = None,
    span: tuple[float, float] | None = None,
) -> str:
    """Three cells of a table: the published figure with its label, the simulated one, and the deviation.

    Args:
        published, simulated: in ``unit``.
        label: of the published figure: [P], or [D] if it was derived from published numbers.
        digits: of the simulated figure, behind the decimal point.
        published_digits: of the published figure; by default ``digits``.
        span: least and most that the assumed split of energy allows.
    """
    before = f"{published:,.{digits if published_digits is None else published_digits}f} {unit} {label}"
    after = f"{simulated:,.{digits}f}"
    if span is not None:
        after = with_span(after, span)
    return f"{before} | {after} {unit} | {signed_percent(simulated / published - 1)}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], left: Collection[int] = (0,)) -> str:
    """A table in Markdown.

    Args:
        head: of the columns.
        rows: as many cells each.
        left: columns that are aligned to the left; the others to the right.
    """
    rule = ["---" if column in left else "---:" for column in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def with_span(text: str, span: tuple[float, float]) -> str:
    """``21.17 (18.5 to 22.6)``."""
    return f"{text} ({span[0]:.1f} to {span[1]:.1f})"


def percent(share: float, digits: int = 1) -> str:
    """``12.3 %``."""
    return f"{100 * share:.{digits}f} %"


def signed_percent(share: float, digits: int = 1) -> str:
    """``+12.3 %``; what rounds to nothing has no sign."""
    return f"{signed(100 * share, digits)} %"


def signed(value: float, digits: int) -> str:
    """``+12.3``; what rounds to nothing has no sign."""
    text = f"{value:+.{digits}f}"
    return text.lstrip("+-") if float(text) == 0 else text
