"""What the layers of a run wrote, read without time while it is still there."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tlm.chip.chip import System
from tlm.chip.driver import SramName
from tlm.chip.packing import unpack_accumulators, unpack_tensor
from tlm.chip.payloads import LayerPayload
from tlm.compiler.places import tensor_plane_words, tensor_planes
from tlm.compiler.program import Program
from tlm.core.errors import SimulationError
from tlm.core.observation import Phase
from tlm.core.payload import Command, MemoryPayload, Payload
from tlm.core.sockets import InitiatorSocket
from tlm.network import TensorInfo
from tlm.result import Tensor


class TensorCapture:
    """Every layer's output, read by debug transport in the cycle after each part's last write.

    Args:
        system: what is watched, before it runs.
        program: what it will run.
    """

    def __init__(self, system: System, program: Program) -> None:
        self._system = system
        self._program = program
        self._parts_left = {index: len(tags) for index, tags in program.parts_of_layer.items()}
        self._images: dict[int, npt.NDArray[np.uint8]] = {}
        """Layer -> AMem image of its output as far as it is known, (planes, P, bytes of a word)."""
        self._started = 0
        self.tensors: dict[str, Tensor] = {}
        system.engine.sequencer.layers_to_aligner.observe(self._check_tag)  # before anyone looks a tag up

    def _check_tag(self, phase: Phase, _: InitiatorSocket[LayerPayload], payload: Payload) -> None:
        """Parts run in the order of their tags; any other tag is a header that changed on its way."""
        if phase is not Phase.BEGIN_REQ or not isinstance(payload, LayerPayload):
            return
        tag, parts = payload.header.tag, len(self._program.parts)
        if tag != self._started or tag >= parts:
            raise SimulationError(
                f"engine.sequencer: the layer header decoded in cycle {self._system.simulation.clock.now - 1} has tag "
                f"{tag}, but part {self._started} of {parts} (counted from 0) is next; check the program's instructions"
            )
        self._started += 1

    def part_done(self, tag: int) -> None:
        """A part's last word was written."""
        program, part = self._program, self._program.parts[tag]
        info = program.network.tensors[program.network.layers[part.layer_index].name]
        place, per_channel = part.output, tensor_planes(info) // info.shape[0]
        first, planes = part.first_channel * per_channel, part.channels * per_channel
        window = self._read_amem(place.address(first, place.window.first_word), planes * place.window.words)
        words = window.reshape(planes, place.window.words, -1)
        offset = part.first_tile - place.window.first_word
        image = self._image(part.layer_index, info)
        image[first : first + planes, part.first_tile : part.first_tile + part.tiles] = words[
            :, offset : offset + part.tiles
        ]
        self._parts_left[part.layer_index] -= 1
        if not self._parts_left[part.layer_index]:
            self.tensors[info.name] = self._unpack(info, self._images.pop(part.layer_index).tobytes())

    def check_stored_output(self) -> None:
        """The network's output as the store channel left it off-chip is what counts.

        Raises:
            SimulationError: it differs from what AMem held when the layer ended, or not every part ran.
        """
        if self._started < len(self._program.parts):
            raise SimulationError(
                f"engine.sequencer: ended after {self._started} of {len(self._program.parts)} parts of the program; "
                "check its instructions"
            )
        output = self._program.network.output
        place, lanes = self._program.tensors[output.name], self._system.config.lanes
        planes = np.frombuffer(self._system.read_memory(place.offset_bytes, place.size_bytes), np.uint8)
        used_bytes = tensor_plane_words(output, lanes) * self._system.config.amem_word_bytes
        stored = self._unpack(output, planes.reshape(place.planes, place.plane_bytes)[:, :used_bytes].tobytes())
        if not np.array_equal(stored, self.tensors[output.name]):
            raise SimulationError(
                f"dma.store: the stored output {output.name!r} differs from what the last layer wrote to AMem"
            )
        self.tensors[output.name] = stored

    def _image(self, layer_index: int, info: TensorInfo) -> npt.NDArray[np.uint8]:
        if layer_index not in self._images:
            config = self._system.config
            shape = tensor_planes(info), tensor_plane_words(info, config.lanes), config.amem_word_bytes
            self._images[layer_index] = np.zeros(shape, np.uint8)
        return self._images[layer_index]

    def _read_amem(self, word: int, words: int) -> npt.NDArray[np.uint8]:
        data = bytearray(words * self._system.config.amem_word_bytes)
        self._system.sram_socket(SramName.AMEM).debug_transport(MemoryPayload(Command.READ, word, data))
        return np.frombuffer(data, np.uint8)

    def _unpack(self, info: TensorInfo, data: bytes) -> Tensor:
        lanes = self._system.config.lanes
        if info.accumulator:
            return unpack_accumulators(data, info.shape, lanes)
        return unpack_tensor(data, info.shape, lanes, info.signed)
