"""Kernels, predictor and word-by-word steps for bands and max pooling, against numpy and the per-cycle script."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from band_programs import BandCase, band_cases
from examples import examples
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from images import aligned
from msgspec import structs

from tlm.chip import kernels
from tlm.chip.config import ChipConfig
from tlm.chip.kernels.geometry import Geometry, KernelError, LayerKind
from tlm.chip.kernels.timing import Placement, predict, predict_placements
from tlm.network import golden as reference
from tlm.network.layers import Conv2d

GENERATED = examples(150, suppress_health_check=list(HealthCheck))


@st.composite
def cases(draw: st.DrawFn, banded: bool = True) -> BandCase:
    sizes = {key: draw(st.sampled_from((8, 16, 32, 64))) for key in ("lanes", "columns")}
    config = ChipConfig(**sizes, amem_banks=draw(st.sampled_from((1, 2, 4, 8))), amem_words=8192)  # type: ignore[arg-type]
    case = draw(band_cases(config, banded=banded))
    if case.valid is not None and draw(st.booleans()):  # taps that a flipped bit could leave out
        case.valid = (np.random.default_rng(1).random(case.valid.shape) < 0.5).astype(np.int8)
    return case


def geometry(case: BandCase) -> Geometry:
    return case.header().geometry(case.config.lanes, case.config.columns)


def sums(case: BandCase) -> npt.NDArray[np.int64]:
    """(channels, pixels of the band), without bias."""
    band, lanes = case.whole, case.config.lanes
    assert isinstance(case.layer, Conv2d)
    flat = reference.accumulate(case.layer, case.activations).astype(np.int64).reshape(case.layer.out_channels, -1)
    return flat[:, band.first_tile * lanes : (band.first_tile + band.tile_count) * lanes]


def maxima(case: BandCase) -> npt.NDArray[np.int64]:
    """Of the valid taps, pixel by pixel: (channels, pixels of the band)."""
    layer, band, lanes = case.layer, case.whole, case.config.lanes
    assert case.valid is not None
    (height, width), (rows, columns) = case.activations.shape[1:], case.out_size
    pixels = range(band.first_tile * lanes, min((band.first_tile + band.tile_count) * lanes, rows * columns))
    found = np.full((layer.out_channels, len(pixels)), -8 if case.signed else 0, np.int64)
    for channel, tap in np.argwhere(case.valid).tolist():
        for index, pixel in enumerate(pixels):
            y = pixel // columns * layer.stride[0] + tap // layer.kernel[1] * layer.dilation[0] - layer.pads.top
            x = pixel % columns * layer.stride[1] + tap % layer.kernel[1] * layer.dilation[1] - layer.pads.left
            if 0 <= y < height and 0 <= x < width:
                found[channel, index] = max(found[channel, index], int(case.activations[channel, y, x]))
    return found


def by_layer(case: BandCase) -> npt.NDArray[np.int32]:
    amem, (wmem, patterns) = case.amem().tobytes(), case.weights()
    if case.header().pooling:
        return kernels.pool_layer(geometry(case), amem, patterns)
    return kernels.mac_layer(geometry(case), amem, wmem, 0, patterns)[0]


def by_pass(case: BandCase) -> npt.NDArray[np.int32]:
    g, amem, (wmem, patterns), first = geometry(case), case.amem().tobytes(), case.weights(), 0
    rows = np.zeros((g.groups * g.columns, g.tiles, g.lanes), np.int32)
    acc = kernels.new_accumulators(g.lanes, g.columns)
    for group in range(g.groups):
        used = 0
        for tile in range(g.tiles):
            if case.header().pooling:
                steps = kernels.PoolPass(g)(amem, patterns[group], group, tile, acc)
                assert steps == sum(int(one).bit_count() for one in patterns[group])
            else:
                used = kernels.MacPass(g)(amem, wmem, first, patterns[group], tile, acc)
            rows[group * g.columns : (group + 1) * g.columns, tile] = kernels.accumulators_array(acc, g.lanes)
        first += used
    return rows[: g.out_channels].reshape(g.out_channels, -1)


def by_step(case: BandCase) -> npt.NDArray[np.int32]:
    """What fidelity "cycle"'s aligner and array do for a step after the other of max pooling."""
    g, amem, low = geometry(case), case.amem(), -8 if case.signed else 0
    rows = np.zeros((g.groups * g.columns, g.tiles, g.lanes), np.int32)
    assert case.valid is not None
    for group in range(g.groups):
        for tile in range(g.tiles):
            acc = kernels.new_accumulators(g.lanes, g.columns, low)
            for row, tap in np.argwhere(case.valid[group * g.columns : (group + 1) * g.columns]).tolist():
                words, select = kernels.tap_words(g, tile, tap)
                base = g.input_base_word + (group * g.columns + row) * g.plane_words
                fetched = b"".join(amem[base + one].tobytes() for one in words)
                vector = aligned(fetched, select, g.input_signed, low)
                kernels.pool_step(acc, vector, row, g.lanes)
            rows[group * g.columns : (group + 1) * g.columns, tile] = kernels.accumulators_array(acc, g.lanes)
    return rows[: g.out_channels].reshape(g.out_channels, -1)


