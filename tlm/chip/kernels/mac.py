"""kernels/mac.c: the aligner's mask, and the MAC array step by step, for a pass or for a whole layer."""

from __future__ import annotations

import enum

import numpy as np
import numpy.typing as npt

from tlm._kernels import ffi, lib
from tlm.chip.kernels.buffers import (
    ARRAY_SIZES,
    Buffer,
    KernelError,
    Memory,
    MemoryView,
    check_sizes,
    in_range,
    payloads_of,
)
from tlm.chip.kernels.geometry import Geometry, LayerKind, Select, check_tile, refuse

_NO_WEIGHTS = -2
"""The kernels' status for weight words beyond the last."""


class Simd(enum.IntEnum):
    """The host's instruction set that multiplies and adds; all give the same sums."""

    PORTABLE = 0
    NEON_DOT = 1
    AVX2 = 2
    AVX512_VNNI = 3
    BEST = 4
    """Whichever of the others the host has and is fastest."""


def host_simds() -> list[Simd]:
    """What the host has, the fastest last."""
    return [simd for simd in Simd if simd is not Simd.BEST and lib.tlm_has_simd(simd)]


def mask(word: bytes, pixels: Select, is_signed: bool, fill: int = 0) -> Buffer:
    """The vector int8 [lanes] that leaves the aligner's last stage.

    Args:
        word: lanes / 2 bytes; each pixel has reached its lane.
        pixels: the lanes that have one.
        fill: what padding and lanes beyond the last pixel give, -8..15: 0, or in max pooling the lowest activation.

    Raises:
        KernelError: the word has another number of lanes, or no such fill value.
    """
    in_range("mask: fill", fill, -8, 15)
    if len(word) != pixels.lanes // 2:
        raise KernelError(f"mask: a word of {len(word)} bytes, but {pixels.lanes} lanes need {pixels.lanes // 2}")
    activations = ffi.new("int8_t[]", pixels.lanes)
    lib.tlm_mask(word, pixels.pointer, pixels.lanes, is_signed, fill, activations)
    return activations


def mac_step(acc: Buffer, activations: Buffer, weight_word: bytes | bytearray, lanes: int, columns: int) -> None:
    """One step: ``acc[column, lane] += activations[lane] * weight[column]``.

    Raises:
        KernelError: sizes that do not belong together.
    """
    if lanes not in ARRAY_SIZES or columns not in ARRAY_SIZES:
        check_sizes(lanes=lanes, columns=columns)
    if len(acc) != lanes * columns or len(activations) != lanes or 2 * len(weight_word) != columns:
        raise KernelError(
            f"mac_step: {len(activations)} activations, a weight word of {len(weight_word)} bytes and "
            f"{len(acc)} accumulators do not fit an array of {lanes} lanes x {columns} columns"
        )
    lib.tlm_mac_step(acc, activations, bytes(weight_word), lanes, columns)


