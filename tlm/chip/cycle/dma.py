"""The DMA: a load and a store channel that work side by side.

Each channel has its own registers and interrupt, a port to the interconnect and a port to each SRAM. Where both ask
for one SRAM bank or for the interconnect in the same cycle, the load channel comes first [A].
"""

from __future__ import annotations

from tlm.chip.config import ChipConfig
from tlm.chip.cycle.dma_load import LoadChannel
from tlm.chip.cycle.dma_store import StoreChannel
from tlm.core.module import Module


class Dma(Module):
    """Two channels."""

    def __init__(self, name: str, parent: Module, config: ChipConfig) -> None:
        super().__init__(name, parent)
        self.load = LoadChannel("load", self, config)
        self.store = StoreChannel("store", self, config)
