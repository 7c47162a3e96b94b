"""Parts of a layer: consecutive groups of output channels whose weights and instructions are resident together."""

from __future__ import annotations

from dataclasses import dataclass

from tlm.chip.config import ChipConfig
from tlm.chip.isa import HEADER_OPCODES
from tlm.compiler.weights import LayerWeights
from tlm.core.errors import CompileError
from tlm.layers import Conv2d


@dataclass(frozen=True)
class Part:
    """Groups ``first_group .. first_group + groups - 1`` of a layer, run as a layer of its own."""

    layer_index: int
    part_index: int
    first_group: int
    groups: int
    first_channel: int
    channels: int
    weight_words: int
    instruction_words: int
    """Header, parameter and pattern words; END not counted."""


def split_layer(layer_index: int, layer: Conv2d, weights: LayerWeights, config: ChipConfig) -> list[Part]:
    """Parts of one layer, as few as the memories allow.

    A layer that fits WMem and IMem whole is one part. Otherwise parts take at most half of each memory, so that the
    next part can be loaded while the present one computes; if even a single group needs more than half, parts are
    single groups.

    Raises:
        CompileError: one group alone does not fit.
    """
    groups = len(weights.words)
    sizes = [_group_size(g, layer, weights, config.columns) for g in range(groups)]
    limits = (config.wmem_words, config.imem_words - len(HEADER_OPCODES) - 1)
    for group, size in enumerate(sizes):
        for needed, limit, memory in zip(size, limits, ("wmem", "imem"), strict=True):
            if needed > limit:
                raise CompileError(
                    f"layer {layer.name!r}: group {group} of {config.columns} output channels needs {needed} "
                    f"{memory.upper()} words, but chip.{memory}_words leaves room for {limit}; "
                    "prune the layer, split its input channels, or enlarge the memory"
                )
    if all(sum(size[i] for size in sizes) <= limits[i] for i in (0, 1)):
        counts = [groups]
    else:
        counts = _pack(sizes, (limits[0] // 2, limits[1] // 2))
    return _parts(layer_index, layer, sizes, counts, config.columns)


def _group_size(group: int, layer: Conv2d, weights: LayerWeights, columns: int) -> tuple[int, int]:
    """WMem words and IMem words of a group."""
    channels = min(columns, layer.out_channels - group * columns)
    return weights.word_counts[group], channels + weights.patterns.shape[1]


def _pack(sizes: list[tuple[int, int]], limits: tuple[int, int]) -> list[int]:
    """Numbers of consecutive groups, each within the limits or a single group, as even as their least number allows."""
    counts = _greedy(sizes, limits, len(sizes))
    least = len(counts)
    for most in range(-(-len(sizes) // least), len(sizes) + 1):
        even = _greedy(sizes, limits, most)
        if len(even) == least:
            return even
    return counts


def _greedy(sizes: list[tuple[int, int]], limits: tuple[int, int], most: int) -> list[int]:
    counts: list[int] = []
    used = (0, 0)
    for size in sizes:
        total = (used[0] + size[0], used[1] + size[1])
        if counts and counts[-1] < most and total[0] <= limits[0] and total[1] <= limits[1]:
            counts[-1] += 1
            used = total
        else:
            counts.append(1)
            used = size
    return counts


def _parts(
    layer_index: int, layer: Conv2d, sizes: list[tuple[int, int]], counts: list[int], columns: int
) -> list[Part]:
    parts, first = [], 0
    for part_index, count in enumerate(counts):
        own = sizes[first : first + count]
        first_channel = first * columns
        parts.append(
            Part(
                layer_index=layer_index,
                part_index=part_index,
                first_group=first,
                groups=count,
                first_channel=first_channel,
                channels=min(count * columns, layer.out_channels - first_channel),
                weight_words=sum(size[0] for size in own),
                instruction_words=len(HEADER_OPCODES) + sum(size[1] for size in own),
            )
        )
        first += count
    return parts
