"""Graphs as other people's tools write them: the very values of the tool that runs them.

All numbers are whole and divided by odd scales, so no value lies half-way between two levels, where the engine and
onnxruntime round differently.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from onnx_graphs import INT4, QONNX, RNG, UINT4, Graph, clip, conv, f32, gemm, pads, signed
from onnx_values import by_onnxruntime, check_values

from tlm.core.errors import InputError
from tlm.exchange.onnx_reader import Imported, read_onnx

Made = tuple[Graph, str]


def channels_last() -> Made:
    """As tf2onnx writes them: the input and a bias in (N, H, W, C), the flattening too."""
    graph = signed((2, 5, 6, 2))
    last = conv(graph, graph.node("Transpose", ["q"], "t", perm=[0, 3, 1, 2]), kernel=(2, 3))
    back = graph.node("Transpose", [last], "b", perm=[0, 2, 3, 1])
    held = graph.activations(graph.node("Add", [back, graph.constant("e", f32([3, -2, 1]))], "a"), "h", INT4, 15.0)
    flat = graph.node("Reshape", [held, graph.constant("s", pads(2, -1))], "f")
    return graph, graph.node("MatMul", [flat, graph.weights("w", RNG.integers(-8, 8, (48, 4)), 1.0)], "y")


def output_channels_last() -> Made:
    graph = signed()
    return graph, graph.node("Transpose", [conv(graph)], "y", perm=[0, 2, 3, 1])


def shuffled() -> Made:
    """ShuffleNet's shuffle of channels."""
    graph = signed((1, 4, 3, 3))
    pairs = graph.node("Reshape", ["q", graph.constant("s", pads(1, 2, 2, 3, 3))], "r")
    turned = graph.node("Transpose", [pairs], "t", perm=[0, 2, 1, 3, 4])
    back = graph.node("Reshape", [turned, graph.constant("u", pads(1, 4, 3, 3))], "b")
    weights = graph.weights("w", RNG.integers(-8, 8, (3, 4, 2, 2)), 1.0)
    return graph, graph.node("Conv", [back, weights], "y")


def branches(scales: tuple[float, ...], kind: int = UINT4) -> Made:
    """Fire modules and Inception blocks: several layers side by side, joined."""
    graph = signed()
    names = []
    for i, scale in enumerate(scales):
        one = conv(graph, kernel=(i + 1, 1), pads=[0, 0, i, 0])
        names.append(graph.activations(graph.node("Relu", [one], f"r{i}"), f"a{i}", kind, scale))
    joined = graph.node("Concat", names, "j", axis=1)
    held = graph.activations(joined, "h", kind, max(scales))
    weights = graph.weights("w", RNG.integers(-8, 8, (3, 3 * len(scales), 2, 2)), 1.0)
    return graph, graph.node("Conv", [held, weights], "y")


def split(*extra: Any, **keys: Any) -> Made:
    graph = signed((1, 4, 5, 6))
    inputs = [graph.constant(f"e{i}", value) for i, value in enumerate(extra)]
    graph.nodes.append(helper.make_node("Split", ["q", *inputs], ["one", "two"], name="n_s", **keys))
    return graph, conv(graph, "two")


def narrow(kind: int, low: int, high: int, source: Callable[[Graph], str] = conv) -> Made:
    """Fewer than 4 bits, as Brevitas writes them."""
    graph = signed()
    step, zero = graph.reals("s", 7.0), graph.constant("z", np.array(0, helper.tensor_dtype_to_np_dtype(kind)))
    whole = graph.node("QuantizeLinear", [source(graph), step, zero], "i")
    bounds = [
        graph.constant(k, np.array(end, helper.tensor_dtype_to_np_dtype(kind)))
        for k, end in zip("lh", (low, high), strict=True)
    ]
    return graph, graph.node("DequantizeLinear", [graph.node("Clip", [whole, *bounds], "k"), step, zero], "y")


def by_constant(kind: str, constant: Any, first: bool = False) -> Made:
    graph = signed()
    inputs = [conv(graph), graph.constant("e", f32(constant))]
    return graph, graph.activations(graph.node(kind, inputs[:: -1 if first else 1], "m"), "y", INT4, 15.0)


def scaled_input() -> Made:
    """Pixels are divided before they are quantised."""
    graph = signed()
    graph.nodes[0].input[0] = "d"
    graph.nodes.insert(0, helper.make_node("Div", ["x", graph.reals("e", 4.0)], ["d"], name="n_d"))
    return graph, conv(graph)


