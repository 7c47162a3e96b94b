"""A banked SRAM: AMem, WMem or IMem.

Request flow: each port is a target socket of its own, which moves one whole word per payload; the address
counts words.
Timing: bank = address modulo banks; one access per bank and cycle, read or write, in the cycle in which it is
asked for. A port's slot is its priority: the ports of slot 0 are served as they ask, the others in the order
of their slots (engine.md, Banks). A refused payload comes back with RETRY in the same cycle. The data of a read
is for use from the next cycle on; the reader keeps to that.
Constraints: reading a word that nobody has written is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from tlm.chip.payloads import BulkPayload
from tlm.core.errors import ProtocolError, UnwrittenReadError
from tlm.core.kernel import Activity
from tlm.core.module import Module
from tlm.core.payload import Command, MemoryPayload, Response
from tlm.core.probe import Probe
from tlm.core.sockets import DirectMemory, TargetSocket


class Sram(Module):
    """A memory of ``words`` words in interleaved banks.

    Args:
        name: "amem", "wmem" or "imem".
        parent: the chip.
        words: capacity.
        word_bytes: bytes of a word.
        banks: a power of two.
        port_slots: name of each port -> its slot within the cycle, 0 for the highest priority.
    """

    def __init__(
        self,
        name: str,
        parent: Module,
        *,
        words: int,
        word_bytes: int,
        banks: int,
        port_slots: Mapping[str, int],
    ) -> None:
        super().__init__(name, parent)
        self.words = words
        self.word_bytes = word_bytes
        self.banks = banks
        self._clock = self.clock
        self._bytes = bytearray(words * word_bytes)
        self._written = bytearray(words)
        self._word_rows = np.frombuffer(self._bytes, np.uint8).reshape(words, word_bytes)
        self._written_words = np.frombuffer(self._written, np.uint8)
        self._grants: list[tuple[int, int]] = [(-1, 0)] * banks  # cycle and slot of the last grant
        self._views: list[DirectMemory] = []
        self.address = Probe(self, "address", 0)
        self.ports = {
            port: TargetSocket(self, port, MemoryPayload, partial(self._access, port, slot), self._debug, self._direct)
            for port, slot in port_slots.items()
        }

    def _access(self, port: str, slot: int, payload: MemoryPayload) -> Activity:
        if isinstance(payload, BulkPayload):
            payload.status = self._move_bulk(payload, port)
            return
        if slot:
            yield self._clock.slot(slot)
        address, now = payload.address, self._clock.now
        if not 0 <= address < self.words:
            payload.status = Response.ADDRESS_ERROR
            return
        if len(payload.data) != self.word_bytes:
            payload.status = Response.BURST_ERROR
            return
        bank = address % self.banks
        cycle, earlier_slot = self._grants[bank]
        if cycle == now:
            if slot < earlier_slot:
                raise ProtocolError(
                    f"{self.path} bank {bank}: port {port} asked in cycle {now} after a lower priority was served"
                )
            payload.status = Response.RETRY
            return
        self._grants[bank] = (now, slot)
        self.address.value = address
        self._move(payload, port)
        payload.status = Response.OK

    def _move(self, payload: MemoryPayload, who: str) -> None:
        address = payload.address
        place = slice(address * self.word_bytes, (address + 1) * self.word_bytes)
        if payload.command is Command.WRITE:
            self._bytes[place] = payload.data
            self._written[address] = 1
            return
        if not self._written[address]:
            raise self._unwritten(address, who, payload)
        assert not isinstance(payload.data, bytes)  # a read needs room for its answer
        payload.data[:] = self._bytes[place]

    def _move_bulk(self, payload: BulkPayload, who: str) -> Response:
        """Every word of a bulk payload, in no time."""
        count, rest = divmod(len(payload.data), self.word_bytes)
        end = payload.address + (count - 1) * payload.stride_words + 1
        if rest or payload.address < 0 or end > self.words:
            return Response.ADDRESS_ERROR
        places = slice(payload.address, end, payload.stride_words)
        if payload.command is Command.WRITE:
            self._word_rows[places] = np.frombuffer(payload.data, np.uint8).reshape(count, self.word_bytes)
            self._written_words[places] = 1
            return Response.OK
        written = self._written_words[places]
        if not written.all():
            raise self._unwritten(payload.address + int(np.argmin(written)) * payload.stride_words, who, payload)
        assert not isinstance(payload.data, bytes)
        payload.data[:] = self._word_rows[places].tobytes()
        return Response.OK

    def _unwritten(self, address: int, who: str, payload: MemoryPayload) -> UnwrittenReadError:
        return UnwrittenReadError(
            f"{self.path} bank {address % self.banks}: word {address} was read in cycle {self._clock.now} by {who}"
            f"{f' for {payload.cause}' if payload.cause else ''}, but was never written; "
            "load it first, or check the addresses in the program"
        )

    def _debug(self, payload: MemoryPayload) -> int:
        """Any number of whole words, in no time; a read does not ask whether they were written."""
        count, rest = divmod(len(payload.data), self.word_bytes)
        if rest or payload.address < 0 or payload.address + count > self.words:
            payload.status = Response.ADDRESS_ERROR
            return 0
        place = slice(payload.address * self.word_bytes, (payload.address + count) * self.word_bytes)
        if payload.command is Command.WRITE:
            self._bytes[place] = payload.data
            self._written[payload.address : payload.address + count] = b"\1" * count
            self.revoke_direct_memory()
        else:
            assert not isinstance(payload.data, bytes)
            payload.data[:] = self._bytes[place]
        payload.status = Response.OK
        return len(payload.data)

    def revoke_direct_memory(self) -> None:
        """Take back every view that was granted; whoever goes on working asks for a new one.

        A view shows the bytes as they are, so ordinary writes leave it valid: its holder stands in their order of
        accesses. A debug write (preload, fault injection) comes from outside that order and changes bytes, and which
        words count as written, behind what the holder may have derived from them; therefore it revokes.
        """
        for view in self._views:
            view.revoke()
        self._views.clear()

    def _direct(self) -> DirectMemory:
        view = DirectMemory(self.path, memoryview(self._bytes), memoryview(self._written))
        self._views.append(view)
        return view
