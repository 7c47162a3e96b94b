"""The ports of the SRAMs and of the interconnect, and who comes first where they meet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from tlm.chip.config import ChipConfig
from tlm.chip.format.descriptor import sram_size
from tlm.chip.format.driver import SramName

# Slots are priorities within a cycle (engine.md, Banks); between the DMA's channels the load comes first [A].
AMEM_SLOTS = {"aligner": 0, "write_back": 1, "residual": 2, "dma_load": 3, "dma_store": 4}
FETCH_SLOTS = {"fetch": 0, "dma_load": 1, "dma_store": 2}
BUS_SLOTS = {"host": 1, "dma_load": 2, "dma_store": 3}


class SramParameters(TypedDict):
    """What an SRAM is made with."""

    words: int
    word_bytes: int
    banks: int
    port_slots: Mapping[str, int]


def sram_parameters(sram: SramName, config: ChipConfig) -> SramParameters:
    """Sizes, banks and ports of an SRAM."""
    words, word_bytes = sram_size(sram, config)
    banks = {SramName.AMEM: config.amem_banks, SramName.WMEM: config.wmem_banks, SramName.IMEM: config.imem_banks}
    slots = AMEM_SLOTS if sram is SramName.AMEM else FETCH_SLOTS
    return SramParameters(words=words, word_bytes=word_bytes, banks=banks[sram], port_slots=slots)
