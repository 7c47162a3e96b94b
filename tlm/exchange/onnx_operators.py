"""Which operators of ONNX are read, and what becomes of each: one small handler per operator.

A handler's decorator names every attribute that is read: with its default, or with a list of the values that it may
have. An operator, an attribute, an input or a domain that is not named here is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from tlm.core.errors import InputError
from tlm.exchange.onnx_constants import MICROSOFT, ONNX_DOMAINS, FloatArray
from tlm.exchange.onnx_layers import WHOLE
from tlm.exchange.onnx_nodes import Node, by_channel, layer_output, operator
from tlm.exchange.onnx_quantisers import integer_range, quantiser_of
from tlm.exchange.onnx_values import Levels, Quantised, Sum, Tensor, Unquantised, Value, same_order
from tlm.exchange.onnx_windows import NO_PADS, UNIT, Geometry, Pads, added, window, with_pads
from tlm.network.layers import INPUT, activation_range

_WINDOW: Mapping[str, Any] = {
    "auto_pad": "NOTSET", "pads": (), "strides": (1, 1), "dilations": (1, 1), "kernel_shape": ()
}  # fmt: skip
_QUANTISERS = (*ONNX_DOMAINS, MICROSOFT)
_FLOAT_TYPES = [0, 1, 10]
"""TensorProto: not said, FLOAT, FLOAT16."""

# -- quantisation -----------------------------------------------------------------------------------------------------


@operator(
    "QuantizeLinear",
    3,
    {"axis": 1, "output_dtype": 0, "block_size": [0], "saturate": [1, 0], "precision": _FLOAT_TYPES},
    _QUANTISERS,
)
def _quantize_linear(node: Node) -> Value:
    """The layer is made when its range is known."""
    quantiser = quantiser_of(node)
    scale, zero = quantiser.of_a_tensor()
    value = node.sums(node.value())
    if not isinstance(value, (Sum, Unquantised)):
        raise InputError("quantises what is quantised already")
    low, high = integer_range(quantiser.kind or "uint8")
    return Levels(node.name, value, scale, zero, low - zero, high - zero, order=value.order)


@operator("DequantizeLinear", 3, {"axis": 1, "block_size": [0], "output_dtype": _FLOAT_TYPES}, _QUANTISERS)
def _dequantize_linear(node: Node) -> Value:
    """Whole numbers become a tensor that the engine holds, worth whatever this node says."""
    value, quantiser = node.value(), quantiser_of(node)
    if not isinstance(value, Levels):
        raise InputError("its input is no output of QuantizeLinear")
    scale, zero = quantiser.of_a_tensor()
    if zero != value.zero:
        raise InputError(f"its zero point is {zero}, but must be {value.zero}, that of {value.node}")
    held = node.graph.held
    if id(value) not in held:
        held[id(value)] = _held(node, value)
    found = replace(held[id(value)], scale=scale)
    if found.name != INPUT:
        node.graph.layers.tensors.setdefault(found.name, Tensor(node.proto.output[0], scale, node.shape, value.order))
    return replace(found, order=value.order)


def _held(node: Node, levels: Levels) -> Quantised:
    """The tensor of the engine; a layer of its own if it is not the network's input."""
    graph, layers = node.graph, node.graph.layers
    low, high, signed = levels.low, levels.high, levels.low < 0
    if isinstance(levels.of, Sum):  # quantised already, and what quantises it again cuts nothing off
        source = levels.of.source
        least, most = activation_range(source.signed)
        if low <= least and most <= high and levels.of.is_copy(levels.scale, source.signed):
            return source
    least, most = activation_range(signed)
    if not least <= low <= 0 < high <= most or (low and not signed):
        zero = f" less its zero point {levels.zero}" if levels.zero else ""
        raise InputError(
            f"node {levels.node}: gives {low}..{high}{zero}, but activations must be within 0..15 or -8..7, which are "
            "4 bits"
        )
    if isinstance(levels.of, Sum):
        return Quantised(layers.requantised(levels.of, levels.scale, low, high), levels.scale, signed)
    if levels.of.relu and signed:
        raise InputError(f"node {levels.node}: signed, after a ReLU of the graph's input; make it unsigned")
    input_scale = levels.scale / levels.of.factor
    if graph.input_scale and (signed, input_scale) != (layers.signed_input, graph.input_scale):
        raise InputError(f"node {levels.node}: quantises the graph's input a second time, and differently")
    layers.signed_input, graph.input_scale = signed, input_scale
    source = Quantised(INPUT, levels.scale, signed)
    return replace(source, name=layers.clamped(levels.node, source, low, high))


