"""The golden model: sums equal onnxruntime's, outputs equal the requantiser in Python's unbounded integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from examples import examples
from hypothesis import given, seed
from oracles import conv_integer, requantised
from strategies import Case, cases, extremes, random_activations

from tlm.core.errors import InputError
from tlm.network import golden as reference
from tlm.network.layers import Conv2d
from tlm.network.network import Network
from tlm.networks.fuse import fuse_depthwise_pointwise


def expected_output(
    network: Network,
    layer: Conv2d,
    activations: npt.NDArray[Any],
    signed: bool,
    residual: npt.NDArray[Any] | None = None,
) -> npt.NDArray[Any]:
    """A layer's output, value by value."""
    sums = conv_integer(layer, activations, signed)
    if layer.accumulator_output:
        return sums + layer.bias.astype(np.int32)[:, None, None]
    limits = (-8, 7) if layer.signed_output else (0, 15)
    out = np.zeros(sums.shape, np.int8)
    for (o, y, x), acc in np.ndenumerate(sums):
        added = 0 if residual is None else int(residual[o, y, x]) * layer.residual_multiplier
        out[o, y, x] = requantised(
            int(acc), int(layer.bias[o]), int(layer.multiplier[o]), int(layer.shift[o]), limits, added
        )
    return out


def check(case: Case) -> None:
    signed = case.network.signed_input
    expected = expected_output(case.network, case.layer, case.activations, signed)
    outputs = reference.run(case.network, case.activations)
    assert list(outputs) == ["c"]
    assert outputs["c"].dtype == (np.int32 if case.layer.accumulator_output else np.int8)
    np.testing.assert_array_equal(outputs["c"], expected, err_msg=repr(case))


@pytest.mark.thorough
@pytest.mark.parametrize("part", range(8))
def test_generated_layers(part: int) -> None:
    @seed(part)
    @examples(100)
    @given(cases())
    def run(case: Case) -> None:
        check(case)

    run()


@pytest.mark.parametrize("name", extremes())
def test_extremes(name: str) -> None:
    check(extremes()[name])


def test_sums_beyond_24_bits_are_exact_and_then_wrap() -> None:
    rng = np.random.default_rng(7)
    weights = rng.integers(6, 8, (9, 60_000, 1, 3)).astype(np.int8)
    layer = Conv2d("c", weights, padding=(0, 1))
    activations = rng.integers(14, 16, (60_000, 1, 3)).astype(np.int8)
    exact = np.einsum("ocs,cs->o", weights[:, :, 0].astype(np.int64), activations[:, 0].astype(np.int64))
    sums = reference.accumulate(layer, activations)
    assert (exact > 1 << 24).all()
    assert (exact % 2 == 1).any(), "only an odd sum can show a rounding"
    np.testing.assert_array_equal(sums[:, 0, 1], exact)
    wraps = (exact + (1 << 23)) % (1 << 24) - (1 << 23)
    for keys, expected in (
        ({"accumulator_output": True}, wraps),
        ({"shift": 20}, np.clip((wraps + (1 << 19)) >> 20, 0, 15)),
    ):
        network = Network((60_000, 1, 3), [Conv2d("c", weights, **keys)])
        np.testing.assert_array_equal(reference.run(network, activations)["c"][:, 0, 0], expected)


