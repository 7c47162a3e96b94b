"""A figure with its label: what was published, what was simulated, and why they differ; and tables in Markdown."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from tlm.core.labels import Label


class Fit(Enum):
    """Which fit reaches a simulated figure: would it move if the published figure that was fitted were another?"""

    NONE = "none"
    POWER = "both powers, directly"
    TABLE = "both powers, by way of the table of energies"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of a comparison."""

    name: str
    unit: str
    label: Label
    """Of the simulated value."""
    simulated: float
    why: str
    """Why it deviates, or what its agreement means: one sentence."""
    published: float
    published_label: Label = Label.PUBLISHED
    """Of ``published``: [P], or [D] where it was derived from published numbers."""
    digits: int = 2
    """Behind the decimal point."""
    fit: Fit = Fit.NONE
    """What was fitted to it or reaches it."""
    span: tuple[float, float] | None = None
    """What the assumed split of energy allows: least and most."""
    published_digits: int | None = None
    """The same of the published value; by default ``digits``."""

    @property
    def cells(self) -> tuple[str, ...]:
        """Name, published, simulated, deviation, label, fit, reason: as text, with units."""
        digits = self.digits if self.published_digits is None else self.published_digits
        simulated = f"{self.simulated:,.{self.digits}f}"
        return (
            self.name,
            f"{self.published:,.{digits}f} {self.unit} {self.published_label.value}",
            f"{simulated if self.span is None else with_span(simulated, self.span)} {self.unit}",
            signed_percent(self.simulated / self.published - 1),
            self.label.value,
            self.fit.value,
            self.why,
        )


def figure_table(figures: Iterable[Figure]) -> str:
    """A line for each figure; every cell has its own unit and label."""
    head = ("figure", "published", "simulated", "deviation", "label", "fit that reaches it", "why")
    return table(head, [one.cells for one in figures], left=(0, 4, 5, 6))


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
