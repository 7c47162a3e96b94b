"""A piece of a run with a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Span:
    """Something that a run did: cycles from ``first_cycle`` to ``last_cycle``, both included."""

    name: str
    """For messages, such as "layer 'c1'"."""
    first_cycle: int
    last_cycle: int
    taken_cycles: int | None = None
    """What it took, if that is not all of these; a layer in parts does not count what lies between them."""
    layer: str | None = None
    """The layer that it is: then the engine alone decides what it takes, from its first cycle on."""
    account: Mapping[str, int] = field(default_factory=dict)
    """Cause of docs/account.md -> cycles, where that is known of it."""
    about: tuple[str, ...] = ()
    """Lines that say more of it."""

    @property
    def cycles(self) -> int:
        """What it took."""
        return self.last_cycle - self.first_cycle + 1 if self.taken_cycles is None else self.taken_cycles

    def __str__(self) -> str:
        if self.first_cycle == self.last_cycle:
            return f"{self.name} (cycle {self.first_cycle:,})"
        return f"{self.name} (cycles {self.first_cycle:,} .. {self.last_cycle:,})"
