"""A graph that is being read, its nodes, and which operators are known: what the handlers of operators work with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tlm.core.errors import InputError
from tlm.exchange.onnx_constants import ONNX_DOMAINS, Array, Constant, FloatArray, Shape, shape_of
from tlm.exchange.onnx_layers import LayerList
from tlm.exchange.onnx_values import Order, Quantised, Tensor, Value
from tlm.network.layers import WEIGHT_MAX, WEIGHT_MIN

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TypeProto

SAME_SCALE = 1e-6
"""Scales that differ by less are the same: float32 holds 7 digits."""


@dataclass
class Graph:
    """What is known of a graph's tensors so far, by name."""

    model: ModelProto
    batch: int
    """Images that the graph takes at once."""
    layers: LayerList
    output: str
    """The tensor that becomes the network's output."""
    known: dict[str, Constant]
    types: dict[str, TypeProto]
    """Of all tensors."""
    values: dict[str, Value] = field(default_factory=dict)
    """Of those that depend on the input."""
    held: dict[int, Quantised] = field(default_factory=dict)
    """By the identity of what a QuantizeLinear gave: the tensor of the engine."""
    input_scale: float = 0.0


@dataclass(frozen=True)
class Operator:
    """What is read of a node. Whatever is not named here is refused, so nothing that a file says is passed over."""

    handle: Callable[[Node], Value]
    inputs: int
    """How many; a further one that is given is refused."""
    attributes: Mapping[str, Any]
    """Name -> default, which has the attribute's type; or the list of the values that are read, the default first."""
    domains: tuple[str, ...]


OPERATORS: dict[str, Operator] = {}


def operator(
    name: str, inputs: int, attributes: Mapping[str, Any] | None = None, domains: tuple[str, ...] = ONNX_DOMAINS
) -> Callable[[Callable[[Node], Value]], Callable[[Node], Value]]:
    """Make a function the handler of an operator: it takes a node and gives its output. Arguments as of Operator."""

    def register(handle: Callable[[Node], Value]) -> Callable[[Node], Value]:
        OPERATORS[name] = Operator(handle, inputs, attributes or {}, domains)
        return handle

    return register


def layer_output(node: Node, name: str, source: Quantised) -> Quantised:
    """The output of a layer that keeps its input's scale."""
    node.graph.layers.tensors[name] = Tensor(node.proto.output[0], source.scale, node.shape)
    return Quantised(name, source.scale, source.signed)


def node_name(node: NodeProto) -> str:
    """How messages call a node."""
    return f"{node.op_type} {node.name or next(iter(node.output), '')}"


