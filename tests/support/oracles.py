"""Independent answers: onnxruntime's integer convolution, and the requantiser in Python's unbounded integers.

onnx and onnxruntime are imported when they are asked: tests that need neither also run where they are not installed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tlm.network.layers import Conv2d, MaxPool2d


def conv_integer(layer: Conv2d, activations: npt.NDArray[Any], signed: bool) -> npt.NDArray[np.int32]:
    """A layer's sums without the bias, int32 (O, H', W'), by onnxruntime's ConvInteger."""
    from onnx import TensorProto, helper, numpy_helper

    kind = TensorProto.INT8 if signed else TensorProto.UINT8
    node = helper.make_node("ConvInteger", ["x", "w"], ["y"], group=layer.groups, **_window(layer))
    weights = numpy_helper.from_array(np.ascontiguousarray(layer.weights), "w")
    pixels = activations.astype(np.int8 if signed else np.uint8)
    result: npt.NDArray[np.int32] = _run(node, pixels, kind, TensorProto.INT32, [weights])
    return result


def max_pool(layer: MaxPool2d, activations: npt.NDArray[Any]) -> npt.NDArray[np.int8]:
    """The largest pixel of each window, int8 (C, H', W'), by onnxruntime's MaxPool."""
    from onnx import TensorProto, helper

    node = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=list(layer.kernel), **_window(layer))
    result: npt.NDArray[np.int8] = _run(node, activations.astype(np.int8), TensorProto.INT8, TensorProto.INT8, [])
    return result


def _window(layer: Conv2d | MaxPool2d) -> dict[str, list[int]]:
    pads = [layer.pads.top, layer.pads.left, layer.pads.bottom, layer.pads.right]
    return {"strides": list(layer.stride), "dilations": list(layer.dilation), "pads": pads}


def _run(node: Any, pixels: npt.NDArray[Any], kind: int, result: int, constants: list[Any]) -> Any:
    import onnxruntime
    from onnx import helper

    graph = helper.make_graph(
        [node],
        "layer",
        [helper.make_tensor_value_info("x", kind, [1, *pixels.shape])],
        [helper.make_tensor_value_info("y", result, [1, None, None, None])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": pixels[None]})[0][0]


def requantised(acc: int, bias: int, multiplier: int, shift: int, limits: tuple[int, int], residual: int = 0) -> int:
    """One value, in unbounded integers; ``residual`` is already scaled. Halves go up: floor(x / 2**shift + 1/2)."""
    scaled = (acc + bias) * multiplier + residual
    rounded = (2 * scaled + 2**shift) // 2 ** (shift + 1)
    return min(max(rounded, limits[0]), limits[1])
