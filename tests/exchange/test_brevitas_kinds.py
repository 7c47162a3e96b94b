"""Every kind of layer that Brevitas has, in both forms that it writes: imported and equal, or refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tlm
from tlm.core.errors import InputError
from tlm.exchange.onnx_check import compare
from tlm.exchange.onnx_reader import read_onnx
from tlm.networks.seeded import seeded_activations

FILES = Path(__file__).parent / "data" / "brevitas"
REFUSED = {
    "attention": "node Softmax /layer/Softmax: the engine cannot run it",
    "conv_1d": "node Conv /2/Conv: its input has shape (1, 2, 16), but must be the map (2, 4, 4)",
    "conv_1d_batch_norm_quant": "node Conv /2/Conv: its input has shape (1, 2, 16), but must be the map (2, 4, 4)",
    "conv_3d": "node Conv /2/Conv: its input has shape (1, 2, 1, 4, 4), but must be the map (2, 4, 4)",
    "conv_transpose": "node ConvTranspose /1/ConvTranspose: the engine cannot run it",
    "conv_transpose_1d": "node ConvTranspose /2/ConvTranspose: the engine cannot run it",
    "conv_transpose_3d": "node ConvTranspose /2/ConvTranspose: the engine cannot run it",
    "conv_weights_8_bits": "node Conv /1/Conv: its weights less their zero points are -79..127, but must be -8..7",
    "embedding": "input 'input': is of type int64, but must be float or float16",
    "hadamard": "node ReduceL2 /2/ReduceL2: the engine cannot run it",
    "hard_swish": "node HardSwish /2/act_quant/activation_impl/HardSwish: the engine cannot run it",
    "lstm": "node QuantLSTMCell /layer/layers.0.0/export_handler/QuantLSTMCell of domain",
    "lstm_weights": "node LSTM /layer/layers.0.0/export_handler/LSTM: the engine cannot run it",
    "quant_upsample": "node Resize /3/Resize: the engine cannot run it",
    "quant_upsampling_bilinear": "node Resize /3/Resize: the engine cannot run it",
    "quant_upsampling_nearest": "node Resize /3/Resize: the engine cannot run it",
    "relu_8_bits": "gives 0..255, but activations must be within 0..15 or -8..7, which are 4 bits",
    "sigmoid": "node Sigmoid /2/act_quant/activation_impl/Sigmoid: the engine cannot run it",
    "tanh": "node Tanh /2/act_quant/activation_impl/Tanh: the engine cannot run it",
    "trunc_adaptive_avg_pool": "/3/trunc_quant/export_handler/",
    "trunc_avg_pool": "/3/trunc_quant/export_handler/",
    "upsample": "node Resize /3/Resize: the engine cannot run it",
}
KINDS = sorted({path.name.split(".")[0] for path in FILES.glob("*.onnx")})
ONLY_QONNX = {"lstm"}
"""Brevitas does not write it as QCDQ."""


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in REFUSED])
def test_imported_and_equal(kind: str) -> None:
    """onnxruntime runs the one form; the other is the same network, number by number."""
    imported, other = (read_onnx(FILES / f"{kind}.{form}.onnx") for form in ("qcdq", "qonnx"))
    network = imported.network
    images = np.stack([seeded_activations(network.input_shape, seed, network.signed_input) for seed in range(6)])
    compared = compare(imported, images)
    assert compared.differing == []
    assert max(compared.levels_off.values()) <= 1
    assert len(network.layers) == len(other.network.layers)
    for one, two in zip(network.layers, other.network.layers, strict=True):
        assert type(one) is type(two)
        if isinstance(one, tlm.Conv2d) and isinstance(two, tlm.Conv2d):
            assert np.array_equal(one.weights, two.weights)
            assert np.abs(one.bias - two.bias).max() <= 1
            assert np.allclose(one.multiplier / 2.0**one.shift, two.multiplier / 2.0**two.shift, rtol=1e-4)


@pytest.mark.parametrize(
    ("kind", "form"),
    [(kind, form) for kind in REFUSED for form in ("qcdq", "qonnx") if form == "qonnx" or kind not in ONLY_QONNX],
)
def test_refused_by_name(kind: str, form: str) -> None:
    with pytest.raises(InputError) as caught:
        read_onnx(FILES / f"{kind}.{form}.onnx")
    assert REFUSED[kind] in str(caught.value)
