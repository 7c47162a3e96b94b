"""The off-chip memory of a program: instructions, weights, the network's input and output, spilled tensors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from tlm.chip.config import ChipConfig
from tlm.chip.format.driver import SramName, Transfer
from tlm.compiler.places import OffChipTensor, Place, Window, planes_per_channel, tensor_plane_words, tensor_planes
from tlm.core.errors import CompileError
from tlm.network.layers import INPUT
from tlm.network.network import Network

_ALIGNMENT_BYTES = 256
"""Pieces start at multiples of the longest burst that a chip can have."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes at a place of the off-chip image."""

    offset_bytes: int
    data: bytes
    label: str


class MemoryImage:
    """Gives pieces their places: first what is there before a run, then what the run writes.

    Args:
        network, config: what is compiled for what.
        windowed: tensors of which parts are moved that whole planes one behind the other would not align; their planes
            begin at multiples of the bus width.
    """

    def __init__(self, network: Network, config: ChipConfig, windowed: Iterable[str]) -> None:
        self._config = config
        self._word_bytes = config.amem_word_bytes
        self._infos = network.tensors
        self._output = network.output.name
        self._plane_words = {name: tensor_plane_words(info, config.lanes) for name, info in network.tensors.items()}
        self._plane_bytes = {name: words * self._word_bytes for name, words in self._plane_words.items()}
        for name in windowed:
            self._plane_bytes[name] = -(-self._plane_bytes[name] // config.bus_bytes) * config.bus_bytes
        self._known: dict[object, int] = {}
        self.chunks: list[Chunk] = []
        self.tensors: dict[str, OffChipTensor] = {}
        self.size_bytes = 0

    def chunk(self, sram: SramName, word: int, data: bytes, label: str, key: object = None) -> Transfer:
        """Put data into the image; returns how to load them. Data of a known key are there already."""
        offset = self._known.get(key) if key is not None else None
        if offset is None:
            offset = self._reserve(len(data))
            self.chunks.append(Chunk(offset, data, label))
            if key is not None:
                self._known[key] = offset
        word_bytes = {SramName.WMEM: self._config.wmem_word_bytes, SramName.IMEM: self._config.imem_word_bytes}[sram]
        return Transfer(sram, word, offset, len(data) // word_bytes, label=label)

    def tensor_transfer(self, place: Place, window: Window) -> Transfer:
        """How to move a window of a tensor; the offset counts from the tensor's own place (see :meth:`moved`)."""
        name, planes = window.tensor, window.planes
        plane_words, plane_bytes = self._plane_words[name], self._plane_bytes[name]
        offset = window.first_plane * plane_bytes + window.first_word * self._word_bytes
        word, label = place.address(window.first_plane, window.first_word), self._label(window)
        dense = plane_bytes == plane_words * self._word_bytes and place.window.words == window.words == plane_words
        if dense or planes == 1:
            return Transfer(SramName.AMEM, word, offset, planes * window.words, label=label)
        return Transfer(SramName.AMEM, word, offset, window.words, planes, plane_bytes, place.window.words, label)

    def place_tensors(self, names: Iterable[str]) -> None:
        """Give tensors their places, behind the chunks: the network's input, its output, then the others.

        Raises:
            CompileError: not everything fits the memory.
        """
        for name in dict.fromkeys([INPUT, self._output, *names]):
            planes = tensor_planes(self._infos[name])
            size_bytes = planes * self._plane_bytes[name]
            self.tensors[name] = OffChipTensor(self._reserve(size_bytes), planes, self._plane_bytes[name])
        if self.size_bytes > self._config.memory_bytes:
            raise CompileError(
                f"network: weights, instructions and tensors take {self.size_bytes} bytes off-chip, "
                f"but chip.memory_bytes is {self._config.memory_bytes}; enlarge it"
            )

    def moved(self, transfer: Transfer, tensor: str) -> Transfer:
        """The transfer of a tensor that has its place now."""
        return replace(transfer, memory_offset_bytes=transfer.memory_offset_bytes + self.tensors[tensor].offset_bytes)

    def _reserve(self, size_bytes: int) -> int:
        offset = self.size_bytes
        self.size_bytes = -(-(offset + size_bytes) // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
        return offset

    def _label(self, window: Window) -> str:
        info = self._infos[window.tensor]
        name = "output" if window.tensor == self._output else window.tensor
        per_channel = planes_per_channel(info)
        part = "" if window.words == self._plane_words[window.tensor] else f" words {window.first_word}.."
        if window.tensor == self._output or window.planes < tensor_planes(info):
            return f"{name} from channel {window.first_plane // per_channel}{part}"
        return f"{name}{part}"
