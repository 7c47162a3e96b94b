"""Each family of operators in the forms of several opsets: quantised on import, and equal to onnxruntime.

Opset 13 made axes an input (Squeeze, Unsqueeze, Split), 18 those of ReduceMean; 13 changed Softmax, 14 batch norm.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from float_graphs import Floats
from onnx import helper

import tlm
from tlm.exchange.onnx_check import compare
from tlm.exchange.onnx_reader import read_onnx
from tlm.exchange.ptq import PostTraining
from tlm.exchange.ptq_report import levels

SHAPE = (3, 6, 6)
IMAGES = np.random.default_rng(7).normal(size=(4, *SHAPE)).astype(np.float32)


def reals(*shape: int) -> Any:
    """Weights of a shape, the same ones in any order of the tests."""
    return (np.random.default_rng(shape).normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


def conv(g: Floats, source: str = "x", channels: int = 3, outputs: int = 4, **keys: Any) -> str:
    return g.node("Conv", source, reals(outputs, channels, 3, 3), reals(outputs), **{"pads": [1] * 4, **keys})


def relu(g: Floats) -> str:
    return g.node("Relu", conv(g))


def whole(*values: int) -> Any:
    return np.array(values, np.int64)


def over(g: Floats, kind: str, source: str, since: int, axes: tuple[int, ...], **keys: Any) -> str:
    """Its axes are an input since that opset, and an attribute before."""
    if g.opset >= since:
        return g.node(kind, source, whole(*axes), **keys)
    return g.node(kind, source, axes=axes, **keys)


def norm(g: Floats) -> str:
    return g.node("BatchNormalization", conv(g), *(np.full(4, n, np.float32) for n in (1.2, 0.1, 0.05, 0.8)))


def split(g: Floats) -> str:
    """Two parts that are joined the other way round."""
    parts, source = ["one", "two"], relu(g)
    inputs, keys = [source], {"split": [1, 3]}
    if g.opset >= 13:
        inputs, keys = [source, g.constant(whole(1, 3))], {}
    g.nodes.append(helper.make_node("Split", inputs, parts, name="split", axis=1, **keys))
    return conv(g, g.node("Concat", parts[::-1], axis=1), 4)


def scores(g: Floats) -> str:
    return g.node("Gemm", g.node("Flatten", relu(g)), reals(5, 144), reals(5), transB=1)


FAMILIES: dict[str, Callable[[Floats], str]] = {
    "batch norm": norm,
    "clip": lambda g: conv(g, g.node("Clip", conv(g), np.float32(0), np.float32(6)), 4),
    "dropout and identity": lambda g: conv(g, g.node("Dropout", g.node("Identity", relu(g))), 4),
    "softmax": lambda g: g.node("Softmax", scores(g), axis=1),
    "best class": lambda g: g.node("ArgMax", scores(g), axis=1),
    "max pooling": lambda g: conv(g, g.node("MaxPool", relu(g), kernel_shape=[3, 2], strides=[2, 2], ceil_mode=1), 4),
    "average pooling": lambda g: g.node("AveragePool", relu(g), kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1),
    "mean of the map": lambda g: g.node("GlobalAveragePool", relu(g)),
    "reduced mean": lambda g: over(g, "ReduceMean", relu(g), 18, (2, 3), keepdims=1),
    "reshape and matmul": lambda g: g.node("MatMul", g.node("Reshape", relu(g), whole(-1, 144)), reals(144, 5)),
    "squeezed": lambda g: over(
        g, "Unsqueeze", over(g, "Squeeze", g.node("GlobalAveragePool", relu(g)), 13, (3,)), 13, (3,)
    ),
    "channels last": lambda g: g.node(
        "MatMul", g.node("Reshape", g.node("Transpose", relu(g), perm=[0, 2, 3, 1]), whole(-1, 144)), reals(144, 5)
    ),
    "pad": lambda g: conv(g, g.node("Pad", relu(g), whole(0, 0, 1, 1, 0, 0, 1, 1)), 4, pads=[0] * 4),
    "split and concat": split,
    "slice": lambda g: conv(g, g.node("Slice", relu(g), whole(1), whole(4), whole(1)), 3),
    "residual": lambda g: (first := relu(g), g.node("Relu", g.node("Add", [conv(g, first, 4), first])))[1],
    "constants": lambda g: g.node("Add", g.node("Mul", conv(g), np.float32(2)), np.float32(0.5)),
}
SLOW = [pytest.param(opset, marks=pytest.mark.slow) for opset in (12, 13, 14, 15, 16, 17, 18, 19, 20, 21)]


@pytest.mark.parametrize("opset", [11, *SLOW])
@pytest.mark.parametrize("family", FAMILIES)
def test_equal_to_onnxruntime(tmp_path: Path, family: str, opset: int) -> None:
    g = Floats(("N", *SHAPE), opset)
    output = FAMILIES[family](g)
    model = g.model(output)
    if family == "best class":
        model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    onnx.save(model, tmp_path / "g.onnx")
    done = PostTraining(IMAGES)
    imported = read_onnx(tmp_path / "g.onnx", done)
    compared = compare(imported, levels(imported, IMAGES))
    assert compared.differing == []
    assert min(compared.alone.values()) > 0.97
    assert min(one.sqnr_db for one in done.figures.values()) > 8
    assert any(isinstance(layer, tlm.Conv2d) for layer in imported.network.layers)
