"""The engine in fidelity "cycle"."""

from __future__ import annotations

from tlm.chip.base.engine import BlockEngine
from tlm.chip.config import ChipConfig
from tlm.chip.cycle.aligner import Aligner
from tlm.chip.cycle.mac_array import MacArray
from tlm.chip.cycle.requantiser import Requantiser
from tlm.chip.cycle.sequencer import Sequencer
from tlm.chip.cycle.sram import Sram
from tlm.chip.format.driver import SramName
from tlm.core.module import Module


class CycleEngine(BlockEngine):
    """SRAMs and data path."""

    sequencer: Sequencer
    srams: dict[SramName, Sram]

    def __init__(self, name: str, parent: Module, config: ChipConfig) -> None:
        super().__init__(name, parent)
        self.srams = {sram: Sram(sram, self, config, self.events) for sram in SramName}
        self.sequencer = Sequencer("sequencer", self, config, self.events)
        self.aligner = Aligner("aligner", self, config)
        self.mac_array = MacArray("mac_array", self, config)
        self.requantiser = Requantiser("requantiser", self, config, self.events)
        self.bind_blocks(self.sequencer, self.aligner, self.mac_array, self.requantiser)
