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
from tlm.core.payload import Command, MemoryPayload, Origin, Payload, Response
from tlm.core.sockets import InitiatorSocket, Phase
from tlm.observe.watched import Watched

Column: TypeAlias = npt.NDArray[np.int64]

STATUSES = tuple(Response)
_OPEN, _RETRY = STATUSES.index(Response.INCOMPLETE), STATUSES.index(Response.RETRY)
_LOAD, _STORE = 0, 1
CHANNELS = ("load", "store")
END_OF_PASS = "end of a pass"
"""Kind of an empty slot of the sequencer that only ends a pass: it is no step."""


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
    origins: tuple[Origin | None, ...]
    cut_cycle: int | None = None
    """The cycle in which the limit was reached; nothing is recorded from there on."""

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
        links = (None if origin is None else origin.find(kind) for origin in self.origins)
        return np.array([-1 if link is None else link.index for link in links], np.int64)


_DMA = ("dma.load.", "dma.store.")
_ROW = ("socket", "kind", "begin_cycle", "asked_cycle", "address", "size_bytes", "write", "channel")
"""What is known when a transaction begins."""
_Observer: TypeAlias = Callable[[Phase, InitiatorSocket[Any], Payload], None]


class TransactionRecorder:
    """Records one run. Its observers are called for every phase of every transaction, so they do little.

    Args:
        limit: transactions that are kept at most.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._sockets: list[str] = []
        self._targets: list[str] = []
        self._kinds: list[str] = []
        self._kind_of: dict[object, int] = {}
        self._rows = array("q")
        """Of each transaction the columns in ``_ROW``."""
        self._accepted = array("q")
        self._ended = array("q")
        self._status = array("q")
        self._origins: list[Origin | None] = []
        self._open: dict[tuple[int, int], int] = {}
        """(socket, id of a payload under way) -> its row."""
        self._refused: dict[tuple[int, int], tuple[Payload, int]] = {}
        """The same of refused payloads -> payload, kept so that its id stays its own, and when it was sent first."""
        self._channel_of: dict[int, int] = {}
        """Id of a payload that a DMA channel has under way -> the channel."""
        self._cut_cycle: int | None = None

    def __call__(self, watched: Watched) -> None:
        """Subscribe; the recorder is an observer of :func:`tlm.simulate`."""
        self._env = watched.system.simulation.kernel.env
        for socket in watched.system.simulation.sockets():
            if isinstance(socket, InitiatorSocket):
                index = len(self._sockets)
                self._sockets.append(socket.path)
                self._targets.append("" if socket.peer is None else socket.peer.path)
                socket.observe(self._beginner(index, socket), (Phase.BEGIN_REQ,))
                socket.observe(self._acceptor(index), (Phase.END_REQ,))
                socket.observe(self._ender(index, socket.path.startswith(_DMA)), (Phase.END_RESP,))

    def recording(self) -> Recording:
        """What was seen until now."""
        rows = np.array(self._rows, np.int64).reshape(-1, len(_ROW))
        return Recording(
            sockets=tuple(self._sockets),
            targets=tuple(self._targets),
            kinds=tuple(self._kinds),
            origins=tuple(self._origins),
            cut_cycle=self._cut_cycle,
            accept_cycle=np.array(self._accepted, np.int64),
            end_cycle=np.array(self._ended, np.int64),
            status=np.array(self._status, np.int64),
            **{name: rows[:, column].copy() for column, name in enumerate(_ROW)},
        )

    def _beginner(self, index: int, socket: InitiatorSocket[Any]) -> _Observer:
        env, origins, limit, under_way, refused = self._env, self._origins, self._limit, self._open, self._refused
        rows, accepted, ended, status = self._rows, self._accepted, self._ended, self._status
        channel = self._channel_finder(socket.path)

        def begin(_: Phase, __: InitiatorSocket[Any], payload: Payload) -> None:
            row, now = len(origins), int(env.now)
            if row >= limit:
                self._cut_cycle = now if self._cut_cycle is None else self._cut_cycle
                return
            key = index, id(payload)
            under_way[key] = row
            asked = refused.pop(key)[1] if key in refused else now
            kind = self._kind(payload)
            if isinstance(payload, MemoryPayload):
                write = payload.command is Command.WRITE
                rows.extend((index, kind, now, asked, payload.address, len(payload.data), write, channel(key[1])))
            else:
                rows.extend((index, kind, now, asked, -1, 0, 0, channel(key[1])))
            accepted.append(-1)
            ended.append(-1)
            status.append(_OPEN)
            origins.append(payload.origin)

        return begin

    def _channel_finder(self, path: str) -> Callable[[int], int]:
        """For a socket: id of a payload -> the DMA channel that it comes from, -1 for none."""
        channels, own = self._channel_of, _LOAD if path.startswith("dma.load.") else _STORE

        def from_channel(identity: int) -> int:
            channels[identity] = own
            return own

        if path.startswith(_DMA):
            return from_channel
        if path.startswith("interconnect."):
            return lambda identity: channels.get(identity, -1)
        return lambda _: -1

    def _kind(self, payload: Payload) -> int:
        key: object = type(payload)
        if key is StepPayload and isinstance(payload, StepPayload) and not payload.is_step:
            key = END_OF_PASS
        found = self._kind_of.get(key)
        if found is None:
            found = self._kind_of[key] = len(self._kinds)
            self._kinds.append(END_OF_PASS if key is END_OF_PASS else type(payload).__name__)
        return found

    def _acceptor(self, index: int) -> _Observer:
        accepted, env, under_way = self._accepted, self._env, self._open

        def accept(_: Phase, __: InitiatorSocket[Any], payload: Payload) -> None:
            row = under_way.get((index, id(payload)))
            if row is not None:
                accepted[row] = int(env.now)

        return accept

    def _ender(self, index: int, of_channel: bool) -> _Observer:
        ended, status, env, under_way = self._ended, self._status, self._env, self._open
        numbers, channels = {response: number for number, response in enumerate(STATUSES)}, self._channel_of

        def end(_: Phase, __: InitiatorSocket[Any], payload: Payload) -> None:
            key = index, id(payload)
            row = under_way.pop(key, None)
            if row is None:
                return
            if of_channel:
                del channels[key[1]]
            ended[row] = int(env.now)
            status[row] = number = numbers[payload.status]
            if number == _RETRY:
                asked = self._rows[row * len(_ROW) + _ROW.index("asked_cycle")]
                self._refused[key] = payload, asked

        return end