# -- layers -----------------------------------------------------------------------------------------------------------


@operator("Conv", 3, {**_WINDOW, "group": 1})
def _conv(node: Node) -> Value:
    source = node.map()
    whole, scale = node.weights()
    if whole.ndim != 4:
        raise InputError(f"weights of {whole.ndim} dimensions; the engine convolves images")
    groups, channels = node.given["group"], source.shape[1]
    if groups < 1 or len(whole) % groups or whole.shape[1] * groups != channels:
        raise InputError(
            f"group is {groups}, but must fit weights of shape {whole.shape} and {channels} input channels"
        )
    geometry = {**with_pads(window(node.given, source.shape[2:], whole.shape[2:]), source.pads), "groups": groups}
    scale = _per_output(scale) * source.scale
    return Sum(node.name, source, whole, scale, node.bias((len(whole),), scale), geometry)


@operator("MatMul", 2)
@operator("Gemm", 3, {"transB": 0, "alpha": [1.0], "beta": [1.0], "transA": [0]})
def _linear(node: Node) -> Value:
    source = node.graph.layers.placed(node.name, node.quantised())
    whole, scale = node.weights()
    if prod(source.shape[1:]) != source.shape[-1] or whole.ndim != 2:
        raise InputError(
            f"multiplies shape {source.shape} by {whole.shape}; the engine multiplies (batch, inputs) by (inputs, "
            "outputs)"
        )
    if not node.given.get("transB"):
        whole, scale = whole.T, scale.T
    if whole.shape[1] != source.shape[-1]:
        raise InputError(f"its weights have {whole.shape[1]} inputs, but its input has {source.shape[-1]}")
    scale = _per_output(scale) * source.scale
    if source.order is not None:
        whole = whole[:, np.argsort(source.order, axis=None)]
    kernel = whole.reshape(len(whole), *node.graph.layers.shape(source.name))
    return Sum(node.name, source, kernel, scale, node.bias((node.graph.batch, len(whole)), scale), UNIT)


def _per_output(scale: FloatArray) -> FloatArray:
    """Scales of weights, the output channel first, as one per output channel."""
    rows = scale.reshape(len(scale), -1)
    if (rows != rows[:, :1]).any():
        raise InputError("its weights have several scales in an output channel; the engine has one")
    first: FloatArray = rows[:, 0].copy()
    return first


@operator("Add", 2)
def _add(node: Node) -> Value:
    constant = [i for i, name in enumerate(node.proto.input) if name in node.graph.known]
    values = [node.value(i) for i in range(2) if i not in constant]
    values.sort(key=lambda value: isinstance(value, Quantised))
    first = node.sums(values[0])
    if constant:
        if not isinstance(first, Sum):
            raise InputError("adds a constant to something that is no sum of a layer")
        return _with_constant(node, first, node.real(constant[0], "constant"))
    second = values[1]
    if not isinstance(first, Sum) or not isinstance(second, Quantised) or not first.plain:
        raise InputError("adds what is not quantised; the engine adds one 4-bit tensor to a layer's sums")
    if first.shape != second.shape or not same_order(first.order, second.order):
        raise InputError(f"adds shapes {first.shape} and {second.shape}, but must have equal ones, in the same order")
    return replace(first, residual=node.graph.layers.placed(f"{node.name}_padded", second))


def _with_constant(node: Node, value: Sum, constant: FloatArray) -> Sum:
    try:
        more = by_channel(constant, value.shape, len(value.bias), value.order)
    except InputError:
        linear = node.graph.layers.as_linear(value)
        if linear is None:
            raise
        return _with_constant(node, linear, constant)
    if value.clipped:
        raise InputError("adds a constant after a Clip; add it before")
    if value.relu:
        return replace(value, offset=more if value.offset is None else value.offset + more)
    return replace(value, bias=value.bias + more)


