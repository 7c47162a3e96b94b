"""A banked SRAM: AMem, WMem or IMem.

Request flow: each port is a target socket of its own, which moves one whole word per payload; the address
counts words.
Timing: bank = address modulo banks; one access per bank and cycle, read or write, in the cycle in which it is
asked for. The port of the highest priority is served as it asks, the others in the order of their priority
(engine.md, Banks). A refused payload comes back with RETRY in the same cycle. The data of a read is for use from the
next cycle on; the reader keeps to that.
Constraints: reading a word that was never written is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tlm.chip.base.sram import SramBase, fault_of, pass_of
from tlm.chip.config import ChipConfig
from tlm.chip.contract import Accessed, EngineEvents, Port
from tlm.chip.format.driver import SramName
from tlm.chip.states import BankAccess
from tlm.core.errors import ProtocolError
from tlm.core.kernel import Activity
from tlm.core.module import Module
from tlm.core.payload import Command, MemoryPayload, Response
from tlm.core.probe import Probe
from tlm.core.sockets import immediate


class Sram(SramBase):
    """Every access is a transaction, and meets its bank's arbiter."""

    def __init__(self, sram: SramName, parent: Module, config: ChipConfig, events: EngineEvents) -> None:
        super().__init__(sram, parent, config, events)
        self._grants: list[tuple[int, int]] = [(-1, 0)] * self.banks  # cycle and priority of the last grant
        self._served = [tuple(int(own == bank) for own in range(self.banks)) for bank in range(self.banks)]
        self._unserved = (0,) * self.banks
        self.last_access: Probe[BankAccess | None] = Probe(self, "last_access", None)

    def transport(self, port: Port, priority: int) -> Callable[[MemoryPayload], Activity]:
        """One word at a time; the port of the highest priority need not wait for its slot."""
        return partial(self._in_slot, port, priority) if priority else immediate(partial(self._access, port, priority))

    def _in_slot(self, port: Port, priority: int, payload: MemoryPayload) -> Activity:
        yield self.clock.slot(priority)
        self._access(port, priority, payload)

    def _access(self, port: Port, priority: int, payload: MemoryPayload) -> None:
        address, now = payload.address, self.clock.now
        fault = fault_of(payload, self.words, self.word_bytes)
        if fault is not None:
            payload.status = fault
            return
        bank = address % self.banks
        cycle, earlier = self._grants[bank]
        if cycle == now:
            if priority < earlier:
                raise ProtocolError(
                    f"{self.path} bank {bank}: port {port} asked in cycle {now} after a lower priority was served"
                )
            payload.status = Response.RETRY
            if self.last_access.watched:
                self.last_access.value = BankAccess(now, port, address, bank, served=False)
            self.tell_accessed(Accessed(self.sram, port, self._unserved, 1, pass_of(port, payload)))
            return
        self._grants[bank] = (now, priority)
        self._move(payload, port)
        payload.status = Response.OK
        if self.last_access.watched:
            self.last_access.value = BankAccess(now, port, address, bank, served=True)
        self.tell_accessed(Accessed(self.sram, port, self._served[bank], 0, pass_of(port, payload)))

    def _move(self, payload: MemoryPayload, port: Port) -> None:
        address = payload.address
        place = slice(address * self.word_bytes, (address + 1) * self.word_bytes)
        if payload.command is Command.WRITE:
            self.bytes[place] = payload.data
            self.written[address] = 1
            return
        if not self.written[address]:
            self.refuse_unwritten(address, port, payload)
        assert not isinstance(payload.data, bytes)  # a read needs room for its answer
        payload.data[:] = self.bytes[place]
