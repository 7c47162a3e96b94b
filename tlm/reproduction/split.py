"""A run's cycles or energy, split by cause until nothing is left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from tlm.core.errors import SimulationError

DENSE_TAPS = 9
"""Of an unpruned 3x3 kernel."""


@dataclass(frozen=True)
class Split:
    """What a run of PW-DW-PW blocks, or of a network of them, took by cause.

    Raises:
        SimulationError: the causes do not add up to the run.
    """

    name: str
    taps: int
    """Valid ones of each depth-wise kernel."""
    parts: Mapping[str, Fraction]
    """Cause -> cycles or attojoules, in the order of reports."""
    total: int
    """Of the run, as measured."""
    counted: str
    """"cycles" or "aJ"."""
    unit: Fraction
    """In which the parts are shown."""

    def __post_init__(self) -> None:
        if sum(self.parts.values()) != self.total:
            raise SimulationError(
                f"reproduction: the causes of {self.name} at {self.taps} of {DENSE_TAPS} taps add up to "
                f"{float(sum(self.parts.values())):g}, but the run took {self.total} {self.counted}"
            )

    def units(self, cause: str | None = None) -> Fraction:
        """A cause, or all of the run, in units."""
        return (Fraction(self.total) if cause is None else self.parts[cause]) / self.unit

    def share(self, cause: str | None = None) -> float:
        """Of the whole; below 0 where a cause takes less than the ideal has counted."""
        return 1.0 if cause is None else float(self.parts[cause] / self.total)

    def beyond(self, dense: Split, cause: str | None = None) -> Fraction:
        """Units beyond the ideal share of what the unpruned run takes; their sum keeps the ratio from being ideal.

        If every cause shrank as the ideal work does, (1 + k) / 10, this were 0 for each of them.
        """
        ideal = Fraction(1 + self.taps, 1 + DENSE_TAPS)
        return self.units(cause) - ideal * dense.units(cause)
