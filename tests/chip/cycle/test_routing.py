"""The routing network alone: every order-preserving map, level by level, and every step of real layers."""

from __future__ import annotations

from itertools import combinations, product

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from tlm.chip import kernels
from tlm.chip.cycle.routing import LEVELS_PER_STAGE, route, through
from tlm.chip.kernels.geometry import Geometry


def sent_through(sources: tuple[int, ...], word: list[int]) -> list[int]:
    """What each lane gets of a word when the network is set for ``sources``."""
    bits = sum(nibble << 4 * i for i, nibble in enumerate(word))
    bits = through(bits, route(sources))
    return [bits >> 4 * lane & 15 for lane in range(len(sources))]


def gathered(sources: tuple[int, ...], word: list[int]) -> list[int]:
    return [word[source] if source >= 0 else 0 for source in sources]


def test_every_map_of_eight_lanes_is_routed() -> None:
    """All C(16, 8) = 12,870 ways in which some nibbles of a word of 8 go, in order, to as many lanes."""
    word = [7, 1, 12, 15, 3, 9, 2, 8]  # distinct and not 0: a nibble that is lost or changed shows
    count = 0
    for size in range(9):
        for positions, lanes in product(combinations(range(8), size), combinations(range(8), size)):
            sources = [-1] * 8
            for position, lane in zip(positions, lanes, strict=True):
                sources[lane] = position
            assert sent_through(tuple(sources), word) == gathered(tuple(sources), word)
            count += 1
    assert count == 12_870


@examples(100)
@given(st.sampled_from((8, 16, 32, 64)), st.data())
def test_maps_of_any_width_are_routed(lanes: int, data: st.DataObject) -> None:
    word = data.draw(st.lists(st.integers(0, 15), min_size=lanes, max_size=lanes))
    positions = sorted(data.draw(st.sets(st.integers(0, lanes - 1))))
    chosen = data.draw(st.permutations(range(lanes)))[: len(positions)]
    sources = [-1] * lanes
    for position, lane in zip(positions, sorted(chosen), strict=True):
        sources[lane] = position
    assert sent_through(tuple(sources), word) == gathered(tuple(sources), word)


@pytest.mark.parametrize(("lanes", "stages"), [(8, 3), (16, 4), (32, 5), (64, 6)])
def test_there_are_log2_lanes_stages_of_two_levels(lanes: int, stages: int) -> None:
    network = route(tuple(range(lanes)))
    assert len(network) == stages * LEVELS_PER_STAGE == stages * 2
    distances = [level.down_bits or level.up_bits for level in network]
    halves = [4 << bit for bit in range(stages)]
    assert distances == halves + halves[::-1]


def test_a_map_that_changes_the_order_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the sources \[3, 2\] do not increase along the lanes"):
        route((-1, 3, 2, -1, -1, -1, -1, -1))
    with pytest.raises(ValueError, match="do not increase"):
        route((4, 4, -1, -1, -1, -1, -1, -1))


@examples(100)
@given(
    st.sampled_from((8, 32)),
    st.integers(1, 4),
    st.integers(1, 7),
    st.integers(1, 3),
    st.integers(0, 6),
    st.integers(7, 40),
    st.integers(7, 40),
)
def test_every_step_of_a_layer_is_routed(
    lanes: int, stride: int, kernel: int, dilation: int, padding: int, height: int, width: int
) -> None:
    """Any stride, dilation and padding, also where the output is wider than the input."""
    size = dilation * (kernel - 1) + 1
    out_height, out_width = ((length + 2 * padding - size) // stride + 1 for length in (height, width))
    if out_height < 1 or out_width < 1:
        return
    geometry = Geometry(
        channels=1, height=height, width=width, out_channels=8, out_height=out_height, out_width=out_width,
        kernel_h=kernel, kernel_w=kernel, stride_y=stride, stride_x=stride, dilation_y=dilation, dilation_x=dilation,
        pad_top=padding, pad_left=padding, input_signed=False, lanes=lanes, columns=8,
    )  # fmt: skip
    for tile, tap in product(range(geometry.tiles), range(geometry.taps)):
        words, select = kernels.tap_words(geometry, tile, tap)
        lane_sources = kernels.select_lanes(select, lanes)
        arrived = [-1] * lanes
        for index in range(len(words)):
            sources = tuple(one % lanes if one >= 0 and one // lanes == index else -1 for one in lane_sources)
            for lane, nibble in enumerate(sent_through(sources, [i % 15 + 1 for i in range(lanes)])):
                if nibble:
                    assert arrived[lane] == -1, "two words reach one lane"
                    arrived[lane] = index * lanes + sources[lane]
        assert arrived == lane_sources
