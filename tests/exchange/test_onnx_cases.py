"""Small ONNX files of kinds on which importers go wrong, and what is right for each of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tlm
from tlm.core.errors import InputError
from tlm.exchange.onnx_check import compare
from tlm.exchange.onnx_reader import Imported, read_onnx
from tlm.networks.seeded import seeded_activations

FILES = Path(__file__).parent / "data" / "onnx"

BY_HAND = {
    "weight_zero_point": ([5], [20]),  # (1 - (-3)) * 5
    "weight_uint4_zero_point": ([5], [-15]),  # (1 - 4) * 5
    "maxpool_padded_signed": ([-5] * 4, [0] * 4),  # each window holds zeros of the Pad node
    "pad_value": ([1], [25]),  # 1 + 8 pixels of 3
    "add_constant_along_width": ([1, 1], [1, 101, 1, 101]),  # ONNX aligns trailing axes: (2,) lies along the width
    "add_constant_after_relu": ([1], [2]),  # relu(-1) + 2
    "dequantise_other_scale": ([5], [10]),  # quantised with 1, dequantised with 2
    "pad_then_mean": ([12] * 4, [3]),  # 48 / 16 pixels
    "maxpool_auto_pad": (range(1, 10), [5, 6, 8, 9]),  # SAME_UPPER pads right and below
    "maxpool_dilations": (range(1, 10), [9]),  # max(1, 3, 7, 9), one window
    "avgpool_auto_pad": ([9] * 9, [9]),  # no padding is needed
    "pad_twice": ([5], [0]),  # both Pad nodes count: a 3x3 map
}

AS_ONNXRUNTIME = [
    "activation_dq_other_scale", "add_const_along_width", "avgpool_auto_pad_same", "batch_fixed_4", "batchnorm",
    "maxpool_ceil_harmless", "maxpool_dilations", "mlp_2d_input", "pad_axes_input", "pad_q_dq_conv", "pad_value_one",
    "softmax_end", "unicode_names", "weight_uint4_small_zp", "weight_uint4_zp8",
]  # fmt: skip

REFUSED = {
    "hand_mean_before_softmax_axes_all": "node ReduceMean ReduceMean5: axes is left out, which means all, but must be",
    "block_size_weights": "node DequantizeLinear n_DequantizeLinear10: block_size is 32, but must be 0",
    "flatten_axis2_matmul": "node Flatten n_Flatten8: axis is 2, which makes (8, 16) of (1, 8, 4, 4), but must keep",
    "bias_add_after_relu": "node Conv n_Conv13: 1 is added after its ReLU, which is 2.5 levels of 0.4 each",
    "external_data_missing": "its weights file external_data_missing.onnx.data is missing",
}


def read(name: str) -> Imported:
    return read_onnx(FILES / f"{name}.onnx")


def test_every_file_has_its_right_value_here() -> None:
    named = {*AS_ONNXRUNTIME, *REFUSED, *(f"hand_{name}" for name in BY_HAND)}
    assert named == {path.stem for path in FILES.glob("*.onnx")}


@pytest.mark.parametrize("name", BY_HAND)
def test_values_worked_out_by_hand(name: str) -> None:
    given, right = BY_HAND[name]
    imported = read(f"hand_{name}")
    assert imported.input_scale == 1.0
    activations = np.array(given, np.int8).reshape(imported.network.input_shape)
    outputs = tlm.simulate(imported.network, activations).outputs
    assert (outputs.reshape(-1) * imported.output.scale).tolist() == right
    assert compare(imported, activations[None]).differing == []


@pytest.mark.parametrize("name", AS_ONNXRUNTIME)
def test_values_as_onnxruntime(name: str) -> None:
    imported = read(name)
    network = imported.network
    batch = np.stack([seeded_activations(network.input_shape, seed, network.signed_input) for seed in range(5)])
    compared = compare(imported, batch)
    assert compared.differing == []
    assert compared.alone.keys() == compared.layers.keys() >= {network.layers[-1].name}
    assert max(compared.levels_off.values()) <= 1
    assert min(compared.alone.values()) > 0.98


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_engine_cannot_do_is_refused_by_name(name: str) -> None:
    with pytest.raises(InputError) as caught:
        read(name)
    assert f"{name}.onnx: " in str(caught.value)
    assert REFUSED[name] in str(caught.value)


def test_a_batch_becomes_the_network_of_one_image() -> None:
    imported = read("batch_fixed_4")
    assert imported.batch == 4
    assert imported.network.output.shape == (8, 6, 6)


def test_names_without_a_latin_letter_are_made_up() -> None:
    assert [layer.name for layer in read("unicode_names").network.layers] == ["conv", "conv_2"]


def test_a_softmax_at_the_end_is_left_to_the_host() -> None:
    imported = read("softmax_end")
    assert imported.left_out == "Softmax n_Softmax31"
    assert imported.network.layers[-1].accumulator_output
