"""Recorded transactions, and what can be asked of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

from tlm.chip.payloads import Work
from tlm.core.errors import InputError
from tlm.testing.checks import is_whole, known_name, moments_of
from tlm.testing.expectation import Expectation
from tlm.testing.latency import Latency
from tlm.testing.order import before, never_two_at_once
from tlm.testing.recording import Transaction
from tlm.testing.simulated import Simulated
from tlm.testing.span import Span
from tlm.testing.throughput import Throughput

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
        self._ones = simulated.recording.transactions if ones is None else ones
        self._interval = interval

    def __len__(self) -> int:
        return len(self._ones)

    @overload
    def __getitem__(self, index: int) -> Transaction: ...

    @overload
    def __getitem__(self, index: slice) -> Transactions: ...

    def __getitem__(self, index: int | slice) -> Transaction | Transactions:
        return self._only(self._ones[index]) if isinstance(index, slice) else self._ones[index]

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
        """Those of a socket, named by its initiator or by its target.

        Raises:
            InputError: there is no such socket; with the nearest names.
        """
        names = {name: name for name in self.sockets}
        names |= {target: name for name, target in self.simulated.recording.targets.items()}
        name = names[known_name("socket", socket, names)]
        return self._only([one for one in self._ones if one.socket == name], f"at {name}")

    def of_layer(self, name: str) -> Transactions:
        """Those for a layer: of the engine while it computes it, and of the DMA for its data.

        Raises:
            InputError: there is no such layer.
        """
        timeline = self.simulated.result.timeline
        known_name("layer", name, self.simulated.result.layers)
        tags = {part.tag for part in timeline.parts if part.layer == name}
        transfers = {(span.channel, span.index) for span in timeline.transfers if tags & span.part_bytes.keys()}
        ones = [
            one
            for one in self._ones
            if one.index(Work.LAYER) in tags or (one.dma_channel, one.index(Work.TRANSFER)) in transfers
        ]
        return self._only(ones, f"of layer {name!r}")

    def of_pass(self, index: int) -> Transactions:
        """Those of a pass of the engine, counted from 0 in the order of execution.

        After :meth:`of_layer` within that layer, else within the run.

        Raises:
            InputError: there is no such pass.
        """
        order = [part.tag for part in self.simulated.result.timeline.parts]
        numbers = [(one.index(Work.LAYER), one.index(Work.PASS)) for one in self._ones]
        passes = sorted(
            {(order.index(tag), number) for tag, number in numbers if tag is not None and number is not None}
        )
        if not is_whole(index) or not 0 <= index < len(passes):
            there = f"there are {len(passes)}, from 0 on" if passes else "passes have transactions of the engine alone"
            raise InputError(f"pass: there is no pass {index!r} {self.title}; {there}")
        part, number = passes[index]
        chosen = order[part], number
        ones = [one for one, own in zip(self._ones, numbers, strict=True) if own == chosen]
        return self._only(ones, f"of pass {index}")

    def between(self, first_cycle: int, last_cycle: int) -> Transactions:
        """Those that began in these cycles, both ends included.

        Raises:
            InputError: these are not two moments, the earlier one first.
        """
        first, last = moments_of((first_cycle, last_cycle))
        ones = [one for one in self._ones if first <= one.begin_cycle <= last]
        found = self._only(ones, f"in cycles {first:,} .. {last:,}")
        outer = self._interval or (first, last)
        found._interval = max(first, outer[0]), min(last, outer[1])
        return found

    @property
    def served(self) -> Transactions:
        """Those that were answered with OK."""
        return self._only([one for one in self._ones if one.served])

    @property
    def refused(self) -> Transactions:
        """Those that an arbiter refused; the initiator asked again."""
        return self._only([one for one in self._ones if one.refused], "refused")

    # -- what can be asked ----------------------------------------------------------------------------------------

    @property
    def first_cycle(self) -> int:
        """When the first of them began."""
        self._refuse_nothing("first_cycle")
        return min(one.begin_cycle for one in self._ones)

    @property
    def last_cycle(self) -> int:
        """When the last answer came."""
        self._refuse_nothing("last_cycle")
        return max(max(one.begin_cycle, one.end_cycle) for one in self._ones)

    def spans(self) -> list[Span]:
        """Each as cycles from its begin to its answer."""
        return [
            Span(f"{one.socket}: {one.what}", one.begin_cycle, max(one.begin_cycle, one.end_cycle))
            for one in self._ones
        ]  # fmt: skip

    @property
    def latency(self) -> Latency:
        """From the first request of each to its answer; without those that were refused or never answered."""
        return Latency(self.simulated, list(self.served), self.title)

    def throughput(self, window_cycles: int | None = None) -> Throughput:
        """Bytes over time, counted when they are answered.

        Args:
            window_cycles: of each window of so many cycles, at every position; by default of the whole. That is from
                the first transaction to the last, or the cycles of :meth:`between`, with those in which nothing moved.

        Raises:
            InputError: no such window; there is nothing that could move bytes.
        """
        self._refuse_nothing("throughput")
        if not any(one.size_bytes for one in self._ones):
            raise InputError(f"throughput: no transaction {self.title} moves bytes; choose others")
        first, last = self.first_cycle, self.last_cycle
        if self._interval is not None:
            first, last = max(0, self._interval[0]), max(last, min(self._interval[1], self.simulated.last_cycle))
        return Throughput(self.simulated, list(self.served), self.title, (first, last), window_cycles)

    def before(self, other: object) -> Expectation:
        """All of them have been answered before anything of ``other`` begins (:func:`tlm.testing.before`)."""
        return before(self, other)

    def never_two_at_once(self) -> Expectation:
        """No two of them are under way in the same cycle."""
        return never_two_at_once(self)

    # -- inside ---------------------------------------------------------------------------------------------------

    def _only(self, ones: list[Transaction], what: str = "") -> Transactions:
        title = self.title if not what else what if self.title == _ALL else f"{self.title}, {what}"
        return Transactions(self.simulated, ones, title, self._interval)

    def _refuse_nothing(self, what: str) -> None:
        if not self._ones:
            raise InputError(f"{what}: there is no transaction {self.title}; choose others")
