"""A piece of time with a name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """Cycles from ``first_cycle`` to ``last_cycle``, both included, with a name."""

    name: str
    first_cycle: int
    last_cycle: int

    def __str__(self) -> str:
        if self.first_cycle == self.last_cycle:
            return f"{self.name} (cycle {self.first_cycle:,})"
        return f"{self.name} (cycles {self.first_cycle:,} .. {self.last_cycle:,})"