def dead_branch() -> Made:
    graph = signed()
    graph.node("Erf", ["q"], "unused")
    return graph, conv(graph)


def long_way_round() -> Made:
    """Several pairs of quantisers around what changes no value: no layer of their own."""
    graph = signed()
    last = graph.activations(graph.node("MaxPool", ["q"], "p", kernel_shape=[2, 2]), "h", INT4, 1.0)
    last = graph.activations(graph.node("Identity", [last], "d"), "h2", INT4, 1.0)
    return graph, conv(graph, last)


VALUES: dict[str, Callable[[], Made]] = {
    "channels last": channels_last,
    "output channels last": output_channels_last,
    "shuffled channels": shuffled,
    "two branches": lambda: branches((15.0, 15.0)),
    "three branches of several scales": lambda: branches((5.0, 15.0, 9.0)),
    "signed branches": lambda: branches((15.0, 15.0), INT4),
    "split in halves": lambda: split(axis=1, num_outputs=2),
    "split, sizes given": lambda: split(pads(2, 2), axis=-3),
    "slice of channels": lambda: (
        g := signed((1, 5, 5, 6)),
        conv(
            g,
            g.node(
                "Slice", ["q", *(g.constant(k, pads(v)) for k, v in (("b", 3), ("e", -6), ("a", 1), ("s", -2)))], "t"
            ),
        ),
    ),
    "gathered channels": lambda: (
        g := signed(),
        conv(g, g.node("Gather", ["q", g.constant("i", pads(1, 1))], "t", axis=1)),
    ),
    "2 bits": lambda: narrow(TensorProto.UINT8, 0, 3),
    "narrow range": lambda: narrow(TensorProto.INT8, -7, 7),
    "3 bits, signed": lambda: narrow(TensorProto.INT8, -4, 3),
    "2 bits of the input": lambda: narrow(TensorProto.INT8, -2, 1, source=lambda graph: "q"),
    "clip in between": lambda: clip(0.0, 9.0),
    "clip below": lambda: clip(-3.0, 5.0, INT4),
    "times a number per channel": lambda: by_constant("Mul", [[[2]], [[1]], [[3]]]),
    "divided": lambda: by_constant("Div", 0.5),
    "less a number": lambda: by_constant("Sub", [[[2]], [[-1]], [[5]]]),
    "scaled input": scaled_input,
    "dead branch": dead_branch,
    "long way round": long_way_round,
    "greatest of a map": lambda: (g := signed(), conv(g, g.node("GlobalMaxPool", ["q"], "p"), kernel=(1, 1))),
}


@pytest.mark.parametrize("name", VALUES)
def test_the_very_values_of_onnxruntime(tmp_path: Path, name: str) -> None:
    graph, output = VALUES[name]()
    check_values(graph.read(tmp_path, output), by_onnxruntime(graph.model(output)))


def test_what_changes_no_value_is_no_layer(tmp_path: Path) -> None:
    graph, output = long_way_round()
    assert len(graph.read(tmp_path, output).network.layers) == 2


ENDS: dict[str, tuple[Callable[[Graph, str], str], str]] = {
    "best class": (lambda g, s: g.node("ArgMax", [s], "z", axis=1), "ArgMax n_z"),
    "quantised probabilities": (
        lambda g, s: g.activations(g.node("Softmax", [s], "p"), "z", TensorProto.UINT8, 1 / 256),
        "Softmax n_p, QuantizeLinear n_z_i, DequantizeLinear n_z",
    ),
    "best of the probabilities": (
        lambda g, s: g.node("ArgMax", [g.node("LogSoftmax", [s], "p", axis=1)], "z", axis=-1),
        "LogSoftmax n_p, ArgMax n_z",
    ),
}


@pytest.mark.parametrize("name", ENDS)
def test_what_follows_from_the_scores_is_left_to_the_host(tmp_path: Path, name: str) -> None:
    make, left_out = ENDS[name]
    graph, scores = gemm((6, 4), [1, 2, 3, 4])
    imported = graph.read(tmp_path, make(graph, scores))
    assert imported.left_out == left_out
    assert imported.network.layers[-1].accumulator_output


# -- QONNX ------------------------------------------------------------------------------------------------------------


