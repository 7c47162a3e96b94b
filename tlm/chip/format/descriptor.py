"""The 2-D descriptor of a DMA transfer, as a channel reads it from its registers."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from tlm.chip.config import ChipConfig
from tlm.chip.format.driver import SramName
from tlm.chip.format.registers import ChannelRegister, ErrorCode, UnitFaultError, UnitRegisters


class Descriptor(Struct, frozen=True):
    """A transfer as a channel read it from its registers; addresses are those of the interconnect."""

    memory_address: int
    sram: SramName
    sram_word: int
    row_words: int
    rows: int
    memory_stride_bytes: int
    sram_stride_words: int

    def words(self) -> Iterator[int]:
        """SRAM word addresses in the order of transfer."""
        for row in range(self.rows):
            first = self.sram_word + row * self.sram_stride_words
            yield from range(first, first + self.row_words)


def burst_addresses(address: int, size_bytes: int, burst_bytes: int) -> range:
    """Where the bursts begin that hold these bytes, each at a multiple of the burst length."""
    return range(address // burst_bytes * burst_bytes, address + size_bytes, burst_bytes)


def sram_size(sram: SramName, config: ChipConfig) -> tuple[int, int]:
    """(words, bytes of a word)."""
    match sram:
        case SramName.AMEM:
            return config.amem_words, config.amem_word_bytes
        case SramName.WMEM:
            return config.wmem_words, config.wmem_word_bytes
        case SramName.IMEM:
            return config.imem_words, config.imem_word_bytes


def sram_banks(sram: SramName, config: ChipConfig) -> int:
    """How many banks an SRAM has."""
    match sram:
        case SramName.AMEM:
            return config.amem_banks
        case SramName.WMEM:
            return config.wmem_banks
        case SramName.IMEM:
            return config.imem_banks


def read_descriptor(registers: UnitRegisters, config: ChipConfig) -> Descriptor:
    """The descriptor in a channel's registers.

    Raises:
        UnitFaultError: it names no SRAM, leaves it, is misaligned, or moves nothing or too much.
    """
    low, high = registers.operand(ChannelRegister.MEMORY_ADDRESS)
    memory_address = low | high << 32
    sram_word, sram = registers.operand(ChannelRegister.SRAM)
    row_words, rows = registers.operand(ChannelRegister.ROWS)
    memory_stride, sram_stride = registers.operand(ChannelRegister.STRIDES)
    if sram not in set(SramName):
        raise UnitFaultError(ErrorCode.NO_SUCH_SRAM, sram)
    descriptor = Descriptor(memory_address, SramName(sram), sram_word, row_words, rows, memory_stride, sram_stride)
    check_descriptor(descriptor, config)
    return descriptor


def check_descriptor(descriptor: Descriptor, config: ChipConfig) -> None:
    """Check that a channel can begin the transfer.

    Raises:
        UnitFaultError: it leaves its SRAM, is misaligned, or moves nothing or too much.
    """
    d = descriptor
    for address in (d.memory_address, d.memory_stride_bytes):
        if address % config.bus_bytes:
            raise UnitFaultError(ErrorCode.MISALIGNED, address)
    words = sram_size(d.sram, config)[0]
    if not 0 < d.row_words * d.rows <= words:
        raise UnitFaultError(ErrorCode.OVERSIZED, d.row_words * d.rows)
    last = d.sram_word + (d.rows - 1) * d.sram_stride_words + d.row_words
    if last > words:
        raise UnitFaultError(ErrorCode.SRAM_ADDRESS, last - 1)
