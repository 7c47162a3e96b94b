"""Costs in closed form, good enough to choose between plans (docs/compiler.md).

Passes are taken without refused accesses, fetches at one cycle a step; exact cycles are predicted when tensors have
their places (:mod:`tlm.chip.kernels.timing`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from tlm.chip.config import ChipConfig
from tlm.chip.format.layer_header import HEADER_WORDS
from tlm.compiler.tiling import GroupRange, split_groups
from tlm.compiler.workload import Workload
from tlm.network.layers import MaxPool2d


@dataclass(frozen=True, slots=True)
class LayerCosts:
    """Costs of one layer that do not depend on how it is cut."""

    pass_cycles: int
    """Cycles of one tile through all groups: sum of max(S + pipeline + 1 + gap, n + requantiser + 1) (engine.md)."""
    part_cycles: int
    """What each further part adds: header, parameters, the pipeline's and the requantiser's emptying, a restart."""
    ranges: tuple[GroupRange, ...]
    """The groups as WMem and IMem divide them."""
    own_inputs: bool
    """Each group reads only its own input channels (max pooling, grouped convolutions)."""
    instruction_bytes: int


def layer_costs(work: Workload, index: int, part_words: int | None = None) -> LayerCosts:
    """The figures of a layer whose parts take at most so many words of WMem.

    Raises:
        CompileError: as :func:`tlm.compiler.tiling.split_groups`.
    """
    layer, weights, config = work.network.layers[index], work.weights[index], work.config
    ranges, per_channel = split_groups(work, index, part_words), work.per_channel[layer.name]
    emptying = config.pipeline_cycles + 1 + config.pass_gap_cycles
    passes = 0
    for group in range(weights.groups):
        slots = min(config.columns, layer.out_channels - group * config.columns) * per_channel
        passes += max(weights.sequencer_cycles(group) + emptying, slots + config.requantiser_cycles + 1)
    part = HEADER_WORDS + 2 * work.group_slots(layer) + config.pipeline_cycles + config.requantiser_cycles
    return LayerCosts(
        pass_cycles=passes,
        part_cycles=part + restart_cycles(config),
        ranges=ranges,
        own_inputs=isinstance(layer, MaxPool2d) or weights.channels is not None,
        instruction_bytes=sum(one.instruction_words for one in ranges) * config.imem_word_bytes,
    )


def shared_from(work: Workload, costs: Sequence[LayerCosts], batch: int) -> int | None:
    """The layer from which on a batch should load each part's weights once for all images, instead of once for each.

    The activations then move for every part. None if that gains nothing.
    """
    config, gains = work.config, list[float]()
    for layer, weights, own in zip(work.network.layers, work.weights, costs, strict=True):
        compute = own.pass_cycles * work.plane_words[layer.name] + own.part_cycles * len(own.ranges)
        load = load_cycles(weights.word_count * config.wmem_word_bytes + own.instruction_bytes, config)
        times = 1 if own.own_inputs else len(own.ranges)
        words = work.words[work.network.inputs[layer.name]] * times
        words += 0 if layer.residual is None else work.words[layer.residual]
        moved = load_cycles(words * config.amem_word_bytes, config) + load / batch
        gains.append(max(compute, load) - max(compute, moved))
    total, best = 0.0, (0.0, len(gains))
    for index in range(len(gains) - 1, -1, -1):
        total += gains[index]
        best = max(best, (total, index))
    return best[1] if best[0] > 0 else None


def load_cycles(size_bytes: int, config: ChipConfig, rows: int = 1) -> int:
    """Cycles that loading so many bytes takes, roughly: by latency and bandwidth of bursts.

    Args:
        size_bytes: of all rows.
        config: the chip.
        rows: of the transfer, equally long; where they begin within a burst's bytes is taken as random.
    """
    return _transfer_cycles(size_bytes, config, rows, burst_cycles=0)


def store_cycles(size_bytes: int, config: ChipConfig, word_bytes: int, rows: int = 1) -> int:
    """The same for storing: a burst's words are read from the SRAM one a cycle before it is sent."""
    words = min(config.burst_bytes, max(1, size_bytes // rows)) / word_bytes
    return _transfer_cycles(size_bytes, config, rows, burst_cycles=words)


def _transfer_cycles(size_bytes: int, config: ChipConfig, rows: int, burst_cycles: float) -> int:
    if not size_bytes:
        return 0
    memory, in_flight = _memory(config), config.dma_bursts_in_flight
    latency = memory.write_cycles if burst_cycles else memory.read_cycles
    if rows == 1:
        bursts: float = -(-size_bytes // config.burst_bytes)
        burst_bytes: float = min(size_bytes, config.burst_bytes)
        waves, behind = -(-bursts // in_flight), (bursts - 1) % in_flight
    else:
        bursts = rows + max(0, size_bytes - rows * config.bus_bytes) / config.burst_bytes
        burst_bytes = size_bytes / bursts
        waves, behind = max(1.0, bursts / in_flight), 1
    service = max(1.0, burst_bytes / config.bus_bytes) * memory.beat_cycles
    round_trip = burst_cycles + latency + math.ceil(service - memory.beat_cycles)
    missing = (bursts * burst_bytes - size_bytes) / config.bus_bytes * memory.beat_cycles
    streaming = latency + burst_cycles + bursts * max(service, burst_cycles)
    row_cycles = memory.row_cycles * (1 + size_bytes / memory.row_bytes)
    moving = max(streaming, waves * round_trip + behind * max(service, burst_cycles)) - missing
    return round((moving + row_cycles) * memory.refresh_share)


@dataclass(frozen=True, slots=True)
class _Memory:
    """What the off-chip memory costs."""

    read_cycles: float
    """From a request to its first beat."""
    write_cycles: float
    """From a request to the answer, but for its beats."""
    beat_cycles: float
    """From beat to beat."""
    row_cycles: float = 0.0
    """To open a row of DRAM,"""
    row_bytes: float = 1.0
    """which holds so many bytes."""
    refresh_share: float = 1.0
    """By what refreshes stretch the time."""


@lru_cache(maxsize=16)
def _memory(config: ChipConfig) -> _Memory:
    if not config.uses_dram:
        cycles = config.cycles_of_ns(config.memory_latency_ns) + 3
        return _Memory(cycles, cycles, float(config.memory_beat_cycles))
    dram, clock = config.dram, float(config.dram_clock_cycles)
    first_data = dram.cl_clocks + dram.burst_clocks
    bursts, bytes_at_once = config.dma_bursts_in_flight - 1, dram.access_bytes * dram.channels
    ahead = bursts * dram.tccd_clocks * config.burst_bytes / bytes_at_once
    # Bursts that are in the queue keep their row open until the next one comes, if they take that long.
    closed = dram.trcd_clocks if dram.page_policy == "closed" and ahead < first_data else 0
    return _Memory(
        read_cycles=(closed + first_data) * clock + 3,
        write_cycles=(closed + dram.cwl_clocks + dram.burst_clocks) * clock + config.burst_bytes / config.bus_bytes + 3,
        beat_cycles=max(1.0, dram.tccd_clocks * clock * config.bus_bytes / bytes_at_once),
        row_cycles=(dram.trp_clocks + dram.trcd_clocks) * clock,
        row_bytes=dram.channels * dram.row_accesses * dram.access_bytes,
        refresh_share=1 + (dram.trp_clocks + dram.trfc_clocks + dram.trcd_clocks) / dram.trefi_clocks,
    )


def restart_cycles(config: ChipConfig) -> int:
    """Cycles between the end of one job and the first header of the next: interrupt and four register accesses."""
    return interrupt_cycles(config) + 4 * access_cycles(config) + 2


@lru_cache(maxsize=16)
def access_cycles(config: ChipConfig) -> int:
    """A register access of the host."""
    return config.cycles_of_ns(config.host_access_ns) + 2


@lru_cache(maxsize=16)
def interrupt_cycles(config: ChipConfig) -> int:
    """From an interrupt to the driver's next instruction."""
    return config.cycles_of_ns(config.host_interrupt_ns)
