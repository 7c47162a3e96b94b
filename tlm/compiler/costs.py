"""Costs in closed form, good enough to choose between plans (docs/compiler.md).

Passes are taken without refused accesses; exact cycles are predicted when tensors have
their places (:mod:`tlm.chip.kernels.timing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from msgspec import Struct

from tlm.chip.config import ChipConfig
from tlm.chip.format.layer_header import HEADER_WORDS
from tlm.compiler.raster import Raster
from tlm.compiler.tiling import GroupRange, check_groups, split_groups
from tlm.compiler.workload import Workload
from tlm.network.layers import MaxPool2d

_TILES = 32
"""Tiles of a layer that are looked at to tell how long fetches take."""


class LayerCosts(Struct, frozen=True):
    """Costs of one layer that do not depend on how it is cut into bands."""

    cycles_before: tuple[int, ...]
    """For each group, and behind the last one: cycles of one tile through all groups before it, each
    max(S + pipeline + 1 + gap, n + requantiser + 1) (engine.md)."""
    part_cycles: int
    """What each further part adds: header, parameters, the pipeline's and the requantiser's emptying, a restart."""
    ranges: tuple[GroupRange, ...]
    """The groups as they run together."""
    own_inputs: bool
    """Each group reads only its own input channels (max pooling, grouped convolutions)."""
    instruction_bytes: int

    @property
    def pass_cycles(self) -> int:
        """Cycles of one tile through all groups."""
        return self.cycles_before[-1]


def layer_costs(work: Workload, index: int) -> LayerCosts:
    """The figures of a layer whose parts are as large as the memories allow.

    Raises:
        CompileError: as :func:`tlm.compiler.tiling.check_groups`.
    """
    check_groups(work, index)
    layer, weights, config = work.network.layers[index], work.weights[index], work.config
    ranges, per_channel = split_groups(work, index), work.per_channel[layer.name]
    emptying = config.pipeline_cycles + 1 + config.pass_gap_cycles
    more = fetch_cycles(work.rasters[layer.name], config) - 1
    cycles = [0]
    for group in range(weights.groups):
        slots = min(config.columns, layer.out_channels - group * config.columns) * per_channel
        sequencer = weights.sequencer_cycles(group) + round(more * weights.step_counts[group])
        cycles.append(max(sequencer + emptying, slots + config.requantiser_cycles + 1))
    part = HEADER_WORDS + 2 * work.group_slots(layer) + config.pipeline_cycles + config.requantiser_cycles
    return LayerCosts(
        cycles_before=tuple(accumulate(cycles)),
        part_cycles=part + work.chip_costs.restart_cycles,
        ranges=ranges,
        own_inputs=isinstance(layer, MaxPool2d) or weights.channels is not None,
        instruction_bytes=sum(one.instruction_words for one in ranges) * config.imem_word_bytes,
    )


def fetch_cycles(raster: Raster, config: ChipConfig) -> float:
    """r of a layer's steps (engine.md, A pass), on average over its taps and over some of its tiles.

    Without strides and dilation a step's pixels lie in words that follow each other, and r is taken as 1.
    """
    if max(*raster.stride, *raster.dilation) == 1:
        return 1.0
    lanes, (out_height, out_width), (height, width) = config.lanes, raster.out_size, raster.size
    tiles = np.linspace(0, -(-out_height * out_width // lanes) - 1, _TILES).astype(np.int64)
    pixels = (tiles[:, None] * lanes + np.arange(lanes))[:, None]  # tiles, taps, lanes
    tap_y, tap_x = np.divmod(np.arange(raster.kernel[0] * raster.kernel[1])[:, None], raster.kernel[1])
    y = pixels // out_width * raster.stride[0] + tap_y * raster.dilation[0] - raster.pads.top
    x = pixels % out_width * raster.stride[1] + tap_x * raster.dilation[1] - raster.pads.left
    inside = (pixels < out_height * out_width) & (y >= 0) & (y < height) & (x >= 0) & (x < width)
    words = np.maximum.accumulate(np.where(inside, (y * width + x) // lanes, -1), axis=-1)
    new = np.diff(words, axis=-1, prepend=-1) > 0
    banks = words % config.amem_banks
    most = [np.count_nonzero(new & (banks == bank), axis=-1) for bank in range(config.amem_banks)]
    return float(np.maximum.reduce([np.ones_like(most[0]), *most]).mean())


def shared_from(work: Workload, costs: Sequence[LayerCosts], batch: int) -> int | None:
    """The layer from which on a batch should load each part's weights once for all images, instead of once for each.

    The activations then move for every part. None if that gains nothing.
    """
    config, gains = work.config, list[float]()
    for layer, weights, own in zip(work.network.layers, work.weights, costs, strict=True):
        compute = own.pass_cycles * work.plane_words[layer.name] + own.part_cycles * len(own.ranges)
        load = work.chip_costs.load_cycles(weights.word_count * config.wmem_word_bytes + own.instruction_bytes)
        times = 1 if own.own_inputs else len(own.ranges)
        words = work.words[work.network.inputs[layer.name]] * times
        words += 0 if layer.residual is None else work.words[layer.residual]
        moved = work.chip_costs.load_cycles(words * config.amem_word_bytes) + load / batch
        gains.append(max(compute, load) - max(compute, moved))
    total, best = 0.0, (0.0, len(gains))
    for index in range(len(gains) - 1, -1, -1):
        total += gains[index]
        best = max(best, (total, index))
    return best[1] if best[0] > 0 else None
