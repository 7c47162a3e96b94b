"""Nodes between DequantizeLinear and QuantizeLinear: convolutions, pools, additions and what changes no value."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from tlm.core.errors import InputError
from tlm.exchange.onnx_constants import SIZE_LIMIT, FloatArray, computed
from tlm.exchange.onnx_inputs import Inputs, zeros
from tlm.exchange.onnx_layers import WHOLE
from tlm.exchange.onnx_operators import node_name
from tlm.exchange.onnx_values import Levels, Quantised, Sum, Tensor, Unquantised, Value
from tlm.exchange.onnx_windows import NO_PADS, UNIT, Geometry, Pads, added, moved_over, window, with_pads
from tlm.network.layers import activation_range

if TYPE_CHECKING:
    from onnx import NodeProto


class LayerNodes(Inputs):
    """A method for each operator, which gives its output: ``_op_`` and its name in small letters."""

    def _op_conv(self, node: NodeProto, given: dict[str, Any]) -> Value:
        source = self.map(node)
        whole, scale = self.weights(node)
        if whole.ndim != 4:
            raise InputError(f"weights of {whole.ndim} dimensions; the engine convolves images")
        groups, channels = given["group"], source.shape[1]
        if groups < 1 or len(whole) % groups or whole.shape[1] * groups != channels:
            raise InputError(
                f"group is {groups}, but must fit weights of shape {whole.shape} and {channels} input channels"
            )
        geometry = with_pads(window(given, source.shape[2:], whole.shape[2:]), source.pads)
        size, kernel = self.layers.shape(source.name)[1:], (whole.shape[2], whole.shape[3])
        shape = (self.batch, len(whole), *moved_over(size, kernel, geometry))
        scale = self.per_output(scale) * source.scale
        bias = self.bias(node, (len(whole),), scale)
        return Sum(node_name(node), source, whole, scale, bias, {**geometry, "groups": groups}, shape)

    def _op_gemm(self, node: NodeProto, given: dict[str, Any]) -> Value:
        return self._linear(node, transposed=bool(given["transB"]))

    def _op_matmul(self, node: NodeProto, given: dict[str, Any]) -> Value:
        return self._linear(node, transposed=False)

    def _linear(self, node: NodeProto, transposed: bool) -> Value:
        source = self.layers.placed(node_name(node), self.quantised(node))
        whole, scale = self.weights(node)
        inner, rows = self.layers.shape(source.name), prod(source.shape[1:])
        if len(source.shape) != 2 or whole.ndim != 2:
            raise InputError(
                f"multiplies shape {source.shape} by {whole.shape}; the engine multiplies (batch, inputs) by (inputs, "
                "outputs)"
            )
        if not transposed:
            whole, scale = whole.T, scale.T
        if whole.shape[1] != rows:
            raise InputError(f"its weights have {whole.shape[1]} inputs, but its input has {rows}")
        scale = self.per_output(scale) * source.scale
        shape = (self.batch, len(whole))
        kernel = whole.reshape(len(whole), *inner)
        return Sum(node_name(node), source, kernel, scale, self.bias(node, shape, scale), UNIT, shape)

    def _op_add(self, node: NodeProto, given: dict[str, Any]) -> Value:
        constant = [i for i, name in enumerate(node.input) if name in self.known]
        values = [self.value(node, i) for i in range(2) if i not in constant]
        values.sort(key=lambda value: isinstance(value, Quantised))
        first = self.sums(node, values[0])
        if constant:
            if not isinstance(first, Sum):
                raise InputError("adds a constant to something that is no sum of a layer")
            return self._with_constant(first, self.real(node, constant[0], "constant"))
        second = values[1]
        if not isinstance(first, Sum) or not isinstance(second, Quantised) or not first.plain or first.highest < np.inf:
            raise InputError("adds what is not quantised; the engine adds one 4-bit tensor to a layer's sums")
        if first.shape != second.shape:
            raise InputError(f"adds shapes {first.shape} and {second.shape}, but must have equal ones")
        return replace(first, residual=self.layers.placed(f"{node_name(node)}_padded", second))

    def _with_constant(self, value: Sum, constant: FloatArray) -> Sum:
        try:
            more = self.by_channel(constant, value.shape, len(value.bias))
        except InputError:
            linear = self.layers.as_linear(value)
            if linear is None:
                raise
            return self._with_constant(linear, constant)
        if value.highest < np.inf:
            raise InputError("adds a constant behind a Clip; add it before")
        if value.relu:
            return replace(value, offset=more if value.offset is None else value.offset + more)
        return replace(value, bias=value.bias + more)

    def _op_batchnormalization(self, node: NodeProto, given: dict[str, Any]) -> Value:
        value = self.sums(node, self.value(node, 0))
        if not isinstance(value, Sum) or not value.plain or value.highest < np.inf:
            raise InputError("its input must be the sums of a layer, or quantised, without ReLU or residual between")
        gamma, beta, mean, variance = (self.real(node, i, "parameter").reshape(-1) for i in range(1, 5))
        if any(one.shape != value.bias.shape for one in (gamma, beta, mean, variance)):
            raise InputError(f"its parameters must have {len(value.bias)} numbers each, one per channel")
        if (variance + given["epsilon"] <= 0).any():
            raise InputError(f"variance {variance.min():g} and epsilon {given['epsilon']:g} must add up to more than 0")
        factor = gamma / np.sqrt(variance + given["epsilon"])
        sign = np.sign(factor).astype(np.int64)[:, None, None, None]  # the engine's multipliers have none
        scale = np.where(factor == 0, value.scale, value.scale * np.abs(factor))
        return replace(value, weights=value.weights * sign, scale=scale, bias=(value.bias - mean) * factor + beta)

    def _op_relu(self, node: NodeProto, given: dict[str, Any]) -> Value:
        value = self.value(node, 0)
        if isinstance(value, Unquantised):
            return replace(value, relu=True)
        if isinstance(value, Quantised) and not value.signed:
            return value
        value = self.sums(node, value)
        if not isinstance(value, Sum):
            raise InputError("its input is not quantised")
        if value.offset is not None and (value.offset < 0).any():
            raise InputError("a second ReLU behind a constant below 0; leave one of them out")
        return replace(value, relu=True)

    def _op_maxpool(self, node: NodeProto, given: dict[str, Any]) -> Value:
        source, kernel = self.map(node), given["kernel_shape"]
        geometry = window(given, source.shape[2:], kernel)
        # Below unsigned pixels a zero changes nothing, as long as some pixel is in each window.
        if source.signed or max(map(max, source.pads)) >= min(kernel) or geometry["dilation"] != (1, 1):
            source = self.layers.placed(f"{node_name(node)}_padded", source)
        name = self.layers.max_pool(node_name(node), kernel, source, with_pads(geometry, source.pads))
        return self._pooled(node, name, source)

    def _pooled(self, node: NodeProto, name: str, source: Quantised) -> Quantised:
        shape = (self.batch, *self.layers.shape(name))
        self.layers.tensors[name] = Tensor(node.output[0], source.scale, shape)
        return Quantised(name, source.scale, source.signed, shape)

    def _op_averagepool(self, node: NodeProto, given: dict[str, Any]) -> Value:
        source, kernel = self.map(node), given["kernel_shape"]
        geometry = window(given, source.shape[2:], kernel)
        if geometry != window({**given, "ceil_mode": 0}, source.shape[2:], kernel):
            raise InputError("ceil_mode is 1, but must be 0: here it adds windows that divide by fewer pixels")
        if not given["count_include_pad"] and any(map(any, geometry["padding"])):
            raise InputError(
                "count_include_pad is 0, but must be 1 where there is padding: the engine divides by the whole kernel"
            )
        return self._mean(node, source, kernel, geometry)

    def _op_globalaveragepool(self, node: NodeProto, given: dict[str, Any]) -> Value:
        source = self.map(node)
        return self._mean(node, source, (source.shape[2], source.shape[3]), UNIT)

    def _op_reducemean(self, node: NodeProto, given: dict[str, Any]) -> Value:
        axes, source = tuple(self.whole(node, 1, "axes")) if self.has(node, 1) else given["axes"], self.map(node)
        over = {axis % 4 if -4 <= axis < 4 else axis for axis in axes}
        if not over or not over <= {2, 3}:
            raise InputError(
                f"axes is {axes or 'left out, which means all'}, but must be (2, 3): the engine takes means over rows "
                "and columns"
            )
        kernel = (source.shape[2] if 2 in over else 1, source.shape[3] if 3 in over else 1)
        found = self._mean(node, source, kernel, UNIT)
        kept = tuple(n for axis, n in enumerate(found.shape) if axis not in over or given["keepdims"])
        return replace(found, shape=kept)

    def _mean(self, node: NodeProto, source: Quantised, kernel: tuple[int, int], geometry: Geometry) -> Sum:
        channels, *size = self.layers.shape(source.name)
        rows, columns = moved_over((size[0], size[1]), kernel, with_pads(geometry, source.pads))
        return self.layers.mean(node_name(node), source, kernel, geometry, (self.batch, channels, rows, columns))

    def _op_pad(self, node: NodeProto, given: dict[str, Any]) -> Value:
        source = self.map(node)
        pads = self.whole(node, 1, "pads") if len(node.input) > 1 else list(given["pads"])
        axes = self.whole(node, 3, "axes") if self.has(node, 3) else [0, 1, 2, 3]
        value = float(given["value"])
        if self.has(node, 2):
            value = float(self.real(node, 2, "value").reshape(-1)[0])
        if len(pads) != 2 * len(axes) or not all(-4 <= axis < 4 for axis in axes) or min(pads) < 0:
            raise InputError(f"pads {pads} of axes {axes}; the engine adds pixels around maps, and takes none away")
        around = dict.fromkeys(range(4), (0, 0))
        for i, axis in enumerate(axes):
            around[axis % 4] = pads[i], pads[i + len(axes)]
        if any(around[0] + around[1]):
            raise InputError(f"pads {pads} of axes {axes}; the engine adds pixels around maps, no channels or images")
        border: Pads = (around[2], around[3])
        shape = (*source.shape[:2], source.shape[2] + sum(border[0]), source.shape[3] + sum(border[1]))
        if prod(shape) > SIZE_LIMIT:
            raise InputError(f"gives a tensor of shape {shape}; at most {SIZE_LIMIT} values are allowed")
        if value == 0.0 or border == NO_PADS:
            return replace(source, pads=added(source.pads, border), shape=shape)
        level, (low, high) = value / source.scale, activation_range(source.signed)
        if abs(level - round(level)) > WHOLE or not low <= round(level) <= high:
            raise InputError(
                f"its value {value:g} is {level:g} levels of {source.scale:g} each, but must be a whole one in "
                f"{low}..{high}"
            )
        inside = self.layers.placed(f"{node_name(node)}_inside", source)
        placed = self.layers.placed(node_name(node), inside, round(level), border)
        return self._pooled(node, placed.name, placed)

    def _op_flatten(self, node: NodeProto, given: dict[str, Any]) -> Value:
        value = self.value(node, 0)
        if isinstance(value, Quantised):
            value = self.layers.placed(f"{node_name(node)}_padded", value)
        others = [self._constant(node, 1, "second input").value] if self.has(node, 1) else []
        moved = computed(self.model, node, [zeros(value.shape), *others])[0]
        if moved.shape[:1] != (self.batch,):
            shown = ", ".join(f"{key} is {one}, which" for key, one in given.items() if key == "axis")
            raise InputError(
                f"{shown or 'it'} makes {moved.shape} of {value.shape}, but must keep the batch of {self.batch} first"
            )
        if isinstance(value, Levels):
            return replace(value, of=replace(value.of, shape=moved.shape))
        return replace(value, shape=moved.shape)

    _op_reshape = _op_squeeze = _op_unsqueeze = _op_flatten

    def _op_identity(self, node: NodeProto, given: dict[str, Any]) -> Value:
        return self.value(node, 0)

    def _op_dropout(self, node: NodeProto, given: dict[str, Any]) -> Value:
        if self.has(node, 2) and self._constant(node, 2, "training_mode").value.any():
            raise InputError("its training_mode is true, but must be false")
        return self.value(node, 0)

    def _op_softmax(self, node: NodeProto, given: dict[str, Any]) -> Value:
        value = self.value(node, 0)
        if node.output[0] != self.model.graph.output[0].name or not isinstance(value, (Quantised, Sum)):
            raise InputError("is not the last node behind a layer; the engine can leave it out only there")
        axis, sizes = given["axis"] % len(value.shape), value.shape
        if axis == 0 or prod(sizes[1:]) != sizes[axis]:
            raise InputError(f"axis is {given['axis']}, but must be that of all scores in shape {sizes}")
        self.left_out, self.output = node_name(node), node.input[0]
        return value

    _op_logsoftmax = _op_softmax
