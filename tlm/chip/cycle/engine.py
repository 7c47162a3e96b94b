"""The engine in fidelity "cycle": SRAMs and datapath, and which socket is bound to which."""

from __future__ import annotations

from tlm.chip.config import ChipConfig
from tlm.chip.cycle.aligner import Aligner
from tlm.chip.cycle.mac_array import MacArray
from tlm.chip.cycle.requantiser import Requantiser
from tlm.chip.cycle.sequencer import Sequencer
from tlm.chip.cycle.sram import Sram
from tlm.chip.format.driver import SramName
from tlm.chip.wiring import sram_parameters
from tlm.core.module import Module


class CycleEngine(Module):
    """SRAMs and datapath: what an RTL model would replace as a whole, behind the same sockets."""

    def __init__(self, name: str, parent: Module, config: ChipConfig) -> None:
        super().__init__(name, parent)
        self.amem, self.wmem, self.imem = (
            Sram(sram.name.lower(), self, **sram_parameters(sram, config)) for sram in SramName
        )
        self.sequencer = Sequencer("sequencer", self, config)
        self.aligner = Aligner("aligner", self, config)
        self.mac_array = MacArray("mac_array", self, config)
        self.requantiser = Requantiser("requantiser", self, config)
        self.srams = {SramName.AMEM: self.amem, SramName.WMEM: self.wmem, SramName.IMEM: self.imem}
        self._bind()

    def _bind(self) -> None:
        sequencer, aligner, mac_array, requantiser = self.sequencer, self.aligner, self.mac_array, self.requantiser
        sequencer.imem.bind(self.imem.ports["fetch"])
        sequencer.wmem.bind(self.wmem.ports["fetch"])
        sequencer.steps.bind(aligner.steps)
        sequencer.weights.bind(mac_array.weights)
        sequencer.passes.bind(mac_array.passes)
        sequencer.layers_to_aligner.bind(aligner.layers)
        sequencer.layers_to_mac_array.bind(mac_array.layers)
        sequencer.layers_to_requantiser.bind(requantiser.layers)
        sequencer.parameters.bind(requantiser.parameters)
        sequencer.flushes.bind(requantiser.flushes)
        aligner.amem.bind(self.amem.ports["aligner"])
        aligner.vectors.bind(mac_array.vectors)
        mac_array.drain.bind(requantiser.passes)
        requantiser.writes.bind(self.amem.ports["write_back"])
        requantiser.residuals.bind(self.amem.ports["residual"])
