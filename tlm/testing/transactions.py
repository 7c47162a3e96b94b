"""Recorded transactions, and what can be asked of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np

from tlm.core.errors import InputError
from tlm.core.payload import Response
from tlm.testing.expectation import Expectation
from tlm.testing.latency import Latency
from tlm.testing.limits import is_whole, moments_of
from tlm.testing.names import known_name
from tlm.testing.order import before, never_two_at_once
from tlm.testing.recording import CHANNELS, STATUSES, Column, Recording
from tlm.testing.span import Span
from tlm.testing.subject import Subject
from tlm.testing.throughput import Throughput
from tlm.testing.transaction import Transaction, transaction

_OPEN, _OK, _RETRY = (STATUSES.index(one) for one in (Response.INCOMPLETE, Response.OK, Response.RETRY))


class Transactions(Sequence[Transaction]):
    """Transactions of a run in the order in which they began; narrowed down step by step.

    Args:
        run: where they are from.
        recording: all of the run.
        rows: which of them.
        title: what they are, for messages.
        stretch: the cycles that they were looked for in, if that is not all of the run.
    """

    def __init__(
        self, run: Subject, recording: Recording, rows: Column, title: str, stretch: tuple[int, int] | None = None
    ) -> None:
        self.run = run
        self.recording = recording
        self.rows = rows
        self.title = title
        self._stretch = stretch

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Transaction: ...

    @overload
    def __getitem__(self, index: slice) -> Transactions: ...

    def __getitem__(self, index: int | slice) -> Transaction | Transactions:
        if isinstance(index, slice):
            return self._only(self.rows[index], self.title)
        return self._transaction(int(self.rows[index]))

    def __iter__(self) -> Iterator[Transaction]:
        return (self._transaction(int(row)) for row in self.rows)

    def __repr__(self) -> str:
        return f"<{len(self):,} transactions: {self.title}>"

    # -- narrowing ------------------------------------------------------------------------------------------------

    @property
    def sockets(self) -> list[str]:
        """Names of all initiator sockets of the chip."""
        return list(self.recording.sockets)

    def at(self, socket: str) -> Transactions:
        """Those of a socket, named by its initiator or by its target.

        Raises:
            InputError: there is no such socket; with the nearest names.
        """
        names = [*self.recording.sockets, *self.recording.targets]
        index = names.index(known_name("socket", socket, names)) % len(self.recording.sockets)
        return self._where(self.recording.socket == index, f"at {self.recording.sockets[index]}")

    def of_layer(self, name: str) -> Transactions:
        """Those for a layer: of the engine while it computes it, and of the DMA for its data.

        Raises:
            InputError: there is no such layer.
        """
        tags = self.run.layer(name).tags
        spans = self.run.result.timeline.transfers
        own = (one for one in spans if any(tag in one.part_bytes for tag in tags))
        for_it = [(CHANNELS.index(one.channel), one.index) for one in own]
        wanted = np.isin(self.recording.tag, tags)
        for channel, index in for_it:
            wanted |= (self.recording.channel == channel) & (self.recording.transfer == index)
        return self._where(wanted, f"of layer {name!r}")

    def of_pass(self, index: int) -> Transactions:
        """Those of a pass of the engine, counted from 0 in the order of execution.

        After :meth:`of_layer` within that layer, else within the run.

        Raises:
            InputError: there is no such pass.
        """
        pairs = set(zip(self._own("tag").tolist(), self._own("pass_index").tolist(), strict=True))
        passes = sorted(pair for pair in pairs if pair[1] >= 0)
        passes.sort(key=lambda one: self.run.order_of_parts.index(one[0]))
        if not is_whole(index) or not 0 <= index < len(passes):
            there = f"there are {len(passes)}, from 0 on" if passes else "passes have transactions of the engine alone"
            raise InputError(f"pass: there is no pass {index!r} {self.title}; {there}")
        tag, number = passes[index]
        return self._where((self.recording.tag == tag) & (self.recording.pass_index == number), f"of pass {index}")

    def between(self, first_cycle: int, last_cycle: int) -> Transactions:
        """Those that began in these cycles, both ends included.

        Raises:
            InputError: these are not two moments, the earlier one first.
        """
        first, last = moments_of((first_cycle, last_cycle))
        begin = self.recording.begin_cycle
        found = self._where((begin >= first) & (begin <= last), f"in cycles {first:,} .. {last:,}")
        outer = self._stretch or (first, last)
        found._stretch = max(first, outer[0]), min(last, outer[1])
        return found

    @property
    def served(self) -> Transactions:
        """Those that were answered with OK."""
        return self._only(self.rows[self._own("status") == _OK], self.title)

    @property
    def refused(self) -> Transactions:
        """Those that an arbiter refused; the initiator asked again."""
        return self._where(self.recording.status == _RETRY, "refused")

    # -- what can be asked ----------------------------------------------------------------------------------------

    @property
    def first_cycle(self) -> int:
        """When the first of them began."""
        self._refuse_nothing("first_cycle")
        return int(self._own("begin_cycle").min())

    @property
    def last_cycle(self) -> int:
        """When the last answer came."""
        self._refuse_nothing("last_cycle")
        return int(max(self._own("end_cycle").max(), self._own("begin_cycle").max()))

    def spans(self) -> list[Span]:
        """Each as cycles from its begin to its answer."""
        return [
            Span(f"{one.socket}: {one.what}", one.begin_cycle, max(one.begin_cycle, one.end_cycle))
            for one in self
        ]  # fmt: skip

    @property
    def latency(self) -> Latency:
        """From the first request of each to its answer; without those that were refused or never answered."""
        return Latency(self.served)

    def throughput(self, window_cycles: int | None = None) -> Throughput:
        """Bytes over time, counted when they are answered.

        Args:
            window_cycles: of each window of so many cycles, at every position; by default of the whole. That is from
                the first transaction to the last, or the cycles of :meth:`between`, with those in which nothing moved.

        Raises:
            InputError: no such window; there is nothing that could move bytes.
        """
        self._refuse_nothing("throughput")
        if not self._own("size_bytes").any():
            raise InputError(f"throughput: no transaction {self.title} moves bytes; choose others")
        first, last = self.first_cycle, self.last_cycle
        if self._stretch is not None:
            first, last = max(0, self._stretch[0]), max(last, min(self._stretch[1], self.run.last_cycle))
        return Throughput(self.served, first, last, window_cycles)

    def before(self, other: object) -> Expectation:
        """All of them have been answered before anything of ``other`` begins (:func:`tlm.testing.before`)."""
        return before(self, other)

    def never_two_at_once(self) -> Expectation:
        """No two of them are under way in the same cycle."""
        return never_two_at_once(self)

    # -- inside ---------------------------------------------------------------------------------------------------

    def _own(self, column: str) -> Column:
        found: Column = getattr(self.recording, column)[self.rows]
        return found

    def _where(self, wanted: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], what: str) -> Transactions:
        title = what if self.title == ALL else f"{self.title}, {what}"
        return self._only(self.rows[wanted[self.rows]], title)

    def _only(self, rows: Column, title: str) -> Transactions:
        return Transactions(self.run, self.recording, rows, title, self._stretch)

    def _refuse_nothing(self, what: str) -> None:
        if not len(self):
            raise InputError(f"{what}: there is no transaction {self.title}; choose others")

    def _transaction(self, row: int) -> Transaction:
        return transaction(self.recording, row)


ALL = "of the run"


def everything(run: Subject, recording: Recording) -> Transactions:
    """All transactions of a run."""
    return Transactions(run, recording, np.arange(len(recording.socket), dtype=np.int64), ALL)
