"""Attributes and shapes of every operator: the very values of onnxruntime.

All scales are 1 and all numbers whole, so nothing is rounded and both must be equal.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx_graphs import INT4, RNG, UINT4, Graph, added, clip, conv, f32, gemm, identity, pads, plain, signed
from onnx_values import by_onnxruntime, check_values


def unsigned(shape: tuple[int | str, ...] = (1, 2, 5, 6), **keys: Any) -> Graph:
    return Graph(shape, scale=1.0, **keys)


def through(kind: str, start: Callable[..., Graph] = signed, extra: Any = (), **keys: Any) -> tuple[Graph, str]:
    graph = start()
    inputs = [graph.constant(f"e{i}", value) for i, value in enumerate(extra)]
    return graph, identity(graph, graph.node(kind, ["q", *inputs], "p", **keys))


def eight_bits(opset: int) -> Graph:
    """An input in 8 bits, cut to 4 by a Clip: all that there was before opset 21."""
    graph = Graph((1, 2, 4, 4), 1.0, TensorProto.INT8, opset=opset)
    bounds = [graph.constant("least", np.int8(-8)), graph.constant("most", np.int8(7))]
    graph.nodes.insert(1, helper.make_node("Clip", ["q_i", *bounds], ["cut"], name="n_cut"))
    graph.nodes[2].input[0] = "cut"
    return graph


def convolved(**keys: Any) -> tuple[Graph, str]:
    graph = signed()
    return graph, conv(graph, **keys)


def padded_convolution(*extra: Any, twice: Any = None, start: Callable[..., Graph] = signed) -> tuple[Graph, str]:
    graph = start()
    inputs = [graph.constant(f"e{i}", one) if one is not None else "" for i, one in enumerate(extra)]
    last = graph.node("Pad", ["q", *inputs], "p")
    if twice is not None:
        last = graph.node("Pad", [last, *(graph.constant(f"f{i}", e) for i, e in enumerate(twice))], "p2")
    return graph, conv(graph, last, pads=[0, 1, 1, 0])


def mean_of_padded() -> tuple[Graph, str]:
    graph = signed()
    around = graph.node("Pad", ["q", graph.constant("e", pads(0, 0, 1, 0, 0, 0, 0, 2))], "p")
    return graph, graph.node("GlobalAveragePool", [around], "y")


def pad_at_the_end() -> tuple[Graph, str]:
    graph = signed()
    return graph, graph.node("Pad", ["q", graph.constant("e", pads(0, 0, 1, 0, 0, 0, 0, 2))], "y")


def pad_of_a_residual() -> tuple[Graph, str]:
    graph = signed()
    sums = graph.node("Conv", ["q", graph.weights("w", np.eye(2)[:, :, None, None], 1.0)], "c", pads=[1, 1, 1, 1])
    around = graph.node("Pad", ["q", graph.constant("e", pads(0, 0, 1, 1, 0, 0, 1, 1))], "p")
    return graph, graph.activations(graph.node("Add", [sums, around], "a"), "y", INT4, 1.0)


def positions() -> tuple[Graph, str]:
    """A constant for each pixel of a padded, strided convolution."""
    graph = signed((1, 2, 3, 4))
    last = conv(graph, kernel=(2, 3), pads=[1, 0, 0, 1], strides=[1, 2])
    return graph, graph.node("Add", [last, graph.constant("e", f32(RNG.integers(-50, 50, (3, 3, 2))))], "y")


def flattened(kind: str, *extra: Any, start: Callable[..., Graph] = signed, **keys: Any) -> tuple[Graph, str]:
    graph = start()
    inputs = [graph.constant(f"e{i}", np.asarray(value, np.int64)) for i, value in enumerate(extra)]
    flat = graph.node(kind, ["q", *inputs], "f", **keys)
    return graph, graph.node("MatMul", [flat, graph.weights("w", RNG.integers(-8, 8, (60, 4)), 1.0)], "y")


def computed_shape() -> tuple[Graph, str]:
    """As exporters write a flattening of any batch: Shape, Gather, Unsqueeze, Concat, Reshape."""
    graph = signed(("N", 2, 5, 6))
    size = graph.node("Gather", [graph.node("Shape", ["q"], "s"), graph.constant("at", np.int64(0))], "n")
    one = graph.node("Unsqueeze", [size, graph.constant("ax", pads(0))], "n1")
    shape = graph.node("Concat", [one, graph.constant("rest", pads(-1))], "shape", axis=0)
    flat = graph.node("Reshape", ["q", shape], "f")
    return graph, graph.node("MatMul", [flat, graph.weights("w", RNG.integers(-8, 8, (60, 4)), 1.0)], "y")


def normalised(gamma: Any, beta: Any, mean: Any, variance: Any, **keys: Any) -> tuple[Graph, str]:
    graph = signed()
    whole = np.clip(RNG.integers(-8, 8, (3, 2, 1, 1)), -7, 7)
    sums = graph.node("Conv", ["q", graph.weights("w", whole, 1.0)], "c")
    names = [graph.reals(f"n{i}", one) for i, one in enumerate((gamma, beta, mean, variance))]
    last = graph.node("BatchNormalization", [sums, *names], "n", epsilon=0.0, **keys)
    return graph, graph.activations(last, "y", INT4, 1.0)


def zero_points() -> tuple[Graph, str]:
    """Of weights, one per output channel, and of a bias in 32 bits."""
    graph = signed()
    weights = graph.weights("w", [[[[3]], [[-2]]], [[[7]], [[9]]], [[[-8]], [[-4]]]], [1.0] * 3, [1, 8, -3], axis=0)
    bias = [graph.constant("b_i", np.array([5, -6, 7], np.int32)), graph.reals("b_s", [1.0] * 3)]
    bias.append(graph.constant("b_z", np.array([0, 0, 0], np.int32)))
    return graph, graph.node("Conv", ["q", weights, graph.node("DequantizeLinear", bias, "b", axis=0)], "y")


def activation_zero_point() -> tuple[Graph, str]:
    """UINT4 with zero point 8 is -8..7."""
    graph = signed()
    return graph, identity(graph, graph.activations(conv(graph, kernel=(1, 1)), "z", UINT4, 1.0, zero=8), 3)


def clipped_zero_point() -> tuple[Graph, str]:
    graph = signed()
    step, zero = graph.reals("s", 1.0), graph.constant("z", np.uint8(128))
    whole = graph.node("QuantizeLinear", [conv(graph, kernel=(1, 1)), step, zero], "i")
    cut = graph.node("Clip", [whole, graph.constant("l", np.uint8(120)), graph.constant("h", np.uint8(135))], "k")
    return graph, identity(graph, graph.node("DequantizeLinear", [cut, step, zero], "d"), 3)


def type_by_attribute() -> tuple[Graph, str]:
    graph = signed()
    step = graph.reals("s", 1.0)
    whole = graph.node("QuantizeLinear", [conv(graph, kernel=(1, 1)), step], "i", output_dtype=int(UINT4))
    return graph, identity(graph, graph.node("DequantizeLinear", [whole, step], "d"), 3)


def worth_two_things() -> tuple[Graph, str]:
    """One quantiser, dequantised with two scales, both of them added."""
    graph = signed()
    graph.activations(conv(graph, kernel=(1, 1)), "a", INT4, 1.0)
    graph.node("DequantizeLinear", ["a_i", graph.reals("two", 2.0), "a_z"], "b")
    return graph, graph.activations(graph.node("Add", ["a", "b"], "c"), "y", INT4, 1.0)


def behind_a_relu() -> tuple[Graph, str]:
    """Signed whole numbers behind a ReLU: 0..7."""
    graph = signed()
    return graph, graph.activations(graph.node("Relu", [conv(graph, kernel=(1, 1))], "r"), "y", INT4, 1.0)


def layout_of_weights() -> tuple[Graph, str]:
    """Scales follow weights through Transpose and Reshape."""
    graph = signed((1, 6))
    graph.weights("w", RNG.integers(-1, 2, (4, 6)), [1.0, 2.0, 1.0, 2.0], axis=0)
    turned = graph.node("Transpose", ["w"], "t", perm=[1, 0])
    shaped = graph.node("Reshape", [turned, graph.constant("s", pads(6, 4))], "u")
    return graph, graph.activations(graph.node("MatMul", ["q", shaped], "m"), "y", INT4, 1.0)


VALUES: dict[str, Callable[[], tuple[Graph, str]]] = {
    "conv, same upper": lambda: convolved(auto_pad="SAME_UPPER", strides=[2, 3]),
    "conv, same lower": lambda: convolved(auto_pad="SAME_LOWER", strides=[2, 1], kernel=(2, 4)),
    "conv, valid": lambda: convolved(auto_pad="VALID"),
    "conv, dilated": lambda: convolved(dilations=[2, 1], pads=[2, 1, 0, 3], bias=[5, -6, 7]),
    "max pool, same lower": lambda: through("MaxPool", auto_pad="SAME_LOWER", kernel_shape=[2, 3], strides=[2, 2]),
    "max pool, padded": lambda: through("MaxPool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]),
    "max pool, dilated": lambda: through("MaxPool", kernel_shape=[2, 2], dilations=[3, 2]),
    "max pool, rounded up": lambda: through("MaxPool", kernel_shape=[2, 4], strides=[2, 3], ceil_mode=1),
    "max pool, rounded up, padded": lambda: through(
        "MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 0, 0], ceil_mode=1
    ),
    "mean pool": lambda: plain("AveragePool", kernel_shape=[2, 4], strides=[1, 2]),
    "mean pool, padding counts": lambda: plain(
        "AveragePool", kernel_shape=[2, 2], pads=[1, 0, 0, 1], count_include_pad=1
    ),
    "mean pool, rounded up in vain": lambda: plain("AveragePool", kernel_shape=[1, 2], strides=[1, 2], ceil_mode=1),
    "mean of rows": lambda: plain("ReduceMean", pads(-2)),
    "mean of a padded map": mean_of_padded,
    "mean of both, by attribute": lambda: plain("ReduceMean", start=lambda: eight_bits(13), axes=[-1, 2], keepdims=0),
    "pad, some axes": lambda: padded_convolution(pads(2, 1, 0, 3), None, pads(-1, 2)),
    "pad twice": lambda: padded_convolution(pads(0, 0, 1, 2, 0, 0, 0, 1), twice=[pads(0, 0, 1, 0, 0, 0, 2, 0)]),
    "pad with -3": lambda: padded_convolution(pads(0, 0, 1, 2, 0, 0, 0, 1), f32(-3)),
    "pad with 9": lambda: padded_convolution(pads(0, 0, 2, 0, 0, 0, 1, 1), f32(9), start=unsigned),
    "pad with 5, then with -1": lambda: padded_convolution(
        pads(0, 0, 1, 1, 0, 0, 1, 1), f32(5), twice=[pads(0, 0, 0, 1, 0, 0, 1, 0), f32(-1)]
    ),
    "pad with 0, then with 7": lambda: padded_convolution(
        pads(0, 0, 1, 1, 0, 0, 1, 1), twice=[pads(0, 0, 0, 1, 0, 0, 1, 0), f32(7)]
    ),
    "pad of nothing with 0.5": lambda: padded_convolution(pads(*[0] * 8), f32(0.5)),
    "pad at the end": pad_at_the_end,
    "pad of a residual": pad_of_a_residual,
    "add a number": lambda: added(3),
    "add along the channels": lambda: added([[[3]], [[-2]], [[1]]], first=True),
    "add in four dimensions": lambda: added([[[[3]], [[-2]], [[1]]]]),
    "add a whole map that is one number": lambda: added(np.full((1, 3, 5, 6), 2)),
    "add for each pixel": positions,
    "add behind a ReLU": lambda: added([[[3]], [[0]], [[1]]], relu=True, kind=UINT4),
    "add behind a ReLU, below 0": lambda: added([[[-3]], [[2.0]], [[-0.0]]], relu=True, kind=UINT4),
    "add behind a ReLU, signed": lambda: added([[[-3]], [[2]], [[-8]]], relu=True),
    "signed behind a ReLU": behind_a_relu,
    "clip as wide as 4 bits": lambda: clip(0.0, 15.0),
    "flatten": lambda: flattened("Flatten", axis=-3),
    "reshape": lambda: flattened("Reshape", [0, -1]),
    "reshape of a batch": lambda: flattened("Reshape", [3, -1], start=lambda: signed((3, 2, 5, 6))),
    "squeeze": lambda: flattened("Squeeze", [-1, 2], start=lambda: signed((1, 60, 1, 1))),
    "shape that is computed": computed_shape,
    "gemm": lambda: gemm((6, 4), [1, 2, 3, 4]),
    "gemm, turned": lambda: gemm((4, 6), [[1, -2, 3, 4]], transB=1),
    "gemm, one bias": lambda: gemm((6, 4), 5),
    "normalised": lambda: normalised([-2, 0, 3], [1, 2, -3], [4, 5, 6], [4, 1, 9]),
    "zero points": zero_points,
    "zero point of an activation": activation_zero_point,
    "zero point and clip": clipped_zero_point,
    "type by attribute": type_by_attribute,
    "two scales of one tensor": worth_two_things,
    "layout of weights": layout_of_weights,
    "float16": lambda: (graph := signed(real=TensorProto.FLOAT16), conv(graph, bias=[5, -6, 7])),
}


@pytest.mark.parametrize("name", VALUES)
def test_the_very_values_of_onnxruntime(tmp_path: Path, name: str) -> None:
    graph, output = VALUES[name]()
    check_values(graph.read(tmp_path, output), by_onnxruntime(graph.model(output)))
