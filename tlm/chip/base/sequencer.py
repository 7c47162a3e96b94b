"""The common part of the sequencers: the engine's registers, what they show, and the events of a program."""

from __future__ import annotations

from abc import abstractmethod

from tlm.chip.base.unit import UnitModule
from tlm.chip.config import ChipConfig
from tlm.chip.engine import EngineEvents
from tlm.chip.format.registers import EngineRegister, UnitFaultError
from tlm.chip.states import SequencerState
from tlm.core.kernel import Activity
from tlm.core.module import Module
from tlm.core.payload import MemoryPayload
from tlm.core.probe import Probe
from tlm.core.sockets import InitiatorSocket


class SequencerBase(UnitModule):
    """Base of every model's sequencer; its registers are the engine's registers.

    Args:
        name: of the module.
        parent: the engine.
        config: sizes and durations.
        events: of the engine; the sequencer emits those of programs, layers and passes there.
    """

    def __init__(self, name: str, parent: Module, config: ChipConfig, events: EngineEvents) -> None:
        super().__init__(name, parent, EngineRegister)
        self.config = config
        self.events = events
        self.imem: InitiatorSocket[MemoryPayload] = InitiatorSocket(self, "imem", MemoryPayload)
        self.wmem: InitiatorSocket[MemoryPayload] = InitiatorSocket(self, "wmem", MemoryPayload)
        self.state = Probe(self, "state", SequencerState.IDLE)
        self.layer = Probe(self, "layer", -1)
        self.pass_index = Probe(self, "pass_index", -1)

    @abstractmethod
    def program(self, address: int) -> Activity:
        """Layers from an IMem word to END; returns in the cycle after END was read.

        Raises:
            UnitFaultError: an illegal instruction, or a fetch outside IMem or WMem.
        """

    def work(self) -> Activity:
        """The program at the IMem word in the registers."""
        address, _ = self.registers.operand(EngineRegister.PROGRAM)
        self.events.program_started(address)
        yield from self.program(address)

    def rest(self, fault: UnitFaultError | None) -> None:
        """Show that it is idle."""
        self.state.value = SequencerState.IDLE
        self.layer.value = self.pass_index.value = -1
        self.events.program_ended(fault)
