"""The graph that post-training quantization starts from: plain float operators, and where its tensors become 4 bits.

8-bit quantisers are taken away, constants and batch norms folded by onnxruntime's own basic optimisation. Tensors are
quantised where the engine writes them: behind a layer's sums with all that its requantiser does (bias, residual, ReLU).
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tlm.core.errors import InputError
from tlm.exchange.onnx_constants import ONNX_DOMAINS, Array, initialisers
from tlm.exchange.onnx_nodes import node_name
from tlm.exchange.onnx_qdq_form import Rewriter, to_opset_with_axes
from tlm.exchange.onnx_quantisers import Quantiser, dequantised, integer_range
from tlm.exchange.onnx_runtime import session

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

WEIGHTED = {"Conv", "Gemm", "MatMul"}
_SUMS = WEIGHTED | {"AveragePool", "GlobalAveragePool", "ReduceMean"}
_CUTS = {"Relu", "Clip"}
_AFFINE = {"Add", "BatchNormalization", "Div", "Mul", "Sub"}
"""With a constant, another scale and bias of the sums."""
_SHAPES = {"Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"}
_MOVES = {"Concat", "Gather", "GlobalMaxPool", "MaxPool", "Pad", "Slice", "Transpose"}
_FLOAT = 1
"""TensorProto's number of the type."""


def make_plain(model: ModelProto, batch: int) -> None:
    """Make float operators of a graph, in place: no quantisers, no batch norms behind convolutions, no dead constants.

    Args:
        model: in the reader's form, of float or 8-bit QuantizeLinear and DequantizeLinear nodes.
        batch: images that it takes at once.

    Raises:
        InputError: it has 4 bits already, or is of float16; onnxruntime refuses it.
    """
    import onnx
    import onnxruntime  # type: ignore[import-untyped]

    _take_quantisers_away(model)
    to_opset_with_axes(model)
    for one in model.graph.input:
        if one.type.tensor_type.elem_type != _FLOAT:
            raise InputError(f"input {one.name!r}: must be of type float32 to be quantised; export it in float32")
        one.type.tensor_type.shape.dim[0].dim_value = batch  # a shape that follows from it is a constant then
    with tempfile.TemporaryDirectory() as directory:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(Path(directory) / "plain.onnx")
        session(model, options)
        model.CopyFrom(onnx.load(options.optimized_model_filepath))
    kept = [one for one in model.opset_import if one.domain in ONNX_DOMAINS]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    del model.graph.value_info[:]


def _take_quantisers_away(model: ModelProto) -> None:
    to, cut = Rewriter(model), dict[str, float]()  # whole numbers -> the largest real one, where 0 is the smallest
    whole = set[str]()
    for node in model.graph.node:
        name = node.output[0]
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            if whole & set(node.input):
                raise InputError(
                    f"node {node_name(node)}: works on whole numbers; a network that is quantised to 4 bits already is "
                    "imported without --quantize"
                )
            to.nodes.append(node)
        elif node.input[0] in to.arrays:
            array, scale = (to.array(one, "constant") for one in node.input[:2])
            zero = to.array(node.input[2], "zero point") if len(node.input) > 2 else np.zeros(())
            axis = next((one.i for one in node.attribute if one.name == "axis"), 1)
            quantiser = Quantiser(scale.astype(np.float64), zero.astype(np.int64), None)
            to.constant(name, dequantised(array, quantiser, axis).value.astype(np.float32))
        elif node.op_type == "QuantizeLinear":
            whole.add(name)
            zero = to.array(node.input[2], "zero point") if len(node.input) > 2 else np.zeros(1, np.uint8)
            least, most = integer_range(str(zero.dtype))
            if most - least < 255:
                raise InputError(f"node {node_name(node)}: is of {zero.dtype} already; import it without --quantize")
            if int(zero.reshape(-1)[0]) == least:  # a ReLU, or less
                cut[name] = float(to.array(node.input[1], "scale").reshape(-1)[0]) * (most - least)
            to.node("Identity", [node.input[0]], name)
        elif node.input[0] in cut:
            ends = np.array([0.0, cut[node.input[0]]], np.float32)
            bounds = [to.constant(f"{name}/end{i}", end.reshape(())) for i, end in enumerate(np.split(ends, 2))]
            to.node("Clip", [node.input[0], *bounds], name)
        else:
            to.node("Identity", [node.input[0]], name)
    to.finish()


