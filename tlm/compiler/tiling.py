"""Groups of output channels that run together: as few parts of a layer as WMem and IMem allow."""

from __future__ import annotations

from dataclasses import dataclass

from tlm.chip.config import ChipConfig, allowed_range
from tlm.chip.format.layer_header import BANDED_HEADER_WORDS
from tlm.compiler.weights import LayerWeights
from tlm.core.errors import CompileError
from tlm.network.layers import Layer, MaxPool2d

WHOLE = 1


@dataclass(frozen=True, slots=True)
class GroupRange:
    """Consecutive groups of output channels of a layer, and what they need."""

    first: int
    count: int
    first_channel: int
    channels: int
    first_in_channel: int
    in_channels: int
    """Input channels that they read."""
    weight_words: int
    instruction_words: int
    """Parameter and pattern words; header and END not counted."""


def split_groups(
    layer: Layer, weights: LayerWeights, config: ChipConfig, share: int = WHOLE, most: int | None = None
) -> list[GroupRange]:
    """The groups of one layer in as few ranges as the memories allow.

    Args:
        share: ranges take at most this fraction (1/share) of WMem and IMem, so that the next ones can be loaded while
            the present one computes. :data:`WHOLE`: a layer that fits the memories is one range, another is cut into
            ranges of at most half of them. Where a single group needs more, ranges are single groups.
        most: groups that a range may have at most; default: no limit.

    Raises:
        CompileError: one group alone does not fit.
    """
    sizes = [_group_size(g, layer, weights, config.columns) for g in range(weights.groups)]
    limits = (config.wmem_words, config.imem_words - BANDED_HEADER_WORDS - 1)
    for group, size in enumerate(sizes):
        for needed, limit, memory in zip(size, limits, ("wmem", "imem"), strict=True):
            if needed > limit:
                raise CompileError(
                    f"layer {layer.name!r}: group {group} of {config.columns} output channels needs {needed} "
                    f"{memory.upper()} words, but chip.{memory}_words leaves room for {limit}; "
                    f"{_remedy(memory, needed, size[1] - weights.pattern_counts[group] > limit)}"
                )
    most = 1 if weights.channels is not None else most or len(sizes)
    if share == WHOLE and most >= len(sizes) and all(sum(size[i] for size in sizes) <= limits[i] for i in (0, 1)):
        counts = [len(sizes)]
    else:
        part = max(share, 2)
        counts = _pack(sizes, (limits[0] // part, limits[1] // part), most)
    return _ranges(layer, weights, sizes, counts, config.columns)


def _remedy(memory: str, needed: int, by_parameters: bool) -> str:
    """How to make a group fit. The engine cannot add partial sums, so input channels cannot be split."""
    if by_parameters and memory == "imem":  # a word for each output channel
        return "give the layer fewer output channels or enlarge the memory"
    fewer = "give the layer fewer input channels or a smaller kernel"
    prune = "prune the layer, " if memory == "wmem" else ""  # patterns speak of pruned channels too
    _, most = allowed_range(f"{memory}_words") or (0, 0)
    return f"{prune}{fewer}{' or enlarge the memory' if needed < most else ''}"


def _group_size(group: int, layer: Layer, weights: LayerWeights, columns: int) -> tuple[int, int]:
    """WMem words and IMem words of a group."""
    channels = min(columns, layer.out_channels - group * columns)
    return weights.word_counts[group], channels + weights.pattern_counts[group]


def _pack(sizes: list[tuple[int, int]], limits: tuple[int, int], most: int) -> list[int]:
    """Numbers of consecutive groups, each within the limits or a single group, as even as their least number allows."""
    counts = _greedy(sizes, limits, most)
    least = len(counts)
    for even_most in range(-(-len(sizes) // least), most + 1):
        even = _greedy(sizes, limits, even_most)
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


def _ranges(
    layer: Layer, weights: LayerWeights, sizes: list[tuple[int, int]], counts: list[int], columns: int
) -> list[GroupRange]:
    ranges, first = [], 0
    for count in counts:
        own = sizes[first : first + count]
        first_channel = first * columns
        channels = min(count * columns, layer.out_channels - first_channel)
        if isinstance(layer, MaxPool2d):
            inputs = first_channel, first_channel + channels
        else:
            inputs = (0, layer.in_channels) if weights.channels is None else weights.channels[first]
        ranges.append(
            GroupRange(
                first=first,
                count=count,
                first_channel=first_channel,
                channels=channels,
                first_in_channel=inputs[0],
                in_channels=inputs[1] - inputs[0],
                weight_words=sum(size[0] for size in own),
                instruction_words=sum(size[1] for size in own),
            )
        )
        first += count
    return ranges
