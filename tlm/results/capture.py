"""What the layers of a run wrote, read without time while it is still there."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tlm.chip.format.driver import SramName
from tlm.chip.format.layer_header import LayerHeader
from tlm.chip.system import System
from tlm.compiler.program import Program
from tlm.core.errors import SimulationError
from tlm.core.payload import Command, MemoryPayload
from tlm.results.part_tensors import PartOrder, PartTensors, stored_output
from tlm.results.result import Tensor


class TensorCapture:
    """Every layer's output, read by debug transport in the cycle after each part's last write.

    Args:
        system: what is watched, before it runs.
        program: what it will run.
    """

    def __init__(self, system: System, program: Program) -> None:
        self._system = system
        self._program = program
        self._order = PartOrder(program)
        self._parts = PartTensors(program, self._read_amem)
        self.part_done = self._parts.part_done
        system.engine.events.layer_started.listen(self._check_tag)  # before anyone looks a tag up

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Complete outputs by layer name."""
        return self._parts.tensors

    def _check_tag(self, header: LayerHeader) -> None:
        self._order.check(header.tag, f"in cycle {self._system.simulation.clock.now - 1} ")

    def check_stored_output(self) -> None:
        """The network's output as the store channel left it off-chip is what counts.

        Raises:
            SimulationError: it differs from what AMem held when the layer ended, or not every part ran.
        """
        self._order.check_end()
        name = self._program.network.output.name
        place = self._program.tensors[name]
        stored = stored_output(self._program, self._system.read_memory(place.offset_bytes, place.size_bytes))
        if not np.array_equal(stored, self.tensors[name]):
            raise SimulationError(
                f"dma.store: the stored output {name!r} differs from what the last layer wrote to AMem"
            )
        self.tensors[name] = stored

    def _read_amem(self, word: int, words: int) -> npt.NDArray[np.uint8]:
        data = bytearray(words * self._system.config.amem_word_bytes)
        self._system.sram_socket(SramName.AMEM).debug_transport(MemoryPayload(Command.READ, word, data))
        return np.frombuffer(data, np.uint8)
