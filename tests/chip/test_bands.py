"""Bands and max pooling on the whole chip: values of the golden model's slice, cycles of the per-cycle script."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from band_programs import FAST, BandCase, BandProgram, Outcome, generated, generated_for_circuits, seen_rows
from chip_cases import all_models
from examples import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tlm.chip.config import ChipConfig
from tlm.chip.fidelity import DataFlow
from tlm.chip.format.band import input_words
from tlm.network.layers import Conv2d


def figures(outcome: Outcome) -> list[tuple[int, int, int, int]]:
    passes = outcome.part.passes
    moments = ((p.first_cycle, p.last_fetch_cycle, p.handover_cycle, p.last_write_cycle) for p in passes)
    return [tuple(cycle - passes[0].first_cycle for cycle in moment) for moment in moments]  # type: ignore[misc]


def check(case: BandCase, *models: str) -> None:
    program, golden, expected = BandProgram(case), case.golden(), case.oracle()
    outcomes = {fidelity: program.run(fidelity) for fidelity in models or ("cycle", "pass")}
    for fidelity, outcome in outcomes.items():
        np.testing.assert_array_equal(outcome.output[:, : golden.shape[1]], golden, err_msg=fidelity)
        assert not outcome.output[:, golden.shape[1] :].any(), "lanes beyond the last pixel are 0"
        assert figures(outcome) == [(p.s, p.e, p.h, p.last_write) for p in expected], fidelity
        assert [p.steps for p in outcome.part.passes] == [p.counts["steps"] for p in expected]
        assert [(p.group, p.tile) for p in outcome.part.passes] == [(p.group, p.tile) for p in expected]
        refused = [(p.refused_writes, p.refused_residual_reads) for p in outcome.part.passes]
        counts = [(p.counts["refused_writes"], p.counts["refused_residual_reads"]) for p in expected]
        assert refused == counts, fidelity
    beat, burst = outcomes.values()
    whole = program.run("pass", flow=DataFlow.LAYERS)
    np.testing.assert_array_equal(whole.output, burst.output)
    assert (whole.part, whole.cycles, whole.conflicts, whole.account) == (
        (burst.part, burst.cycles, burst.conflicts, burst.account)
    )
    assert beat.part == burst.part
    assert (beat.cycles, beat.conflicts, beat.account) == (burst.cycles, burst.conflicts, burst.account)
    weight_reads = sum(beat.account.sram["wmem"].busy.get("fetch", (0,)))
    assert weight_reads == (0 if case.header().pooling else sum(p.counts["steps"] for p in expected))


@settings(max_examples=4, suppress_health_check=list(HealthCheck))
@given(generated())
def test_generated_bands(case: BandCase) -> None:
    check(case)


@examples(15, suppress_health_check=list(HealthCheck))
@given(generated(pooling=True, banded=False))
def test_generated_pooling(case: BandCase) -> None:
    check(case)


@pytest.mark.slow
@settings(max_examples=50, suppress_health_check=list(HealthCheck))
@given(generated())
def test_many_generated_bands(case: BandCase) -> None:
    check(case)


@pytest.mark.slow
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(generated_for_circuits())
def test_many_generated_bands_in_the_circuit(case: BandCase) -> None:
    check(case, "pass", "rtl")


@examples(15, suppress_health_check=list(HealthCheck))
@given(generated(banded=False), st.data())
def test_a_band_of_everything_is_the_layer(case: BandCase, data: st.DataObject) -> None:
    """But for two more header words."""
    whole, banded = BandProgram(case), BandProgram(replace_band(case))
    fidelity = data.draw(st.sampled_from(("cycle", "pass")))
    one, other = whole.run(fidelity), banded.run(fidelity)
    np.testing.assert_array_equal(one.output, other.output)
    assert figures(one) == figures(other)
    assert len(banded.case.instructions()) == len(whole.case.instructions()) + 2


def replace_band(case: BandCase) -> BandCase:
    return replace(case, band=case.whole)


@given(generated(), st.data())
@examples(100, suppress_health_check=list(HealthCheck))
def test_words_that_a_band_sees(case: BandCase, data: st.DataObject) -> None:
    first_tile = data.draw(st.integers(0, case.tiles - 1))
    tile_count = data.draw(st.integers(1, case.tiles - first_tile))
    rows, (_, height, width), lanes = seen_rows(case, first_tile, tile_count), case.activations.shape, case.config.lanes
    pixels = [pixel // lanes for row in rows for pixel in range(row * width, (row + 1) * width)]
    found = input_words(
        height=height, width=width, out_width=case.out_size[1], out_pixels=case.out_size[0] * case.out_size[1],
        stride_y=case.layer.stride[0], pad_top=case.layer.pads.top, dilation_y=case.layer.dilation[0],
        kernel_h=case.layer.kernel[0], first_tile=first_tile, tile_count=tile_count, lanes=lanes,
    )  # fmt: skip
    assert found == ((min(pixels), max(pixels) + 1) if pixels else (0, 0))


def test_input_words_by_hand() -> None:
    """3x3, padding 1, 8x8 input of two words: tile 0 sees rows 0 to 4, words 0 and 1; 16 lanes: rows 0 to 2."""
    keys = {
        "height": 8, "width": 8, "out_width": 8, "out_pixels": 64, "stride_y": 1, "pad_top": 1, "dilation_y": 1,
        "kernel_h": 3, "tile_count": 1,
    }  # fmt: skip
    assert input_words(**keys, first_tile=0, lanes=32) == (0, 2)
    assert input_words(**keys, first_tile=0, lanes=16) == (0, 2)
    assert input_words(**keys, first_tile=2, lanes=16) == (1, 4)
    assert input_words(**{**keys, "pad_top": 100}, first_tile=0, lanes=16) == (0, 0)


@all_models
def test_header_words_of_a_banded_layer_are_read_one_a_cycle(fidelity: str) -> None:
    """Words 0 .. 6, n parameters, pattern word 0, then s_0 in cycle 7 + n + 1 of the program; START reaches the engine
    one cycle before."""
    config = {**FAST, "lanes": 8, "columns": 8, "amem_words": 16_384}
    case = one_by_one(ChipConfig(**config))  # type: ignore[arg-type]
    plain, banded = (BandProgram(one).run(fidelity) for one in (case, replace_band(case)))
    later = banded.part.first_cycle - plain.part.first_cycle
    loaded = 2  # two instruction words more: one beat each at this memory
    assert later == 2 + loaded


def one_by_one(config: ChipConfig) -> BandCase:
    rng = np.random.default_rng(0)
    layer = Conv2d("c", rng.integers(-8, 8, (3, 2, 1, 1)).astype(np.int8), multiplier=300, shift=10)
    activations = rng.integers(0, 16, (2, 4, 4)).astype(np.int8)
    return BandCase(config, layer, activations, False, None, False, None, {"input": 0, "output": 8})