class Quant(OpRun):
    """https://github.com/fastmachinelearning/qonnx/blob/main/docs/qonnx-custom-ops/quant_op.md"""

    op_domain = QONNX

    def _run(
        self, x: Any, scale: Any, zero: Any, bits: Any, signed: int = 1, narrow: int = 0, rounding_mode: str = ""
    ) -> Any:
        least = (-(2 ** (bits - 1)) + narrow) if signed else 0
        most = 2 ** (bits - 1) - 1 if signed else 2**bits - 1 - narrow
        return (((np.rint(np.clip(x / scale + zero, least, most)) - zero) * scale).astype(np.float32),)


class BipolarQuant(OpRun):
    """https://github.com/fastmachinelearning/qonnx/blob/main/docs/qonnx-custom-ops/bipolar_quant_op.md"""

    op_domain = QONNX

    def _run(self, x: Any, scale: Any) -> Any:
        return ((np.where(x >= 0, 1, -1) * scale).astype(np.float32),)


def qonnx_network(bits: float, narrow: int, weight_bits: float, per_channel: bool, opset: int) -> onnx.ModelProto:
    """As Brevitas writes it: Quant behind the input, the weights and each ReLU."""
    arrays: dict[str, Any] = {
        "w": RNG.integers(-9, 9, (3, 2, 3, 3)) / 2.0,
        "ws": [[[[1.0]]], [[[0.5]]], [[[2.0]]]] if per_channel else 0.5,
        "v": RNG.normal(size=(2, 3, 1, 1)),
        "one": 1.0, "none": 0.0, "xb": 4.0, "wb": weight_bits, "ab": bits, "as": 7.3,
    }  # fmt: skip
    nodes = [
        helper.make_node("Quant", ["x", "one", "none", "xb"], ["q"], "Quant_0", signed=0, narrow=0, domain=QONNX),
        helper.make_node("Quant", ["w", "ws", "none", "wb"], ["wq"], "Quant_1", signed=1, narrow=1, domain=QONNX),
        helper.make_node("Conv", ["q", "wq"], ["c"], "Conv_0", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], "Relu_0"),
        helper.make_node("Quant", ["r", "as", "none", "ab"], ["a"], "Quant_2", signed=0, narrow=narrow, domain=QONNX),
        helper.make_node("BipolarQuant", ["v", "one"], ["vq"], "Quant_3", domain=QONNX),
        helper.make_node("Conv", ["a", "vq"], ["y"], "Conv_1"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 2, 5, 6))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in arrays.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(QONNX, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def saved(model: onnx.ModelProto, directory: Path) -> Imported:
    onnx.save(model, directory / "m.onnx")
    return read_onnx(directory / "m.onnx")


@pytest.mark.parametrize(
    ("bits", "narrow", "weight_bits", "per_channel", "opset"),
    [(4.0, 0, 4.0, True, 13), (3.0, 0, 3.0, False, 11), (2.0, 1, 2.0, True, 17), (4.0, 1, 4.0, False, 10)],
)
def test_qonnx(tmp_path: Path, bits: float, narrow: int, weight_bits: float, per_channel: bool, opset: int) -> None:
    model = qonnx_network(bits, narrow, weight_bits, per_channel, opset)
    evaluator = ReferenceEvaluator(model, new_ops=[Quant, BipolarQuant])
    check_values(saved(model, tmp_path), lambda images: np.asarray(evaluator.run(None, {"x": images})[0]))


# -- integer operators ------------------------------------------------------------------------------------------------


def integer_network(per_channel: bool) -> onnx.ModelProto:
    """QLinearConv, Clip to 4 bits, MaxPool, QLinearAdd, QLinearGlobalAveragePool, QGemm."""
    microsoft = "com.microsoft"
    arrays: dict[str, Any] = {
        "one": np.float32(1.0), "s8": np.float32(7.0), "s4": np.float32(4.0), "z": np.uint8(0), "zw": np.int8(0),
        "least": np.uint8(0), "most": np.uint8(15), "shape": pads(1, -1),
        "w": RNG.integers(-8, 8, (2, 2, 3, 3)).astype(np.int8), "b": np.array([5, -6], np.int32),
        "ws": f32([1.0, 2.0]) if per_channel else np.float32(1.0), "wz": np.zeros(2 if per_channel else (), np.int8),
        "m": RNG.integers(-8, 8, (2, 4)).astype(np.int8), "mb": np.array([5, -6, 7, 8], np.int32),
    }  # fmt: skip
    arrays["wz"] = np.zeros_like(arrays["ws"], np.int8)

    def clipped(name: str) -> list[onnx.NodeProto]:
        return [helper.make_node("Clip", [f"{name}_8", "least", "most"], [name], f"clip_{name}")]

    nodes = [
        helper.make_node("QuantizeLinear", ["x", "one", "z"], ["q_8"], "quantise"),
        *clipped("q"),
        helper.make_node(
            "QLinearConv", ["q", "one", "z", "w", "ws", "wz", "s8", "z", "b"], ["c_8"], "conv", pads=[1, 1, 1, 1]
        ),
        *clipped("c"),
        helper.make_node("MaxPool", ["c"], ["p"], "pool", kernel_shape=[2, 2]),
        helper.make_node("MaxPool", ["q"], ["k"], "keep", kernel_shape=[2, 2]),
        helper.make_node("QLinearAdd", ["p", "s8", "z", "k", "one", "z", "s8", "z"], ["a_8"], "add", domain=microsoft),
        *clipped("a"),
        helper.make_node("Reshape", ["a", "flat"], ["f"], "reshape"),
        helper.make_node("QGemm", ["f", "s8", "z", "n", "one", "zw", "nb"], ["y"], "gemm", domain=microsoft, alpha=1.0),
    ]
    arrays |= {"n": RNG.integers(-8, 8, (40, 4)).astype(np.int8), "nb": arrays["mb"], "flat": pads(0, -1)}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("N", 2, 5, 6))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in arrays.items()],
    )
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid(microsoft, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.mark.parametrize("per_channel", [False, True])
def test_integer_operators(tmp_path: Path, per_channel: bool) -> None:
    model = integer_network(per_channel)
    imported = saved(model, tmp_path)
    assert [layer.name for layer in imported.network.layers]
    check_values(imported, by_onnxruntime(model))


def of_integers(kind: str, shape: tuple[int, ...], *more: Any, times: int = 1, last: bool = False, **keys: Any) -> Any:
    """The input in whole numbers of 4 bits, and one integer operator behind it.

    Args:
        kind: the operator.
        shape: of the input.
        more: its arrays behind input, scale and zero point.
        times: how often the input is given.
        last: the output's scale and zero point come first, as QLinearConcat has them.
    """
    own = ["QLinearMatMul"]
    arrays = {"one": np.float32(1.0), "out": np.float32(3.0), "z": np.uint8(0), "end": np.uint8(15)}
    arrays |= {f"m{i}": one for i, one in enumerate(more)}
    given = ["q", "one", "z"] * times + [f"m{i}" for i in range(len(more))]
    inputs = ["out", "z", *given] if last else [*given, "out", "z"]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "one", "z"], ["q8"]),
        helper.make_node("Clip", ["q8", "z", "end"], ["q"]),
        helper.make_node(kind, inputs, ["y8"], "n", domain="" if kind in own else "com.microsoft", **keys),
        helper.make_node("Clip", ["y8", "z", "end"], ["y4"]),
        helper.make_node("DequantizeLinear", ["y4", "out", "z"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in arrays.items()],
    )
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


