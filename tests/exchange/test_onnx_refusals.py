"""Attributes and shapes that the engine cannot honour are refused by the name of their node."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx_graphs import INT4, UINT4, Graph, added, clip, conv, f32, gemm, identity, pads, plain, signed

from tlm.core.errors import InputError


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
    graph.node("ConstantOfShape", [graph.constant("e", pads(70_000, 70_000))], "large")
    return graph, conv(graph)


def doubled() -> tuple[Graph, str]:
    """2^40 values out of two."""
    graph = signed()
    last = graph.constant("e", f32([1.0, 1.0]))
    for i in range(40):
        last = graph.node("Concat", [last, last], f"d{i}", axis=0)
    return graph, conv(graph)


def scaled(value: float) -> tuple[Graph, str]:
    graph = signed()
    return graph, graph.node("Conv", ["q", graph.weights("w", np.ones((3, 2, 1, 1)), value)], "y")


def along_rows() -> tuple[Graph, str]:
    graph = signed((1, 2, 10, 10))
    return graph, graph.node("Add", [conv(graph, kernel=(1, 1)), graph.constant("e", f32(np.arange(10)[:, None]))], "a")


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
        "node Add n_a: its constant of shape (10, 1) differs within a channel of (1, 3, 10, 10)",
    ),
    "half a level behind a ReLU": (
        lambda: added(0.5, relu=True),
        "0.5 is added behind its ReLU, which is 0.5 levels of 1 each",
    ),
    "clip in between": (lambda: clip(0.0, 9.0), "clipped to 9, which is 9 levels of 1 each, but must be at least 15"),
    "clip below": (lambda: clip(-1.0, 15.0, INT4), "node Clip n_r: clips to -1..15 before quantisation"),
    "softmax in the middle": (in_the_middle, "node Softmax n_s: is not the last node behind a layer"),
    "softmax of pixels": (lambda: plain("Softmax", axis=3), "node Softmax n_y: axis is 3, but must be that of all"),
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
    "gigantic constant": (gigantic, "at most 67108864 values are allowed"),
    "gigantic constant in small steps": (doubled, "at most 67108864 values are allowed"),
    "old operators": (lambda: plain("Relu", start=lambda: signed(opset=9)), "opset 9 is not allowed; must be 10 or"),
    "unknown operator": (lambda: plain("Sigmoid"), "node Sigmoid n_y: the engine cannot run it; the graph may hold"),
    "constant operator on what is computed": (
        lambda: plain("Transpose", perm=[0, 2, 3, 1]),
        "node Transpose n_y: the engine cannot run it; on what it computes it runs QuantizeLinear",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_honoured_is_refused_by_name(tmp_path: Path, name: str) -> None:
    make, text = REFUSED[name]
    graph, output = make()
    with pytest.raises(InputError) as caught:
        graph.read(tmp_path, output)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
