"""ONNX graphs in the making, for tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tlm.exchange.onnx_reader import Imported, read_onnx

QONNX = "qonnx.custom_op.general"
INT4, UINT4 = TensorProto.INT4, TensorProto.UINT4
RNG = np.random.default_rng(3)


class Graph:
    """A graph whose input ``x`` has been quantised to 4 bits and dequantised as ``q``."""

    def __init__(
        self,
        shape: tuple[int | str, ...] = ("N", 2, 4, 4),
        scale: float = 0.53,
        kind: int = TensorProto.UINT4,
        opset: int = 21,
        real: int = TensorProto.FLOAT,
    ) -> None:
        self.shape, self.opset, self.real = shape, opset, real
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.activations("x", "q", kind, scale)

    def constant(self, name: str, value: Any) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def reals(self, name: str, value: Any) -> str:
        return self.constant(name, np.asarray(value, np.float16 if self.real == TensorProto.FLOAT16 else np.float32))

    def node(self, kind: str, inputs: list[str], output: str, **keys: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=f"n_{output}", **keys))
        return output

    def activations(self, source: str, target: str, kind: int, scale: float = 0.53, zero: int = 0) -> str:
        self.constants.append(helper.make_tensor(f"{target}_z", kind, [], [zero]))
        step = self.reals(f"{target}_s", scale)
        self.node("QuantizeLinear", [source, step, f"{target}_z"], f"{target}_i")
        return self.node("DequantizeLinear", [f"{target}_i", step, f"{target}_z"], target)

    def weights(self, name: str, whole: Any, scale: Any = 0.26, zero: Any = None, **keys: Any) -> str:
        inputs = [self.constant(f"{name}_i", np.asarray(whole, np.int8)), self.reals(f"{name}_s", scale)]
        if zero is not None:
            inputs.append(self.constant(f"{name}_z", np.asarray(zero, np.int8)))
        return self.node("DequantizeLinear", inputs, name, **keys)

    def model(self, output: str) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "g",
            [helper.make_tensor_value_info("x", self.real, self.shape)],
            [helper.make_tensor_value_info(output, self.real, None)],
            self.constants,
        )
        domains = {"": self.opset} | {node.domain: 1 for node in self.nodes if node.domain}
        opsets = [helper.make_opsetid(domain, version) for domain, version in domains.items()]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)

    def read(self, tmp_path: Path, output: str) -> Imported:
        onnx.save(self.model(output), tmp_path / "g.onnx")
        return read_onnx(tmp_path / "g.onnx")


# -- parts of graphs in which all scales are 1 --


def signed(shape: tuple[int | str, ...] = (1, 2, 5, 6), **keys: Any) -> Graph:
    return Graph(shape, scale=1.0, kind=INT4, **keys)


def conv(graph: Graph, source: str = "q", kernel: tuple[int, int] = (3, 3), bias: Any = None, **keys: Any) -> str:
    """Three output channels from two input channels."""
    name = f"c{len(graph.nodes)}"
    inputs = [source, graph.weights(f"{name}_w", RNG.integers(-8, 8, (3, 2, *kernel)), 1.0)]
    if bias is not None:
        inputs.append(graph.reals(f"{name}_b", bias))
    return graph.node("Conv", inputs, name, **keys)


def identity(graph: Graph, source: str, channels: int = 2) -> str:
    """Makes any map the network's output: its sums with weights of 1."""
    weights = graph.weights("last", np.eye(channels)[:, :, None, None], 1.0)
    return graph.node("Conv", [source, weights], "y")


def pads(*amounts: int) -> Any:
    return np.array(amounts, np.int64)


def f32(value: Any) -> Any:
    return np.asarray(value, np.float32)


def added(constant: Any, first: bool = False, relu: bool = False, kind: int = INT4, **keys: Any) -> tuple[Graph, str]:
    """Sums and a constant, with a ReLU before it, quantised in whole levels."""
    graph = signed(**keys)
    last = conv(graph, kernel=(1, 1))
    if relu:
        last = graph.node("Relu", [last], "r")
    inputs = [last, graph.constant("e", f32(constant))]
    return graph, graph.activations(graph.node("Add", inputs[:: -1 if first else 1], "a"), "y", kind, 1.0)


def gemm(weights: tuple[int, int], bias: Any, **keys: Any) -> tuple[Graph, str]:
    graph = signed((1, 6))
    whole = RNG.integers(-8, 8, weights)
    return graph, graph.node("Gemm", ["q", graph.weights("w", whole, 1.0), graph.reals("b", bias)], "y", **keys)


def clip(low: float, high: float, kind: int = UINT4) -> tuple[Graph, str]:
    graph = signed()
    bounds = [graph.reals("l", low), graph.reals("h", high)]
    return graph, graph.activations(graph.node("Clip", [conv(graph, kernel=(1, 1)), *bounds], "r"), "y", kind, 1.0)


def plain(kind: str, *extra: Any, start: Callable[..., Graph] = signed, **keys: Any) -> tuple[Graph, str]:
    graph = start()
    inputs = [graph.constant(f"e{i}", value) if value is not None else "" for i, value in enumerate(extra)]
    return graph, graph.node(kind, ["q", *inputs], "y", **keys)
