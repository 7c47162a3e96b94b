"""The C requantiser, word by word, against Python's unbounded integers; and the packing of tensors."""

from __future__ import annotations

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from images import nibbles, word
from oracles import requantised
from strategies import ARRAY_SIZES

from tlm.chip import kernels
from tlm.chip.format import packing

ROWS = st.lists(st.integers(-(1 << 23), (1 << 23) - 1), min_size=64, max_size=64)
BIASES = st.integers(-(1 << 23), (1 << 23) - 1)
MULTIPLIERS = st.one_of(st.integers(0, 65_535), st.sampled_from((0, 1, 65_535)))
SHIFTS = st.one_of(st.integers(0, 40), st.sampled_from((0, 1, 39, 40)))


@examples(300)
@given(
    row=st.one_of(ROWS, st.lists(st.integers(-300, 300), min_size=64, max_size=64)),
    parameters=st.tuples(BIASES, MULTIPLIERS, SHIFTS),
    residual=st.none() | st.tuples(st.binary(min_size=32, max_size=32), st.booleans(), MULTIPLIERS),
    signed=st.booleans(),
    lanes=st.sampled_from(ARRAY_SIZES),
    valid=st.integers(1, 64),
)
def test_requantised_words(
    row: list[int],
    parameters: tuple[int, int, int],
    residual: tuple[bytes, bool, int] | None,
    signed: bool,
    lanes: int,
    valid: int,
) -> None:
    check_word(row, parameters, residual, signed, lanes, min(valid, lanes))


