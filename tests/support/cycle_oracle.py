"""engine.md (Layout, Banks, A pass) played cycle by cycle for a layer with resident data; shares no code with tlm.

Plain numbers and integer weights in, s_0 = cycle 0. Max pooling has "weights" (O, 1, kh, kw) that are not 0 where a tap
is valid, groups=O and pooling=True. A band is a range of tiles and three plane strides; tiles count from its first.
"""

import itertools
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any


@dataclass
class Pass:
    """A tile of pixels for a group of output channels: its cycles s, e, h and last write, its steps and refusals."""

    group: int
    tile: int
    s: int = 0
    e: int = -1
    h: int = -1
    last_write: int = -1
    counts: Counter[str] = field(default_factory=Counter)


def play(
    weights: Any, height: int, width: int, *, pads: Sequence[int] = (0, 0, 0, 0), stride: Sequence[int] = (1, 1),
    dilation: Sequence[int] = (1, 1), groups: int = 1, input_base: int = 0, output_base: int = 0,
    residual_base: int | None = None, accumulator_output: bool = False, lanes: int = 32, columns: int = 32,
    banks: int = 4, pipeline: int | None = None, gap: int = 3, requantiser: int = 3, pooling: bool = False,
    first_tile: int = 0, tile_count: int | None = None, output_plane: int | None = None,
    residual_plane: int | None = None, input_first: int = 0, input_plane: int | None = None,
) -> list[Pass]:  # fmt: skip
    """Weights (O, C // groups, kh, kw); pads (top, bottom, left, right); bases, planes in words; times in cycles."""
    out_channels, per_group, kh, kw = map(int, weights.shape)
    out_h = (height + pads[0] + pads[1] - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    out_w = (width + pads[2] + pads[3] - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    whole = -(-out_h * out_w // lanes)
    tiles = whole - first_tile if tile_count is None else tile_count
    plane_in = -(-height * width // lanes) if input_plane is None else input_plane
    plane_out = whole if output_plane is None else output_plane
    plane_residual = whole if residual_plane is None else residual_plane
    slots = 6 if accumulator_output else 1  # entry slots and AMem words of a channel
    pipeline = 3 + lanes.bit_length() if pipeline is None else pipeline  # e+1 .. e+9: 4 stages and log2(lanes)

    def n(now: Pass) -> int:  # channels (planes) of the pass's group
        return min(columns, out_channels - now.group * columns) * slots

    def bank(base: int, plane: int, now: Pass, j: int) -> int:  # of the output or residual word of channel (plane) j
        return (base + (now.group * columns * slots + j) * plane + now.tile) % banks

    @cache
    def stored(group: int, c: int, tap: int) -> bool:  # the weight word (group, c, tap) has a non-zero weight
        outputs = range(group * columns, min((group + 1) * columns, out_channels))
        mine = [o for o in outputs if o * groups // out_channels == c // per_group]
        return any(weights[o, c % per_group, tap // kw, tap % kw] != 0 for o in mine)

    @cache
    def words(tile: int, tap: int) -> set[int]:  # of a plane that hold the in-bounds source pixels of the tile's lanes
        pixels = range(tile * lanes, min((tile + 1) * lanes, out_h * out_w))
        ys = [pixel // out_w * stride[0] + tap // kw * dilation[0] - pads[0] for pixel in pixels]
        xs = [pixel % out_w * stride[1] + tap % kw * dilation[1] - pads[2] for pixel in pixels]
        inside = [(y, x) for y, x in zip(ys, xs, strict=True) if 0 <= y < height and 0 <= x < width]
        return {(y * width + x) // lanes for y, x in inside}

    @cache
    def fetch(tile: int, c: int, tap: int) -> list[set[int]]:  # the banks of r cycles: each serves its k-th word
        held = Counter((input_base + c * plane_in - input_first + word) % banks for word in words(tile, tap))
        return [{b for b in held if k < held[b]} for k in range(max(held.values(), default=1))]

    def sequencer(now: Pass) -> Iterator[set[int]]:  # for each cycle s .. e the banks that the aligner occupies
        per_word, spoken_of = max(60 // (kh * kw), 1), range(per_group * groups)
        if pooling:  # the words of a group speak of its own channels only
            spoken_of = range(now.group * columns, min((now.group + 1) * columns, out_channels))
        words_of = itertools.product(range(spoken_of.start, spoken_of.stop, per_word), range(0, kh * kw, 60))
        for first, first_tap in words_of:  # a pattern word
            some, taps = range(first, min(first + per_word, spoken_of.stop)), range(kh * kw)[first_tap : first_tap + 60]
            steps = [(c, tap) for c in some for tap in taps if stored(now.group, c, tap)]
            now.counts.update(steps=len(steps), empty_words=not steps)
            if not steps:
                yield set()  # costs one cycle
            for c, tap in steps:
                yield from fetch(first_tile + now.tile, c, tap)

    passes = [Pass(group, tile) for group in range(-(-out_channels // columns)) for tile in range(tiles)]
    coming = iter(passes[1:])
    fetching, draining, fetches = passes[0], passes[0], deque(sequencer(passes[0]))
    entries, stages, cycle = list[int](), [-1] * requantiser, 0  # channels yet to enter, in the stages (-1: none)
    while passes[-1].h < 0 or entries or max(stages) >= 0:
        busy: set[int] = set()
        if fetches and cycle >= fetching.s:  # the aligner comes first
            busy, fetching.e = {*fetches.popleft()}, cycle
        if entries or max(stages) >= 0:
            last = bank(output_base, plane_out, draining, stages[-1])
            if stages[-1] >= 0 and last in busy:  # all stages and the entry freeze
                draining.counts["refused_writes"] += 1
            else:
                if stages[-1] >= 0:
                    busy.add(last)
                    draining.last_write = cycle
                stages = [-1, *stages[:-1]]
                at = residual_base if entries else None
                if at is not None and bank(at, plane_residual, draining, entries[0]) in busy:
                    draining.counts["refused_residual_reads"] += 1  # delays only the entry
                elif entries:
                    stages[0] = entries.pop(0)
        elif not fetches and cycle > fetching.e + pipeline:  # hand-over, after the previous pass's last write
            fetching.h, draining, entries = cycle, fetching, list(range(n(fetching)))
            if fetching is not passes[-1]:
                fetching = next(coming)
                g = gap if fetching.group == draining.group else max(gap, n(fetching) + 1)
                fetching.s, fetches = cycle + 1 + g, deque(sequencer(fetching))
        cycle += 1
    return passes  # passes[-1].last_write + 1 is the layer's compute_cycles
