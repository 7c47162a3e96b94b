"""QuantizeLinear and DequantizeLinear: their scales and zero points, and what they make of constants."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tlm.core.errors import InputError
from tlm.exchange.onnx_constants import Array, Constant, FloatArray, Shape, computed
from tlm.exchange.onnx_nodes import Graph, Node, Operator

if TYPE_CHECKING:
    from onnx import NodeProto

_LAYOUT = ("Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Slice")
"""They move whole numbers, and their scales in the same way."""
_INTEGERS = re.compile(r"u?int(2|4|8|16|32)")


@dataclass(frozen=True, eq=False)
class Quantiser:
    """Scale and zero point of a QuantizeLinear or DequantizeLinear."""

    scale: FloatArray
    zero: npt.NDArray[np.int64]
    kind: str | None
    """Type of the whole numbers, such as "uint4", where the node says it."""

    def of_a_tensor(self) -> tuple[float, int]:
        """The one scale and zero point of an activation."""
        if self.scale.size != 1 or self.zero.size != 1:
            raise InputError("scales or zero points per channel of an activation; the engine has one a tensor")
        return float(self.scale.item()), int(self.zero.item())


def quantiser_of(node: Node) -> Quantiser:
    """What a QuantizeLinear or DequantizeLinear does.

    Raises:
        InputError: a scale or zero point that is no constant, or that cannot be meant.
    """
    import onnx

    known, inputs = node.graph.known, node.proto.input
    if len(inputs) < 2 or inputs[1] not in known:
        raise InputError("its scale is missing or computed at run time; the engine's ranges are fixed")
    scale = known[inputs[1]].value
    if scale.dtype.kind == "f" or "float" in str(scale.dtype):
        scale = scale.astype(np.float64)
    bad = ~((scale > 0) & np.isfinite(scale)) if scale.dtype == np.float64 else np.array([True])
    if bad.any() or not scale.size:
        shown = scale.reshape(-1)[np.flatnonzero(bad)[:1]].tolist()
        raise InputError(f"its scale is {shown}, but must be finite and above 0")
    zero, kind = np.zeros((), np.int64), None
    if node.given.get("output_dtype") and node.proto.op_type == "QuantizeLinear":
        kind = str(onnx.helper.tensor_dtype_to_string(node.given["output_dtype"])).rpartition(".")[2].lower()
    if node.has(2):
        if inputs[2] not in known:
            raise InputError("its zero point is computed at run time; the engine's ranges are fixed")
        array = known[inputs[2]].value
        kind = str(array.dtype)
        zero = array.astype(np.int64) if _INTEGERS.fullmatch(kind) else zero
    if kind is not None and not _INTEGERS.fullmatch(kind):
        raise InputError(f"its whole numbers are of type {kind}, but must be of an integer type")
    return Quantiser(scale, zero, kind)


def integer_range(kind: str) -> tuple[int, int]:
    """Smallest and largest value of a type such as "int4" or "uint8"."""
    bits = int("".join(letter for letter in kind if letter.isdigit()))
    return (0, (1 << bits) - 1) if kind.startswith("u") else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def folded(proto: NodeProto, graph: Graph, operator: Operator | None) -> dict[str, Constant]:
    """The outputs of a node whose inputs are all constants; ask for their types first.

    Raises:
        InputError: it cannot be worked out.
    """
    inputs = {name: graph.known[name] for name in proto.input if name}
    first = inputs[proto.input[0]] if proto.input else None
    if operator is not None and proto.op_type in ("QuantizeLinear", "DequantizeLinear"):
        node = Node(proto, graph, operator)
        quantiser = quantiser_of(node)
        if proto.op_type == "DequantizeLinear" and first is not None:
            return {proto.output[0]: dequantised(first.value, quantiser, node.given["axis"])}
    arrays = {name: one.value for name, one in inputs.items()}
    outputs = computed(graph.model, proto, arrays)
    found = {name: Constant(array) for name, array in zip(filter(None, proto.output), outputs, strict=False)}
    if first is not None and first.whole is not None and first.scale is not None and proto.op_type in _LAYOUT:
        (whole,), (scale,) = (
            computed(graph.model, proto, arrays | {proto.input[0]: moved}) for moved in (first.whole, first.scale)
        )
        found[proto.output[0]] = Constant(found[proto.output[0]].value, whole, scale)
    return found


def dequantised(array: Array, quantiser: Quantiser, axis: int) -> Constant:
    """What a DequantizeLinear makes of a constant; the axis counts only for several scales.

    Raises:
        InputError: no whole numbers, or scales that do not fit them.
    """
    if not _INTEGERS.fullmatch(str(array.dtype)):
        raise InputError(f"its whole numbers are of type {array.dtype}, but must be of an integer type")
    scale, zero = (_spread(one, axis, array.shape) for one in (quantiser.scale, quantiser.zero))
    whole = array.astype(np.int64) - zero
    return Constant(whole * scale, whole, scale)


def _spread(values: Array, axis: int, shape: Shape) -> Array:
    """One for all, or one for each index along an axis: the same for each value."""
    if values.size == 1:
        return np.broadcast_to(values.reshape(()), shape)
    if values.ndim != 1 or not -len(shape) <= axis < len(shape) or shape[axis] != values.size:
        raise InputError(f"scales or zero points of shape {values.shape} along axis {axis} of shape {shape}")
    along = [1] * len(shape)
    along[axis] = values.size
    return np.broadcast_to(values.reshape(along), shape)
