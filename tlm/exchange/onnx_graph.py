"""Nodes of a quantised ONNX graph become layers of the engine; what it cannot run is refused, naming the node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from tlm.core.errors import InputError
from tlm.exchange.onnx_constants import (
    SIZE_LIMIT,
    Constant,
    Quantiser,
    computed,
    evaluated,
    integer_range,
    quantiser_of,
)
from tlm.exchange.onnx_inputs import SAME_SCALE, zeros
from tlm.exchange.onnx_nodes import LayerNodes
from tlm.exchange.onnx_operators import CONSTANT_OPERATORS, arguments, node_name
from tlm.exchange.onnx_values import Levels, Quantised, Sum, Tensor, Unquantised, Value
from tlm.network.layers import INPUT
from tlm.network.network import Network

if TYPE_CHECKING:
    from onnx import NodeProto

_CONSTANTS, _TIMES_HELD = 1 << 22, 8
"""Values that nodes may work out from constants: so many, and so many times what the file holds. Weights pass through a
few nodes; a small file that asks for more is up to no good."""
_RANGES = {(0, 15): False, (-8, 7): True}


@dataclass
class GraphReader(LayerNodes):
    """Collects layers while nodes are read in order; arguments as of Inputs."""

    input_scale: float = 0.0
    _levels: dict[int, Quantised] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._constants_left = _CONSTANTS + _TIMES_HELD * sum(one.value.size for one in self.known.values())
        self.values[self.input_name] = Unquantised(self.input_shape)

    def read(self, node: NodeProto) -> None:
        """Take in one node.

        Raises:
            InputError: the engine cannot run it.
        """
        try:
            known = all(name in self.known for name in node.input if name)
            if known and node.op_type in CONSTANT_OPERATORS:
                outputs = evaluated(self.model, node, self.known, self._constants_left)
                self._constants_left -= sum(one.value.size for one in outputs.values())
                self.known.update(outputs)
            elif node.op_type == "Shape":
                (array,) = computed(self.model, node, [zeros(self.value(node, 0).shape)])
                self.known[node.output[0]] = Constant(array)
            else:
                given = arguments(node)
                handler: Callable[[NodeProto, dict[str, Any]], Value] = getattr(self, f"_op_{node.op_type.lower()}")
                value = handler(node, given)
                self._agree(node, value)
                self.values[node.output[0]] = value
        except InputError as error:
            text = str(error)
            raise InputError(text if text.startswith("node ") else f"node {node_name(node)}: {text}") from None

    def _agree(self, node: NodeProto, value: Value) -> None:
        if prod(value.shape) > SIZE_LIMIT:
            raise InputError(f"gives a tensor of shape {value.shape}; at most {SIZE_LIMIT} values are allowed")
        said = self.inferred.get(node.output[0], value.shape)
        if len(said) != len(value.shape) or any(a not in (None, b) for a, b in zip(said, value.shape, strict=True)):
            raise InputError(f"its output has shape {said} in the graph, but the engine's would have {value.shape}")

    def finish(self) -> tuple[Network, Tensor]:
        """The network, and where the graph holds its output, with the worth of one unit.

        Raises:
            InputError: sums whose channels have different scales, or an output that is not the last layer's.
        """
        output, value, layers, name = self.output, self.values.get(self.output), self.layers, INPUT
        if isinstance(value, Sum):
            if not value.plain or np.ptp(value.scale) > SAME_SCALE * value.scale.max() or value.highest < np.inf:
                raise InputError(
                    f"node {value.node}: the graph ends with it, but its channels have different scales (or a "
                    "residual, ReLU or Clip); quantise its weights per tensor, or its output"
                )
            name, scale = layers.convolution(value, accumulator_output=True), float(value.scale[0])
            tensor = Tensor(output, scale, value.shape)
        elif isinstance(value, Quantised):
            value = layers.placed(f"Pad {output}", value)
            name, tensor = value.name, Tensor(output, value.scale, value.shape)
        if layers.network is None or name != layers.network.output.name:
            raise InputError(f"output {output!r}: is not that of the last layer, or not quantised")
        layers.tensors.setdefault(name, tensor)
        return layers.network, tensor

    # -- quantisation ---------------------------------------------------------------------------------------------

    def _op_quantizelinear(self, node: NodeProto, given: dict[str, Any]) -> Value:
        # the layer is made when its range is known
        scale, zero, kind = self._of_a_tensor(quantiser_of(node, given, self.known))
        value = self.sums(node, self.value(node, 0))
        if not isinstance(value, (Sum, Unquantised)):
            raise InputError("quantises what is quantised already")
        low, high = integer_range(kind or "uint8")
        return Levels(node_name(node), value, scale, zero, low - zero, high - zero)

    def _op_dequantizelinear(self, node: NodeProto, given: dict[str, Any]) -> Value:
        # whole numbers become a tensor that the engine holds, worth whatever this node says
        value, quantiser = self.value(node, 0), quantiser_of(node, given, self.known)
        if not isinstance(value, Levels):
            raise InputError("its input is no output of QuantizeLinear")
        scale, zero, _ = self._of_a_tensor(quantiser)
        if zero != value.zero:
            raise InputError(f"its zero point is {zero}, but must be {value.zero}, that of {value.node}")
        if id(value) not in self._levels:
            self._levels[id(value)] = self._quantised(value)
        held = replace(self._levels[id(value)], scale=scale)
        if held.name != INPUT:
            self.layers.tensors.setdefault(held.name, Tensor(node.output[0], scale, held.shape))
        return held

    def _of_a_tensor(self, quantiser: Quantiser) -> tuple[float, int, str | None]:
        if quantiser.scale.size != 1 or quantiser.zero.size != 1:
            raise InputError("scales or zero points per channel of an activation; the engine has one a tensor")
        return float(quantiser.scale.reshape(())), int(quantiser.zero.reshape(())), quantiser.kind

    def _op_clip(self, node: NodeProto, given: dict[str, Any]) -> Value:
        # cuts whole numbers to 4 bits, or sums at zero and above what 4 bits hold
        value = self.value(node, 0)
        bounds = [
            self.real(node, i, "bound") if self.has(node, i) else np.array(default)
            for i, default in ((1, -np.inf), (2, np.inf))
        ]
        if any(bound.size != 1 for bound in bounds):
            raise InputError(f"clips to {[bound.tolist() for bound in bounds]}, but must have one number a bound")
        low, high = (float(bound.reshape(())) for bound in bounds)
        if isinstance(value, Levels):
            least, most = max(value.low, low - value.zero), min(value.high, high - value.zero)
            return replace(value, low=int(least), high=int(most))
        if low in (0.0, -np.inf) and isinstance(value, (Sum, Quantised)):
            cut = value if low else self._op_relu(node, given)
            if high == np.inf:
                return cut
            cut = self.sums(node, cut)
            if isinstance(cut, Sum) and cut.offset is None and high > 0:
                return replace(cut, highest=min(cut.highest, high))
        raise InputError(f"clips to {low:g}..{high:g} before quantisation; the engine clips to 4 bits only")

    def _quantised(self, levels: Levels) -> Quantised:
        signed = _RANGES.get((levels.low, levels.high))
        if signed is None:
            zero = f" less its zero point {levels.zero}" if levels.zero else ""
            raise InputError(
                f"node {levels.node}: gives {levels.low}..{levels.high}{zero}, but activations must be 0..15 or -8..7"
            )
        if isinstance(levels.of, Sum):
            name = self.layers.requantised(levels.of, levels.scale, signed)
            return Quantised(name, levels.scale, signed, levels.shape)
        if levels.of.relu and signed:
            raise InputError(f"node {levels.node}: signed, behind a ReLU of the graph's input; make it unsigned")
        if self.input_scale and (signed, levels.scale) != (self.layers.signed_input, self.input_scale):
            raise InputError(f"node {levels.node}: quantises the graph's input a second time, and differently")
        self.layers.signed_input, self.input_scale = signed, levels.scale
        return Quantised(INPUT, levels.scale, signed, levels.shape)
