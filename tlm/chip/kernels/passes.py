"""The MAC array's C kernels for whole passes and layers, behind a typed, checked edge (see tlm.chip.kernels.steps)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import numpy as np
import numpy.typing as npt

from tlm._kernels import ffi, lib
from tlm.chip.format.geometry import Geometry, LayerKind
from tlm.chip.kernels.buffers import Buffer, KernelError, Memory, bytes_of

if TYPE_CHECKING:
    from tlm._kernels import CData

_ERROR_AMEM, _ERROR_WMEM, _ERROR_PATTERN, _ERROR_WINDOW = -1, -2, -3, -4


class PassKernel:
    """Pass after pass of one layer: what is the same for them is checked and looked up once.

    A memory or an array of patterns is known again by its identity; it must not change its size meanwhile.
    """

    def __init__(self, geometry: Geometry) -> None:
        self._geometry = geometry
        self._pointer = geometry.pointer
        self._tiles, self._groups = geometry.tiles, geometry.groups
        self._accumulators = geometry.lanes * geometry.columns
        self._pattern_count = geometry.patterns_per_group
        self._amem = _View(geometry.lanes)
        self._wmem = _View(geometry.columns)
        self._patterns: npt.NDArray[np.uint64] | None = None
        self._payloads: CData = ffi.NULL

    def mac(
        self,
        amem: Memory,
        wmem: Memory,
        first_weight_word: int,
        patterns: npt.NDArray[np.uint64],
        tile: int,
        acc: Buffer,
    ) -> int:
        """As :func:`mac_pass`."""
        self._check(LayerKind.CONVOLUTION, patterns, tile, acc)
        amem_view, wmem_view = self._amem.of(amem), self._wmem.of(wmem)
        if not 0 <= first_weight_word <= self._wmem.words:
            _raise(_ERROR_WMEM, self._geometry, (self._amem.words, self._wmem.words), first_weight_word)
        consumed: int = lib.tlm_mac_pass(
            self._pointer, amem_view, self._amem.words, wmem_view, self._wmem.words, first_weight_word,
            self._payloads, self._pattern_count, tile, acc,
        )  # fmt: skip
        if consumed < 0:
            _raise(consumed, self._geometry, (self._amem.words, self._wmem.words), first_weight_word)
        return consumed

    def pool(self, amem: Memory, patterns: npt.NDArray[np.uint64], group: int, tile: int, acc: Buffer) -> int:
        """As :func:`pool_pass`."""
        self._check(LayerKind.MAX_POOLING, patterns, tile, acc)
        if not 0 <= group < self._groups:
            raise KernelError(f"group {group}: the output has groups 0..{self._groups - 1}")
        view = self._amem.of(amem)
        steps: int = lib.tlm_pool_pass(
            self._pointer, view, self._amem.words, self._payloads, self._pattern_count, group, tile, acc
        )
        if steps < 0:
            _raise(steps, self._geometry, (self._amem.words, 0), 0)
        return steps

    def _check(self, kind: LayerKind, patterns: npt.NDArray[np.uint64], tile: int, acc: Buffer) -> None:
        if self._geometry.kind is not kind:
            _check_kind(self._geometry, kind)
        if not 0 <= tile < self._tiles:
            check_tile(self._geometry, tile)
        if len(acc) != self._accumulators:
            g = self._geometry
            raise KernelError(f"pass: {len(acc)} accumulators, but {g.lanes} x {g.columns} are needed")
        if patterns is not self._patterns:
            self._payloads = _patterns(patterns, self._pattern_count)
            self._patterns = patterns


class _View:
    """A memory as C sees it, looked up anew only for another memory.

    Only the plain address is kept, and the memory itself, which holds its bytes in place: cffi's own object would keep
    the memory's buffer exported, and a memoryview that is part of a cycle cannot be collected then.
    """

    def __init__(self, elements_per_word: int) -> None:
        self._elements_per_word = elements_per_word
        self._memory: Memory | None = None
        self._view: CData = ffi.NULL
        self.words = 0

    def of(self, memory: Memory) -> CData:
        """The memory's bytes; ``words`` is then their number of words."""
        if memory is not self._memory:
            view = bytes_of(memory, "memory")
            self._view = ffi.cast("uint8_t *", view)
            self.words = len(view) * 2 // self._elements_per_word
            self._memory = memory
        return self._view


def mac_pass(
    geometry: Geometry,
    amem: Memory,
    wmem: Memory,
    first_weight_word: int,
    patterns: npt.NDArray[np.uint64],
    tile: int,
    acc: Buffer,
) -> int:
    """Every step of one tile for one group: overwrites acc, returns the number of weight words consumed.

    Args:
        tile: counted from the geometry's first_tile.
        patterns: 60-bit payloads of the group's pattern words, (patterns_per_group,).

    Raises:
        KernelError: an address outside amem or wmem, a pattern bit beyond the last channel or tap, wrong sizes.
    """
    return PassKernel(geometry).mac(amem, wmem, first_weight_word, patterns, tile, acc)


