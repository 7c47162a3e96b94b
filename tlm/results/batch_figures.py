"""What the images of a batch took, which run as one program (docs/evaluation.md)."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class BatchFigures(Struct, frozen=True):
    """The account of each image: cycles [S] of its parts on the engine, and of the waits before them.

    What is left of the run's cycles is ``Result.account.waits_at_end``: the last output is stored.
    """

    causes: tuple[Mapping[str, int], ...]
    """For each image cause -> cycles, as in the account of a run."""

    @property
    def count(self) -> int:
        """Images, at least 2."""
        return len(self.causes)

    @property
    def image_cycles(self) -> tuple[int, ...]:
        """Of each image."""
        return tuple(sum(own.values()) for own in self.causes)

    @property
    def first_image_cycles(self) -> int:
        """Of the first image, whose first loads nothing hides."""
        return self.image_cycles[0]

    @property
    def steady_cycles_per_image(self) -> float:
        """Mean of the images after the first."""
        return sum(self.image_cycles[1:]) / (self.count - 1)
