"""A figure with its label: what was published, what was simulated, and why they differ."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Label(Enum):
    """Where a number comes from, and so what its agreement with a published one means."""

    PUBLISHED = "[P]"
    DERIVED = "[D]"
    ASSUMED = "[A]"
    CALIBRATED = "calibrated"
    AGREES = "agrees"
    PREDICTED = "predicted"

    @property
    def meaning(self) -> str:
        """One sentence."""
        return _MEANINGS[self]


_MEANINGS = {
    Label.PUBLISHED: "published; where a simulated figure has this label, the simulator takes it over as a parameter",
    Label.DERIVED: "derived from published numbers by arithmetic alone",
    Label.ASSUMED: "an assumption of this project, because the sources are silent",
    Label.CALIBRATED: "a parameter was chosen so that this figure is the published one: that it agrees proves nothing",
    Label.AGREES: "no parameter was fitted to it and it is consistent with the publication, but so would other "
    "assumptions be: it is no evidence",
    Label.PREDICTED: "follows from the model's assumptions [A]; nothing was fitted to it",
}

NO_VALUE = "-"


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
    published: float | None = None
    """None where there is none to compare with."""
    reference: Label = Label.PUBLISHED
    """Of ``published``: [P], or [D] where it was derived from published numbers."""
    digits: int = 2
    """Behind the decimal point."""
    published_digits: int | None = None
    """The same of the published value; by default ``digits``."""

    @property
    def deviation(self) -> float | None:
        """``simulated / published - 1``; None without a published value."""
        return None if self.published is None else self.simulated / self.published - 1

    @property
    def cells(self) -> tuple[str, ...]:
        """Name, published, simulated, deviation, label, reason: as text, with units."""
        digits = self.digits if self.published_digits is None else self.published_digits
        published = NO_VALUE
        if self.published is not None:
            published = f"{self.published:,.{digits}f} {self.unit} {self.reference.value}"
        deviation = NO_VALUE if self.deviation is None else signed_percent(self.deviation)
        return (
            self.name,
            published,
            f"{self.simulated:,.{self.digits}f} {self.unit}",
            deviation,
            self.label.value,
            self.why,
        )


FIGURE_COLUMNS = ("figure", "published", "simulated", "deviation", "label", "why")
"""Heads of :attr:`Figure.cells`."""


def percent(share: float, digits: int = 1) -> str:
    """``12.3 %``."""
    return f"{100 * share:.{digits}f} %"


def signed_percent(share: float, digits: int = 1) -> str:
    """``+12.3 %``; what rounds to nothing has no sign."""
    text = f"{100 * share:+.{digits}f}"
    return f"{text.lstrip('+-') if float(text) == 0 else text} %"
