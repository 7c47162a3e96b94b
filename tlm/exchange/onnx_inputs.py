"""What a node reads: tensors that the engine holds, and constants of the kinds that nodes ask for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tlm.core.errors import InputError
from tlm.exchange.onnx_constants import Array, Constant, FloatArray, Shape
from tlm.exchange.onnx_layers import LayerList
from tlm.exchange.onnx_operators import node_name
from tlm.exchange.onnx_values import Quantised, Value
from tlm.network.layers import WEIGHT_MAX, WEIGHT_MIN

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

SAME_SCALE = 1e-6
"""Scales that differ by less are the same: float32 holds 7 digits."""


@dataclass
class Inputs:
    """The tensors of a graph that is being read.

    Args:
        model: the whole file.
        input_name: the graph's input.
        input_shape: its shape, the batch first.
        known: constants by tensor name; grows with the nodes that are worked out.
        inferred: what onnx says about shapes, None for what is not known; ours must agree.
    """

    model: ModelProto
    input_name: str
    input_shape: Shape
    known: dict[str, Constant]
    inferred: dict[str, tuple[int | None, ...]]
    values: dict[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.batch, sizes = self.input_shape[0], (*self.input_shape[1:], 1, 1)
        self.layers = LayerList((sizes[0], sizes[1], sizes[2]))
        self.output: str = self.model.graph.output[0].name
        """The tensor that becomes the network's output."""
        self.left_out: str | None = None
        """A node at the graph's end that is left to the host."""

    def value(self, node: NodeProto, index: int) -> Value:
        """An input that is computed."""
        name = node.input[index] if len(node.input) > index else ""
        if name in self.known:
            raise InputError(f"its input {name!r} is a constant, but must be what the engine computes")
        if name not in self.values:
            raise InputError(f"its input {name!r} is neither computed nor a constant that can be worked out")
        return self.values[name]

    def quantised(self, node: NodeProto) -> Quantised:
        """The first input, which the engine holds."""
        value = self.value(node, 0)
        if not isinstance(value, Quantised):
            raise InputError("its input is not quantised; put QuantizeLinear and DequantizeLinear before it")
        return value

    def sums(self, node: NodeProto, value: Value) -> Value:
        """A value as sums, if it can be."""
        return self.layers.as_sums(node_name(node), value) if isinstance(value, Quantised) else value

    def map(self, node: NodeProto) -> Quantised:
        """The first input, which has the same shape in the graph and in the engine, but for the batch and Pad nodes."""
        value = self.quantised(node)
        channels, height, width = self.layers.shape(value.name)
        rows, columns = height + sum(value.pads[0]), width + sum(value.pads[1])
        if value.shape != (self.batch, channels, rows, columns):
            raise InputError(f"its input has shape {value.shape}, but must be the map {(channels, height, width)}")
        return value

    def has(self, node: NodeProto, index: int) -> bool:
        """Whether an optional input is given."""
        return len(node.input) > index and bool(node.input[index])

    def real(self, node: NodeProto, index: int, what: str) -> FloatArray:
        """A constant of real numbers; only bounds may be infinite."""
        array = self._constant(node, index, what).value
        try:
            numbers = array.astype(np.float64)
        except (TypeError, ValueError):
            raise InputError(f"its {what} is of type {array.dtype}, but must be numbers") from None
        if np.isnan(numbers).any() or (what != "bound" and not np.isfinite(numbers).all()):
            raise InputError(f"its {what} holds a number that is not finite")
        return numbers

    def whole(self, node: NodeProto, index: int, what: str) -> list[int]:
        """A constant list of whole numbers."""
        array = self._constant(node, index, what).value
        if array.dtype.kind not in "iu" or array.ndim != 1:
            raise InputError(f"its {what} is {array.dtype} of shape {array.shape}, but must be a list of integers")
        return [int(one) for one in array]

    def weights(self, node: NodeProto) -> tuple[Array, FloatArray]:
        """Whole numbers, and the scale of each."""
        one = self.known.get(node.input[1])
        if one is None or one.whole is None or one.scale is None or not one.whole.size:
            raise InputError("its weights are not quantised; they must be a constant behind DequantizeLinear")
        least, most = int(one.whole.min()), int(one.whole.max())
        if least < WEIGHT_MIN or most > WEIGHT_MAX:
            raise InputError(
                f"its weights less their zero points are {least}..{most}, but must be {WEIGHT_MIN}..{WEIGHT_MAX}"
            )
        return one.whole, one.scale

    def per_output(self, scale: FloatArray) -> FloatArray:
        """Scales of weights, the output channel first, as one per output channel."""
        rows = scale.reshape(len(scale), -1)
        first: FloatArray = rows[:, 0].copy()
        if (rows != first[:, None]).any():
            raise InputError("its weights have several scales in an output channel; the engine has one")
        return first

    def bias(self, node: NodeProto, shape: Shape, scale: FloatArray) -> FloatArray:
        """The third input as real numbers, one per output channel.

        Args:
            node: Conv, Gemm or MatMul.
            shape: what the bias must broadcast to, the output channels last.
            scale: what a unit of the sums is worth; a bias that was quantised with it is kept exactly.
        """
        if not self.has(node, 2):
            return np.zeros(shape[-1])
        one, given = self._constant(node, 2, "bias"), self.real(node, 2, "bias")
        same = one.scale is not None and np.allclose(one.scale, scale, rtol=SAME_SCALE, atol=0.0)
        if one.whole is not None and one.whole.shape == scale.shape and same:
            given = one.whole * scale
        return self.by_channel(given, shape, shape[-1])

    def by_channel(self, constant: FloatArray, shape: Shape, channels: int) -> FloatArray:
        """What ONNX adds to each value of a tensor as what the engine adds to each channel.

        Args:
            constant: aligned with the last axes of the tensor.
            shape: of the tensor; its first axis is the batch unless it has only channels.
            channels: output channels.
        """
        try:
            full = np.broadcast_to(constant, shape)
        except ValueError:
            raise InputError(
                f"its constant has shape {constant.shape}, but must fit into {shape} without making it larger"
            ) from None
        rows = full.reshape(shape[0] if len(shape) > 1 else 1, channels, -1)
        first: FloatArray = rows[0, :, 0].copy()
        if (rows != first[None, :, None]).any():
            raise InputError(
                f"its constant of shape {constant.shape} differs within a channel of {shape}; the engine adds one "
                f"number per channel: shape {(channels, 1, 1)}"
            )
        return first

    def _constant(self, node: NodeProto, index: int, what: str) -> Constant:
        if node.input[index] not in self.known:
            raise InputError(f"its {what} is computed at run time; the engine needs a constant")
        return self.known[node.input[index]]


def zeros(shape: Shape) -> Array:
    """A tensor for shapes alone."""
    return np.zeros(shape, np.float32)
