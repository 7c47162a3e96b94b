"""The common part of an SRAM in every model: its words, which were written, a port per initiator, and inspection."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache

from tlm.chip.config import ChipConfig
from tlm.chip.contract import PORTS, DmaPorts, EngineEvents, PassId, Port, pass_id
from tlm.chip.format.descriptor import sram_banks, sram_size
from tlm.chip.format.driver import SramName
from tlm.chip.payloads import Work
from tlm.core.errors import UnwrittenReadError
from tlm.core.kernel import Activity
from tlm.core.module import Module
from tlm.core.payload import Command, MemoryPayload, Response
from tlm.core.sockets import DirectMemory, TargetSocket


class SramBase(Module, ABC):
    """A memory in interleaved banks, word-addressed.

    Args:
        sram: AMem, WMem or IMem.
        parent: the engine.
        config: gives its size, word width and banks.
        events: of the engine; the SRAM emits its accesses there.
    """

    def __init__(self, sram: SramName, parent: Module, config: ChipConfig, events: EngineEvents) -> None:
        super().__init__(sram.name.lower(), parent)
        self.sram = sram
        self.words, self.word_bytes = sram_size(sram, config)
        self.banks = sram_banks(sram, config)
        self.tell_accessed = events.accessed
        self.bytes = bytearray(self.words * self.word_bytes)
        self.written = bytearray(self.words)
        self._views: list[DirectMemory] = []
        self.ports = {
            port: TargetSocket(self, port, MemoryPayload, self.transport(port, priority), self._debug, self._direct)
            for priority, port in enumerate(PORTS[sram])
        }
        self.dma_ports = DmaPorts(self.ports[Port.DMA_LOAD], self.ports[Port.DMA_STORE])

    @abstractmethod
    def transport(self, port: Port, priority: int) -> Callable[[MemoryPayload], Activity | None]:
        """What serves the payloads of a port; 0 is the highest priority."""

    def refuse_unwritten(self, address: int, port: Port, payload: MemoryPayload) -> None:
        """Stop the run, because a word was read that was never written.

        Raises:
            UnwrittenReadError: always.
        """
        raise UnwrittenReadError(
            f"{self.path} bank {address % self.banks}: word {address} was read in cycle {self.clock.now} by {port}"
            f"{f' for {payload.origin}' if payload.origin else ''}, but was never written; "
            "load it first, or check the addresses in the program"
        )

    def revoke_direct_memory(self) -> None:
        """Revoke every view that was granted; a holder that continues must request a new one.

        A view shows the current bytes, so ordinary writes leave it valid: they are ordered with its holder's accesses.
        A debug write (preload, fault injection) is outside that order. It changes bytes, and which words count as
        written, after the holder may have derived something from them. So it revokes the views.
        """
        for view in self._views:
            view.revoke()
        self._views.clear()

    def _debug(self, payload: MemoryPayload) -> int:
        """Debug access to any number of whole words; takes no time, reads even unwritten words."""
        count, rest = divmod(len(payload.data), self.word_bytes)
        if rest or payload.address < 0 or payload.address + count > self.words:
            payload.status = Response.ADDRESS_ERROR
            return 0
        place = slice(payload.address * self.word_bytes, (payload.address + count) * self.word_bytes)
        if payload.command is Command.WRITE:
            self.bytes[place] = payload.data
            self.written[payload.address : payload.address + count] = b"\1" * count
            self.revoke_direct_memory()
        else:
            assert not isinstance(payload.data, bytes)
            payload.data[:] = self.bytes[place]
        payload.status = Response.OK
        return len(payload.data)

    def _direct(self) -> DirectMemory:
        view = DirectMemory(self.path, memoryview(self.bytes), memoryview(self.written))
        self._views.append(view)
        return view


def fault_of(payload: MemoryPayload, words: int) -> Response:
    """How an SRAM answers an access to one word that it does not have, or else with data of another size."""
    return Response.BURST_ERROR if 0 <= payload.address < words else Response.ADDRESS_ERROR


def words_of_banks(banks: int, address: int, rows: int, stride_words: int, row_words: int = 1) -> Sequence[int]:
    """How many words of rows that begin ``stride_words`` apart, the first at ``address``, lie in each bank."""
    return _words_of_banks(banks, address % banks, rows, stride_words % banks, row_words)


@lru_cache(maxsize=1_024)
def _words_of_banks(banks: int, first_bank: int, rows: int, stride_banks: int, row_words: int) -> Sequence[int]:
    served = [0] * banks
    for row in range(min(rows, banks)):  # the banks repeat after that many rows, and so within a row
        alike = -(-(rows - row) // banks)
        for word in range(min(row_words, banks)):
            served[(first_bank + row * stride_banks + word) % banks] += alike * -(-(row_words - word) // banks)
    return tuple(served)


_LAYER = Work.LAYER  # Python 3.11 is slow to find a member in an Enum's class
_OF_PASSES = (Port.WRITE_BACK, Port.RESIDUAL)


def pass_of(port: Port, payload: MemoryPayload) -> PassId | None:
    """The pass that a write-back or a residual read belongs to, unless it is that of a whole layer."""
    origin = payload.origin
    return pass_id(origin) if port in _OF_PASSES and origin is not None and origin.kind is not _LAYER else None