@operator("Relu", 1)
def _relu(node: Node) -> Value:
    value = node.value()
    if isinstance(value, Unquantised):
        return replace(value, relu=True)
    if isinstance(value, Quantised) and not value.signed:
        return value
    value = node.sums(value)
    if not isinstance(value, Sum):
        raise InputError("its input is not quantised")
    if value.offset is not None and (value.offset < 0).any():
        raise InputError("a second ReLU after a constant below 0; leave one of them out")
    return replace(value, relu=True)


@operator("Clip", 3)
def _clip(node: Node) -> Value:
    """Cuts whole numbers to 4 bits, or sums at zero and above what 4 bits hold."""
    value = node.value()
    bounds = [node.real(i, "bound") if node.has(i) else np.array(default) for i, default in ((1, -np.inf), (2, np.inf))]
    if any(bound.size != 1 for bound in bounds):
        raise InputError(f"clips to {[bound.tolist() for bound in bounds]}, but must have one number a bound")
    low, high = (float(bound.item()) for bound in bounds)
    if isinstance(value, Levels):
        least, most = max(value.low, low - value.zero), min(value.high, high - value.zero)
        return replace(value, low=int(least), high=int(most))
    if low <= 0 < high and isinstance(value, (Sum, Quantised)):
        cut = _relu(node) if low == 0 else value
        if low in (0.0, -np.inf) and high == np.inf:
            return cut
        cut = node.sums(cut)
        if isinstance(cut, Sum) and cut.offset is None:
            return replace(cut, lowest=max(cut.lowest, low or -np.inf), highest=min(cut.highest, high))
    raise InputError(f"clips to {low:g}..{high:g} before quantisation; the engine clips sums to a range around 0")


@operator("BatchNormalization", 5, {"epsilon": 1e-5, "momentum": 0.9, "training_mode": [0], "spatial": [1]})
def _batch_normalization(node: Node) -> Value:
    value = _plain_sums(node)
    gamma, beta, mean, variance = (node.real(i, "parameter").reshape(-1) for i in range(1, 5))
    epsilon = node.given["epsilon"]
    if any(one.shape != value.bias.shape for one in (gamma, beta, mean, variance)):
        raise InputError(f"its parameters must have {len(value.bias)} numbers each, one per channel")
    if (variance + epsilon <= 0).any():
        raise InputError(f"variance {variance.min():g} and epsilon {epsilon:g} must add up to more than 0")
    factor = gamma / np.sqrt(variance + epsilon)
    return _affine(value, factor, beta - mean * factor)


@operator("Sub", 2)
@operator("Div", 2)
@operator("Mul", 2)
def _by_constant(node: Node) -> Value:
    """Another scale, or another bias, of the sums; of the input, another scale."""
    (index,) = [i for i, name in enumerate(node.proto.input) if name in node.graph.known] or [2]
    if index == 2 or (index == 0 and node.proto.op_type == "Div"):
        raise InputError("needs a constant as its second input; the engine multiplies by weights only")
    value, constant = node.value(1 - index), node.real(index, "constant")
    if node.proto.op_type == "Div":
        if not constant.all():
            raise InputError("its constant holds a 0")
        constant = 1.0 / constant
    if isinstance(value, Unquantised) and node.proto.op_type != "Sub" and constant.size == 1 and constant.item() > 0:
        return replace(value, factor=value.factor * float(constant.item()))
    value = _plain_sums(node, 1 - index)
    every = by_channel(constant, value.shape, len(value.bias), value.order)
    if node.proto.op_type == "Sub":
        return _affine(value, np.full_like(every, 2 * index - 1), every * (1 - 2 * index))
    return _affine(value, every, np.zeros_like(every))


def _plain_sums(node: Node, index: int = 0) -> Sum:
    value = node.sums(node.value(index))
    if not isinstance(value, Sum) or not value.plain:
        raise InputError("its input must be the sums of a layer, or quantised, without ReLU or residual between")
    return value


def _affine(value: Sum, factor: FloatArray, more: FloatArray) -> Sum:
    """Sums times a factor, and more, one of each per channel."""
    sign = np.sign(factor).astype(np.int64)[:, None, None, None]  # the engine's multipliers have none
    scale = np.where(factor == 0, value.scale, value.scale * np.abs(factor))
    return replace(value, weights=value.weights * sign, scale=scale, bias=value.bias * factor + more)


# -- windows ----------------------------------------------------------------------------------------------------------


