"""Operators that change no value: other shapes, other orders, parts and joined tensors."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from tlm.core.errors import InputError
from tlm.exchange.onnx_constants import computed
from tlm.exchange.onnx_nodes import SAME_SCALE, Node, layer_output, operator
from tlm.exchange.onnx_values import Quantised, Value


@operator("Unsqueeze", 2, {"axes": ()})
@operator("Squeeze", 2, {"axes": ()})
@operator("Reshape", 2, {"allowzero": 0})
@operator("Flatten", 1, {"axis": 1})
def _flatten(node: Node) -> Value:
    value, batch = node.value(), node.graph.batch
    if node.shape[:1] != (batch,):
        shown = ", ".join(f"{key} is {one}, which" for key, one in node.given.items() if key == "axis")
        raise InputError(
            f"{shown or 'it'} makes {node.shape} of {value.shape}, but must keep the batch of {batch} first"
        )
    if isinstance(value, Quantised):
        value = node.graph.layers.placed(f"{node.name}_padded", value)
    return value if value.order is None else replace(value, order=value.order.reshape(node.shape[1:]))


@operator("Gather", 2, {"axis": 0})
@operator("Slice", 5)
@operator("Transpose", 1, {"perm": ()})
def _moved(node: Node) -> Value:
    """Another order of the same values costs nothing until a layer needs its own; some of the channels are a layer."""
    value, batch, proto = node.value(), node.graph.batch, node.proto
    if isinstance(value, Quantised):
        value = node.graph.layers.placed(f"{node.name}_padded", value)
    size = prod(value.shape[1:])
    own = np.arange(size) if value.order is None else value.order.reshape(-1)
    places = (np.arange(batch)[:, None] * size + own).reshape(value.shape)
    known = {name: node.graph.known[name].value for name in proto.input[1:] if name in node.graph.known}
    (found,) = computed(node.graph.model, proto, {proto.input[0]: places, **known})
    order = found[0]
    images = np.arange(len(found)).reshape(-1, *[1] * order.ndim) * size
    if len(found) != batch or (found != order + images).any() or order.max() >= size:
        raise InputError(f"makes {node.shape} of {value.shape}, but must keep the batch of {batch} first")
    if order.size == size:
        return replace(value, order=None if (order.reshape(-1) == np.arange(size)).all() else order)
    if not isinstance(value, Quantised):
        raise InputError("takes a part of what is not quantised; put QuantizeLinear and DequantizeLinear before it")
    chosen = node.chosen(value, order)
    return layer_output(node, chosen.name, chosen)


@operator("Concat", 64, {"axis": 1})
def _concat(node: Node) -> Value:
    """Each input is a layer of ones that puts its channels at their place."""
    sources = [node.map(index) for index in range(len(node.proto.input))]
    sources = [node.graph.layers.placed(f"{node.name}_padded", one) for one in sources]
    if node.given["axis"] not in (1, -3):
        raise InputError(f"axis is {node.given['axis']}, but must be 1: the engine joins channels")
    if len({one.signed for one in sources}) > 1:
        raise InputError("joins signed and unsigned tensors; quantise its inputs alike")
    name, scales = node.graph.layers.joined(node.name, sources), [one.scale for one in sources]
    if max(scales) - min(scales) <= SAME_SCALE * max(scales):
        return layer_output(node, name, sources[0])
    joined = node.graph.layers.as_sums(node.name, Quantised(name, 1.0, sources[0].signed))
    return replace(joined, scale=np.repeat(scales, [one.shape[1] for one in sources]))


@operator("Identity", 1)
def _identity(node: Node) -> Value:
    return node.value()


@operator("Dropout", 3, {"ratio": 0.5, "seed": 0})
def _dropout(node: Node) -> Value:
    if node.has(2) and node.constant(2, "training_mode").value.any():
        raise InputError("its training_mode is true, but must be false")
    return node.value()
