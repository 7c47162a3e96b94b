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


class TensorCapture(PartTensors):
    """Every layer's output, read by debug transport in the cycle after each part's last write.

    Args:
        system: what is watched, before it runs.
        program: what it will run.
    """

    def __init__(self, system: System, program: Program) -> None:
        super().__init__(program, self._read)
        self._system = system
        self._order = PartOrder(program)
        system.engine.events.layer_started.listen(self._check_tag)  # before anyone looks a tag up

    def check_stored_output(self) -> None:
        """Each image's output as the store channel left it off-chip is what counts.

        Raises:
            SimulationError: it differs from what AMem held when the layer ended, or not every part ran.
        """
        self._order.check_end()
        name = self._program.network.output.name
        place = self._program.tensors[name]
        for image, tensors in enumerate(self.found):
            data = self._system.read_memory(place.offset_of(image), place.size_bytes)
            stored = stored_output(self._program, data)
            if not np.array_equal(stored, tensors[name]):
                raise SimulationError(
                    f"dma.store: the stored output {name!r} differs from what the last layer wrote to AMem"
                )
            tensors[name] = stored

    def _check_tag(self, header: LayerHeader) -> None:
        self._order.check(header.tag, f"in cycle {self._system.simulation.clock.now - 1} ")

    def _read(self, word: int, words: int) -> npt.NDArray[np.uint8]:
        data = bytearray(words * self._system.config.amem_word_bytes)
        self._system.sram_socket(SramName.AMEM).debug_transport(MemoryPayload(Command.READ, word, data))
        return np.frombuffer(data, np.uint8)