class Node:
    """A node of an operator that is known; its inputs are checked as they are asked for.

    Args:
        proto: the node; its inputs are known.
        graph: whose it is.
        operator: its operator.

    Raises:
        InputError: an attribute, its type, its value or an input that is not read.
    """

    def __init__(self, proto: NodeProto, graph: Graph, operator: Operator) -> None:
        self.proto, self.graph, self.name = proto, graph, node_name(proto)
        self.given = _attributes(proto, operator)
        beyond = [name for name in proto.input[operator.inputs :] if name]
        if beyond:
            raise InputError(f"its input {beyond[0]!r} is one too many; {operator.inputs} are read")

    @property
    def shape(self) -> Shape:
        """Of the output."""
        return shape_of(self.graph.types[self.proto.output[0]])

    def has(self, index: int) -> bool:
        """Whether an optional input is given."""
        return len(self.proto.input) > index and bool(self.proto.input[index])

    def value(self, index: int = 0) -> Value:
        """An input that is computed."""
        name = self.proto.input[index] if len(self.proto.input) > index else ""
        if name in self.graph.known:
            raise InputError(f"its input {name!r} is a constant, but must be what the engine computes")
        if name not in self.graph.values:
            raise InputError(f"its input {name!r} is neither computed nor a constant that can be worked out")
        return self.graph.values[name]

    def sums(self, value: Value) -> Value:
        """A value as sums, if it can be."""
        return self.graph.layers.as_sums(self.name, value) if isinstance(value, Quantised) else value

    def quantised(self, index: int = 0) -> Quantised:
        """An input that the engine holds."""
        value = self.value(index)
        if not isinstance(value, Quantised):
            raise InputError(
                "its input is not quantised; use `tlm import --quantize` for a float graph, or put QuantizeLinear and "
                "DequantizeLinear before it"
            )
        return value

    def map(self, index: int = 0) -> Quantised:
        """An input that has the same shape in the graph and in the engine, but for the batch and Pad nodes."""
        value = self.quantised(index)
        if value.order is not None:
            value = self.chosen(value, value.order)
        channels, height, width = self.graph.layers.shape(value.name)
        rows, columns = height + sum(value.pads[0]), width + sum(value.pads[1])
        if value.shape != (self.graph.batch, channels, rows, columns):
            raise InputError(f"its input has shape {value.shape}, but must be the map {(channels, height, width)}")
        return value

    def chosen(self, source: Quantised, order: Order) -> Quantised:
        """Channels of a tensor in an order of their own, by a layer.

        Args:
            source: what holds them; its own order does not count.
            order: see :data:`tlm.exchange.onnx_values.Order`.
        """
        _, height, width = self.graph.layers.shape(source.name)
        channels = order.reshape(len(order), -1)[:, 0] // (height * width)
        whole = channels[:, None, None] * (height * width) + np.arange(height * width).reshape(height, width)
        if order.shape != whole.shape or (order != whole).any():
            raise InputError(
                f"its input of shape {source.shape} mixes rows, columns and channels of the engine's maps, which are "
                "(C, H, W); transpose it back before, or take channels only"
            )
        name = self.graph.layers.joined(self.name, [source], [channels])
        return Quantised(name, source.scale, source.signed, shape=(self.graph.batch, *order.shape))

    def constant(self, index: int, what: str) -> Constant:
        """An input that must be constant."""
        if self.proto.input[index] not in self.graph.known:
            raise InputError(f"its {what} is computed at run time; the engine needs a constant")
        return self.graph.known[self.proto.input[index]]

    def real(self, index: int, what: str) -> FloatArray:
        """A constant of real numbers; only bounds may be infinite."""
        array = self.constant(index, what).value
        try:
            numbers = array.astype(np.float64)
        except (TypeError, ValueError):
            raise InputError(f"its {what} is of type {array.dtype}, but must be numbers") from None
        if np.isnan(numbers).any() or (what != "bound" and not np.isfinite(numbers).all()):
            raise InputError(f"its {what} holds a number that is not finite")
        return numbers

    def whole(self, index: int, what: str) -> list[int]:
        """A constant list of whole numbers."""
        array = self.constant(index, what).value
        if array.dtype.kind not in "iu" or array.ndim != 1:
            raise InputError(f"its {what} is {array.dtype} of shape {array.shape}, but must be a list of integers")
        return [int(one) for one in array]

    def weights(self) -> tuple[Array, FloatArray]:
        """The second input as whole numbers, and the scale of each."""
        one = self.graph.known.get(self.proto.input[1])
        if one is None or one.whole is None or one.scale is None or not one.whole.size:
            raise InputError("its weights are not quantised; they must be a constant followed by DequantizeLinear")
        least, most = int(one.whole.min()), int(one.whole.max())
        if least < WEIGHT_MIN or most > WEIGHT_MAX:
            raise InputError(
                f"its weights less their zero points are {least}..{most}, but must be {WEIGHT_MIN}..{WEIGHT_MAX}"
            )
        return one.whole, one.scale

    def bias(self, shape: Shape, scale: FloatArray) -> FloatArray:
        """The third input as real numbers, one per output channel.

        Args:
            shape: what the bias must broadcast to, the output channels last.
            scale: what a unit of the sums is worth; a bias that was quantised with it is kept exactly.
        """
        if not self.has(2):
            return np.zeros(shape[-1])
        one, given = self.constant(2, "bias"), self.real(2, "bias")
        same = one.scale is not None and np.allclose(one.scale, scale, rtol=SAME_SCALE, atol=0.0)
        if one.whole is not None and one.whole.shape == scale.shape and same:
            given = one.whole * scale
        return by_channel(given, shape, shape[-1])


def by_channel(constant: FloatArray, shape: Shape, channels: int, order: Order | None = None) -> FloatArray:
    """What ONNX adds to each value of a tensor as what the engine adds to each channel.

    Args:
        constant: aligned with the last axes of the tensor.
        shape: of the tensor; its first axis is the batch unless it has only channels.
        channels: output channels.
        order: of the tensor.
    """
    try:
        full = np.broadcast_to(constant, shape)
    except ValueError:
        raise InputError(
            f"its constant has shape {constant.shape}, but must fit into {shape} without making it larger"
        ) from None
    flat = full.reshape(shape[0] if len(shape) > 1 else 1, -1)
    if order is not None:
        flat = flat[:, np.argsort(order, axis=None)]
    rows = flat.reshape(len(flat), channels, -1)
    first: FloatArray = rows[0, :, 0].copy()
    if (rows != first[None, :, None]).any():
        raise InputError(
            f"its constant of shape {constant.shape} differs within a channel of {shape}; the engine adds one "
            f"number per channel: shape {(channels, 1, 1)}"
        )
    return first


def _attributes(node: NodeProto, operator: Operator) -> dict[str, Any]:
    """Attributes, defaults included: whole numbers, floats, texts and tuples of whole numbers."""
    given = {key: one[0] if isinstance(one, list) else one for key, one in operator.attributes.items()}
    for one in node.attribute:
        value, default, allowed = _value(one), given.get(one.name), operator.attributes.get(one.name)
        if default is None:
            read = f"; read are {', '.join(given)}" if given else ""
            raise InputError(f"{one.name} is {value!r}, but must be left out{read}")
        if type(value) is not type(default):
            kind = {int: "a whole number", float: "a float", str: "a text", tuple: "whole numbers"}[type(default)]
            raise InputError(f"{one.name} is {value!r}, but must be {kind}")
        if isinstance(allowed, list) and value not in allowed:
            raise InputError(f"{one.name} is {value!r}, but must be {' or '.join(map(repr, allowed))}")
        given[one.name] = value
    return given


def _value(one: Any) -> Any:
    """As a whole number, float, text, tuple of whole numbers; otherwise whatever it is."""
    import onnx

    try:
        value = onnx.helper.get_attribute_value(one)
    except ValueError:
        return None
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if one.type == onnx.AttributeProto.INTS:
        return tuple(value)
    return value if isinstance(value, (int, float)) else f"of type {onnx.AttributeProto.AttributeType.Name(one.type)}"
