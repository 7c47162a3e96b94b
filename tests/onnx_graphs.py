"""ONNX graphs in the making, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tlm.exchange.onnx_reader import Imported, read_onnx


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
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=10)

    def read(self, tmp_path: Path, output: str) -> Imported:
        onnx.save(self.model(output), tmp_path / "g.onnx")
        return read_onnx(tmp_path / "g.onnx")
