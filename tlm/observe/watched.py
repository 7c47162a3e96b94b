"""The counts that the observers of one run share."""

from __future__ import annotations

from dataclasses import dataclass

from tlm.chip.system import System
from tlm.compiler.program import Program
from tlm.observe.energy import EnergyObserver
from tlm.observe.recorder import Recorder


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """A run and what is counted of it; a trace reads these counts instead of counting again."""

    system: System
    program: Program
    recorder: Recorder
    meter: EnergyObserver
