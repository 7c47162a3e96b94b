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
from tlm.core.payload import OK, RETRY, WRITE, MemoryPayload
from tlm.core.probe import Probe


class Sram(SramBase):
    """Every access is a transaction, and meets its bank's arbiter."""

    def __init__(self, sram: SramName, parent: Module, config: ChipConfig, events: EngineEvents) -> None:
        super().__init__(sram, parent, config, events)
        self._grants: list[tuple[int, int]] = [(-1, 0)] * self.banks  # cycle and priority of the last grant
        self._no_words = [0] * self.banks
        self._one_word = [[int(own == bank) for own in range(self.banks)] for bank in range(self.banks)]
        """For each bank, what is told of an access that it served."""
        self._untold = [*self._no_words]
        """Accesses of the first port that were served and not told yet, bank by bank."""
        for moment in (events.counts_wanted, events.layer_ended, events.program_ended):
            moment.listen(self._tell_first_port)
        self.last_access: Probe[BankAccess | None] = Probe(self, "last_access", None)

    def transport(self, port: Port, priority: int) -> Callable[[MemoryPayload], Activity | None]:
        """One word at a time; the port of the highest priority need not wait for its slot."""

        def in_slot(payload: MemoryPayload) -> Activity:
            yield self.clock.slot(priority)
            self._access(port, priority, payload)

        return in_slot if priority else partial(self._access, port, priority)

    def _access(self, port: Port, priority: int, payload: MemoryPayload) -> None:
        address, now, word_bytes = payload.address, self.clock.now, self.word_bytes
        if not 0 <= address < self.words or len(payload.data) != word_bytes:
            payload.status = fault_of(payload, self.words)
            return
        bank = address % self.banks
        cycle, earlier = self._grants[bank]
        served = cycle != now
        if served:
            self._grants[bank] = (now, priority)
            first = address * word_bytes
            if payload.command is WRITE:
                self.bytes[first : first + word_bytes] = payload.data
                self.written[address] = 1
            elif self.written[address]:
                payload.data[:] = self.bytes[first : first + word_bytes]  # type: ignore[index]  # a read has room
            else:
                self.refuse_unwritten(address, port, payload)
            payload.status = OK
        else:
            if priority < earlier:
                raise ProtocolError(
                    f"{self.path} bank {bank}: port {port} asked in cycle {now} after a lower priority was served"
                )
            payload.status = RETRY
        if self.last_access.watched:
            self.last_access.value = BankAccess(now, port, address, bank, served)
        if served and not priority:
            self._untold[bank] += 1
        else:
            words = self._one_word[bank] if served else self._no_words
            self.tell_accessed(Accessed(self.sram, port, words, int(not served), pass_of(port, payload)))

    def _tell_first_port(self, _: object) -> None:
        """The first port's accesses are counted here and told together: there is one in nearly every cycle."""
        if any(self._untold):
            port = next(iter(self.ports))
            words, self._untold = self._untold, [*self._no_words]
            self.tell_accessed(Accessed(self.sram, port, words, 0, None))
