"""Stretches of a run: whatever has a first and a last cycle, and can be timed and ordered."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tlm.testing.cycles import Bounds, asked_bounds, counted, difference
from tlm.testing.expectation import Expectation, Verdict
from tlm.testing.explain import explain_stretch
from tlm.testing.order import before
from tlm.testing.span import Span
from tlm.testing.subject import Subject


class Stretch:
    """Something that a run did.

    Args:
        run: where it is from.
        name: for messages, such as "layer 'c1'".
        first_cycle: since the first host access.
        last_cycle: its last one.
        cycles: what it took, if that is not all between these; a layer in parts does not count what lies between them.
    """

    def __init__(self, run: Subject, name: str, first_cycle: int, last_cycle: int, cycles: int | None = None) -> None:
        self.run = run
        self.name = name
        self.first_cycle = first_cycle
        self.last_cycle = last_cycle
        self._cycles = last_cycle - first_cycle + 1 if cycles is None else cycles

    def __repr__(self) -> str:
        return f"<{self.name}: cycles {self.first_cycle:,} .. {self.last_cycle:,}>"

    @property
    def cycles(self) -> int:
        """What it took."""
        return self._cycles

    @property
    def begin(self) -> int:
        """The moment of its first cycle."""
        return self.first_cycle

    @property
    def end(self) -> int:
        """The moment of its last cycle."""
        return self.last_cycle

    def takes(
        self,
        cycles: int | None = None,
        within: int = 0,
        *,
        within_percent: float = 0.0,
        at_most: int | None = None,
        at_least: int | None = None,
    ) -> Expectation:
        """It takes so many cycles.

        Args:
            cycles: exactly so many, or about so many with one of the next two.
            within: cycles that it may be away from that, up or down.
            within_percent: the same as a share of ``cycles``.
            at_most: instead of ``cycles``.
            at_least: instead of ``cycles``.

        Raises:
            InputError: not exactly one of ``cycles``, ``at_most`` and ``at_least``.
        """
        return self._judge(asked_bounds(cycles, within, within_percent, at_most, at_least))

    def spans(self) -> list[Span]:
        """The cycles in which it was under way."""
        return [Span(self.name, self.first_cycle, self.last_cycle)]

    def before(self, other: object) -> Expectation:
        """It has ended before anything of ``other`` begins (:func:`tlm.testing.before`)."""
        return before(self, other)

    def _judge(self, bounds: Bounds) -> Expectation:
        excess = bounds.excess(self._cycles)
        claim = f"{self.name} takes {counted(self._cycles)}, expected {bounds.text}{difference(excess)}"
        moment = self.last_cycle if excess <= 0 else max(self.first_cycle, self.last_cycle - excess + 1)
        return Expectation(self.run, Verdict(not excess, claim, moment, lambda: self.explain_cycles(bounds)))

    def explain_cycles(self, bounds: Bounds) -> Iterable[str]:
        """Lines that say why it takes what it takes."""
        return explain_stretch(self, bounds)

    def account(self) -> dict[str, int]:
        """Cause of docs/account.md -> cycles, where that is known of it."""
        return {}

    def counterpart(self, other: Any) -> Any:
        """The same of another run of the same network."""
        return other

    @property
    def engine_only(self) -> bool:
        """Only the engine decides what it takes, from its first cycle on."""
        return False