@pytest.mark.parametrize("signed_input", [False, True])
@pytest.mark.parametrize("signed_output", [False, True])
def test_a_network_with_branches_and_residuals(signed_input: bool, signed_output: bool) -> None:
    rng = np.random.default_rng(11)
    weights = [
        rng.integers(-8, 8, shape).astype(np.int8) for shape in ((6, 6, 1, 1), (6, 6, 3, 3), (6, 6, 1, 1), (5, 6, 1, 1))
    ]
    layers = [
        Conv2d("up", weights[0], multiplier=700, shift=13),
        Conv2d("mix", weights[1], padding=1, multiplier=300, shift=14, signed_output=signed_output,
               residual="input", residual_multiplier=9_000, bias=30),
        Conv2d("side", weights[2], input="up", multiplier=65_535, shift=20, residual="mix", residual_multiplier=65_535),
        Conv2d("scores", weights[3], accumulator_output=True, bias=[-5, 0, 5, 1 << 22, -(1 << 22)]),
    ]  # fmt: skip
    network = Network((6, 7, 5), layers, signed_input=signed_input)
    activations = random_activations(rng, network.input_shape, signed_input)
    outputs = reference.run(network, activations)
    up = expected_output(network, layers[0], activations, signed_input)
    mix = expected_output(network, layers[1], up, False, activations)
    side = expected_output(network, layers[2], up, False, mix)
    scores = expected_output(network, layers[3], side, False)
    for name, expected in {"up": up, "mix": mix, "side": side, "scores": scores}.items():
        np.testing.assert_array_equal(outputs[name], expected, err_msg=name)
        assert len(np.unique(outputs[name])) > 4, f"{name}: too few different values to show anything"
    assert list(outputs) == ["up", "mix", "side", "scores"]


def test_a_fused_block_is_pw_after_dw() -> None:
    rng = np.random.default_rng(3)
    depthwise = rng.integers(-1, 2, (5, 1, 3, 3)).astype(np.int8)
    pointwise = rng.integers(-7, 8, (4, 5, 1, 1)).astype(np.int8)
    activations = rng.integers(0, 16, (5, 8, 8)).astype(np.int8)
    middle = reference.accumulate(Conv2d("dw", depthwise, groups=5, padding=1), activations)
    two = np.einsum("oc,chw->ohw", pointwise[:, :, 0, 0].astype(np.int64), middle.astype(np.int64))
    one = reference.accumulate(Conv2d("f", fuse_depthwise_pointwise(depthwise, pointwise), padding=1), activations)
    np.testing.assert_array_equal(one, two)


def test_large_kernels_are_computed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    case = extremes()["60 taps in one word"]
    whole = reference.accumulate(case.layer, case.activations)
    monkeypatch.setattr(reference, "_PIXELS_AT_ONCE", 5_000)
    np.testing.assert_array_equal(reference.accumulate(case.layer, case.activations), whole)
    monkeypatch.setattr(reference, "_PIXELS_AT_ONCE", 1)
    np.testing.assert_array_equal(reference.accumulate(case.layer, case.activations), whole)


def test_channels_and_taps_without_a_weight() -> None:
    weights = np.zeros((4, 6, 3, 3), np.int8)
    weights[1, 0, 2, 2] = weights[3, 0, 2, 2] = 5
    weights[2, 4, 0, 1] = weights[0, 5, 0, 1] = -3
    activations = np.arange(6 * 5 * 4).reshape(6, 5, 4) % 16
    layer = Conv2d("c", weights, padding=1)
    np.testing.assert_array_equal(reference.accumulate(layer, activations), conv_integer(layer, activations, False))
    assert not reference.accumulate(Conv2d("c", 0 * weights, padding=1), activations).any()


@pytest.mark.parametrize(
    ("activations", "message"),
    [
        (np.zeros((2, 3, 3), np.int8), r"shape is \(2, 3, 3\), but the network's input_shape is \(1, 3, 3\)"),
        (np.zeros((1, 3, 3)), "dtype is float64, but must be an integer type"),
        (np.full((1, 3, 3), 16), r"activations\[0, 0, 0\]: 16 is outside 0\.\.15"),
        (np.full((1, 3, 3), -1), "outside"),
    ],
)
def test_wrong_activations_are_refused(activations: npt.NDArray[Any], message: str) -> None:
    network = Network((1, 3, 3), [Conv2d("c", np.ones((1, 1, 1, 1), np.int8))])
    with pytest.raises(InputError, match=message):
        reference.run(network, activations)
