"""The off-chip memory of a program: instructions, weights, the network's input and output, spilled tensors."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from tlm.chip.format.descriptor import sram_size
from tlm.chip.format.driver import SramName, Transfer
from tlm.compiler.places import OffChipTensor, Place, Window, aligned_bytes
from tlm.compiler.workload import Workload
from tlm.core.errors import CompileError
from tlm.network.layers import INPUT


class Chunk(Struct, frozen=True):
    """Bytes at a place of the off-chip image."""

    offset_bytes: int
    data: bytes
    label: str


class MemoryImage:
    """Gives pieces their places: first what is there before a run, then what the run writes.

    Where parts of planes are moved, or channels that begin at no multiple of the bus width, the planes of that tensor
    begin at multiples of the bus width. Planes of the others lie one behind the other.

    Args:
        work: what is compiled.
        moved: all windows that transfers move.
        images: of the batch; each has its own tensors, all share weights and instructions.
    """

    def __init__(self, work: Workload, moved: Iterable[Window], images: int) -> None:
        self._work, config, self._images = work, work.config, images
        self._plane_bytes = {name: words * config.amem_word_bytes for name, words in work.plane_words.items()}
        for window in moved:
            words, name = work.plane_words[window.tensor], window.tensor
            if window.words != words or window.first_plane * words * config.amem_word_bytes % config.bus_bytes:
                self._plane_bytes[name] = -(-self._plane_bytes[name] // config.bus_bytes) * config.bus_bytes
        self._known: dict[object, int] = {}
        self.chunks: list[Chunk] = []
        self.tensors: dict[str, OffChipTensor] = {}
        self.size_bytes = 0

    def chunk(self, sram: SramName, word: int, data: bytes, label: str, key: object = None) -> Transfer:
        """Put data into the image; returns how to load them. Data of a known key are there already."""
        if key is None or key not in self._known:
            self._known[key] = self._reserve(len(data))
            self.chunks.append(Chunk(self._known[key], data, label))
        return Transfer(sram, word, self._known[key], len(data) // sram_size(sram, self._work.config)[1], label=label)

    def tensor_transfer(self, place: Place, window: Window, image: int) -> Transfer:
        """How to move a window of an image's tensor; the offset counts from the first image's (see :meth:`moved`)."""
        plane_words, plane_bytes = self._work.plane_words[window.tensor], self._plane_bytes[window.tensor]
        word_bytes = self._work.config.amem_word_bytes
        offset = image * aligned_bytes(self._work.planes[window.tensor] * plane_bytes)
        offset += window.first_plane * plane_bytes + window.first_word * word_bytes
        word, label = place.address(window.first_plane, window.first_word), self._label(window, image)
        dense = plane_bytes == plane_words * word_bytes and place.window.words == window.words == plane_words
        if dense or window.planes == 1:
            return Transfer(SramName.AMEM, word, offset, window.size_words, label=label)
        return Transfer(
            SramName.AMEM, word, offset, window.words, window.planes, plane_bytes, place.window.words, label
        )  # fmt: skip

    def place_tensors(self, names: Iterable[str]) -> None:
        """Give tensors their places, behind the chunks: the network's input, its output, then the others.

        Raises:
            CompileError: not everything fits the memory.
        """
        for name in dict.fromkeys([INPUT, self._work.network.output.name, *names]):
            planes, plane_bytes = self._work.planes[name], self._plane_bytes[name]
            size_bytes = aligned_bytes(planes * plane_bytes) * (self._images - 1) + planes * plane_bytes
            self.tensors[name] = OffChipTensor(self._reserve(size_bytes), planes, plane_bytes)
        if self.size_bytes > self._work.config.memory_bytes:
            raise CompileError(
                f"network: weights, instructions and tensors take {self.size_bytes} bytes off-chip, "
                f"but chip.memory_bytes is {self._work.config.memory_bytes}; enlarge it"
                f"{', or take fewer images' if self._images > 1 else ''}"
            )

    def moved(self, transfer: Transfer, tensor: str) -> Transfer:
        """The transfer of a tensor that has its place now."""
        return replace(transfer, memory_offset_bytes=transfer.memory_offset_bytes + self.tensors[tensor].offset_bytes)

    def _reserve(self, size_bytes: int) -> int:
        offset = self.size_bytes
        self.size_bytes = aligned_bytes(offset + size_bytes)
        return offset

    def _label(self, window: Window, image: int) -> str:
        name, is_output = window.tensor, window.tensor == self._work.network.output.name
        text = "output" if is_output else name
        if is_output or window.planes < self._work.planes[name]:
            text += f" from channel {window.first_plane // self._work.per_channel[name]}"
        text = text if window.words == self._work.plane_words[name] else f"{text} words {window.first_word}.."
        return f"{text} of image {image}" if self._images > 1 else text
