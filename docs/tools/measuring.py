"""What the tables in the documentation are made of: every transaction and probe of one small run, with its cycle."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from tlm.chip.system import System
from tlm.compiler.program import Program
from tlm.core.payload import MemoryPayload, Payload, Response
from tlm.core.probe import Probe
from tlm.core.sockets import InitiatorSocket, Phase


@dataclass(slots=True)
class Transaction:
    """One payload at one socket, from BEGIN_REQ to END_RESP."""

    socket: str
    target: str
    begin_cycle: int
    payload: Payload
    """A copy, for its sender may use it again."""
    address: int
    """As the initiator sent it; -1 if the payload has none."""
    end_cycle: int = -1
    status: Response = Response.INCOMPLETE

    @property
    def refused(self) -> bool:
        """An arbiter gave the bank to somebody else."""
        return self.status is Response.RETRY


@dataclass(frozen=True, slots=True)
class Change:
    """A probe's new value."""

    cycle: int
    path: str
    value: Any


class Measurement:
    """Runs a program on its own chip and keeps all that can be observed from outside.

    Args:
        program: what runs.
        activations: its input.
    """

    def __init__(self, program: Program, activations: npt.ArrayLike) -> None:
        self.transactions: list[Transaction] = []
        self.changes: list[Change] = []
        self._open: dict[tuple[str, int], Transaction] = {}
        system = System(program.config)
        self._clock = system.simulation.clock
        for socket in system.simulation.sockets():
            if isinstance(socket, InitiatorSocket):
                socket.observe(self._see)
        for probe in system.simulation.probes():
            probe.observe(self._change)
        system.preload(program.image(program.network.check_activations(activations)))
        system.run(program.steps)

    def at(self, socket: str) -> list[Transaction]:
        """Transactions of a socket in the order in which they began."""
        return [seen for seen in self.transactions if seen.socket == socket]

    def of(self, probe: str) -> list[Change]:
        """Changes of a probe."""
        return [change for change in self.changes if change.path == probe]

    def _see(self, phase: Phase, socket: InitiatorSocket[Any], payload: Payload) -> None:
        key = (socket.path, id(payload))
        if phase is Phase.BEGIN_REQ:
            address = payload.address if isinstance(payload, MemoryPayload) else -1
            target = "" if socket.peer is None else socket.peer.path
            seen = Transaction(socket.path, target, self._clock.now, copy(payload), address)
            self._open[key] = seen
            self.transactions.append(seen)
        elif phase is Phase.END_RESP:
            seen = self._open.pop(key)
            seen.end_cycle, seen.status = self._clock.now, payload.status

    def _change(self, probe: Probe[Any]) -> None:
        self.changes.append(Change(self._clock.now, probe.path, probe.value))