@operator("MaxPool", 1, {**_WINDOW, "ceil_mode": 0, "storage_order": [0]})
def _max_pool(node: Node) -> Value:
    source, kernel = node.map(), node.given["kernel_shape"]
    geometry = window(node.given, source.shape[2:], kernel)
    # Below unsigned pixels a zero changes nothing, as long as some pixel is in each window.
    if source.signed or max(map(max, source.pads)) >= min(kernel) or geometry["dilation"] != (1, 1):
        source = node.graph.layers.placed(f"{node.name}_padded", source)
    name = node.graph.layers.max_pool(node.name, kernel, source, with_pads(geometry, source.pads))
    return layer_output(node, name, source)


@operator("AveragePool", 1, {**_WINDOW, "ceil_mode": 0, "count_include_pad": 0})
def _average_pool(node: Node) -> Value:
    source, kernel = node.map(), node.given["kernel_shape"]
    geometry = window(node.given, source.shape[2:], kernel)
    if geometry != window({**node.given, "ceil_mode": 0}, source.shape[2:], kernel):
        raise InputError("ceil_mode is 1, but must be 0: here it adds windows that divide by fewer pixels")
    if not node.given["count_include_pad"] and any(map(any, geometry["padding"])):
        raise InputError(
            "count_include_pad is 0, but must be 1 where there is padding: the engine divides by the whole kernel"
        )
    return _mean(node, source, kernel, geometry)


@operator("GlobalMaxPool", 1)
def _global_max_pool(node: Node) -> Value:
    source = node.map()
    source = node.graph.layers.placed(f"{node.name}_padded", source)
    kernel = (source.shape[2], source.shape[3])
    return layer_output(node, node.graph.layers.max_pool(node.name, kernel, source, UNIT), source)


@operator("GlobalAveragePool", 1)
def _global_average_pool(node: Node) -> Value:
    source = node.map()
    return _mean(node, source, (source.shape[2], source.shape[3]))


@operator("ReduceMean", 2, {"axes": (), "keepdims": 1, "noop_with_empty_axes": [0]})
def _reduce_mean(node: Node) -> Value:
    axes, source = tuple(node.whole(1, "axes")) if node.has(1) else node.given["axes"], node.map()
    over = {axis % 4 if -4 <= axis < 4 else axis for axis in axes}
    if not over or not over <= {2, 3}:
        raise InputError(
            f"axes is {axes or 'left out, which means all'}, but must be (2, 3): the engine takes means over rows "
            "and columns"
        )
    return _mean(node, source, (source.shape[2] if 2 in over else 1, source.shape[3] if 3 in over else 1))


def _mean(node: Node, source: Quantised, kernel: tuple[int, int], geometry: Geometry = UNIT) -> Sum:
    return node.graph.layers.mean(node.name, source, kernel, geometry)


@operator("Pad", 4, {"pads": (), "value": 0.0, "mode": ["constant"]})
def _pad(node: Node) -> Value:
    source, layers = node.map(), node.graph.layers
    pads = node.whole(1, "pads") if len(node.proto.input) > 1 else list(node.given["pads"])
    axes = node.whole(3, "axes") if node.has(3) else [0, 1, 2, 3]
    value = float(node.real(2, "value").reshape(-1)[0]) if node.has(2) else node.given["value"]
    if len(pads) != 2 * len(axes) or not all(-4 <= axis < 4 for axis in axes) or min(pads) < 0:
        raise InputError(f"pads {pads} of axes {axes}; the engine adds pixels around maps, and takes none away")
    around = dict.fromkeys(range(4), (0, 0))
    for i, axis in enumerate(axes):
        around[axis % 4] = pads[i], pads[i + len(axes)]
    if any(around[0] + around[1]):
        raise InputError(f"pads {pads} of axes {axes}; the engine adds pixels around maps, no channels or images")
    border: Pads = (around[2], around[3])
    if value == 0.0 or border == NO_PADS:
        return replace(source, pads=added(source.pads, border))
    level, (low, high) = value / source.scale, activation_range(source.signed)
    if abs(level - round(level)) > WHOLE or not low <= round(level) <= high:
        raise InputError(
            f"its value {value:g} is {level:g} levels of {source.scale:g} each, but must be a whole one in "
            f"{low}..{high}"
        )
    inside = layers.placed(f"{node.name}_inside", source)
    placed = layers.placed(node.name, inside, round(level), border)
    return layer_output(node, placed.name, placed)