class Places:
    """Where the tensors of a plain graph are quantised.

    Args:
        model: from :func:`make_plain`.

    Raises:
        InputError: a node that the engine cannot run.
    """

    def __init__(self, model: ModelProto) -> None:
        graph = model.graph
        self.nodes = [*graph.node]
        self.output = graph.output[0].name
        self.arrays: dict[str, Array] = {name: one.value for name, one in initialisers(model).items()}
        (self.input,) = (one.name for one in graph.input if one.name not in self.arrays)
        self.readers: dict[str, list[NodeProto]] = defaultdict(list)
        self.makers = {node.output[0]: node for node in self.nodes}
        self.last_use = {name: index for index, node in enumerate(self.nodes) for name in node.input}
        self._order = {node.output[0]: index for index, node in enumerate(self.nodes)}
        for node in self.nodes:
            for name in node.input:
                self.readers[name].append(node)
        self.points: list[str] = []
        """Tensors that are quantised, in the order of the graph."""
        self.positive: dict[str, bool] = {}
        """Tensor -> whether it has no values below 0; of the input nothing is known."""
        self.image = ""
        """The tensor that becomes the network's input."""
        self._place: dict[str, str] = {}
        """Tensor that is held in 4 bits -> what it has its scale from."""
        self._kinds: dict[str, str] = {}
        """Tensor -> "plain" sums, other "sums", "raw" (the input, perhaps times a number) or "held"."""
        self._put(self.input, "raw")
        for node in self.nodes:
            self._read(node)
        self.last = self._uniform() if self.output not in self._place else None
        """Output of the layer whose weights need one scale for all channels, as its sums are the scores."""

    def root(self, name: str) -> str:
        """The tensor that has the scale of a tensor that is held in 4 bits."""
        while self._place[name] != name:
            name = self._place[name]
        return name

    def groups(self) -> dict[str, list[str]]:
        """Tensors that are quantised, by the one that has their scale."""
        found: dict[str, list[str]] = defaultdict(list)
        for name in self.points:
            found[self.root(name)].append(name)
        return found

    def computed(self, node: NodeProto) -> list[str]:
        """A node's inputs that are no constants."""
        return [name for name in node.input if name and name not in self.arrays]

    def _read(self, node: NodeProto) -> None:
        name, given, kind = node.output[0], self.computed(node), node.op_type
        if not given or len(node.output) > 1:
            raise InputError(f"node {node_name(node)}: is left by onnxruntime's optimisation; export without it")
        before, first = [self._kinds[one] for one in given], given[0]
        positive = all(self.positive[one] for one in given)
        if kind in WEIGHTED and (len(given) > 1 or len(node.input) < 2):
            raise InputError(f"node {node_name(node)}: its weights are computed, but must be constants")
        if kind in _SUMS:
            self._put(name, "plain", kind not in WEIGHTED and positive)
        elif kind in _CUTS:
            low = self.arrays.get(node.input[1]) if len(node.input) > 1 else None
            self._put(name, "sums", positive or kind == "Relu" or (low is not None and low.min() >= 0))
        elif kind in _AFFINE and len(given) == 1:
            self._put(name, "raw" if before == ["raw"] else "plain")
        elif kind == "Add":
            self._put(name, "sums", positive)
        elif kind in _SHAPES and before != ["held"]:
            self._put(name, before[0], positive)
        elif kind in _SHAPES | _MOVES:
            self._kinds[name], self.positive[name] = "held", positive
            for one in given[1:]:
                self._place[self.root(one)] = self.root(first)
            self._place[name] = self.root(first)
        else:
            what = " two computed tensors" if len(given) > 1 else ""
            raise InputError(f"node {node_name(node)}: the engine cannot run it{what and f' on{what}'}")

    def _put(self, name: str, kind: str, positive: bool = False) -> None:
        self._kinds[name], self.positive[name] = kind, positive
        if not self._taken_in(name, kind):
            self.points.append(name)
            self.image = name if kind == "raw" else self.image
            self._kinds[name], self._place[name] = "held", name

    def _taken_in(self, name: str, kind: str) -> bool:
        """Whether what reads a tensor works on sums that are not quantised."""
        if name == self.output:
            return kind == "plain"
        if len(self.readers[name]) != 1:
            return False
        (node,) = self.readers[name]
        others = [one for one in node.input if one in self.arrays]
        if kind == "raw":
            return node.op_type in ("Div", "Mul") and all(self.arrays[one].size == 1 for one in others)
        if node.op_type in _CUTS | _SHAPES:
            return True
        if node.op_type not in _AFFINE or kind != "plain":
            return False
        given = self.computed(node)
        return len(given) == 1 or name == max(given, key=lambda one: self._order.get(one, -1))

    def _uniform(self) -> str | None:
        """The layer whose sums are the graph's output, up to constants that are added; otherwise that is quantised."""
        name = self.output
        while (node := self.makers.get(name)) is not None and name not in self._place:
            if node.op_type in _SUMS:
                return str(name)
            if node.op_type not in {"Add"} | _SHAPES:
                break
            (name,) = self.computed(node)
        self.points.append(self.output)
        self._place[self.output] = self.output
        return None
