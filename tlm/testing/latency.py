"""How long transactions take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tlm.core.errors import InputError
from tlm.testing.bounds import Bounds, at_least, at_most, counted, difference, exactly
from tlm.testing.checks import limit, nearest_rank
from tlm.testing.expectation import Expectation
from tlm.testing.explain import moment_lines
from tlm.testing.recording import Transaction
from tlm.testing.simulated import Simulated


class Latency:
    """Latencies of transactions: cycles from the first request to the answer, 0 if that came in the same cycle.

    Args:
        run: whose transactions they are.
        served: the transactions; all were served.
        title: what they are, for messages.

    Raises:
        InputError: there are none.
    """

    def __init__(self, run: Simulated, served: Sequence[Transaction], title: str) -> None:
        if not served:
            raise InputError(f"latency: there is no transaction {title}; choose others")
        self._run = run
        self._served = served
        self._title = title
        self._sorted = sorted(one.latency_cycles for one in served)

    def __repr__(self) -> str:
        return f"<latency of {len(self._served):,} transactions {self._title}: {self.min:,} .. {self.max:,} cycles>"

    @property
    def max(self) -> int:
        """The longest, cycles."""
        return self._sorted[-1]

    @property
    def min(self) -> int:
        """The shortest, cycles."""
        return self._sorted[0]

    def percentile(self, percent: float) -> int:
        """The smallest latency that ``percent`` of all do not exceed (nearest rank, so it is one that occurred).

        Raises:
            InputError: not in 0..100.
        """
        return self._sorted[nearest_rank(percent, len(self._sorted))]

    def at_most(self, cycles: int) -> Expectation:
        """None takes longer."""
        return self._judge(True, at_most(limit("at_most", cycles)))

    def at_least(self, cycles: int) -> Expectation:
        """None is faster."""
        return self._judge(False, at_least(limit("at_least", cycles)))

    def exactly(self, cycles: int) -> Expectation:
        """Every one takes so many cycles."""
        return self._judge(self.max != cycles, exactly(limit("exactly", cycles)))

    def _judge(self, longest: bool, bounds: Bounds) -> Expectation:
        """Whether all are within the bounds; the claim is about the longest or the shortest of them."""
        which, value = ("longest", self.max) if longest else ("shortest", self.min)
        outside = [one for one in self._served if bounds.excess(one.latency_cycles)]
        claim = (
            f"{which} latency {self._title} is {counted(value)}, expected {bounds.text}"
            f"{difference(bounds.excess(value))}"
        )
        moment = outside[0].begin_cycle if outside else None
        return Expectation(self._run, not outside, claim, moment, lambda _: self._explain(outside))

    def _explain(self, outside: Sequence[Transaction]) -> Iterator[str]:
        ranks = ", ".join(f"{percent:g}% {self.percentile(percent):,}" for percent in (50, 90, 99))
        yield f"{len(outside):,} of {len(self._served):,} transactions are outside"
        yield f"least {self.min:,}, {ranks}, most {self.max:,} cycles"
        one = outside[0]
        yield "the first of them:"
        yield f"  {one}"
        if one.begin_cycle > one.asked_cycle:
            yield f"  refused by an arbiter for {counted(one.begin_cycle - one.asked_cycle)}"
        yield f"  it waited {counted(one.latency_cycles)} for {one.target}"
        yield from moment_lines(self._run, one.begin_cycle)