def check_word(
    row: list[int],
    parameters: tuple[int, int, int],
    residual: tuple[bytes, bool, int] | None,
    signed: bool,
    lanes: int,
    valid: int,
) -> None:
    limits = (-8, 7) if signed else (0, 15)
    data, is_signed, scale = residual or (None, False, 0)
    added = [0] * lanes if data is None else [value * scale for value in nibbles(data[: lanes // 2], is_signed)]
    acc = kernels.new_accumulators(lanes, 8)
    acc[3 * lanes : 4 * lanes] = row[:lanes]
    made = kernels.requantise_word(
        acc, 3, None if data is None else data[: lanes // 2], is_signed, *parameters, scale, *limits, lanes, valid
    )
    expected = [requantised(row[i], *parameters, limits, added[i]) if i < valid else 0 for i in range(lanes)]
    assert nibbles(made, signed) == expected


@pytest.mark.parametrize(
    ("acc", "parameters", "expected"),
    [
        (5, (0, 1, 1), 3),  # 2.5 -> 3
        (-5, (0, 1, 1), -2),  # -2.5 -> -2
        (-3, (0, 1, 1), -1),
        (-1, (0, 1, 1), 0),  # -0.5 -> 0
        (6, (0, 1, 2), 2),  # 1.5 -> 2
        (-6, (0, 1, 2), -1),
        (-7, (0, 1, 2), -2),
        (4, (0, 1, 0), 4),
        (-8, (0, 1, 0), -8),
        (0, (-9, 1, 0), -8),
        ((1 << 23) - 1, ((1 << 23) - 1, 65_535, 40), 1),
        (-(1 << 23), (-(1 << 23), 65_535, 40), -1),
        (-(1 << 23), (-(1 << 23), 65_535, 0), -8),
    ],
)
def test_halves_go_up_and_nothing_overflows(acc: int, parameters: tuple[int, int, int], expected: int) -> None:
    accumulators = kernels.new_accumulators(8, 8)
    accumulators[0] = acc
    made = kernels.requantise_word(accumulators, 0, None, False, *parameters, 0, -8, 7, 8, 8)
    assert nibbles(made, True)[0] == expected
    check_word([acc] * 64, parameters, None, True, 8, 8)


@pytest.mark.parametrize("is_signed", [False, True])
def test_every_residual_value(is_signed: bool) -> None:
    data = word(list(range(16))) * 4
    for scale in (1, 65_535):
        check_word([0] * 64, (0, 0, 16 if scale > 1 else 0), (data, is_signed, scale), True, 64, 64)


@examples(50)
@given(row=ROWS, bias=st.integers(-100, 100), valid=st.integers(1, 32))
def test_accumulator_planes(row: list[int], bias: int, valid: int) -> None:
    row = [min(max(value, -(1 << 23) + 100), (1 << 23) - 101) for value in row]
    acc = kernels.new_accumulators(32, 8)
    acc[0:32] = row[:32]
    planes = [nibbles(kernels.accumulator_plane(acc, 0, bias, plane, 32, valid), False) for plane in range(6)]
    for lane in range(32):
        raw = sum(planes[plane][lane] << (4 * plane) for plane in range(6))
        assert raw == ((row[lane] + bias) % (1 << 24) if lane < valid else 0)


@pytest.mark.parametrize("with_residual", [False, True])
@pytest.mark.parametrize("lanes", ARRAY_SIZES)
def test_a_layer_is_its_words(lanes: int, with_residual: bool) -> None:
    rng = np.random.default_rng(lanes)
    channels, pixels = 5, 2 * lanes + 3
    tiles = 3
    acc = rng.integers(-4000, 4000, (channels, tiles * lanes)).astype(np.int32)
    bias, multiplier = rng.integers(-500, 500, channels), rng.integers(0, 65_536, channels)
    shift = np.full(channels, 24) if with_residual else rng.integers(20, 28, channels)
    size = channels * tiles * lanes // 2
    residual = rng.bytes(size) if with_residual else None
    kernel = kernels.RequantiseKernel(
        bias=bias,
        multiplier=multiplier,
        shift=shift,
        low=-8,
        high=7,
        lanes=lanes,
        residual_signed=True,
        residual_multiplier=9_000_000 // 200 if with_residual else 0,
    )
    layer = kernel.words(acc, pixels, residual)
    planes = kernels.accumulator_layer(acc, bias=bias, lanes=lanes, pixels=pixels)
    word_bytes = lanes // 2
    for channel in range(channels):
        for tile in range(tiles):
            index = channel * tiles + tile
            valid = min(lanes, pixels - tile * lanes)
            row = kernels.new_accumulators(lanes, 8)
            row[0:lanes] = acc[channel, tile * lanes : (tile + 1) * lanes].tolist()
            there = slice(index * word_bytes, (index + 1) * word_bytes)
            data = None if residual is None else residual[there]
            numbers = int(bias[channel]), int(multiplier[channel]), int(shift[channel])
            scale = 45_000 if with_residual else 0
            assert layer[there] == kernels.requantise_word(row, 0, data, True, *numbers, scale, -8, 7, lanes, valid)
            for plane in range(6):
                start = ((channel * 6 + plane) * tiles + tile) * word_bytes
                expected = kernels.accumulator_plane(row, 0, int(bias[channel]), plane, lanes, valid)
                assert planes[start : start + word_bytes] == expected
    values = packing.unpack_accumulators(planes, (channels, 1, pixels), lanes)[:, 0]
    np.testing.assert_array_equal(values, acc[:, :pixels] + bias[:, None])


@examples(100)
@given(st.sampled_from(ARRAY_SIZES), st.tuples(*[st.integers(1, 9)] * 3), st.booleans())
def test_tensors_survive_packing(lanes: int, shape: tuple[int, int, int], signed: bool) -> None:
    rng = np.random.default_rng(sum(shape))
    tensor = rng.integers(*((-8, 8) if signed else (0, 16)), shape).astype(np.int8)
    image = packing.pack_tensor(tensor, lanes)
    pixels = shape[1] * shape[2]
    tail = [[0] * (-pixels % lanes)] * shape[0]
    expected = b"".join(
        word(plane + rest) for plane, rest in zip(tensor.reshape(shape[0], -1).tolist(), tail, strict=True)
    )
    assert image == expected
    np.testing.assert_array_equal(packing.unpack_tensor(image, shape, lanes, signed), tensor)
