"""Attributes and shapes that the engine cannot honour are refused by the name of their node."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_graphs import INT4, QONNX, UINT4, Graph, added, clip, conv, f32, gemm, identity, pads, plain, signed

from tlm.core.errors import InputError
from tlm.exchange.onnx_reader import read_onnx


def endless(kind: str) -> tuple[Graph, str]:
    graph = signed()
    go = helper.make_tensor_value_info("go", TensorProto.BOOL, [])
    went = helper.make_tensor_value_info("went", TensorProto.BOOL, [])
    count = helper.make_tensor_value_info("i", TensorProto.INT64, [])
    inputs = [count, go] if kind == "Loop" else []
    body = helper.make_graph([helper.make_node("Identity", ["go"], ["went"])], "b", inputs, [went])
    keys = {"body": body} if kind == "Loop" else {"then_branch": body, "else_branch": body}
    graph.nodes.append(
        helper.make_node(kind, ["", graph.constant("go", np.array(True))][kind == "If" :], ["n"], name="n_n", **keys)
    )
    return graph, conv(graph)


def in_the_middle() -> tuple[Graph, str]:
    graph = signed()
    return graph, conv(graph, graph.activations(graph.node("Softmax", ["q"], "s", axis=1), "t", UINT4))


def second_quantiser() -> tuple[Graph, str]:
    graph = signed()
    graph.activations("x", "again", INT4, 2.0)
    return graph, graph.activations(graph.node("Add", ["q", "again"], "s"), "y", INT4, 1.0)


def per_channel() -> tuple[Graph, str]:
    graph = signed()
    whole = graph.node("QuantizeLinear", [conv(graph), graph.reals("s", [1.0, 2.0, 3.0])], "i", axis=1)
    return graph, graph.node("DequantizeLinear", [whole, "s"], "y", axis=1)


def other_zero_point() -> tuple[Graph, str]:
    graph = signed()
    graph.activations(conv(graph, kernel=(1, 1)), "a", UINT4, 1.0)
    graph.constants.append(helper.make_tensor("three", UINT4, [], [3]))
    return graph, identity(graph, graph.node("DequantizeLinear", ["a_i", "a_s", "three"], "d"), 3)


def gigantic() -> tuple[Graph, str]:
    graph = signed()
    return sum_added(graph, graph.node("ConstantOfShape", [graph.constant("e", pads(70_000, 70_000))], "large"))


def doubled() -> tuple[Graph, str]:
    """2^40 values out of two."""
    graph = signed()
    last = graph.constant("e", f32([1.0, 1.0]))
    for i in range(40):
        last = graph.node("Concat", [last, last], f"d{i}", axis=0)
    return sum_added(graph, last)


def sum_added(graph: Graph, constant: str) -> tuple[Graph, str]:
    """No node is a dead branch."""
    return graph, graph.node("Add", [conv(graph), graph.node("ReduceSum", [constant], "all", keepdims=0)], "y")


def scaled(value: float) -> tuple[Graph, str]:
    graph = signed()
    return graph, graph.node("Conv", ["q", graph.weights("w", np.ones((3, 2, 1, 1)), value)], "y")


def joined(names: tuple[str, ...], *more: tuple[str, int], axis: int = 1) -> tuple[Graph, str]:
    graph = signed()
    for name, kind in more:
        graph.activations(graph.node("Relu", [conv(graph, kernel=(1, 1))], f"{name}_r"), name, kind, 1.0)
    return graph, graph.node("Concat", [*names], "j", axis=axis)


def quant(bits: float = 4.0, **keys: Any) -> tuple[Graph, str]:
    graph = signed()
    inputs = [graph.reals(f"q_{i}", value) for i, value in enumerate((1.0, 0.0, bits))]
    return graph, graph.node("Quant", [conv(graph), *inputs], "y", domain=QONNX, **keys)


def along_rows() -> tuple[Graph, str]:
    graph = signed((1, 2, 64, 2))
    return graph, graph.node("Add", [conv(graph, kernel=(1, 1)), graph.constant("e", f32(np.arange(64)[:, None]))], "a")


REFUSED: dict[str, tuple[Callable[[], tuple[Graph, str]], str]] = {
    "padding that does not count": (
        lambda: plain("AveragePool", kernel_shape=[2, 2], pads=[1, 0, 0, 0]),
        "node AveragePool n_y: count_include_pad is 0, but must be 1 where there is padding",
    ),
    "rounding up that adds windows": (
        lambda: plain("AveragePool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        "node AveragePool n_y: ceil_mode is 1, but must be 0",
    ),
    "two paddings": (
        lambda: plain("MaxPool", kernel_shape=[2, 2], auto_pad="SAME_UPPER", pads=[1, 0, 0, 0]),
        "node MaxPool n_y: auto_pad is 'SAME_UPPER', but must be 'NOTSET' beside pads (1, 0, 0, 0)",
    ),
    "order of indices": (
        lambda: plain("MaxPool", kernel_shape=[2, 2], storage_order=1),
        "node MaxPool n_y: storage_order is 1, but must be 0",
    ),
    "reflecting pad": (
        lambda: plain("Pad", pads(0, 0, 1, 1, 0, 0, 1, 1), mode="reflect"),
        "node Pad n_y: mode is 'reflect', but must be 'constant'",
    ),
    "pad with half a level": (
        lambda: plain("Pad", pads(0, 0, 1, 1, 0, 0, 1, 1), f32(0.5)),
        "node Pad n_y: its value 0.5 is 0.5 levels of 1 each, but must be a whole one in -8..7",
    ),
    "pad with too much": (
        lambda: plain("Pad", pads(0, 0, 1, 1, 0, 0, 1, 1), f32(8)),
        "node Pad n_y: its value 8 is 8 levels of 1 each, but must be a whole one in -8..7",
    ),
    "pad of channels": (lambda: plain("Pad", pads(0, 1, 0, 0, 0, 0, 0, 0)), "node Pad n_y: pads [0, 1, 0, 0, 0, 0"),
    "pad that crops": (lambda: plain("Pad", pads(0, 0, -1, 0, 0, 0, 0, 0)), "node Pad n_y: pads [0, 0, -1, 0, 0, 0"),
    "flatten that mixes": (
        lambda: plain("Flatten", axis=2),
        "node Flatten n_y: axis is 2, which makes (2, 30) of (1, 2, 5, 6), but must keep the batch of 1 first",
    ),
    "flatten of a batch": (
        lambda: plain("Flatten", start=lambda: signed((2, 2, 5, 6)), axis=0),
        "node Flatten n_y: axis is 0, which makes (1, 120) of (2, 2, 5, 6)",
    ),
    "reshape to another map": (
        lambda: (g := signed(), conv(g, g.node("Reshape", ["q", g.constant("s", pads(1, 2, 6, 5))], "r"))),
        "its input has shape (1, 2, 6, 5), but must be the map (2, 5, 6)",
    ),
    "product of rank 4": (
        lambda: (graph := signed(), graph.node("MatMul", ["q", graph.weights("w", np.ones((6, 4)), 1.0)], "y")),
        "node MatMul n_y: multiplies shape (1, 2, 5, 6) by (6, 4)",
    ),
    "alpha": (lambda: gemm((6, 4), [1, 2, 3, 4], alpha=2.0), "node Gemm n_y: alpha is 2.0, but must be 1.0"),
    "transA": (lambda: gemm((1, 4), [1, 2, 3, 4], transA=1), "node Gemm n_y: transA is 1, but must be 0"),
    "mean of all": (lambda: plain("ReduceMean"), "node ReduceMean n_y: axes is left out, which means all, but must be"),
    "mean of channels": (lambda: plain("ReduceMean", pads(1)), "node ReduceMean n_y: axes is (1,), but must be (2, 3)"),
    "constant for each pixel, large": (
        lambda: along_rows(),
        "node Add n_a: its constant of shape (64, 1) differs within a channel of (1, 3, 64, 2)",
    ),
    "half a level behind a ReLU": (
        lambda: added(0.5, relu=True),
        "0.5 is added after its ReLU, which is 0.5 levels of 1 each",
    ),
    "clip without zero": (lambda: clip(1.0, 15.0), "node Clip n_r: clips to 1..15 before quantisation"),
    "softmax in the middle": (in_the_middle, "node Softmax n_s: the engine cannot run it; the graph may hold"),
    "softmax of pixels": (
        lambda: (g := signed(), g.node("Softmax", [conv(g)], "y", axis=3)),
        "node Softmax n_y: axis is 3, but must be that of all",
    ),
    "training": (
        lambda: plain("Dropout", f32(0.5), np.array(True)),
        "node Dropout n_y: its training_mode is true, but must be false",
    ),
    "input quantised twice": (second_quantiser, "node QuantizeLinear n_again_i: quantises the graph's input a second"),
    "scales per channel": (per_channel, "node QuantizeLinear n_i: scales or zero points per channel of an activat"),
    "another zero point": (other_zero_point, "node DequantizeLinear n_d: its zero point is 3, but must be 0, that"),
    "scale of 0": (lambda: scaled(0.0), "node DequantizeLinear n_w: its scale is [0.0], but must be finite and"),
    "scale below 0": (lambda: scaled(-1.0), "its scale is [-1.0], but must be finite and above 0"),
    "scale that is no number": (lambda: scaled(float("nan")), "its scale is [nan], but must be finite and above 0"),
    "endless Loop": (lambda: endless("Loop"), "node Loop n_n: holds a graph of its own"),
    "If": (lambda: endless("If"), "node If n_n: holds a graph of its own"),
    "gigantic constant": (gigantic, "at most 134217728 values are allowed"),
    "gigantic constant in small steps": (doubled, "at most 134217728 values are allowed"),
    "old operators": (lambda: plain("Relu", start=lambda: signed(opset=9)), "opset 9 is not allowed; must be 10 or"),
    "unknown operator": (lambda: plain("Erf"), "node Erf n_y: the engine cannot run it; the graph may hold"),
    "constant operator on what is computed": (
        lambda: plain("Tile", pads(1, 1, 1, 2)),
        "node Tile n_y: the engine cannot run it; on what it computes it runs ",
    ),
    "transposed map": (
        lambda: (g := signed(), conv(g, g.node("Transpose", ["q"], "t", perm=[0, 1, 3, 2]))),
        "its input of shape (1, 2, 6, 5) mixes rows, columns and channels of the engine's maps",
    ),
    "part of a map": (
        lambda: plain("Slice", pads(1), pads(3), pads(2)),
        "node Slice n_y: its input of shape (1, 2, 5, 6) mixes rows, columns and channels",
    ),
    "part of a batch": (
        lambda: plain("Slice", pads(0), pads(1), pads(0), start=lambda: signed((2, 2, 5, 6))),
        "node Slice n_y: makes (1, 2, 5, 6) of (2, 2, 5, 6), but must keep the batch of 2 first",
    ),
    "joined rows": (lambda: joined(("q", "q"), axis=2), "node Concat n_j: axis is 2, but must be 1: the engine joins"),
    "joined signs": (
        lambda: joined(("q", "u"), ("u", UINT4)),
        "node Concat n_j: joins signed and unsigned tensors; quantise its inputs alike",
    ),
    "product of two tensors": (
        lambda: (g := signed(), g.node("Mul", ["q", "q"], "y")),
        "node Mul n_y: needs a constant as its second input; the engine multiplies by weights only",
    ),
    "eight bits": (
        lambda: (g := signed(), g.activations(conv(g), "y", TensorProto.INT8, 1.0)),
        "node QuantizeLinear n_y_i: gives -128..127, but activations must be within 0..15 or -8..7",
    ),
    "bits cut off": (
        lambda: (g := signed(), g.node("Trunc", ["q", *(g.reals(k, 8.0) for k in "szio")], "y", domain=QONNX)),
        "node Trunc n_y: cuts bits off without rounding; the engine rounds: export",
    ),
    "signs of what is computed": (
        lambda: (g := signed(), g.node("BipolarQuant", ["q", g.reals("s", 1.0)], "y", domain=QONNX)),
        "node BipolarQuant n_y: makes -1 and 1 of what is computed; the engine has no such step",
    ),
    "other rounding": (
        lambda: quant(rounding_mode="FLOOR"),
        "node Quant n_y: rounding_mode is 'FLOOR', but must be 'ROUND'",
    ),
    "twelve bits": (lambda: quant(bits=12.0), "node Quant n_y: its bit width is 12, but must be 2 to 8, or 1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_honoured_is_refused_by_name(tmp_path: Path, name: str) -> None:
    make, text = REFUSED[name]
    graph, output = make()
    with pytest.raises(InputError) as caught:
        graph.read(tmp_path, output)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "edges", [[("b", "a"), ("a", "b")], [("x", "b"), ("b", "b")], [("b", "b")]], ids=["circle", "twice", "itself"]
)
def test_a_graph_that_goes_in_a_circle_is_refused(edges: list[tuple[str, str]], tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", [source], [target], f"n_{index}") for index, (source, target) in enumerate(edges)]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2, 4, 4]) for name in ("x", "b")]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), tmp_path / "g.onnx")
    with pytest.raises(InputError, match="is no valid ONNX model"):
        read_onnx(tmp_path / "g.onnx")