class MacPass:
    """Every step of one tile for one group, pass after pass of a layer.

    What is the same for all of them is checked and looked up once: a memory or an array of patterns is known again by
    its identity, and must not change its size meanwhile. Steps and unpacked weights are kept from pass to pass of a
    group, as long as the very bytes that they were made of lie there.

    Args:
        geometry: the layer.
        simd: one of the host's instruction sets.

    Raises:
        KernelError: another kind of layer.
    """

    def __init__(self, geometry: Geometry, simd: Simd = Simd.BEST) -> None:
        check_kind(geometry, LayerKind.CONVOLUTION)
        self._geometry, self._simd = geometry, simd
        self._patterns_per_group = geometry.patterns_per_group
        self._amem, self._wmem = MemoryView(geometry.lanes), MemoryView(geometry.columns)
        self._patterns: npt.NDArray[np.uint64] | None = None
        self._group, self._room_words = ffi.NULL, -1

    def __call__(
        self,
        amem: Memory,
        wmem: Memory,
        first_weight_word: int,
        patterns: npt.NDArray[np.uint64],
        tile: int,
        acc: Buffer,
    ) -> int:
        """Overwrite ``acc``; returns the number of weight words consumed.

        Args:
            amem, wmem: the memories.
            first_weight_word: of the group.
            patterns: 60-bit payloads of the group's pattern words, (patterns_per_group,).
            tile: counted from the geometry's first_tile.
            acc: accumulators.

        Raises:
            KernelError: an address outside amem or wmem, a pattern bit beyond the last channel or tap, wrong sizes, an
                instruction set that the host has not got.
        """
        g = self._geometry
        check_tile(g, tile)
        check_accumulators(g, acc)
        if patterns is not self._patterns:
            self._payloads, self._patterns = payloads_of(patterns, self._patterns_per_group), patterns
        amem_view, wmem_view = self._amem.of(amem), self._wmem.of(wmem)
        sizes = self._amem.words, self._wmem.words
        if sizes[1] != self._room_words:
            self._make_room(sizes[1])
        consumed: int = _NO_WEIGHTS
        if 0 <= first_weight_word <= sizes[1]:
            consumed = lib.tlm_mac_pass(
                g.pointer, amem_view, sizes[0], wmem_view, sizes[1], first_weight_word, self._payloads,
                self._patterns_per_group, tile, self._simd, self._group, acc,
            )  # fmt: skip
        if consumed < 0:
            refuse(consumed, g, *sizes, first_weight_word)
        return consumed

    def _make_room(self, wmem_words: int) -> None:
        """Room for any group whose weight words lie in so large a WMem."""
        g = self._geometry
        steps = min(g.channels * g.taps, wmem_words)
        self._rooms = (
            ffi.new("tlm_step[]", max(steps, 1)),
            ffi.new("uint32_t[]", (steps + 4) * g.columns // 4),
            ffi.new("uint64_t[]", self._patterns_per_group),
            ffi.new("uint8_t[]", max(steps * g.columns // 2, 1)),
        )
        names = "steps", "weights", "patterns", "words"
        self._group = ffi.new("tlm_mac_group *", dict(zip(names, self._rooms, strict=True)))
        self._room_words = wmem_words


def mac_layer(
    geometry: Geometry,
    amem: Memory,
    wmem: Memory,
    first_weight_word: int,
    patterns: npt.NDArray[np.uint64],
    simd: Simd = Simd.BEST,
) -> tuple[npt.NDArray[np.int32], int]:
    """Every pass of a layer or band: accumulators (out_channels, tiles * lanes) and the weight words consumed.

    Args:
        geometry: the layer.
        amem, wmem: the memories.
        first_weight_word: of the first group; the groups' weight words follow each other.
        patterns: 60-bit payloads, (groups, patterns_per_group).
        simd: one of the host's instruction sets.

    Raises:
        KernelError: as :class:`MacPass`.
    """
    g = geometry
    check_kind(g, LayerKind.CONVOLUTION)
    amem_view, wmem_view = MemoryView(g.lanes), MemoryView(g.columns)
    views = amem_view.of(amem), wmem_view.of(wmem)
    payloads = payloads_of(patterns, g.groups * g.patterns_per_group)
    acc = np.empty((g.out_channels, g.tiles * g.lanes), np.int32)
    consumed: int = _NO_WEIGHTS
    if 0 <= first_weight_word <= wmem_view.words:
        consumed = lib.tlm_mac_layer(
            g.pointer, views[0], amem_view.words, views[1], wmem_view.words, first_weight_word, payloads,
            g.patterns_per_group, simd, ffi.from_buffer("int32_t[]", acc, require_writable=True),
        )  # fmt: skip
    if consumed < 0:
        refuse(consumed, g, amem_view.words, wmem_view.words, first_weight_word)
    return acc, consumed


def check_kind(geometry: Geometry, kind: LayerKind) -> None:
    """Nothing if a layer is of this kind.

    Raises:
        KernelError: it is of another.
    """
    if geometry.kind is not kind:
        raise KernelError(f"a layer of kind {geometry.kind.name} cannot be computed as {kind.name}")


def check_accumulators(geometry: Geometry, acc: Buffer) -> None:
    """Nothing if there is an accumulator for each lane of each column.

    Raises:
        KernelError: there are more or fewer.
    """
    if len(acc) != geometry.lanes * geometry.columns:
        raise KernelError(f"pass: {len(acc)} accumulators, but {geometry.lanes} x {geometry.columns} are needed")
