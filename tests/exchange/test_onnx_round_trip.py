"""Our own ONNX files come back: every kind of layer, with equal outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tlm
from tlm.core.errors import InputError
from tlm.exchange.onnx_check import compare
from tlm.exchange.onnx_reader import read_onnx
from tlm.exchange.onnx_writer import onnx_model, write_onnx

RNG = np.random.default_rng(5)


def weights(*shape: int) -> Any:
    return RNG.integers(-8, 8, shape)


def conv(name: str, outputs: int, inputs: int, kernel: tuple[int, int] = (3, 3), **keys: Any) -> tlm.Conv2d:
    """Multipliers and shifts that use the whole range of 4 bits; odd ones, so that no scale is a power of two."""
    numbers = {"multiplier": RNG.integers(200, 40_000, outputs), "shift": 21, "bias": RNG.integers(-99, 99, outputs)}
    return tlm.Conv2d(name, weights(outputs, inputs, *kernel), **{**numbers, **keys})


LAYERS: dict[str, list[Any]] = {
    "convolution": [conv("c", 8, 4, stride=(2, 1), padding=((1, 0), (2, 1)), dilation=(1, 2))],
    "grouped": [conv("g", 8, 2, groups=2, padding=1)],
    "depthwise": [conv("d", 4, 1, (5, 5), groups=4, padding=2, signed_output=True)],
    "even kernel": [conv("e", 4, 4, (2, 4))],
    "max pooling": [tlm.MaxPool2d("m", (3, 2), stride=(2, 1), padding=(1, 0))],
    "dilated max pooling": [tlm.MaxPool2d("m", (2, 2), stride=(1, 1), dilation=(3, 2)), conv("c", 4, 4)],
    "average pooling": [tlm.AvgPool2d("a", (3, 3), stride=(2, 2), padding=1)],
    "mean of the map": [conv("c", 8, 4), tlm.AvgPool2d("a", (6, 5))],
    "signed": [conv("c", 8, 4, signed_output=True), conv("c2", 8, 8, (1, 1), signed_output=True)],
    "shift of 40": [conv("c", 8, 4, multiplier=[3, 60_000, 1, 65_535, 2, 5, 7, 9], shift=[40, 23, 20, 24, 0, 1, 9, 9])],
    "large biases": [conv("c", 4, 4, bias=[8_388_607, -8_388_608, 8_388_606, 1], multiplier=[1, 1, 3, 5], shift=22)],
    "multipliers of 0": [conv("c", 4, 4, multiplier=[0, 9_000, 0, 700], shift=18), conv("z", 4, 4, multiplier=0)],
    "residual": [
        conv("c", 4, 4, padding=1),
        conv("r", 4, 4, padding=1, residual="input", residual_multiplier=31_111, shift=18),
    ],
    "residual beside a multiplier of 0": [
        conv("r", 4, 4, (1, 1), multiplier=[0, 3, 0, 3], shift=22, residual="input", residual_multiplier=7_537),
        conv("z", 4, 4, (1, 1), multiplier=0, shift=12, residual="r", residual_multiplier=3_001),
    ],
    "residual that counts nothing": [conv("c", 4, 4, (1, 1), residual="input", residual_multiplier=0)],
    "residual of an earlier layer": [
        conv("a", 4, 4, padding=1, signed_output=True),
        conv("b", 4, 4, (1, 1), input="input"),
        conv("r", 4, 4, (1, 1), input="b", residual="a", residual_multiplier=2_001, shift=15, signed_output=True),
    ],
    "linear, sums": [conv("c", 6, 4, (8, 7)), conv("fc", 10, 6, (1, 1), accumulator_output=True)],
    "sums of a map": [conv("c", 6, 4, accumulator_output=True)],
    "names": [conv("image", 4, 4), conv("_x.1-", 4, 4), conv("7", 4, 4)],
}


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("kind", LAYERS)
def test_every_kind_of_layer_comes_back(tmp_path: Path, kind: str, signed: bool) -> None:
    made = tlm.Network((4, 8, 7), LAYERS[kind], signed_input=signed)
    write_onnx(tmp_path / "n.onnx", made, 0.1)
    imported = read_onnx(tmp_path / "n.onnx")
    assert [layer.name for layer in imported.network.layers] == [layer.name for layer in made.layers]
    low = -8 if signed else 0
    batch = RNG.integers(low, low + 16, (3, 4, 8, 7)).astype(np.int8)
    for activations in batch:
        expected, found = (tlm.reference.run(one, activations) for one in (made, imported.network))
        assert {name: each.tolist() for name, each in found.items()} == {n: e.tolist() for n, e in expected.items()}
    compared = compare(imported, batch)
    assert compared.differing == []
    assert list(compared.layers) == [layer.name for layer in made.layers]


def test_sums_that_no_output_holds_are_refused() -> None:
    made = tlm.Network((4, 8, 7), [conv("s", 4, 4, accumulator_output=True), conv("c", 4, 4, input="input")])
    with pytest.raises(InputError, match="layer 's': accumulator output, but it is not the last"):
        onnx_model(made)
