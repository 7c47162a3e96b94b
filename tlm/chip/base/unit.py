"""A unit: a block with registers that the host starts and that ends its work with an interrupt."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod

from simpy import Event

from tlm.chip.format.registers import UnitFaultError, UnitRegisters
from tlm.core.kernel import Activity
from tlm.core.module import Module


class UnitModule(Module, ABC):
    """Base of the DMA's channels and of the sequencers.

    Timing: work begins in the cycle after START is written. The interrupt comes in the cycle in which the work ends,
    or ``ending_cycles`` later.

    Args:
        name: of the module.
        parent: the module that contains it.
        operands: the registers that the host writes, in addition to those that every unit has.
    """

    ending_cycles = 0

    def __init__(self, name: str, parent: Module, operands: type[enum.IntEnum]) -> None:
        super().__init__(name, parent)
        self._started: Event = Event(self.clock.env)
        self.registers = UnitRegisters(self, operands, self._start)
        self.add_process(self._serve)

    @abstractmethod
    def work(self) -> Activity:
        """Do the work that the registers describe.

        Raises:
            UnitFaultError: the work cannot continue.
        """

    @abstractmethod
    def rest(self, fault: UnitFaultError | None) -> None:
        """Called when the unit is idle again, in the cycle of the interrupt."""

    def _start(self) -> None:
        self._started.succeed()

    def _serve(self) -> Activity:
        while True:
            yield self._started
            self._started = Event(self.clock.env)
            yield self.clock.cycles(1)
            fault = None
            try:
                yield from self.work()
            except UnitFaultError as error:
                fault = error
            if self.ending_cycles:
                yield self.clock.cycles(self.ending_cycles)
            self.rest(fault)
            yield from self.registers.finish(fault)
