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

from tlm.chip.base.sram import SramBase, fault_of, pass_of
from tlm.chip.config import ChipConfig
from tlm.chip.contract import Accessed, EngineEvents, Port
from tlm.chip.format.driver import SramName
from tlm.chip.states import BankAccess
from tlm.core.errors import ProtocolError
from tlm.core.kernel import Activity
from tlm.core.module import Module
from tlm.core.payload import OK, RETRY, WRITE, MemoryPayload
from tlm.core.probe import Probe
from tlm.core.sockets import NO_TIME


class Sram(SramBase):
    """Every access is a transaction, and meets its bank's arbiter."""

    def __init__(self, sram: SramName, parent: Module, config: ChipConfig, events: EngineEvents) -> None:
        super().__init__(sram, parent, config, events)
        self._grants: list[tuple[int, int]] = [(-1, 0)] * self.banks  # cycle and priority of the last grant
        unserved = (0,) * self.banks
        one_word = [tuple(int(own == bank) for own in range(self.banks)) for bank in range(self.banks)]
        self._served = {port: [Accessed(sram, port, words, 0, None) for words in one_word] for port in self.ports}
        """By port and bank, what is told of an access that was served."""
        self._refused = {port: Accessed(sram, port, unserved, 1, None) for port in self.ports}
        self.last_access: Probe[BankAccess | None] = Probe(self, "last_access", None)

    def transport(self, port: Port, priority: int) -> Callable[[MemoryPayload], Activity]:
        """One word at a time; the port of the highest priority need not wait for its slot."""

        def at_once(payload: MemoryPayload) -> Activity:
            self._access(port, 0, payload)
            return NO_TIME

        def in_slot(payload: MemoryPayload) -> Activity:
            yield self.clock.slot(priority)
            self._access(port, priority, payload)

        return in_slot if priority else at_once

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
            payload.status = RETRY
            self._tell(self._refused[port], payload, bank)
            return
        self._grants[bank] = (now, priority)
        first = address * self.word_bytes
        if payload.command is WRITE:
            self.bytes[first : first + self.word_bytes] = payload.data
            self.written[address] = 1
        elif self.written[address]:
            payload.data[:] = self.bytes[first : first + self.word_bytes]  # type: ignore[index]  # a read has room
        else:
            self.refuse_unwritten(address, port, payload)
        payload.status = OK
        self._tell(self._served[port][bank], payload, bank)

    def _tell(self, accessed: Accessed, payload: MemoryPayload, bank: int) -> None:
        port = accessed.port
        if self.last_access.watched:
            served = payload.status is OK
            self.last_access.value = BankAccess(self.clock.now, port, payload.address, bank, served=served)
        of_pass = pass_of(port, payload)
        if of_pass is not None:
            accessed = Accessed(self.sram, port, accessed.words, accessed.refused, of_pass)
        self.tell_accessed(accessed)
