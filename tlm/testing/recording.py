"""Every transaction of a run, recorded at all sockets: columns of numbers, so that a million of them fit.

A recorder is an observer of a run (:func:`tlm.simulate`, ``observers``). It subscribes to every initiator socket.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tlm.chip.payloads import StepPayload, Work
from tlm.core.observation import Phase
from tlm.core.payload import Cause, Command, MemoryPayload, Payload, Response
from tlm.core.sockets import InitiatorSocket
from tlm.observe.watched import Watched

Column: TypeAlias = npt.NDArray[np.int64]

STATUSES = tuple(Response)
_OPEN, _RETRY = STATUSES.index(Response.INCOMPLETE), STATUSES.index(Response.RETRY)
_LOAD, _STORE = 0, 1
CHANNELS = ("load", "store")


@dataclass(frozen=True, eq=False, kw_only=True)
class Recording:
    """Columns of equal length, in the order in which the transactions began. Cycles since the first host access."""

    sockets: tuple[str, ...]
    targets: tuple[str, ...]
    kinds: tuple[str, ...]
    """Names of payload types; an empty slot that only ends a pass is no step."""
    socket: Column
    """Index into ``sockets`` and ``targets``."""
    kind: Column
    begin_cycle: Column
    asked_cycle: Column
    """When it was sent first; earlier than ``begin_cycle`` if an arbiter had refused it."""
    accept_cycle: Column
    """-1: never."""
    end_cycle: Column
    """-1: not answered."""
    status: Column
    """Index into ``STATUSES``."""
    address: Column
    """As the initiator sent it; -1 if the payload has none."""
    size_bytes: Column
    write: Column
    """1 for a write."""
    channel: Column
    """Index into ``CHANNELS`` of the DMA channel that asked; -1 for all others."""
    causes: tuple[Cause | None, ...]
    cut_cycle: int | None = None
    """The cycle in which the limit was reached; nothing is recorded from there on."""
    limit: int = 0

    @cached_property
    def tag(self) -> Column:
        """Tag of the layer's part that it is for; -1 for none."""
        return self._links(Work.LAYER)

    @cached_property
    def pass_index(self) -> Column:
        """Which pass of that part; -1 for none."""
        return self._links(Work.PASS)

    @cached_property
    def transfer(self) -> Column:
        """Which transfer of its channel; -1 for none."""
        return self._links(Work.TRANSFER)

    def _links(self, kind: Work) -> Column:
        links = (None if cause is None else cause.find(kind) for cause in self.causes)
        return np.array([-1 if link is None else link.index for link in links], np.int64)


class TransactionRecorder:
    """Records one run.

    Args:
        limit: transactions that are kept at most.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._sockets: list[str] = []
        self._targets: list[str] = []
        self._kinds: dict[str, int] = {}
        self._columns = {
            name: array("q")
            for name in (
                *("socket", "kind", "begin_cycle", "asked_cycle", "accept_cycle", "end_cycle", "status"),
                *("address", "size_bytes", "write", "channel"),
            )
        }
        self._causes: list[Cause | None] = []
        self._open: dict[tuple[int, int], int] = {}
        """(socket, id of a payload under way) -> its row."""
        self._refused: dict[tuple[int, int], tuple[Payload, int]] = {}
        """The same of refused payloads -> payload, kept so that its id stays its own, and when it was sent first."""
        self._channel_of: dict[int, int] = {}
        """Id of a payload that a DMA channel has under way -> the channel."""
        self._cut_cycle: int | None = None

    def __call__(self, watched: Watched) -> None:
        """Subscribe; the recorder is an observer of :func:`tlm.simulate`."""
        self._clock = watched.system.simulation.clock
        for socket in watched.system.simulation.sockets():
            if isinstance(socket, InitiatorSocket):
                index = len(self._sockets)
                self._sockets.append(socket.path)
                self._targets.append("" if socket.peer is None else socket.peer.path)
                socket.observe(self._beginner(index, socket.path), (Phase.BEGIN_REQ,))
                socket.observe(self._acceptor(index), (Phase.END_REQ,))
                socket.observe(self._ender(index), (Phase.END_RESP,))

    def recording(self) -> Recording:
        """What was seen until now."""
        columns = {name: np.array(column, np.int64) for name, column in self._columns.items()}
        return Recording(
            sockets=tuple(self._sockets),
            targets=tuple(self._targets),
            kinds=tuple(self._kinds),
            causes=tuple(self._causes),
            cut_cycle=self._cut_cycle,
            limit=self._limit,
            **columns,
        )

    def _beginner(self, index: int, path: str) -> Callable[[Phase, InitiatorSocket[Any], Payload], None]:
        own = _LOAD if path.startswith("dma.load.") else _STORE if path.startswith("dma.store.") else -1
        columns, clock = self._columns, self._clock
        add = [columns[name].append for name in columns]

        def begin(_: Phase, __: InitiatorSocket[Any], payload: Payload) -> None:
            row, now = len(self._causes), clock.now
            if row >= self._limit:
                self._cut_cycle = now if self._cut_cycle is None else self._cut_cycle
                return
            key = index, id(payload)
            asked = self._refused.pop(key, (payload, now))[1] if self._refused else now
            self._open[key] = row
            channel = own if own >= 0 else self._channel_of.get(key[1], -1)
            if own >= 0:
                self._channel_of[key[1]] = own
            address, size_bytes, write = -1, 0, 0
            if isinstance(payload, MemoryPayload):
                address, size_bytes = payload.address, len(payload.data)
                write = payload.command is Command.WRITE
            values = (index, self._kind(payload), now, asked, -1, -1, _OPEN, address, size_bytes, write, channel)
            for append, value in zip(add, values, strict=True):
                append(value)
            self._causes.append(payload.cause)

        return begin

    def _kind(self, payload: Payload) -> int:
        name = type(payload).__name__
        if isinstance(payload, StepPayload) and not payload.is_step:
            name = "end of a pass"
        return self._kinds.setdefault(name, len(self._kinds))

    def _acceptor(self, index: int) -> Callable[[Phase, InitiatorSocket[Any], Payload], None]:
        accepted, clock = self._columns["accept_cycle"], self._clock

        def accept(_: Phase, __: InitiatorSocket[Any], payload: Payload) -> None:
            row = self._open.get((index, id(payload)))
            if row is not None:
                accepted[row] = clock.now

        return accept

    def _ender(self, index: int) -> Callable[[Phase, InitiatorSocket[Any], Payload], None]:
        ended, status, asked = (self._columns[name] for name in ("end_cycle", "status", "asked_cycle"))
        clock, numbers = self._clock, {response: number for number, response in enumerate(STATUSES)}

        def end(_: Phase, __: InitiatorSocket[Any], payload: Payload) -> None:
            key = index, id(payload)
            row = self._open.pop(key, None)
            if row is None:
                return
            self._channel_of.pop(key[1], None)
            ended[row], status[row] = clock.now, numbers[payload.status]
            if status[row] == _RETRY:
                self._refused[key] = payload, asked[row]

        return end
