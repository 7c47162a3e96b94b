"""When DMA transfers happen beside the engine: both channels, the interconnect's lane and the off-chip memory in C.

A second derivation of fidelity "cycle"'s timing (docs/timing.md), which shares no code with its blocks; the rules stand
in kernels/dma.h. The engine's accesses are given as bank calendars (:mod:`tlm.chip.kernels.occupancy`): it has the
higher priority at every bank, so nothing that the DMA does changes them. Or a model of the engine in C is asked in each
cycle, and bytes move with it.
"""

from __future__ import annotations

import enum
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tlm._kernels import ffi, lib
from tlm.chip.config import ChipConfig
from tlm.chip.format.driver import SramName
from tlm.chip.kernels.buffers import KernelError, in_range
from tlm.chip.kernels.dram import CYCLE_LIMIT as DRAM_CYCLE_LIMIT
from tlm.chip.kernels.dram import Dram

if TYPE_CHECKING:
    from tlm._kernels import CData

_CYCLE_LIMIT = 1 << 60
_DENOMINATOR_LIMIT = 1 << 61


class Channel(enum.IntEnum):
    """A channel of the DMA; the number is C's."""

    LOAD = 0
    STORE = 1


_CHANNELS = tuple(Channel)  # to go through an enumeration takes longer


