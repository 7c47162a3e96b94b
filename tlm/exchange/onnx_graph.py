"""Nodes of a quantised ONNX graph become layers of the engine; what it cannot run is refused, naming the node."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tlm.core.errors import InputError
from tlm.exchange.onnx_constants import Constant, attributes, integer_range, node_name, scale_and_zero
from tlm.exchange.onnx_values import Levels, Quantised, Sum, Value
from tlm.layers import INPUT, Conv2d, Layer, MaxPool2d
from tlm.network import Network
from tlm.networks.fixed_point import fixed_points, shared_shift

if TYPE_CHECKING:
    from onnx import NodeProto

_RANGES = {(0, 15): False, (-8, 7): True}


@dataclass
class GraphReader:
    """Collects layers while nodes are read in order.

    Args:
        input_name: the graph's input.
        input_shape: (C, H, W).
        known: constants by tensor name.
    """

    input_name: str
    input_shape: tuple[int, int, int]
    known: dict[str, Constant]
    values: dict[str, Value] = field(default_factory=dict)
    layers: list[Layer] = field(default_factory=list)
    signed_input: bool = False
    input_scale: float = 0.0
    tensors: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Layer -> (tensor of the graph that holds its dequantised output, scale)."""
    coarser: dict[str, int] = field(default_factory=dict)
    """Layer -> channels whose biases needed coarser units than the graph's, where there are any."""
    _levels: dict[int, Quantised] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.values[self.input_name] = None

    def read(self, node: NodeProto) -> None:
        """Take in one node.

        Raises:
            InputError: the engine cannot run it.
        """
        if all(name in self.known for name in node.output):
            return
        handler: Callable[[NodeProto], Value] | None = getattr(self, f"op_{node.op_type.lower()}", None)
        if handler is None:
            known = "Conv, Gemm, MatMul, Add, Relu, Clip, MaxPool, AveragePool, GlobalAveragePool, Pad, Flatten"
            raise InputError(f"node {node_name(node)}: the engine cannot run it; between Q and DQ it runs {known}")
        try:
            self.values[node.output[0]] = handler(node)
        except InputError as error:
            text = str(error)
            raise InputError(text if text.startswith("node ") else f"node {node_name(node)}: {text}") from None

    def network(self) -> Network:
        """All layers so far."""
        return Network(self.input_shape, self.layers, self.signed_input)

    def shape(self, name: str) -> tuple[int, int, int]:
        """(C, H, W) of a tensor."""
        return self.input_shape if name == INPUT else self.network().tensors[name].shape

    def finish(self, output: str) -> float:
        """Make the graph's output the network's, and say what one unit of it is worth.

        Raises:
            InputError: sums whose channels have different scales, or an output that is not the last layer's.
        """
        value = self.values.get(output)
        if isinstance(value, Sum):
            if value.residual is not None or value.relu or np.ptp(value.scale) > 1e-6 * value.scale.max():
                raise InputError(
                    f"node {value.node}: the graph ends with it, but its channels have different scales (or a residual "
                    "or ReLU); quantise its weights per tensor, or its output"
                )
            bias = np.rint(value.bias / value.scale).astype(np.int64)
            self._append(value, bias=bias, accumulator_output=True)
            return float(value.scale[0])
        if isinstance(value, Quantised) and self.layers and value.name == self.layers[-1].name:
            return value.scale
        raise InputError(f"output {output!r}: is not that of the last layer, or not quantised")

    # -- quantisation ---------------------------------------------------------------------------------------------

    def op_quantizelinear(self, node: NodeProto) -> Value:
        """To whole numbers; the layer is made when its range is known."""
        scale, kind = scale_and_zero(node, self.known)
        if scale.size != 1:
            raise InputError("scales per channel of an activation; the engine has one a tensor")
        value = self._value(node, 0)
        if isinstance(value, Quantised):
            value = self._as_sums(value, node)
        if isinstance(value, Levels):
            raise InputError("quantises what is quantised already")
        return Levels(node_name(node), value, float(scale.reshape(-1)[0]), *integer_range(kind))

    def op_dequantizelinear(self, node: NodeProto) -> Value:
        """Whole numbers become a tensor that the engine holds."""
        value = self._value(node, 0)
        if not isinstance(value, Levels):
            raise InputError("its input is no output of QuantizeLinear")
        if id(value) not in self._levels:
            self._levels[id(value)] = self._quantised(value)
            self.tensors[self._levels[id(value)].name] = (node.output[0], value.scale)
        return self._levels[id(value)]

    def op_clip(self, node: NodeProto) -> Value:
        """Cuts whole numbers to 4 bits, or sums at zero."""
        value = self._value(node, 0)
        low, high = (
            float(self.known[node.input[i]].value) if len(node.input) > i and node.input[i] else default
            for i, default in ((1, -np.inf), (2, np.inf))
        )
        if isinstance(value, Levels):
            return replace(value, low=max(value.low, int(low)), high=min(value.high, int(high)))
        if isinstance(value, Sum) and low == 0.0 and high == np.inf:
            return replace(value, relu=True)
        raise InputError(f"clips to {low:g}..{high:g} before quantisation; the engine clips to 4 bits only")

    def _quantised(self, levels: Levels) -> Quantised:
        signed = _RANGES.get((levels.low, levels.high))
        if signed is None:
            raise InputError(
                f"node {levels.node}: gives {levels.low}..{levels.high}, but activations must be 0..15 or -8..7"
            )
        if levels.of is None:
            self.signed_input, self.input_scale = signed, levels.scale
            return Quantised(INPUT, levels.scale, signed)
        if levels.of.relu and signed:
            raise InputError(f"node {levels.node}: signed, behind a ReLU; the engine's ReLU gives 0..15")
        return Quantised(self._requantised(levels.of, levels.scale, signed), levels.scale, signed)

    def _requantised(self, of: Sum, scale: float, signed: bool) -> str:
        of, coarser = of.with_fitting_biases()
        if coarser:
            self.coarser[self._name(of.node)] = coarser
        bias = np.rint(of.bias / of.scale).astype(np.int64)
        if of.residual is None:
            multiplier, shift = fixed_points(of.scale / scale)
            return self._append(of, bias=bias, multiplier=multiplier, shift=shift, signed_output=signed)
        multipliers, one_shift = shared_shift(np.append(of.scale, of.residual.scale) / scale)
        return self._append(
            of,
            bias=bias,
            multiplier=multipliers[:-1],
            shift=np.full(len(bias), one_shift),
            signed_output=signed,
            residual=of.residual.name,
            residual_multiplier=int(multipliers[-1]),
        )

    def _append(self, of: Sum, **arguments: Any) -> str:
        name = self._name(of.node)
        self.layers.append(Conv2d(name, of.weights.astype(np.int8), input=of.source.name, **of.geometry, **arguments))
        self.network()  # checks
        return name

    # -- layers ---------------------------------------------------------------------------------------------------

    def op_conv(self, node: NodeProto) -> Value:
        """A convolution."""
        source, given = self._quantised_input(node), attributes(node)
        whole, scale = self._weights(node, output_axis=0)
        if whole.ndim != 4:
            raise InputError(f"weights of {whole.ndim} dimensions; the engine convolves images")
        if given.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
            raise InputError(f"auto_pad {given['auto_pad'].decode()}; give pads as numbers")
        geometry = {
            "stride": tuple(given.get("strides", (1, 1))),
            "padding": _padding(given.get("pads", (0, 0, 0, 0)), source),
            "dilation": tuple(given.get("dilations", (1, 1))),
            "groups": int(given.get("group", 1)),
        }
        return Sum(node_name(node), source, whole, scale * source.scale, self._bias(node, len(whole)), geometry)

    def op_gemm(self, node: NodeProto) -> Value:
        """A linear layer with bias."""
        given = attributes(node)
        if given.get("alpha", 1.0) != 1.0 or given.get("beta", 1.0) != 1.0 or given.get("transA", 0):
            raise InputError("alpha, beta or transA; only plain x * W + b")
        return self._linear(node, transposed=bool(given.get("transB", 0)))

    def op_matmul(self, node: NodeProto) -> Value:
        """A linear layer."""
        return self._linear(node, transposed=False)

    def _linear(self, node: NodeProto, transposed: bool) -> Value:
        source = self._quantised_input(node)
        whole, scale = self._weights(node, output_axis=0 if transposed else 1)
        matrix = whole if transposed else whole.T
        kernel = matrix.reshape(len(matrix), *self.shape(source.name))
        return Sum(node_name(node), source, kernel, scale * source.scale, self._bias(node, len(matrix)), {})

    def op_add(self, node: NodeProto) -> Value:
        """A residual, or a bias."""
        constant = [name for name in node.input if name in self.known]
        values = [self._value(node, i) for i, name in enumerate(node.input) if name not in self.known]
        if constant:
            (value,) = values
            if not isinstance(value, Sum):
                raise InputError("adds a constant to something that is no sum of a layer")
            added = self.known[constant[0]].value.astype(np.float64).reshape(-1)
            return replace(value, bias=value.bias + np.broadcast_to(added, value.bias.shape))
        values.sort(key=lambda value: isinstance(value, Quantised))
        first, second = values
        if isinstance(first, Quantised):
            first = self._as_sums(first, node)
        if not isinstance(first, Sum) or not isinstance(second, Quantised) or first.residual is not None or first.relu:
            raise InputError("adds what is not quantised; the engine adds one 4-bit tensor to a layer's sums")
        return replace(first, residual=second)

    def op_relu(self, node: NodeProto) -> Value:
        """Means an unsigned output."""
        value = self._value(node, 0)
        if value is None or (isinstance(value, Quantised) and not value.signed):
            return value  # of the graph's input only what its quantiser gives counts, which is checked there
        if isinstance(value, Quantised):
            value = self._as_sums(value, node)
        if not isinstance(value, Sum):
            raise InputError("its input is not quantised")
        return replace(value, relu=True)

    def op_maxpool(self, node: NodeProto) -> Value:
        """Max pooling."""
        source, given = self._quantised_input(node), attributes(node)
        if given.get("ceil_mode", 0):
            raise InputError("ceil_mode; the engine rounds sizes down")
        name = self._name(node_name(node))
        kernel = tuple(given["kernel_shape"])
        stride, padding = tuple(given.get("strides", (1, 1))), _padding(given.get("pads", (0, 0, 0, 0)), source)
        self.layers.append(MaxPool2d(name, kernel, stride, padding, input=source.name))
        self.network()
        return Quantised(name, source.scale, source.signed)

    def op_averagepool(self, node: NodeProto) -> Value:
        """The mean of a window."""
        source, given = self._quantised_input(node), attributes(node)
        pads = tuple(given.get("pads", (0, 0, 0, 0)))
        if given.get("ceil_mode", 0) or (any(pads) and not given.get("count_include_pad", 0)):
            raise InputError("ceil_mode, or padding that does not count; the engine divides by the whole kernel")
        geometry = {"stride": tuple(given.get("strides", (1, 1))), "padding": _padding(pads, source)}
        return self._mean(node, source, tuple(given["kernel_shape"]), geometry)

    def op_globalaveragepool(self, node: NodeProto) -> Value:
        """The mean of a whole map."""
        source = self._quantised_input(node)
        return self._mean(node, source, self.shape(source.name)[1:], {})

    def op_reducemean(self, node: NodeProto) -> Value:
        """The mean of a whole map."""
        axes = attributes(node).get("axes") or self.known[node.input[1]].value.tolist()
        if sorted(axis % 4 for axis in axes) != [2, 3]:
            raise InputError(f"means over axes {list(axes)}; the engine takes those over rows and columns")
        return self.op_globalaveragepool(node)

    def op_pad(self, node: NodeProto) -> Value:
        """Zeros around a map; the next layer takes them in."""
        source = self._quantised_input(node)
        pads = self.known[node.input[1]].value.tolist()
        if any(pads[i] for i in (0, 1, 4, 5)) or attributes(node).get("mode", b"constant") != b"constant":
            raise InputError("pads other than rows and columns with zeros")
        return replace(source, pads=(pads[2], pads[3], pads[6], pads[7]))

    def op_flatten(self, node: NodeProto) -> Value:
        """Changes no value."""
        return self._value(node, 0)

    op_reshape = op_squeeze = op_identity = op_dropout = op_flatten

    # -- helpers --------------------------------------------------------------------------------------------------

    def _mean(self, node: NodeProto, source: Quantised, kernel: tuple[int, ...], geometry: dict[str, Any]) -> Sum:
        channels = self.shape(source.name)[0]
        ones = np.ones((channels, 1, *kernel), np.int64)
        scale = np.full(channels, source.scale / (kernel[0] * kernel[1]))
        return Sum(node_name(node), source, ones, scale, np.zeros(channels), {**geometry, "groups": channels})

    def _as_sums(self, source: Quantised, node: NodeProto) -> Sum:
        """The tensor as sums: a depth-wise layer of ones, so that it can be requantised or added to."""
        return self._mean(node, source, (1, 1), {})

    def _value(self, node: NodeProto, index: int) -> Value:
        name = node.input[index]
        if name not in self.values:
            raise InputError(f"its input {name!r} is neither computed nor a constant that can be worked out")
        return self.values[name]

    def _quantised_input(self, node: NodeProto) -> Quantised:
        value = self._value(node, 0)
        if not isinstance(value, Quantised):
            raise InputError("its input is not quantised; put QuantizeLinear and DequantizeLinear before it")
        return value

    def _weights(self, node: NodeProto, output_axis: int) -> tuple[Any, Any]:
        """Whole numbers, and the scale of each output channel."""
        one = self.known.get(node.input[1])
        if one is None or one.whole is None or one.scale is None:
            raise InputError("its weights are not quantised; they must be a constant behind DequantizeLinear")
        if one.scale.size > 1 and one.axis != output_axis:
            raise InputError(f"its weights have scales along axis {one.axis}, not along the output channels")
        if one.whole.min() < -8 or one.whole.max() > 7:
            raise InputError(f"its weights are {one.whole.min()}..{one.whole.max()}, but must be -8..7")
        return one.whole, np.broadcast_to(one.scale.reshape(-1), one.whole.shape[output_axis])

    def _bias(self, node: NodeProto, outputs: int) -> Any:
        if len(node.input) < 3 or not node.input[2]:
            return np.zeros(outputs)
        if node.input[2] not in self.known:
            raise InputError("its bias is computed at run time")
        return self.known[node.input[2]].value.astype(np.float64).reshape(-1)

    def _name(self, node: str) -> str:
        text = re.sub(r"[^A-Za-z0-9_.\-]+", "_", node.split(" ", 1)[1]).strip("_-.")
        used = {layer.name for layer in self.layers} | {INPUT}
        name, number = text, 2
        while name in used:
            name, number = f"{text}_{number}", number + 1
        return name


def _padding(pads: Any, source: Quantised) -> tuple[tuple[int, int], tuple[int, int]]:
    top, left, bottom, right = (int(a) + b for a, b in zip(pads, source.pads, strict=True))
    return (top, bottom), (left, right)
