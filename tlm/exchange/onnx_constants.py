"""The part of an ONNX graph that does not depend on its input: weights, scales, and what is done to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tlm.core.errors import InputError

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

FloatArray = npt.NDArray[np.float64]

_DEFAULT_AXIS = 1  # of QuantizeLinear and DequantizeLinear
_KEPT = ("Identity", "Cast")


@dataclass(frozen=True, eq=False)
class Constant:
    """An array; where it is dequantised, also the whole numbers and scales behind it."""

    value: npt.NDArray[Any]
    whole: npt.NDArray[np.int64] | None = None
    scale: FloatArray | None = None
    """A scalar, or one along ``axis``."""
    axis: int = 0


def node_name(node: NodeProto) -> str:
    """How messages call a node."""
    return f"{node.op_type} {node.name or node.output[0]}"


def attributes(node: NodeProto) -> dict[str, Any]:
    """A node's attributes as Python values."""
    import onnx

    return {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}


def constants(model: ModelProto) -> dict[str, Constant]:
    """Everything that can be worked out without an input, by tensor name.

    Raises:
        InputError: a node that cannot be worked out, although its inputs are known.
    """
    import onnx

    found = {one.name: Constant(onnx.numpy_helper.to_array(one)) for one in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            value = attributes(node)
            array = onnx.numpy_helper.to_array(value["value"]) if "value" in value else next(iter(value.values()))
            found[node.output[0]] = Constant(np.asarray(array))
        elif node.input and all(name in found for name in node.input if name):
            inputs = [found[name] for name in node.input if name]
            found[node.output[0]] = _evaluated(node, inputs) or _by_reference(node, inputs)
    return found


def scale_and_zero(node: NodeProto, known: dict[str, Constant]) -> tuple[FloatArray, str]:
    """Scale of a QuantizeLinear or DequantizeLinear, and the type of its whole numbers.

    Raises:
        InputError: a scale that is no constant, or a zero point that is not 0.
    """
    if node.input[1] not in known:
        raise InputError(f"node {node_name(node)}: its scale is computed at run time; the engine's ranges are fixed")
    kind = "uint8"
    if len(node.input) > 2 and node.input[2]:
        zero = known[node.input[2]].value
        kind = str(zero.dtype)
        if np.any(zero.astype(np.int64) != 0):
            raise InputError(f"node {node_name(node)}: zero point {zero.tolist()} is not 0; quantise symmetrically")
    return known[node.input[1]].value.astype(np.float64), kind


def integer_range(kind: str) -> tuple[int, int]:
    """Smallest and largest value of a type such as "int4" or "uint8"."""
    bits = int("".join(letter for letter in kind if letter.isdigit()) or 8)
    return (0, (1 << bits) - 1) if kind.startswith("u") else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def _evaluated(node: NodeProto, inputs: list[Constant]) -> Constant | None:
    first = inputs[0]
    if node.op_type in _KEPT:
        return first
    if node.op_type == "Clip":
        low, high = (item.value for item in inputs[1:3])
        value = np.clip(first.value.astype(np.float64), np.float64(low), np.float64(high))
        return Constant(value.astype(np.int64) if first.value.dtype.kind != "f" else value)
    if node.op_type == "Transpose":
        return _transposed(first, attributes(node).get("perm"))
    if node.op_type == "Reshape":
        return Constant(first.value.reshape(inputs[1].value.astype(int).tolist()))
    if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
        axis = int(attributes(node).get("axis", _DEFAULT_AXIS))
        scale = inputs[1].value.astype(np.float64)
        axis = axis if scale.size > 1 else 0
        spread = _along(scale, axis, first.value.ndim)
        if node.op_type == "QuantizeLinear":
            least, most = integer_range(str(inputs[2].value.dtype) if len(inputs) > 2 else "uint8")
            return Constant(np.rint(first.value.astype(np.float64) / spread).clip(least, most).astype(np.int64))
        whole = first.value.astype(np.int64)
        return Constant(whole * spread, whole, scale.reshape(-1) if scale.size > 1 else scale.reshape(()), axis)
    return None


def _by_reference(node: NodeProto, inputs: list[Constant]) -> Constant:
    """What onnx's own reference says: shapes and paddings, which exporters compute in many small nodes."""
    from onnx.reference import ReferenceEvaluator

    given = dict(zip([name for name in node.input if name], [one.value for one in inputs], strict=True))
    try:
        outputs: Any = ReferenceEvaluator(node).run(None, given)
        return Constant(np.asarray(outputs[0]))
    except Exception as error:
        raise InputError(f"node {node_name(node)}: cannot be worked out ({type(error).__name__}: {error})") from None


def _transposed(one: Constant, order: list[int] | None) -> Constant:
    axes = list(reversed(range(one.value.ndim))) if order is None else list(order)
    whole = None if one.whole is None else one.whole.transpose(axes)
    axis = axes.index(one.axis) if one.value.ndim else 0
    return Constant(one.value.transpose(axes), whole, one.scale, axis)


def _along(scale: FloatArray, axis: int, dimensions: int) -> FloatArray:
    if scale.size == 1:
        return scale.reshape(())
    shape = [1] * dimensions
    shape[axis] = scale.size
    return scale.reshape(shape)
