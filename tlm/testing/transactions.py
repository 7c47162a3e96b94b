"""Recorded transactions, and what can be asked of them.

A name that does not exist, a limit that is none, or a question about no transaction at all raises InputError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from math import ceil, floor
from typing import overload

import numpy as np

from tlm.chip.payloads import Work
from tlm.core.errors import InputError
from tlm.testing.checks import (
    Bounds,
    at_least,
    at_most,
    counted,
    difference,
    exactly,
    is_whole,
    known_name,
    limit,
    moments_of,
    nearest_rank,
)
from tlm.testing.expectation import Expectation
from tlm.testing.explain import moment_lines
from tlm.testing.order import before, never_two_at_once
from tlm.testing.recording import Transaction
from tlm.testing.simulated import Simulated
from tlm.testing.span import Span

_ALL = "of the run"


class Transactions(Sequence[Transaction]):
    """Transactions of a run in the order in which they began; narrowed down step by step.

    Args:
        simulated: the run.
        ones: the transactions; by default all of the run.
        title: what they are, for messages.
        interval: the cycles that they were looked for in, if that is not all of the run.
    """

    def __init__(
        self,
        simulated: Simulated,
        ones: list[Transaction] | None = None,
        title: str = _ALL,
        interval: tuple[int, int] | None = None,
    ) -> None:
        self.simulated = simulated
        self.title = title
        self.interval = interval
        self._ones = simulated.recording.transactions if ones is None else ones

    def __len__(self) -> int:
        return len(self._ones)

    @overload
    def __getitem__(self, index: int) -> Transaction: ...

    @overload
    def __getitem__(self, index: slice) -> Transactions: ...

    def __getitem__(self, index: int | slice) -> Transaction | Transactions:
        if isinstance(index, slice):
            return Transactions(self.simulated, self._ones[index], self.title, self.interval)
        return self._ones[index]

    def __iter__(self) -> Iterator[Transaction]:
        return iter(self._ones)

    def __repr__(self) -> str:
        return f"<{len(self):,} transactions: {self.title}>"

    # -- narrowing ------------------------------------------------------------------------------------------------

    @property
    def sockets(self) -> list[str]:
        """Names of all initiator sockets of the chip."""
        return list(self.simulated.recording.targets)

    def at(self, socket: str) -> Transactions:
        """Those of a socket, named by its initiator or by its target."""
        targets = self.simulated.recording.targets
        names = {name: name for name in targets} | {target: name for name, target in targets.items()}
        name = names[known_name("socket", socket, names)]
        return self._only(lambda one: one.socket == name, f"at {name}")

    def of_layer(self, name: str) -> Transactions:
        """Those for a layer: of the engine while it computes it, and of the DMA for its data."""
        known_name("layer", name, self.simulated.result.layers)
        timeline = self.simulated.result.timeline
        tags = {part.tag for part in timeline.parts if part.layer == name}
        transfers = {(span.channel, span.index) for span in timeline.transfers if tags & span.part_bytes.keys()}
        return self._only(
            lambda one: one.index(Work.LAYER) in tags or (one.dma_channel, one.index(Work.TRANSFER)) in transfers,
            f"of layer {name!r}",
        )

    def of_pass(self, index: int) -> Transactions:
        """Those of a pass of the engine, counted from 0 in the order of execution.

        After :meth:`of_layer` within that layer, else within the run.
        """
        order = [part.tag for part in self.simulated.result.timeline.parts]
        found = {(one.index(Work.LAYER), one.index(Work.PASS)) for one in self._ones}
        passes = sorted((order.index(tag), number) for tag, number in found if tag is not None and number is not None)
        if not is_whole(index) or not 0 <= index < len(passes):
            there = f"there are {len(passes)}, from 0 on" if passes else "passes have transactions of the engine alone"
            raise InputError(f"pass: there is no pass {index!r} {self.title}; {there}")
        part, number = passes[index]
        chosen = order[part], number
        return self._only(lambda one: (one.index(Work.LAYER), one.index(Work.PASS)) == chosen, f"of pass {index}")

    def between(self, first_cycle: int, last_cycle: int) -> Transactions:
        """Those that began in these cycles, both ends included."""
        first, last = moments_of((first_cycle, last_cycle))
        found = self._only(lambda one: first <= one.begin_cycle <= last, f"in cycles {first:,} .. {last:,}")
        outer = self.interval or (first, last)
        found.interval = max(first, outer[0]), min(last, outer[1])
        return found

    @property
    def served(self) -> Transactions:
        """Those that were answered with OK."""
        return self._only(lambda one: one.served)

    @property
    def refused(self) -> Transactions:
        """Those that an arbiter refused; the initiator asked again."""
        return self._only(lambda one: one.refused, "refused")

    def _only(self, wanted: Callable[[Transaction], bool], what: str = "") -> Transactions:
        title = f"{self.title}, {what}" if what and self.title != _ALL else what or self.title
        return Transactions(self.simulated, [one for one in self._ones if wanted(one)], title, self.interval)

    # -- what can be asked ----------------------------------------------------------------------------------------

    @property
    def first_cycle(self) -> int:
        """When the first of them began."""
        self.refuse_nothing("first_cycle")
        return min(one.begin_cycle for one in self._ones)

    @property
    def last_cycle(self) -> int:
        """When the last answer came."""
        self.refuse_nothing("last_cycle")
        return max(max(one.begin_cycle, one.end_cycle) for one in self._ones)

    def spans(self) -> list[Span]:
        """Each as cycles from its begin to its answer."""
        ends = (max(one.begin_cycle, one.end_cycle) for one in self._ones)
        return [Span(f"{one.socket}: {one.what}", one.begin_cycle, end) for one, end in zip(self, ends, strict=True)]

    @property
    def latency(self) -> Latency:
        """From the first request of each to its answer; without those that were refused or never answered."""
        return Latency(self.served)

    def throughput(self, window_cycles: int | None = None) -> Throughput:
        """Bytes over time, counted when they are answered.

        Args:
            window_cycles: of each window of so many cycles, at every position; by default of the whole. That is from
                the first transaction to the last, or the cycles of :meth:`between`, with those in which nothing moved.
        """
        self.refuse_nothing("throughput")
        return Throughput(self, window_cycles)

    def before(self, other: object) -> Expectation:
        """All of them have been answered before anything of ``other`` begins (:func:`tlm.testing.before`)."""
        return before(self, other)

    def never_two_at_once(self) -> Expectation:
        """No two of them are under way in the same cycle."""
        return never_two_at_once(self)

    def refuse_nothing(self, what: str) -> None:
        """Raises InputError if there is none."""
        if not self._ones:
            raise InputError(f"{what}: there is no transaction {self.title}; choose others")


class Latency:
    """Cycles of served transactions from the first request to the answer, 0 if that came in the same cycle."""

    def __init__(self, of: Transactions) -> None:
        of.refuse_nothing("latency")
        self._of = of
        self._sorted = sorted(one.latency_cycles for one in of)

    def __repr__(self) -> str:
        return f"<latency of {len(self._of):,} transactions {self._of.title}: {self.min:,} .. {self.max:,} cycles>"

    @property
    def max(self) -> int:
        """The longest, cycles."""
        return self._sorted[-1]

    @property
    def min(self) -> int:
        """The shortest, cycles."""
        return self._sorted[0]

    def percentile(self, percent: float) -> int:
        """The smallest latency that ``percent`` of all do not exceed (nearest rank, so it is one that occurred)."""
        return self._sorted[nearest_rank(percent, len(self._sorted))]

    def at_most(self, cycles: int) -> Expectation:
        """None takes longer."""
        return self._judge("longest", at_most(limit("at_most", cycles)))

    def at_least(self, cycles: int) -> Expectation:
        """None is faster."""
        return self._judge("shortest", at_least(limit("at_least", cycles)))

    def exactly(self, cycles: int) -> Expectation:
        """Every one takes so many cycles."""
        bounds = exactly(limit("exactly", cycles))
        return self._judge("longest" if self.max != cycles else "shortest", bounds)

    def _judge(self, which: str, bounds: Bounds) -> Expectation:
        value = self.max if which == "longest" else self.min
        off = difference(bounds.excess(value))
        claim = f"{which} latency {self._of.title} is {counted(value)}, expected {bounds.text}{off}"
        outside = [one for one in self._of if bounds.excess(one.latency_cycles)]
        moment = outside[0].begin_cycle if outside else None
        return Expectation(self._of.simulated, not outside, claim, moment, lambda _: self._explain(outside))

    def _explain(self, outside: Sequence[Transaction]) -> Iterator[str]:
        ranks = ", ".join(f"{percent}% {self.percentile(percent):,}" for percent in (50, 90, 99))
        yield f"{len(outside):,} of {len(self._of):,} transactions are outside"
        yield f"least {self.min:,}, {ranks}, most {self.max:,} cycles"
        one = outside[0]
        yield "the first of them:"
        yield f"  {one}"
        if one.begin_cycle > one.asked_cycle:
            yield f"  refused by an arbiter for {counted(one.begin_cycle - one.asked_cycle)}"
        yield f"  it waited {counted(one.latency_cycles)} for {one.target}"
        yield from moment_lines(self._of.simulated, one.begin_cycle)


class Throughput:
    """Bytes per window of cycles; a transaction counts in the cycle of its answer, if it was served."""

    def __init__(self, of: Transactions, window_cycles: int | None) -> None:
        if not any(one.size_bytes for one in of):
            raise InputError(f"throughput: no transaction {of.title} moves bytes; choose others")
        first, last = of.first_cycle, of.last_cycle
        if of.interval is not None:
            first, last = max(0, of.interval[0]), max(last, min(of.interval[1], of.simulated.last_cycle))
        whole = last - first + 1
        window = whole if window_cycles is None else window_cycles
        if not is_whole(window) or not 1 <= window <= whole:
            raise InputError(
                f"window_cycles: {window!r} is not allowed; {of.title} are {whole:,} cycles, "
                f"give a whole number, 1..{whole}"
            )
        self.window_cycles = window
        self._of = of.served
        self._first_cycle = first
        moved = np.zeros(whole + 1, np.int64)
        for one in self._of:
            moved[one.end_cycle - first + 1] += one.size_bytes
        total = np.cumsum(moved)
        self._bytes = total[window:] - total[:-window]
        """Of each window, by its first cycle."""

    @property
    def max_bytes_per_cycle(self) -> float:
        """In the fullest window."""
        return int(self._bytes.max()) / self.window_cycles

    @property
    def min_bytes_per_cycle(self) -> float:
        """In the emptiest window."""
        return int(self._bytes.min()) / self.window_cycles

    def percentile_bytes_per_cycle(self, percent: float) -> float:
        """What ``percent`` of the windows do not exceed (nearest rank)."""
        return int(np.sort(self._bytes)[nearest_rank(percent, len(self._bytes))]) / self.window_cycles

    def at_most(self, bytes_per_cycle: float | None = None, *, gb_per_s: float | None = None) -> Expectation:
        """No window has more.

        Args:
            bytes_per_cycle: the limit, either so ..
            gb_per_s: .. or in 1e9 bytes a second at the run's clock.
        """
        most = self._limit(bytes_per_cycle, gb_per_s)
        outside = np.flatnonzero(self._bytes > floor(most * self.window_cycles))
        return self._judge(int(np.argmax(self._bytes)), outside.tolist(), "fullest", f"at most {self._text(most)}")

    def at_least(self, bytes_per_cycle: float | None = None, *, gb_per_s: float | None = None) -> Expectation:
        """No window has less; arguments as of :meth:`at_most`."""
        least = self._limit(bytes_per_cycle, gb_per_s)
        outside = np.flatnonzero(self._bytes < ceil(least * self.window_cycles))
        return self._judge(int(np.argmin(self._bytes)), outside.tolist(), "emptiest", f"at least {self._text(least)}")

    def _limit(self, bytes_per_cycle: float | None, gb_per_s: float | None) -> Fraction:
        """In bytes per cycle, exactly as it is written: 3.2 is 16/5."""
        if (bytes_per_cycle is None) == (gb_per_s is None):
            raise InputError("throughput: give one of bytes_per_cycle and gb_per_s")
        if bytes_per_cycle is not None:
            return Fraction(str(float(limit("bytes_per_cycle", bytes_per_cycle))))
        clock_khz = self._of.simulated.result.chip.clock_khz
        return Fraction(str(float(limit("gb_per_s", gb_per_s or 0.0)))) * 10**6 / clock_khz

    def _judge(self, worst: int, outside: list[int], which: str, expected: str) -> Expectation:
        """Of windows by their first cycle: the worst, and those that are not as expected."""
        rate = Fraction(int(self._bytes[worst]), self.window_cycles)
        claim = (
            f"throughput {self._of.title} is {self._text(rate)} in the {which} window of "
            f"{self.window_cycles:,} cycles, expected {expected}"
        )
        moment = self._first_cycle + outside[0] if outside else None
        return Expectation(self._of.simulated, not outside, claim, moment, lambda _: self._explain(worst, outside))

    def _explain(self, worst: int, outside: list[int]) -> Iterator[str]:
        begin = self._first_cycle + outside[0]
        end = begin + self.window_cycles - 1
        yield f"{len(outside):,} of {len(self._bytes):,} windows are outside"
        yield f"the first is cycles {begin:,} .. {end:,} with {int(self._bytes[outside[0]]):,} bytes"
        yield f"the worst begins in cycle {self._first_cycle + worst:,} with {int(self._bytes[worst]):,} bytes"
        inside = self._of.between(begin, end)
        yield f"in the first window {len(inside):,} transactions begin{', the first of them:' if inside else ''}"
        yield from (f"  {one}" for one in inside[:1])
        yield from moment_lines(self._of.simulated, begin)

    def _text(self, rate: Fraction) -> str:
        gb_per_s = float(rate * self._of.simulated.result.chip.clock_khz / 10**6)
        return f"{float(rate):.3f} bytes a cycle ({gb_per_s:.3f} GB/s)"
