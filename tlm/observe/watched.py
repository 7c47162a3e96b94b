"""The counts that the observers of one run share."""

from __future__ import annotations

from msgspec import Struct

from tlm.chip.system import System
from tlm.compiler.program import Program
from tlm.observe.energy import EnergyObserver
from tlm.observe.recorder import Recorder


class Watched(Struct, frozen=True, eq=False):
    """A run and what is counted of it; a trace reads these counts instead of counting again."""

    system: System
    program: Program
    recorder: Recorder
    meter: EnergyObserver
