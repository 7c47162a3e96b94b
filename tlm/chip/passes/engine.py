"""The engine in fidelity "pass"."""

from __future__ import annotations

from tlm.chip.base.engine import BlockEngine
from tlm.chip.config import ChipConfig
from tlm.chip.fidelity import DataFlow
from tlm.chip.format.driver import SramName
from tlm.chip.passes.aligner import Aligner
from tlm.chip.passes.dma import Dma
from tlm.chip.passes.mac_array import MacArray
from tlm.chip.passes.requantiser import Requantiser
from tlm.chip.passes.sequencer import Sequencer
from tlm.chip.passes.sram import Sram
from tlm.core.module import Module


class PassEngine(BlockEngine):
    """SRAMs and data path; the banks that the engine will take are known to the DMA ahead.

    Args:
        name, parent, config: as of every engine.
        dma: takes the calendars of the banks.
        flow: how values move through the data path.
    """

    sequencer: Sequencer
    srams: dict[SramName, Sram]

    def __init__(
        self, name: str, parent: Module, config: ChipConfig, dma: Dma, flow: DataFlow = DataFlow.PASSES
    ) -> None:
        super().__init__(name, parent)
        self.srams = {sram: Sram(sram, self, config, self.events) for sram in SramName}
        self.sequencer = Sequencer("sequencer", self, config, self.events, flow)
        self.aligner = Aligner("aligner", self, config)
        self.mac_array = MacArray("mac_array", self, config)
        self.requantiser = Requantiser("requantiser", self, config, self.events)
        self.bind_blocks(self.sequencer, self.aligner, self.mac_array, self.requantiser)
        for name_of_sram, sram in self.srams.items():
            self.sequencer.reservations[name_of_sram].bind(sram.reservations)
            sram.calendar.bind(dma.calendars[name_of_sram])
        self.sequencer.layer_steps.bind(self.aligner.layer_steps)
        self.aligner.layer_vectors.bind(self.mac_array.layer_vectors)
        self.sequencer.layer_passes.bind(self.mac_array.layer_passes)
        self.mac_array.layer_drain.bind(self.requantiser.layer_passes)
