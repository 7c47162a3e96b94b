"""kernels/pool.c: max pooling step by step, for a pass or for a whole layer."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tlm._kernels import ffi, lib
from tlm.chip.kernels.buffers import Buffer, KernelError, Memory, MemoryView, check_sizes, payloads_of
from tlm.chip.kernels.geometry import Geometry, LayerKind, check_tile, refuse
from tlm.chip.kernels.mac import check_accumulators, check_kind


def pool_step(acc: Buffer, activations: Buffer, row: int, lanes: int) -> None:
    """One step of max pooling: ``acc[row, lane]`` becomes ``activations[lane]`` where that is larger.

    Raises:
        KernelError: sizes that do not belong together, no such row.
    """
    check_sizes(lanes=lanes)
    if len(activations) != lanes or not 0 <= row < len(acc) // lanes:
        raise KernelError(
            f"pool_step: {len(activations)} activations do not fit row {row} of {len(acc)} accumulators "
            f"in {lanes} lanes"
        )
    lib.tlm_pool_step(acc, activations, row, lanes)


class PoolPass:
    """Every step of max pooling of one tile for one group, pass after pass of a layer (as ``MacPass``)."""

    def __init__(self, geometry: Geometry) -> None:
        check_kind(geometry, LayerKind.MAX_POOLING)
        self._geometry = geometry
        self._amem = MemoryView(geometry.lanes)

    def __call__(self, amem: Memory, patterns: npt.NDArray[np.uint64], group: int, tile: int, acc: Buffer) -> int:
        """Overwrite ``acc``; returns the number of steps.

        Rows beyond the group's channels, lanes beyond the last pixel and windows without a pixel hold the lowest
        activation.

        Args:
            amem: the memory.
            patterns: 60-bit payloads of the group's pattern words, zeros after them up to (patterns_per_group,).
            group: of output channels.
            tile: counted from the geometry's first_tile.
            acc: accumulators.

        Raises:
            KernelError: an address outside amem, a pattern bit beyond the group's last channel or tap, wrong sizes.
        """
        g = self._geometry
        check_tile(g, tile)
        check_accumulators(g, acc)
        if not 0 <= group < g.groups:
            raise KernelError(f"group {group}: the output has groups 0..{g.groups - 1}")
        view, payloads = self._amem.of(amem), payloads_of(patterns, g.patterns_per_group)
        steps: int = lib.tlm_pool_pass(
            g.pointer, view, self._amem.words, payloads, g.patterns_per_group, group, tile, acc
        )
        if steps < 0:
            refuse(steps, g, self._amem.words)
        return steps


def pool_layer(geometry: Geometry, amem: Memory, patterns: npt.NDArray[np.uint64]) -> npt.NDArray[np.int32]:
    """Every pass of max pooling of a layer or band: maxima int32 (channels, tiles * lanes).

    Args:
        geometry: the layer.
        amem: the memory.
        patterns: 60-bit payloads, (groups, patterns_per_group), zeros after the last group's words.

    Raises:
        KernelError: as :class:`PoolPass`.
    """
    g = geometry
    check_kind(g, LayerKind.MAX_POOLING)
    payloads = payloads_of(patterns, g.groups * g.patterns_per_group)
    memory = MemoryView(g.lanes)
    view = memory.of(amem)
    acc = np.empty((g.out_channels, g.tiles * g.lanes), np.int32)
    out = ffi.from_buffer("int32_t[]", acc, require_writable=True)
    status = lib.tlm_pool_layer(g.pointer, view, memory.words, payloads, g.patterns_per_group, out)
    if status < 0:
        refuse(status, g, memory.words)
    return acc