INTEGERS: dict[str, Callable[[], Any]] = {
    "QLinearMatMul": lambda: of_integers(
        "QLinearMatMul", (2, 6), RNG.integers(-8, 8, (6, 5)).astype(np.int8), np.float32(1.0), np.int8(0)
    ),
    "QLinearConcat": lambda: of_integers("QLinearConcat", (1, 2, 4, 4), times=2, last=True, axis=1),
    "QLinearAveragePool": lambda: of_integers("QLinearAveragePool", (1, 2, 4, 5), kernel_shape=[1, 5]),
    "QLinearAveragePool with padding": lambda: of_integers(
        "QLinearAveragePool", (1, 2, 5, 5), kernel_shape=[1, 5], pads=[0, 2, 0, 2], count_include_pad=1
    ),
    "QLinearGlobalAveragePool": lambda: of_integers("QLinearGlobalAveragePool", (1, 4, 5, 5)),
}


@pytest.mark.parametrize("name", INTEGERS)
def test_an_integer_operator_alone(tmp_path: Path, name: str) -> None:
    """The output's scale is 3, so no sum or mean of an odd number lies half-way between two levels."""
    model = INTEGERS[name]()
    check_values(saved(model, tmp_path), by_onnxruntime(model))


def test_a_mean_that_leaves_padding_out_is_refused(tmp_path: Path) -> None:
    model = of_integers("QLinearAveragePool", (1, 2, 5, 5), kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    with pytest.raises(InputError, match=r"node AveragePool n: count_include_pad is 0, but must be 1 where there is"):
        saved(model, tmp_path)