@GENERATED
@given(cases())
def test_every_way_gives_the_band_of_the_layer(case: BandCase) -> None:
    pooling = case.header().pooling
    expected = maxima(case) if pooling else sums(case)
    beyond = (-8 if case.signed else 0) if pooling else 0
    for way in (by_layer, by_pass, by_step) if pooling else (by_layer, by_pass):
        found = way(case)
        np.testing.assert_array_equal(found[:, : expected.shape[1]], expected, err_msg=way.__name__)
        assert (found[:, expected.shape[1] :] == beyond).all(), "lanes beyond the last pixel"


@GENERATED
@given(cases())
def test_passes_of_a_band_are_passes_of_the_layer(case: BandCase) -> None:
    whole = replace(case, band=None, bases={"input": 1, "residual": 4000, "output": 6000})
    first, count = case.whole.first_tile * case.config.lanes, case.whole.tile_count * case.config.lanes
    np.testing.assert_array_equal(by_pass(case), by_pass(whole)[:, first : first + count])


@GENERATED
@given(cases())
def test_the_predictor_equals_the_oracle(case: BandCase) -> None:
    expected, header, chip, lanes = case.oracle(), case.header(), case.config, case.config.lanes
    keys: dict[str, Any] = {
        "amem_banks": chip.amem_banks, "pipeline_cycles": chip.pipeline_cycles,
        "pass_gap_cycles": chip.pass_gap_cycles, "requantiser_cycles": chip.requantiser_cycles,
        "patterns": case.weights()[1], "words_per_channel": header.slots_per_channel,
        "output_plane_words": header.output_plane_words(lanes),
        "residual_plane_words": header.residual_plane_words(lanes) if header.has_residual else None,
    }  # fmt: skip
    residual = header.residual_base_word if header.has_residual else None
    timing = predict(
        geometry(case), output_base_word=header.output_base_word, residual_base_word=residual, passes=True, **keys
    )
    assert timing.passes is not None
    figures = [(p.s, p.e, p.h, p.last_write, p.counts["steps"], p.e - p.s + 1 - p.counts["empty_words"],
                p.counts["empty_words"], p.counts["refused_writes"], p.counts["refused_residual_reads"])
               for p in expected]  # fmt: skip
    assert [tuple(one) for one in timing.passes.tolist()] == figures
    place = Placement(header.input_base_word, header.output_base_word, residual)
    assert predict_placements(geometry(case), [place], **keys) == [timing.compute_cycles]


# -- the edge -------------------------------------------------------------------------------------------------------

POOL = Geometry(
    lanes=8, columns=8, channels=10, height=4, width=4, out_channels=10, out_height=4, out_width=4, kernel_h=3,
    kernel_w=3, pad_top=1, pad_left=1, kind=LayerKind.MAX_POOLING,
)  # fmt: skip
ALL_TAPS = np.array([[(1 << 54) - 1, (1 << 18) - 1], [(1 << 18) - 1, 0]], np.uint64)


def test_the_pattern_words_of_a_pooling_group_speak_of_its_channels() -> None:
    """K = 6: 8 channels in two words; the second group's 2 channels in one."""
    assert POOL.patterns_per_group == 2
    amem = bytes(20 * 4)
    assert kernels.pool_layer(POOL, amem, ALL_TAPS).shape == (10, 16)
    acc = kernels.new_accumulators(8, 8)
    for group, index, bit in ((0, 1, 18), (1, 0, 18), (1, 1, 0)):
        wrong = ALL_TAPS.copy()
        wrong[group, index] |= np.uint64(1 << bit)
        with pytest.raises(KernelError, match="illegal pattern word"):
            kernels.PoolPass(POOL)(amem, wrong[group], group, 0, acc)
        with pytest.raises(KernelError, match="illegal pattern word"):
            kernels.pool_layer(POOL, amem, wrong)


