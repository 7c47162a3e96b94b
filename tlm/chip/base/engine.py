"""The wiring of an engine's blocks, shared by its models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tlm.chip.base.sequencer import SequencerBase
from tlm.chip.base.sram import SramBase
from tlm.chip.contract import DmaPorts, Engine, Port
from tlm.chip.format.driver import SramName
from tlm.chip.payloads import InterruptPayload
from tlm.core.payload import MemoryPayload
from tlm.core.sockets import InitiatorSocket, TargetSocket


class BlockEngine(Engine):
    """Base of the models in which each block of the diagram is a separate module."""

    sequencer: SequencerBase
    srams: Mapping[SramName, SramBase]

    @property
    def registers(self) -> TargetSocket[MemoryPayload]:
        """The sequencer's."""
        return self.sequencer.registers.target

    @property
    def interrupt(self) -> InitiatorSocket[InterruptPayload]:
        """The sequencer's."""
        return self.sequencer.registers.interrupt

    @property
    def ports(self) -> Mapping[SramName, DmaPorts]:
        """Those of the SRAMs."""
        return {name: sram.dma_ports for name, sram in self.srams.items()}

    def written(self, sram: SramName, address: int) -> bool:
        """As the SRAM knows."""
        return bool(self.srams[sram].written[address])

    def bind_blocks(self, sequencer: Any, aligner: Any, mac_array: Any, requantiser: Any) -> None:
        """Bind the sockets of the data path; binding checks payload types, which differ between models."""
        amem, wmem, imem = (self.srams[name].ports for name in SramName)
        sequencer.imem.bind(imem[Port.FETCH])
        sequencer.wmem.bind(wmem[Port.FETCH])
        sequencer.steps.bind(aligner.steps)
        sequencer.weights.bind(mac_array.weights)
        sequencer.passes.bind(mac_array.passes)
        sequencer.layers_to_aligner.bind(aligner.layers)
        sequencer.layers_to_mac_array.bind(mac_array.layers)
        sequencer.layers_to_requantiser.bind(requantiser.layers)
        sequencer.parameters.bind(requantiser.parameters)
        sequencer.flushes.bind(requantiser.flushes)
        aligner.amem.bind(amem[Port.ALIGNER])
        aligner.vectors.bind(mac_array.vectors)
        mac_array.drain.bind(requantiser.passes)
        requantiser.writes.bind(amem[Port.WRITE_BACK])
        requantiser.residuals.bind(amem[Port.RESIDUAL])
