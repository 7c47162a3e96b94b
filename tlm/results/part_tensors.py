"""From what parts of layers wrote to AMem, and from what the store channel wrote off-chip, to whole tensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from tlm.chip.format.packing import Image, unpack_accumulators, unpack_tensor
from tlm.compiler.places import planes_per_channel, tensor_plane_words, tensor_planes
from tlm.compiler.program import Program
from tlm.core.errors import SimulationError
from tlm.network.network import TensorInfo
from tlm.results.result import Tensor

ReadAmem = Callable[[int, int], npt.NDArray[np.uint8]]
"""read(first word, words) -> their bytes."""


class PartTensors:
    """Puts every layer's output together, read from AMem when each of its parts has ended.

    Args:
        program: what runs.
        read_amem: how to look into AMem.
    """

    def __init__(self, program: Program, read_amem: ReadAmem) -> None:
        self._program = program
        self._read_amem = read_amem
        self._parts_left = Counter(map(self._run, range(len(program.parts))))
        self._images: dict[tuple[int, int], npt.NDArray[np.uint8]] = {}
        """(image, layer) -> AMem words of its output as far as they are known, (planes, P, bytes of a word)."""
        self.found: list[dict[str, Tensor]] = [{} for _ in range(program.batch)]
        """For each image of the batch complete outputs by layer name."""

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Outputs by layer name; (N, O, H', W') of a batch."""
        if len(self.found) == 1:
            return self.found[0]
        stacked: dict[str, Any] = {name: np.stack([one[name] for one in self.found]) for name in self.found[0]}
        return stacked

    def _run(self, tag: int) -> tuple[int, int]:
        return self._program.runs[tag][0], self._program.parts[tag].layer_index

    def part_done(self, tag: int) -> None:
        """A part's last word was written."""
        program, part = self._program, self._program.parts[tag]
        index, place = self._run(tag), part.output
        info = program.network.tensors[program.network.layers[part.layer_index].name]
        if index not in self._images:
            size = tensor_planes(info), tensor_plane_words(info, program.config.lanes), program.config.amem_word_bytes
            self._images[index] = np.zeros(size, np.uint8)
        per_channel = planes_per_channel(info)
        first, planes = part.first_channel * per_channel, part.channels * per_channel
        window = self._read_amem(place.address(first, place.window.first_word), planes * place.window.words)
        words = window.reshape(planes, place.window.words, -1)
        start, offset = part.first_tile, part.first_tile - place.window.first_word
        self._images[index][first : first + planes, start : start + part.tiles] = words[:, offset : offset + part.tiles]
        self._parts_left[index] -= 1
        if not self._parts_left[index]:
            self.found[index[0]][info.name] = _unpacked(self._images.pop(index).tobytes(), info, program)


class PartOrder:
    """Parts run in the order of their tags; anything else is a program whose instructions changed on their way.

    Args:
        program: what runs.
    """

    def __init__(self, program: Program) -> None:
        self._parts = len(program.parts)
        self._started = 0

    def check(self, tag: int, when: str = "") -> None:
        """A part with this tag comes next.

        Args:
            tag: from its header.
            when: for the message.

        Raises:
            SimulationError: it does not.
        """
        if tag != self._started or tag >= self._parts:
            raise SimulationError(
                f"engine.sequencer: the layer header decoded {when}has tag {tag}, but part {self._started} of "
                f"{self._parts} (counted from 0) is next; check the program's instructions"
            )
        self._started += 1

    def check_end(self) -> None:
        """The program has ended.

        Raises:
            SimulationError: not every part ran.
        """
        if self._started < self._parts:
            raise SimulationError(
                f"engine.sequencer: ended after {self._started} of {self._parts} parts of the program; "
                "check its instructions"
            )


def stored_output(program: Program, data: Image) -> Tensor:
    """An image's output as it lies off-chip.

    Args:
        program: what ran.
        data: all planes of the output.
    """
    output = program.network.output
    place = program.tensors[output.name]
    used_bytes = tensor_plane_words(output, program.config.lanes) * program.config.amem_word_bytes
    planes = np.frombuffer(data, np.uint8).reshape(place.planes, place.plane_bytes)
    return _unpacked(planes[:, :used_bytes].tobytes(), output, program)


def _unpacked(data: Image, info: TensorInfo, program: Program) -> Tensor:
    lanes = program.config.lanes
    if info.accumulator:
        return unpack_accumulators(data, info.shape, lanes)
    return unpack_tensor(data, info.shape, lanes, info.signed)