def test_pooling_stays_within_its_buffers() -> None:
    acc = kernels.new_accumulators(8, 8)
    with pytest.raises(KernelError, match=r"AMem: the input occupies words 0\.\.19, but there are 19 words"):
        kernels.pool_layer(POOL, bytes(19 * 4), ALL_TAPS)
    with pytest.raises(KernelError, match="AMem"):
        kernels.PoolPass(POOL)(bytes(19 * 4), ALL_TAPS[1], 1, 1, acc)
    wrong: list[Any] = [
        lambda: kernels.PoolPass(POOL)(bytes(80), ALL_TAPS[0], 2, 0, acc),
        lambda: kernels.PoolPass(POOL)(bytes(80), ALL_TAPS[0], 0, 2, acc),
        lambda: kernels.PoolPass(POOL)(bytes(80), ALL_TAPS, 0, 0, acc),
        lambda: kernels.PoolPass(POOL)(bytes(80), ALL_TAPS[0], 0, 0, kernels.new_accumulators(8, 16)),
        lambda: kernels.pool_step(acc, kernels.new_activations(8), 8, 8),
        lambda: kernels.pool_step(acc, kernels.new_activations(16), 0, 8),
        lambda: kernels.mask(bytes(4), kernels.tap_words(POOL, 0, 0)[1], False, fill=16),
        lambda: kernels.mac_layer(POOL, bytes(80), b"", 0, ALL_TAPS),
        lambda: kernels.pool_layer(structs.replace(POOL, kind=LayerKind.CONVOLUTION), bytes(80), ALL_TAPS),
    ]
    for call in wrong:
        with pytest.raises(KernelError):
            call()


@pytest.mark.parametrize("window", [(0, 1), (1, 1)])
def test_a_window_without_a_row_that_is_seen_is_refused(window: tuple[int, int]) -> None:
    """Two words a plane, and every tile sees both."""
    part = structs.replace(POOL, input_first_word=window[0], input_plane_words=window[1])
    with pytest.raises(KernelError, match=rf"AMem holds words {window[0]}\.\.{window[0]} of each input channel"):
        kernels.pool_layer(part, bytes(80), ALL_TAPS)
    conv = structs.replace(part, kind=LayerKind.CONVOLUTION, out_channels=3)
    patterns = np.full((1, conv.patterns_per_group), 1 << 4, np.uint64)
    with pytest.raises(KernelError, match="AMem holds words"):
        kernels.mac_layer(conv, bytes(80), bytes(80), 0, patterns)
    predict(
        part, amem_banks=4, pipeline_cycles=9, pass_gap_cycles=3, requantiser_cycles=3, output_base_word=0,
        patterns=ALL_TAPS,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"first_tile": 1, "tile_count": 2}, "2 tiles from tile 1 on, but there are 2"),
        ({"first_tile": 2}, "0 tiles from tile 2 on"),
        ({"tile_count": 0}, "0 tiles from tile 0 on"),
        ({"first_tile": -1}, "3 tiles from tile -1 on"),
        ({"input_first_word": 1, "input_plane_words": 2}, "2 words from word 1 on, but there are 2"),
        ({"input_plane_words": 0}, "0 words from word 0 on"),
        ({"out_channels": 9}, "pooling of 10 channels to 9"),
    ],
)
def test_impossible_parts_are_refused(changes: dict[str, int], message: str) -> None:
    with pytest.raises(KernelError, match=message):
        structs.replace(POOL, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("key", ["output_plane_words", "residual_plane_words"])
@pytest.mark.parametrize("value", [0, -1, 1 << 31])
def test_plane_strides_out_of_range_are_named(key: str, value: int) -> None:
    chip = {"amem_banks": 4, "pipeline_cycles": 9, "pass_gap_cycles": 3, "requantiser_cycles": 3}
    with pytest.raises(KernelError, match=rf"timing: {key} is {value}, but must be in 1\.\.2147483647"):
        predict(POOL, output_base_word=0, patterns=ALL_TAPS, **chip, **{key: value})  # type: ignore[arg-type]
