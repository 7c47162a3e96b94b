"""The C kernels of the array: each way to call them, by step, pass and layer, gives onnxruntime's integers."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import numpy.typing as npt
import pytest
from examples import examples
from hypothesis import given, seed, settings
from images import Images, aligned, geometry_of, pattern_place
from oracles import conv_integer
from strategies import ARRAY_SIZES, Case, cases, extremes, limits_case

from tlm.chip import kernels


def by_layer(images: Images, simd: kernels.Simd = kernels.Simd.BEST) -> npt.NDArray[np.int32]:
    """(O, tiles * lanes) from one call."""
    acc, consumed = kernels.mac_layer(images.geometry, images.amem, images.wmem, 0, images.patterns, simd)
    assert consumed == images.weight_words
    return acc


def by_pass(images: Images) -> npt.NDArray[np.int32]:
    """The same from one call a pass."""
    g = images.geometry
    run_pass = kernels.MacPass(g)
    rows = np.zeros((g.groups * g.columns, g.tiles, g.lanes), np.int32)
    acc = kernels.new_accumulators(g.lanes, g.columns)
    first = 0
    for group in range(g.groups):
        for tile in range(g.tiles):
            used = run_pass(images.amem, images.wmem, first, images.patterns[group], tile, acc)
            rows[group * g.columns : (group + 1) * g.columns, tile] = kernels.accumulators_array(acc, g.lanes)
        first += used
    assert first == images.weight_words
    return rows[: g.out_channels].reshape(g.out_channels, -1)


def by_step(images: Images) -> npt.NDArray[np.int32]:
    """The same from one call a step: what the beat model's blocks do."""
    g = images.geometry
    rows = np.zeros((g.groups * g.columns, g.tiles, g.lanes), np.int32)
    plane = -(-g.height * g.width // g.lanes)
    word_bytes, weight_bytes = g.lanes // 2, g.columns // 2
    plans = {(tile, tap): kernels.tap_words(g, tile, tap) for tile in range(g.tiles) for tap in range(g.taps)}
    next_word = 0
    for group in range(g.groups):
        first_word = next_word
        for tile in range(g.tiles):
            next_word = first_word
            acc = kernels.new_accumulators(g.lanes, g.columns)
            for channel, tap in steps(images, group):
                words, select = plans[tile, tap]
                starts = [(g.input_base_word + channel * plane + i) * word_bytes for i in words]
                fetched = b"".join(images.amem[start : start + word_bytes] for start in starts)
                activations = aligned(fetched, select, g.input_signed)
                weights = images.wmem[next_word * weight_bytes : (next_word + 1) * weight_bytes]
                kernels.mac_step(acc, activations, weights, g.lanes, g.columns)
                next_word += 1
            rows[group * g.columns : (group + 1) * g.columns, tile] = kernels.accumulators_array(acc, g.lanes)
    return rows[: g.out_channels].reshape(g.out_channels, -1)


def steps(images: Images, group: int) -> list[tuple[int, int]]:
    """(channel, tap) of each set pattern bit, in order."""
    g = images.geometry
    patterns, order = images.patterns[group].tolist(), itertools.product(range(g.channels), range(g.taps))
    return [step for step in order if patterns[(at := pattern_place(*step, g.taps))[0]] >> at[1] & 1]


def check_sums(case: Case) -> None:
    images = Images(case)
    g = images.geometry
    expected = conv_integer(case.layer, case.activations, case.network.signed_input).reshape(g.out_channels, -1)
    of_simds = {simd.name: partial(by_layer, simd=simd) for simd in kernels.host_simds()}
    for name, method in {**of_simds, "by pass": by_pass, "by step": by_step}.items():
        sums = method(images)
        np.testing.assert_array_equal(sums[:, : g.out_pixels], expected, err_msg=f"{name}: {case}")
        assert not sums[:, g.out_pixels :].any(), f"{name}: lanes beyond the last pixel are not 0"


@pytest.mark.thorough
@pytest.mark.parametrize("lanes", ARRAY_SIZES)
@pytest.mark.parametrize("columns", ARRAY_SIZES)
def test_generated_layers_equal_onnxruntime(lanes: int, columns: int) -> None:
    @seed(100 * lanes + columns)
    @examples(50)
    @given(cases(lanes, columns))
    def check(case: Case) -> None:
        check_sums(case)

    check()


@pytest.mark.slow
@pytest.mark.parametrize("lanes", ARRAY_SIZES)
def test_many_larger_layers_equal_onnxruntime(lanes: int) -> None:
    @seed(lanes)
    @settings(max_examples=250)
    @given(cases(lanes, max_size=40))
    def check(case: Case) -> None:
        check_sums(case)

    check()


HIGHEST = "accumulator at its highest"
"""In the slow suite: one more than it is in test_accumulators_wrap_like_24_bit_registers."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name == HIGHEST)) for name in extremes()]
)
def test_extremes_equal_onnxruntime(name: str) -> None:
    check_sums(extremes()[name])


@pytest.mark.parametrize("total", [(1 << 23) - 1, pytest.param(-(1 << 23), marks=pytest.mark.slow)])
def test_accumulators_wrap_like_24_bit_registers(total: int) -> None:
    one_more = 1 if total > 0 else -1
    wrapped = -(1 << 23) if total > 0 else (1 << 23) - 1
    beyond = Images(limits_case(total + one_more))
    for method in (by_step, by_pass, by_layer):
        assert method(beyond)[0, 0] == wrapped, method.__name__


def test_tap_words_are_distinct_and_ascending() -> None:
    case = extremes()["7x7 with stride 2"]
    g = geometry_of(case, 0)
    words, select = kernels.tap_words(g, 1, 10)
    lanes = kernels.select_lanes(select, g.lanes)
    assert words == sorted(set(words))
    for lane, source in enumerate(lanes):
        out_y, out_x = divmod(g.lanes + lane, g.out_width)
        y, x = out_y * 2 + 10 // 7 - 3, out_x * 2 + 10 % 7 - 3
        inside = out_y < g.out_height and 0 <= y < g.height and 0 <= x < g.width
        if inside:
            assert words[source // g.lanes] * g.lanes + source % g.lanes == y * g.width + x
        else:
            assert source == -1


def test_a_flipped_bit_changes_what_is_computed() -> None:
    images = Images(extremes()["signed input"])
    good = by_layer(images)
    for memory in ("amem", "wmem"):
        flipped = bytearray(getattr(images, memory))
        flipped[len(flipped) // 2] ^= 0x10
        other = Images(extremes()["signed input"])
        setattr(other, memory, bytes(flipped))
        assert (by_layer(other) != good).any(), memory


def test_what_a_pass_keeps_of_its_group_follows_the_bytes() -> None:
    images = Images(extremes()["signed input"])
    g, wmem, patterns = images.geometry, bytearray(images.wmem), images.patterns[0].copy()
    acc, run_pass = kernels.new_accumulators(g.lanes, g.columns), kernels.MacPass(g)

    def sums(kernel: kernels.MacPass, first_weight_word: int = 0) -> list[int]:
        kernel(images.amem, wmem, first_weight_word, patterns, 0, acc)
        return kernels.accumulators_array(acc, g.lanes).ravel().tolist()

    seen = [sums(run_pass)]
    wmem[0] ^= 0x10
    seen.append(sums(run_pass))
    patterns[0] &= patterns[0] - np.uint64(1)  # the first step is left out, in the very array that was seen before
    seen.append(sums(run_pass))
    seen.append(sums(run_pass, 1))
    assert sums(kernels.MacPass(g), 1) == seen[-1]
    assert len({tuple(one) for one in seen}) == len(seen)
    with pytest.raises(kernels.KernelError, match="WMem"):
        run_pass(images.amem, wmem, 2 * len(wmem) // g.columns - 1, patterns, 0, acc)
    assert sums(run_pass, 1) == seen[-1]


def test_the_host_has_a_portable_kernel_and_no_others_than_it_says() -> None:
    images = Images(extremes()["signed input"])
    acc = kernels.new_accumulators(images.geometry.lanes, images.geometry.columns)
    has = kernels.host_simds()
    assert has[0] is kernels.Simd.PORTABLE
    for simd in set(kernels.Simd) - {*has, kernels.Simd.BEST}:
        run_pass = kernels.MacPass(images.geometry, simd)
        with pytest.raises(kernels.KernelError, match="has not got this instruction set"):
            by_layer(images, simd)
        with pytest.raises(kernels.KernelError, match="has not got this instruction set"):
            run_pass(images.amem, images.wmem, 0, images.patterns[0], 0, acc)
