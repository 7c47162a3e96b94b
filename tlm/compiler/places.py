"""Which part of a tensor lies where: windows of its planes, in AMem and in the off-chip memory (engine.md, Layout)."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from tlm.chip.format.packing import ACCUMULATOR_PLANES, plane_words
from tlm.network.network import TensorInfo

_ALIGNMENT_BYTES = 256
"""Pieces start at multiples of the longest burst that a chip can have."""


class Span(NamedTuple):
    """Words ``first`` .. ``end - 1`` of every plane of a tensor."""

    first: int
    end: int

    @property
    def words(self) -> int:
        """How many."""
        return self.end - self.first

    def aligned(self, grain: int) -> Span:
        """From a multiple of ``grain`` words on."""
        return Span(self.first - self.first % grain, self.end)


class Window(Struct, frozen=True):
    """Words ``first_word`` .. of each of the planes ``first_plane`` .. of a tensor.

    A plane is one channel, or one of the six nibble planes of a channel with accumulator output. Word w of a plane
    holds the pixels w * lanes .. of the raster order: what tile w of the layer writes that makes the tensor.
    """

    tensor: str
    first_plane: int
    planes: int
    first_word: int
    words: int
    """Of each plane."""

    @property
    def end_word(self) -> int:
        """First word of a plane behind the window."""
        return self.first_word + self.words

    @property
    def size_words(self) -> int:
        """All words of the window."""
        return self.planes * self.words

    def meets(self, other: Window) -> bool:
        """Whether two windows of a tensor have a word in common."""
        return (
            self.first_plane < other.first_plane + other.planes
            and other.first_plane < self.first_plane + self.planes
            and self.first_word < other.end_word
            and other.first_word < self.end_word
        )


class Place(Struct, frozen=True):
    """A window and where it lies in AMem: its planes one behind the other, nothing between them."""

    window: Window
    base_word: int

    @property
    def words(self) -> int:
        """All words."""
        return self.window.size_words

    @property
    def end_word(self) -> int:
        """First AMem word after it."""
        return self.base_word + self.words

    def address(self, plane: int, word: int) -> int:
        """AMem word of a plane's word."""
        return self.base_word + (plane - self.window.first_plane) * self.window.words + word - self.window.first_word


class OffChipTensor(Struct, frozen=True):
    """A tensor's place in the off-chip memory: whole planes, ``plane_bytes`` from one to the next.

    A batch has a place for each image, one behind the other.
    """

    offset_bytes: int
    """Of the first image."""
    planes: int
    plane_bytes: int

    @property
    def size_bytes(self) -> int:
        """All planes."""
        return self.planes * self.plane_bytes

    def offset_of(self, image: int) -> int:
        """Where the tensor of an image of a batch lies."""
        return self.offset_bytes + image * aligned_bytes(self.size_bytes)


def aligned_bytes(size_bytes: int) -> int:
    """Up to where the next piece of the off-chip memory can begin."""
    return -(-size_bytes // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES


def planes_per_channel(tensor: TensorInfo) -> int:
    """1, or 6 for accumulator output."""
    return ACCUMULATOR_PLANES if tensor.accumulator else 1


def tensor_planes(tensor: TensorInfo) -> int:
    """Planes of a tensor: its channels, or six times as many for accumulator output."""
    return tensor.shape[0] * planes_per_channel(tensor)


def tensor_plane_words(tensor: TensorInfo, lanes: int) -> int:
    """P: AMem words of a plane."""
    return plane_words(tensor.shape[1], tensor.shape[2], lanes)


def tensor_words(tensor: TensorInfo, lanes: int) -> int:
    """AMem words that a whole tensor occupies."""
    return tensor_planes(tensor) * tensor_plane_words(tensor, lanes)
