"""Float ONNX graphs in the making, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

RNG = np.random.default_rng(5)
IMAGES = RNG.normal(size=(10, 3, 12, 12)).astype(np.float32)
"""For :func:`everything`."""


def reals(*shape: int) -> Any:
    return (RNG.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


class Floats:
    """A float graph with the input ``x``, in the making."""

    def __init__(self, shape: tuple[int | str, ...] = ("N", 3, 12, 12), opset: int = 17) -> None:
        self.shape, self.opset = shape, opset
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: Any) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value), f"k{len(self.constants)}"))
        return self.constants[-1].name

    def node(self, kind: str, source: str | list[str], *constants: Any, **keys: Any) -> str:
        name = f"{kind.lower()}{len(self.nodes)}"
        inputs = [*([source] if isinstance(source, str) else source), *map(self.constant, constants)]
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **keys))
        return name

    def model(self, output: str, kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "g",
            [helper.make_tensor_value_info("x", kind, self.shape)],
            [helper.make_tensor_value_info(output, kind, None)],
            self.constants,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)

    def save(self, path: Path, output: str) -> Path:
        onnx.save(self.model(output), path)
        return path


def everything() -> tuple[Floats, str]:
    """Batch norm, ReLU6, a depth-wise layer, a residual, joined channels, pooling, a mean, a classifier."""
    g = Floats()
    norm = [np.full(8, n, np.float32) for n in (1.2, 0.1, 0.05, 0.8)]
    first = g.node("BatchNormalization", g.node("Conv", "x", reals(8, 3, 3, 3), pads=[1] * 4), *norm)
    first = g.node("Clip", first, np.float32(0), np.float32(6))
    spread = np.exp2(np.arange(8) - 4)[:, None, None, None]  # channels of quite different ranges
    deep = g.node(
        "Conv", first, (reals(8, 1, 3, 3) * spread).astype(np.float32), np.abs(reals(8)), group=8, pads=[1] * 4
    )
    deep = g.node("Relu", deep)
    point = g.node("Conv", deep, (reals(8, 8, 1, 1) / spread[:, 0]).astype(np.float32), reals(8))
    point = g.node("Relu", g.node("Add", [point, first]))
    parts = [g.node("Relu", g.node("Conv", point, reals(4, 8, k, k), pads=[k // 2] * 4)) for k in (1, 3)]
    joined = g.node("MaxPool", g.node("Concat", parts, axis=1), kernel_shape=[2, 2], strides=[2, 2])
    flat = g.node("Flatten", g.node("GlobalAveragePool", joined))
    return g, g.node("Softmax", g.node("Gemm", flat, reals(5, 8) * 3, reals(5), transB=1), axis=1)