class DmaTimeline:
    """The state of the DMA and of what its transfers cross, at a cycle up to which everything has happened.

    Args:
        config: bus, bursts, memory and SRAMs.
        dram: the off-chip memory, if it is DRAM; time advances it.

    Raises:
        KernelError: the memory's pace is a fraction with a denominator beyond 64-bit arithmetic.
    """

    def __init__(self, config: ChipConfig, dram: Dram | None = None) -> None:
        self._config = config
        self.cycle_limit = DRAM_CYCLE_LIMIT if dram else _CYCLE_LIMIT
        """No cycle may be beyond."""
        self._banks = {
            SramName.AMEM: config.amem_banks, SramName.WMEM: config.wmem_banks, SramName.IMEM: config.imem_banks
        }  # fmt: skip
        self._words = {
            SramName.AMEM: config.amem_words, SramName.WMEM: config.wmem_words, SramName.IMEM: config.imem_words
        }  # fmt: skip
        self._state: Any = ffi.new("tlm_dma *")
        self._ahead = ffi.new("tlm_dma *")
        """The state at some cycle up to the next completion, if that is known."""
        self._calendars: dict[SramName, CData] = {}  # what the state points to must live
        self._data: dict[Channel, CData] = {}
        self._arrivals: dict[Channel, npt.NDArray[np.int64]] = {}
        self._channels = [self._state.channels[channel] for channel in _CHANNELS]
        self._calendar_of = {sram: self._state.calendars[sram] for sram in SramName}
        """Both lie in the state."""
        self._next_channel = ffi.new("int32_t *")
        self._next: tuple[int, Channel] | None = None
        self._next_is_known = True
        self._drams = (dram, Dram(config)) if dram else (None, None)
        for state, own in zip((self._state, self._ahead), self._drams, strict=True):
            lib.tlm_dma_reset(state, _c_config(config), own.state if own else ffi.NULL)

    def connect(self, access: int, engine: int, memory: npt.NDArray[np.uint8]) -> tuple[int, int]:
        """Ask a model of the engine for every SRAM access, instead of calendars, and move the bytes.

        Args:
            access: address of its C function (kernels/dma.h, tlm_dma_engine).
            engine: address that the function is called with.
            memory: the off-chip memory's bytes, contiguous.

        Returns:
            Addresses of the C function that lets time advance (tlm_dma_advance), and of what it is called with.
        """
        self._memory = ffi.from_buffer("uint8_t[]", memory, require_writable=True)
        function = ffi.cast("int32_t (*)(void *, int32_t, int32_t, int32_t, uint8_t *)", access)
        self._state.engine = {"access": function, "self": ffi.cast("void *", engine), "memory": self._memory}
        advance, state = (ffi.cast("intptr_t", one) for one in (ffi.addressof(lib, "tlm_dma_advance"), self._state))
        return int(advance), int(state)

    @property
    def state(self) -> Any:
        """C's state, for kernels/driver.c, which lets time advance."""
        return self._state

    @property
    def now(self) -> int:
        """Everything in cycles before this one has happened."""
        return int(self._state.now)

    def start(
        self,
        channel: Channel,
        cycle: int,
        memory_offset_bytes: int,
        sram: SramName,
        sram_word: int,
        row_words: int,
        rows: int,
        memory_stride_bytes: int,
        sram_stride_words: int,
        data: bytearray | None = None,
    ) -> None:
        """Have a channel begin a transfer in ``cycle``: the load may ask for a burst in it, the store read a word.

        Args:
            channel: which.
            cycle: the one after START was written; not before :attr:`now`.
            memory_offset_bytes: from the start of the off-chip memory; like the stride a multiple of the bus width.
            sram: the memory on the inside.
            sram_word: its first word.
            row_words: SRAM words of a row.
            rows: how many rows.
            memory_stride_bytes: off-chip bytes from row to row.
            sram_stride_words: SRAM words from row to row.
            data: room for the bytes of all rows, if a model of the engine is asked.

        Raises:
            KernelError: the channel is busy, the cycle is past, or a number is out of range.
        """
        if self._channels[channel].active:
            raise KernelError(f"dma.{channel.name.lower()}: started in cycle {cycle}, but its transfer is not complete")
        in_range("dma: cycle", cycle, self._state.now, self.cycle_limit)
        bus, words = self._config.bus_bytes, self._words[sram]
        for key, value in (("memory_offset_bytes", memory_offset_bytes), ("memory_stride_bytes", memory_stride_bytes)):
            if value < 0 or value % bus:
                raise KernelError(f"dma: {key} is {value}, but must be a multiple of the bus's {bus} bytes")
        in_range("dma: row_words", row_words, 1, words)
        in_range("dma: rows", rows, 1, words // row_words)
        in_range("dma: sram_word", sram_word, 0, words - row_words)
        if rows == 1:  # the strides mean nothing
            memory_stride_bytes = sram_stride_words = 0
        else:
            in_range("dma: sram_stride_words", sram_stride_words, 0, (words - row_words - sram_word) // (rows - 1))
        row_bytes = row_words * self._state.config.word_bytes[sram]
        self._check_memory_end(memory_offset_bytes + (rows - 1) * memory_stride_bytes + row_bytes)
        place = (memory_offset_bytes, memory_stride_bytes, sram, sram_word, row_words, rows, sram_stride_words)
        self._data[channel] = ffi.NULL if data is None else ffi.from_buffer("uint8_t[]", data)
        bursts = rows * (row_bytes // self._config.burst_bytes + 2)
        self._arrivals[channel] = np.zeros(bursts, np.int64)
        if self._drams[0] is not None:
            accesses = bursts + rows * (row_bytes // self._config.dram.access_bytes)  # a burst may cut one in two
            self._drams[0].make_room(channel is Channel.STORE, accesses)
        arrivals = ffi.from_buffer("int64_t[]", self._arrivals[channel])
        transfer = ffi.new("tlm_dma_transfer *", (cycle, *place, self._data[channel], arrivals))
        lib.tlm_dma_start(self._state, channel, transfer)
        self._next_is_known = False

    def set_calendar(self, sram: SramName, first_cycle: int, banks: npt.NDArray[np.uint8]) -> None:
        """The engine's banks of an SRAM from ``first_cycle`` on; behind the calendar's end the banks are free.

        It replaces the calendar before, so time must have been advanced to that one's end, or to ``first_cycle``.

        Args:
            sram: which.
            first_cycle: of the calendar.
            banks: contiguous uint8 (cycles,), bit b set where the engine takes bank b; must not change afterwards.

        Raises:
            KernelError: a wrong array; cycles of the former calendar are still to come before ``first_cycle``; or the
                DMA has already asked for a bank in a cycle of the new one.
        """
        if banks.dtype != np.uint8 or banks.ndim != 1 or not banks.flags.c_contiguous:
            raise KernelError(f"calendar: {banks.dtype} {banks.shape}, but contiguous uint8 (cycles,) is needed")
        in_range("dma: first_cycle", first_cycle, 0, self.cycle_limit)
        former = self._calendar_of[sram]
        end = min(former.first_cycle + former.cycles, first_cycle)
        if self._state.now < end:
            raise KernelError(
                f"calendar: {sram.name} gets a new one from cycle {first_cycle} on, but in cycle {self.now} the former "
                f"one still holds until {end}; advance to there first"
            )
        last = max([channel.last_attempt_cycle[sram] for channel in self._channels])
        if last >= first_cycle:
            raise KernelError(
                f"calendar: {sram.name} gets one from cycle {first_cycle} on, but the DMA has asked for a bank in "
                f"cycle {last} already; make it known before time is advanced"
            )
        view = ffi.from_buffer("uint8_t[]", banks)
        former.banks, former.first_cycle, former.cycles = view, first_cycle, len(banks)
        self._calendars[sram] = view
        self._next_is_known = False

    def advance(self, until_cycle: int) -> list[tuple[int, Channel]]:
        """Let everything in cycles before ``until_cycle`` happen; what becomes known later must not concern them.

        Returns:
            (cycle, channel) of the transfers that completed in those cycles, in order, the load first in the same
            one: where the last word was written, or the last answer came. Their channels are free again.

        Raises:
            KernelError: a cycle beyond 2^60, or 2^48 with DRAM.
        """
        in_range("dma: until_cycle", until_cycle, 0, self.cycle_limit)
        if self._next_is_known and self._next is not None and self._state.now <= self._ahead.now <= until_cycle:
            lib.tlm_dma_copy(self._state, self._ahead)  # the look ahead has come this far with the same knowledge
        completed = lib.tlm_dma_advance(self._state, until_cycle)
        if not completed:
            return []
        self._next_is_known = False
        channels = [channel for channel in _CHANNELS if completed >> channel & 1]
        return sorted((int(self._channels[channel].done_cycle), channel) for channel in channels)

    def next_completion(self) -> tuple[int, Channel] | None:
        """(cycle, channel) of the transfer that completes next if nothing new becomes known; None: none is under way.

        A look ahead on a copy of the state: nothing happens before :meth:`advance`. A transfer that starts or a new
        calendar may move it either way.
        """
        if not self._next_is_known:
            cycle = lib.tlm_dma_next_completion(self._state, self._ahead, self._next_channel)
            self._next = None if cycle < 0 else (cycle, _CHANNELS[self._next_channel[0]])
            self._next_is_known = True
        return self._next

    def earliest_completion(self) -> int | None:
        """A cycle before which no transfer completes, whatever becomes known; None: none is under way.

        Nothing is looked ahead for it, and it may be far below what :meth:`next_completion` says.
        """
        cycle = int(lib.tlm_dma_earliest_completion(self._state))
        return None if cycle < 0 else cycle

    def arrival_cycles(self, channel: Channel) -> npt.NDArray[np.int64]:
        """When the bursts of a channel's transfer arrived at the off-chip memory, int64 (bursts that did,)."""
        return self._arrivals[channel][: self._channels[channel].requested_bursts]

    def refused(self, channel: Channel) -> int:
        """SRAM accesses of a channel that were refused so far; each was asked for again in the next cycle."""
        return int(self._channels[channel].refused)

    def words(self, channel: Channel) -> int:
        """SRAM words that a channel has moved so far."""
        return int(self._channels[channel].words)

    def beats(self, channel: Channel) -> int:
        """Bus beats that the off-chip memory has served for a channel so far."""
        return int(self._channels[channel].beats)

    def bank_accesses(self, channel: Channel, sram: SramName) -> npt.NDArray[np.int64]:
        """Accesses of a channel to each bank of an SRAM so far, int64 (banks,)."""
        return np.array(list(self._channels[channel].accesses[sram][0 : self._banks[sram]]), np.int64)

    def bank_refusals(self, channel: Channel, sram: SramName) -> npt.NDArray[np.int64]:
        """Refused accesses of a channel to each bank of an SRAM so far, int64 (banks,)."""
        return np.array(list(self._channels[channel].refusals[sram][0 : self._banks[sram]]), np.int64)

    def _check_memory_end(self, end: int) -> None:
        if end > self._config.memory_bytes:
            raise KernelError(
                f"dma: a transfer to off-chip byte {end - 1}, but there are {self._config.memory_bytes} bytes"
            )


def _c_config(config: ChipConfig) -> CData:
    pace = Fraction(1) if config.uses_dram else config.memory_beat_cycles  # a bound; the DRAM's own times hold
    if pace.denominator > _DENOMINATOR_LIMIT:
        raise KernelError(
            f"chip.memory_gb_per_s: {config.memory_gb_per_s!r} makes a beat every {pace} cycles, "
            "and that denominator is beyond 64 bits; give fewer digits"
        )
    whole, numerator = divmod(pace.numerator, pace.denominator)
    return ffi.new(
        "tlm_dma_config *",
        {
            "beat_cycles": whole,
            "beat_numerator": numerator,
            "beat_denominator": pace.denominator,
            "latency_cycles": config.cycles_of_ns(config.memory_latency_ns),
            "bus_bytes": config.bus_bytes,
            "burst_bytes": config.burst_bytes,
            "bursts_in_flight": config.dma_bursts_in_flight,
            "sram_read_cycles": config.sram_read_cycles,
            "word_bytes": [config.amem_word_bytes, config.wmem_word_bytes, config.imem_word_bytes],
            "banks": [config.amem_banks, config.wmem_banks, config.imem_banks],
        },
    )