def pool_pass(
    geometry: Geometry, amem: Memory, patterns: npt.NDArray[np.uint64], group: int, tile: int, acc: Buffer
) -> int:
    """Every step of max pooling of one tile for one group: overwrites acc, returns the number of steps.

    Rows beyond the group's channels, lanes beyond the last pixel and windows without a pixel hold the lowest
    activation.

    Args:
        patterns: 60-bit payloads of the group's pattern words, zeros behind them up to (patterns_per_group,).
        tile: counted from the geometry's first_tile.

    Raises:
        KernelError: an address outside amem, a pattern bit beyond the group's last channel or tap, wrong sizes or kind.
    """
    return PassKernel(geometry).pool(amem, patterns, group, tile, acc)


def mac_layer(
    geometry: Geometry, amem: Memory, wmem: Memory, first_weight_word: int, patterns: npt.NDArray[np.uint64]
) -> tuple[npt.NDArray[np.int32], int]:
    """Every pass of a layer or band: accumulators (out_channels, tiles * lanes) and the weight words consumed.

    Args:
        patterns: 60-bit payloads, (groups, patterns_per_group); the groups' weight words follow each other.

    Raises:
        KernelError: as :func:`mac_pass`.
    """
    _check_kind(geometry, LayerKind.CONVOLUTION)
    views, sizes = _memories(geometry, amem, wmem)
    if not 0 <= first_weight_word <= sizes[1]:
        _raise(_ERROR_WMEM, geometry, sizes, first_weight_word)
    payloads = _patterns(patterns, geometry.groups * geometry.patterns_per_group)
    acc = np.empty((geometry.out_channels, geometry.tiles * geometry.lanes), np.int32)
    consumed: int = lib.tlm_mac_layer(
        geometry.pointer,
        *(views[0], sizes[0], views[1], sizes[1]),
        first_weight_word,
        payloads,
        geometry.patterns_per_group,
        ffi.from_buffer("int32_t[]", acc, require_writable=True),
    )
    if consumed < 0:
        _raise(consumed, geometry, sizes, first_weight_word)
    return acc, consumed


def pool_layer(geometry: Geometry, amem: Memory, patterns: npt.NDArray[np.uint64]) -> npt.NDArray[np.int32]:
    """Every pass of max pooling of a layer or band: maxima int32 (channels, tiles * lanes).

    Args:
        patterns: 60-bit payloads, (groups, patterns_per_group), zeros behind the last group's words.

    Raises:
        KernelError: as :func:`pool_pass`.
    """
    _check_kind(geometry, LayerKind.MAX_POOLING)
    payloads = _patterns(patterns, geometry.groups * geometry.patterns_per_group)
    view = bytes_of(amem, "AMem")
    words = len(view) * 2 // geometry.lanes
    acc = np.empty((geometry.out_channels, geometry.tiles * geometry.lanes), np.int32)
    out = ffi.from_buffer("int32_t[]", acc, require_writable=True)
    status = lib.tlm_pool_layer(geometry.pointer, view, words, payloads, geometry.patterns_per_group, out)
    if status < 0:
        _raise(status, geometry, (words, 0), 0)
    return acc


def _memories(geometry: Geometry, amem: Memory, wmem: Memory) -> tuple[tuple[CData, CData], tuple[int, int]]:
    views = bytes_of(amem, "AMem"), bytes_of(wmem, "WMem")
    return views, (len(views[0]) * 2 // geometry.lanes, len(views[1]) * 2 // geometry.columns)


def _patterns(patterns: npt.NDArray[np.uint64], count: int) -> CData:
    if patterns.dtype != np.uint64 or patterns.size != count or not patterns.flags.c_contiguous:
        raise KernelError(
            f"patterns: {patterns.dtype} {patterns.shape}, but {count} contiguous uint64 payloads are needed"
        )
    return ffi.from_buffer("uint64_t[]", patterns)


def _check_kind(geometry: Geometry, kind: LayerKind) -> None:
    if geometry.kind is not kind:
        raise KernelError(f"a layer of kind {geometry.kind.name} cannot be computed as {kind.name}")


def check_tile(geometry: Geometry, tile: int) -> None:
    """Nothing if there is such a tile.

    Raises:
        KernelError: there is not.
    """
    if not 0 <= tile < geometry.tiles:
        raise KernelError(f"tile {tile}: the output has tiles 0..{geometry.tiles - 1}")


def _raise(code: int, geometry: Geometry, sizes: tuple[int, int], first_weight_word: int) -> NoReturn:
    if code == _ERROR_AMEM:
        last = geometry.input_base_word + geometry.channels * geometry.plane_words
        raise KernelError(
            f"AMem: the input occupies words {geometry.input_base_word}..{last - 1}, but there are {sizes[0]} words"
        )
    if code == _ERROR_WMEM:
        raise KernelError(f"WMem: the weight words from {first_weight_word} on run beyond the last of {sizes[1]} words")
    if code == _ERROR_WINDOW:
        end = geometry.input_first_word + geometry.plane_words
        raise KernelError(
            f"AMem holds words {geometry.input_first_word}..{end - 1} of each input channel, but the tiles see others"
        )
    assert code == _ERROR_PATTERN, code
    raise KernelError(
        f"illegal pattern word: a bit is set beyond channel {geometry.channels - 1} or tap {geometry.taps - 1}"
    )
