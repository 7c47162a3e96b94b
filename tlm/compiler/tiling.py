"""Groups of output channels that run together: as few parts of a layer as WMem and IMem allow."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from msgspec import Struct

from tlm.chip.config import ChipConfig, allowed_range
from tlm.chip.format.layer_header import BANDED_HEADER_WORDS
from tlm.compiler.workload import Workload
from tlm.core.errors import CompileError
from tlm.network.layers import MaxPool2d


class GroupRange(Struct, frozen=True):
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
    block: int
    """The number of its weight words (:meth:`tlm.compiler.workload.Workload.block`)."""


def _limits(config: ChipConfig) -> tuple[int, int]:
    """WMem and IMem words that a range may have."""
    return config.wmem_words, config.imem_words - BANDED_HEADER_WORDS - 1


def check_groups(work: Workload, index: int) -> None:
    """Nothing if each group of a layer fits the memories alone.

    Raises:
        CompileError: one does not.
    """
    layer, columns, limits = work.network.layers[index], work.config.columns, _limits(work.config)
    for group, size in enumerate(work.group_words[index]):
        for needed, limit, memory in zip(size, limits, ("wmem", "imem"), strict=True):
            if needed > limit:
                parameters = min(columns, layer.out_channels - group * columns)
                raise CompileError(
                    f"layer {layer.name!r}: group {group} of {columns} output channels needs {needed} "
                    f"{memory.upper()} words, but chip.{memory}_words leaves room for {limit}; "
                    f"{_remedy(memory, needed, limit, parameters)}"
                )


def split_groups(
    work: Workload, index: int, part_words: int | None = None, most: int | None = None
) -> tuple[GroupRange, ...]:
    """The groups of one layer in as few ranges as the memories allow.

    Args:
        work, index: the layer.
        part_words: ranges take at most so many words of WMem, so that the next ones can be loaded while the present one
            computes, and at most half of the memories. By default a layer that fits the memories is one range; only
            another is cut so. Where a single group needs more, ranges are single groups.
        most: groups that a range may have at most; default: no limit.

    Each group must fit alone (:func:`check_groups`).
    """
    weights, sizes = work.weights[index], work.group_words[index]
    limits = _limits(work.config)
    most = 1 if weights.channels is not None else most or len(sizes)
    counts = [len(sizes)]
    if part_words is not None or _greedy(sizes, limits, most) != counts:
        counts = _even(sizes, (min(limits[0] // 2, part_words or limits[0]), limits[1] // 2), most)
    firsts = accumulate([0, *counts[:-1]])
    return tuple(_range(work, index, first, count) for first, count in zip(firsts, counts, strict=True))


def _range(work: Workload, index: int, first: int, count: int) -> GroupRange:
    """Groups ``first`` .. of a layer."""
    layer, weights, columns = work.network.layers[index], work.weights[index], work.config.columns
    own = work.group_words[index][first : first + count]
    outputs = min(count * columns, layer.out_channels - first * columns)
    inputs = (0, layer.in_channels) if weights.channels is None else weights.channels[first]
    if isinstance(layer, MaxPool2d):
        inputs = first * columns, first * columns + outputs
    return GroupRange(
        first=first,
        count=count,
        first_channel=first * columns,
        channels=outputs,
        first_in_channel=inputs[0],
        in_channels=inputs[1] - inputs[0],
        weight_words=sum(words for words, _ in own),
        instruction_words=sum(words for _, words in own),
        block=work.block(index, first, count),
    )


def _remedy(memory: str, needed: int, limit: int, parameters: int) -> str:
    """How to make a group fit. The engine cannot add partial sums, so input channels cannot be split."""
    if parameters > limit and memory == "imem":  # a word for each output channel
        return "give the layer fewer output channels or enlarge the memory"
    fewer = "give the layer fewer input channels or a smaller kernel"
    share = f"prune the layer to {100 * limit // needed} % of each group's weight words, "
    prune = share if memory == "wmem" else ""  # patterns speak of pruned channels too
    _, most = allowed_range(f"{memory}_words") or (0, 0)
    return f"{prune}{fewer}{' or enlarge the memory' if needed < most else ''}"


def _even(sizes: Sequence[tuple[int, int]], limits: tuple[int, int], most: int) -> list[int]:
    """Numbers of consecutive groups, each within the limits or a single group, as even as their least number allows."""
    counts = _greedy(sizes, limits, most)
    attempts = (_greedy(sizes, limits, fewer) for fewer in range(-(-len(sizes) // len(counts)), max(counts)))
    return next((even for even in attempts if len(even) == len(counts)), counts)


def _greedy(sizes: Sequence[tuple[int, int]], limits: tuple[int, int], most: int) -> list[int]:
    counts: list[int] = []
    words = instructions = 0
    for size in sizes:
        words, instructions = words + size[0], instructions + size[1]
        if counts and counts[-1] < most and words <= limits[0] and instructions <= limits[1]:
            counts[-1] += 1
        else:
            counts.append(1)
            words, instructions = size
    return counts
