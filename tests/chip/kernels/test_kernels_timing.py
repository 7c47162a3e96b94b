"""The cycle predictor against the per-cycle oracle, engine.md's closed forms and cases worked out by hand."""

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from cycle_oracle import Pass, play
from examples import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from images import pattern_place, pattern_word_count

from tlm._kernels import ffi
from tlm.chip.kernels.geometry import Geometry, KernelError
from tlm.chip.kernels.timing import PASS_TIMES, LayerTiming, Placement, predict, predict_placements


@dataclass(frozen=True)
class Layer:
    """A layer with resident data on a chip; defaults are engine.md's."""

    weights: npt.NDArray[np.int8]
    height: int
    width: int
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    input_base: int = 0
    output_base: int = 0
    residual_base: int | None = None
    accumulator_output: bool = False
    lanes: int = 32
    columns: int = 32
    banks: int = 4
    pipeline: int = 9
    gap: int = 3
    requantiser: int = 3

    @property
    def channels(self) -> int:
        return int(self.weights.shape[1]) * self.groups

    def dense_weights(self) -> npt.NDArray[np.int8]:
        """(O, C, kh, kw): a grouped layer's weights on the block diagonal."""
        outputs, per_group, *kernel = self.weights.shape
        dense = np.zeros((outputs, self.channels, *kernel), np.int8)
        for o, weights in enumerate(self.weights):
            first = o // (outputs // self.groups) * per_group
            dense[o, first : first + per_group] = weights
        return dense

    def patterns(self) -> npt.NDArray[np.uint64]:
        """Valid patterns as engine.md lays them into 60-bit words, (groups, words)."""
        outputs, _, kh, kw = self.weights.shape
        taps, dense = kh * kw, self.dense_weights()
        words = np.zeros((-(-outputs // self.columns), pattern_word_count(self.channels, taps)), np.uint64)
        for g in range(len(words)):
            valid = dense[g * self.columns : (g + 1) * self.columns].any(axis=0).reshape(self.channels, taps)
            for c, tap in np.argwhere(valid).tolist():
                index, bit = pattern_place(c, tap, taps)
                words[g, index] |= np.uint64(1 << bit)
        return words

    def geometry(self) -> Geometry:
        _, _, kh, kw = self.weights.shape
        (dy, dx), (sy, sx), (top, bottom, left, right) = self.dilation, self.stride, self.pads
        return Geometry(
            lanes=self.lanes, columns=self.columns, channels=self.channels, height=self.height, width=self.width,
            out_channels=len(self.weights), out_height=(self.height + top + bottom - dy * (kh - 1) - 1) // sy + 1,
            out_width=(self.width + left + right - dx * (kw - 1) - 1) // sx + 1, kernel_h=kh, kernel_w=kw, stride_y=sy,
            stride_x=sx, pad_top=top, pad_left=left, dilation_y=dy, dilation_x=dx, input_signed=False,
            input_base_word=self.input_base,
        )  # fmt: skip

    def _chip(self) -> dict[str, Any]:
        return {
            "amem_banks": self.banks,
            "pipeline_cycles": self.pipeline,
            "pass_gap_cycles": self.gap,
            "requantiser_cycles": self.requantiser,
            "words_per_channel": 6 if self.accumulator_output else 1,
            "patterns": self.patterns(),
        }

    def predict(self, passes: bool = True) -> LayerTiming:
        return predict(
            self.geometry(),
            output_base_word=self.output_base,
            residual_base_word=self.residual_base,
            passes=passes,
            **self._chip(),
        )

    def predict_placements(self, placements: list[Placement]) -> list[int]:
        return predict_placements(self.geometry(), placements, **self._chip())

    def play(self) -> list[Pass]:
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return play(fields.pop("weights"), fields.pop("height"), fields.pop("width"), **fields)

    def closed_form(self, sequencer_cycles: list[int]) -> int:
        """engine.md's count where no access is refused; S of each pass in order."""
        groups = -(-len(self.weights) // self.columns)
        tiles = len(sequencer_cycles) // groups
        n = [min(self.columns, len(self.weights) - g * self.columns) for g in range(groups)]
        n = [count * 6 if self.accumulator_output else count for count in n]
        h = sequencer_cycles[0] + self.pipeline
        for p, s in enumerate(sequencer_cycles[1:], start=1):
            group, before = p // tiles, (p - 1) // tiles
            gap = self.gap if group == before else max(self.gap, n[group] + 1)
            h += max(s + self.pipeline + 1 + gap, n[before] + self.requantiser + 1)
        return h + self.requantiser + 1 + n[-1]


def ones(outputs: int, channels: int, kernel: int = 1) -> npt.NDArray[np.int8]:
    return np.ones((outputs, channels, kernel, kernel), np.int8)


def random_weights(shape: tuple[int, ...], density: float, seed: int) -> npt.NDArray[np.int8]:
    """Valid taps drawn per (input channel, tap); a fifth of the output channels' weights at each are zero."""
    rng = np.random.default_rng(seed)
    valid = rng.random((1, *shape[1:])) < density
    return (valid & (rng.random(shape) < 0.8)).astype(np.int8)


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    groups = draw(st.sampled_from([1, 1, 1, 2, 8]))
    kernel = draw(st.sampled_from([(1, 1), (1, 1), (1, 1), (3, 3), (3, 3), (1, 4), (5, 2)]))
    most = 150 // (kernel[0] * kernel[1]) // groups
    shape = (groups * draw(st.integers(1, 72 // groups)), draw(st.integers(1, max(1, most))), *kernel)
    accumulator = draw(st.sampled_from([False, False, False, True]))
    dilation = draw(st.tuples(st.integers(1, 2), st.integers(1, 3)))
    pads = draw(st.tuples(*[st.integers(0, 4)] * 4))
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    base = st.integers(0, 15)
    return Layer(
        weights=random_weights(shape, draw(st.sampled_from([0.0, 0.05, 0.3, 1.0, 1.0])), draw(st.integers(0, 99))),
        height=draw(st.integers(max(1, reach[0] - pads[0] - pads[1]), 12)),
        width=draw(st.integers(max(1, reach[1] - pads[2] - pads[3]), 20)),
        pads=pads,
        stride=draw(st.tuples(st.integers(1, 2), st.integers(1, 3))),
        dilation=dilation,
        groups=groups,
        input_base=draw(base),
        output_base=draw(base),
        residual_base=None if accumulator else draw(st.none() | base),
        accumulator_output=accumulator,
        lanes=draw(st.sampled_from([8, 16, 32, 64])),
        columns=draw(st.sampled_from([8, 16, 32, 64])),
        banks=draw(st.sampled_from([1, 2, 4, 8])),
        pipeline=draw(st.integers(0, 12)),
        gap=draw(st.integers(1, 6)),
        requantiser=draw(st.integers(1, 6)),
    )


def figures(now: Pass) -> tuple[int, ...]:
    """An oracle's pass in the order of PASS_TIMES."""
    counts = now.counts
    fetches = now.e - now.s + 1 - counts["empty_words"]
    refused = counts["refused_writes"], counts["refused_residual_reads"]
    return now.s, now.e, now.h, now.last_write, counts["steps"], fetches, counts["empty_words"], *refused


@examples(80, suppress_health_check=list(HealthCheck))
@given(layers())
def test_every_pass_equals_the_oracle(layer: Layer) -> None:
    check_passes(layer)


@pytest.mark.slow
@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(layers())
def test_every_pass_of_many_layers_equals_the_oracle(layer: Layer) -> None:
    check_passes(layer)


def check_passes(layer: Layer) -> None:
    expected = layer.play()
    timing = layer.predict()
    assert timing.passes is not None
    assert [tuple(now) for now in timing.passes.tolist()] == [figures(now) for now in expected]
    assert timing.compute_cycles == expected[-1].last_write + 1
    assert layer.predict(passes=False).compute_cycles == timing.compute_cycles
    unrefused = layer.closed_form([now.e - now.s + 1 for now in expected])
    refused = any(any(figures(now)[-2:]) for now in expected)
    assert timing.compute_cycles >= unrefused if refused else timing.compute_cycles == unrefused


WRITE_BACK_STARVES = Layer(ones(32, 96), 32, 32, output_base=1)
BUBBLES = Layer(ones(32, 1), 32, 32, residual_base=4)  # every read meets a write in the only bank in use
NAMED = {
    "write-back starves": (WRITE_BACK_STARVES, "refused_writes"),
    "residual reads meet fetches": (
        Layer(ones(32, 96), 32, 32, output_base=3, residual_base=1),
        "refused_residual_reads",
    ),
    "residual reads meet writes": (BUBBLES, "refused_residual_reads"),
    "accumulator planes": (Layer(ones(40, 70), 9, 9, banks=2, accumulator_output=True), "refused_writes"),
    "strided fetches of several cycles": (
        Layer(ones(16, 8, 3), 24, 24, stride=(2, 2), banks=1, pads=(1, 1, 1, 1)),
        "refused_writes",
    ),
    "several pattern words a channel": (
        Layer(random_weights((16, 3, 11, 11), 0.02, 4), 14, 14, stride=(2, 2), pads=(4, 4, 5, 5)),
        "empty_pattern_cycles",
    ),
    "empty pattern words": (Layer(random_weights((32, 200, 1, 1), 0.005, 3), 8, 8), "empty_pattern_cycles"),
}


@pytest.mark.parametrize("name", NAMED)
def test_named_layer_equals_the_oracle(name: str) -> None:
    layer, happens = NAMED[name]
    passes = layer.predict().passes
    assert passes is not None
    assert [tuple(now) for now in passes.tolist()] == [figures(now) for now in layer.play()]
    assert passes[happens].sum() > 0


@pytest.mark.parametrize(("output_base", "cycles"), [(0, 3520), (1, 4233), (2, 3520), (3, 3520)])
def test_worked_example_of_engine_md(output_base: int, cycles: int) -> None:
    """Point-wise 96 -> 32 at 32x32, P a multiple of the banks: 4,233 cycles where the write-back starves [A]."""
    layer = replace(WRITE_BACK_STARVES, output_base=output_base)
    assert layer.predict().compute_cycles == cycles
    assert layer.play()[-1].last_write + 1 == cycles


@pytest.mark.parametrize(("channels", "kernel", "steps"), [(64, 3, 576), (512, 1, 512)])
def test_passes_of_a_group_follow_each_other_at_s_plus_13(channels: int, kernel: int, steps: int) -> None:
    pad = kernel // 2
    passes = Layer(ones(32, channels, kernel), 9, 32, pads=(pad,) * 4).predict().passes
    assert passes is not None
    inner = passes["fetch_cycles"] == steps  # r = 1
    assert (np.diff(passes["first_cycle"])[inner[:-1]] == steps + 13).all()
    assert inner.sum() > 1
    assert (passes["steps"] == steps).all()


def test_a_pass_without_steps_writes_the_bias() -> None:
    """Two empty pattern words: S = 2, h = 1 + 10, last write h + 3 + 8."""
    passes = Layer(0 * ones(8, 70), 4, 8).predict().passes
    assert passes is not None
    assert passes.tolist() == [(0, 1, 11, 22, 0, 0, 2, 0, 0)]


def test_parameter_reads_of_a_new_group_count_planes() -> None:
    """20 channels of accumulator output in the second group: g = 6*20 + 1, and 120 entry slots."""
    passes = Layer(ones(36, 4), 4, 8, columns=16, accumulator_output=True, banks=8, output_base=7).predict().passes
    assert passes is not None
    first, second, third = passes.tolist()
    assert [now[0] - before[2] for before, now in ((first, second), (second, third))] == [1 + 97, 1 + 25]
    assert third[3] - third[2] == 3 + 24


def test_a_residual_in_the_bank_of_the_writes_costs_three_cycles_in_six() -> None:
    """Three channels enter, then their writes refuse three reads: channel 31 enters in h + 62, written in h + 65."""
    passes = replace(BUBBLES, height=1, banks=1).predict().passes
    assert passes is not None
    assert passes[0]["last_write_cycle"] - passes[0]["handover_cycle"] == 65
    assert passes[0]["refused_residual_reads"] == 30


def test_predicted_placements_equal_single_predictions() -> None:
    layer = Layer(random_weights((40, 24, 3, 3), 0.4, 1), 13, 16, pads=(1, 1, 1, 1), residual_base=0)
    bases = [Placement(*words) for words in product(range(4), repeat=3)] + [Placement(2, 5), Placement(0, 3)]
    placed = [replace(layer, input_base=i, output_base=o, residual_base=r) for i, o, r in bases]
    single = [one.predict().compute_cycles for one in placed]
    assert layer.predict_placements(bases) == single
    assert len(set(single)) > 2
    assert layer.predict_placements([]) == []


CHIP: dict[str, Any] = {
    "amem_banks": 4,
    "pipeline_cycles": 9,
    "pass_gap_cycles": 3,
    "requantiser_cycles": 3,
    "output_base_word": 0,
}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("amem_banks", 9),
        ("amem_banks", 0),
        ("pipeline_cycles", -1),
        ("pass_gap_cycles", -1),
        ("requantiser_cycles", 0),
        ("output_base_word", -1),
        ("output_base_word", 1 << 31),
        ("residual_base_word", -1),
    ],
)
def test_numbers_out_of_range_are_named(key: str, value: int) -> None:
    with pytest.raises(KernelError, match=rf"timing: {key} is {value}, but must be in"):
        predict(WRITE_BACK_STARVES.geometry(), **{**CHIP, "patterns": WRITE_BACK_STARVES.patterns(), key: value})


def test_illegal_patterns_are_refused() -> None:
    geometry = WRITE_BACK_STARVES.geometry()
    beyond = np.array([[1, 1 << 36]], np.uint64)  # the second word holds channels 60..95
    with pytest.raises(KernelError, match="beyond channel 95"):
        predict(geometry, patterns=beyond, **CHIP)
    wrongs: list[Any] = [beyond[:, :1], beyond.astype(np.int64), np.zeros((2, 4), np.uint64)[:1, ::2]]
    for wrong in wrongs:
        with pytest.raises(KernelError, match=r"patterns: .* uint64 \(1, 2\) is needed"):
            predict(geometry, patterns=wrong, **CHIP)
    with pytest.raises(KernelError, match="words_per_channel is 2"):
        predict(geometry, patterns=beyond, words_per_channel=2, **CHIP)


def test_the_record_is_the_c_struct() -> None:
    one = np.zeros(1, PASS_TIMES)
    fields = {name: index for index, name in enumerate(PASS_TIMES.names or (), start=1)}
    record = ffi.new("tlm_pass_times *", fields)
    assert one.nbytes == ffi.sizeof("tlm_pass_times")
    ffi.memmove(ffi.from_buffer("tlm_pass_times[]", one, require_writable=True), record, one.nbytes)
    assert dict(zip(fields, one[0].tolist(), strict=True)) == fields
