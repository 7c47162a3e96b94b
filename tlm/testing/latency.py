"""How long transactions take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tlm.core.errors import InputError
from tlm.testing.cycles import Bounds, counted, difference
from tlm.testing.expectation import Expectation, Verdict
from tlm.testing.explain import moment_lines
from tlm.testing.limits import limit, nearest_rank


class Latency:
    """Latencies of transactions: cycles from the first request to the answer, 0 if that came in the same cycle.

    Args:
        of: transactions that were served.

    Raises:
        InputError: there are none.
    """

    def __init__(self, of: Any) -> None:
        if not len(of):
            raise InputError(f"latency: there is no transaction {of.title}; choose others")
        self._of = of
        self._cycles = of.recording.end_cycle[of.rows] - of.recording.asked_cycle[of.rows]
        self._order = np.argsort(self._cycles, kind="stable")

    def __repr__(self) -> str:
        low, high = (int(self._cycles[self._order[end]]) for end in (0, -1))
        return f"<latency of {len(self._of):,} transactions {self._of.title}: {low:,} .. {high:,} cycles>"

    @property
    def max(self) -> int:
        """The longest, cycles."""
        return self._at(len(self._order) - 1)

    @property
    def min(self) -> int:
        """The shortest, cycles."""
        return self._at(0)

    def percentile(self, percent: float) -> int:
        """The smallest latency that ``percent`` of all do not exceed (nearest rank, so it is one that occurred).

        Raises:
            InputError: not in 0..100.
        """
        return self._at(nearest_rank(percent, len(self._order)))

    def at_most(self, cycles: int) -> Expectation:
        """None takes longer."""
        return self._judge("longest", self.max, Bounds.at_most(limit("at_most", cycles)))

    def at_least(self, cycles: int) -> Expectation:
        """None is faster."""
        return self._judge("shortest", self.min, Bounds.at_least(limit("at_least", cycles)))

    def exactly(self, cycles: int) -> Expectation:
        """Every one takes so many cycles."""
        limit("exactly", cycles)
        which = ("longest", self.max) if self.max != cycles else ("shortest", self.min)
        return self._judge(*which, Bounds.exactly(cycles))

    def _at(self, rank: int) -> int:
        return int(self._cycles[self._order[rank]])

    def _judge(self, which: str, value: int, bounds: Bounds) -> Expectation:
        excess = bounds.excess(value)
        offending = self._first_outside(bounds)
        claim = f"{which} latency {self._of.title} is {counted(value)}, expected {bounds.text}{difference(excess)}"
        moment = None if offending is None else self._of[offending].begin_cycle
        return Expectation(self._of.run, Verdict(not excess, claim, moment, lambda: self._explain(bounds, offending)))

    def _first_outside(self, bounds: Bounds) -> int | None:
        """The first transaction in time that is not within the bounds."""
        outside = [index for index, cycles in enumerate(self._cycles.tolist()) if bounds.excess(cycles)]
        return outside[0] if outside else None

    def _explain(self, bounds: Bounds, offending: int | None) -> Iterator[str]:
        values = self._cycles.tolist()
        outside = sum(bool(bounds.excess(value)) for value in values)
        ranks = ", ".join(f"{percent:g}% {int(self.percentile(percent)):,}" for percent in (50, 90, 99))
        yield f"{outside:,} of {len(values):,} transactions are outside"
        yield f"least {min(values):,}, {ranks}, most {max(values):,} cycles"
        if offending is not None:
            one = self._of[offending]
            yield "the first of them:"
            yield f"  {one}"
            if one.begin_cycle > one.asked_cycle:
                yield f"  refused by an arbiter for {counted(one.begin_cycle - one.asked_cycle)}"
            yield f"  it waited {counted(one.latency_cycles)} for {one.target}"
            yield from moment_lines(self._of.run, one.begin_cycle)
