"""The part of an ONNX graph that does not depend on its input: weights, scales, and what is done to them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tlm.core.errors import InputError
from tlm.exchange.onnx_operators import arguments

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

FloatArray = npt.NDArray[np.float64]
Array = npt.NDArray[Any]
Shape = tuple[int, ...]

SIZE_LIMIT = 1 << 26
"""Values of a tensor; the importer and onnxruntime hold whole tensors, and no more is ever asked of them."""

_LAYOUT = ("Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Slice")
"""They move whole numbers, and the scales behind them likewise."""
_SHAPES_SIZE = 4096
"""A constant up to this size may be one that says a shape."""
_INTEGERS = re.compile(r"u?int(2|4|8|16|32)")


@dataclass(frozen=True, eq=False)
class Constant:
    """An array; where it is dequantised, also the whole numbers and scales behind it."""

    value: Array
    whole: npt.NDArray[np.int64] | None = None
    """Without their zero point."""
    scale: FloatArray | None = None
    """One for each of them."""


@dataclass(frozen=True, eq=False)
class Quantiser:
    """Scale and zero point of a QuantizeLinear or DequantizeLinear."""

    scale: FloatArray
    zero: npt.NDArray[np.int64]
    kind: str | None
    """Type of the whole numbers, such as "uint4", where the node says it."""


def initialisers(model: ModelProto) -> dict[str, Constant]:
    """The arrays that a file holds, by tensor name.

    Raises:
        InputError: one that is damaged.
    """
    import onnx

    found = {}
    for one in model.graph.initializer:
        try:
            found[one.name] = Constant(onnx.numpy_helper.to_array(one))
        except Exception as error:
            raise InputError(f"initialiser {one.name!r}: cannot be read ({_reason(error)})") from None
    return found


def evaluated(model: ModelProto, node: NodeProto, known: Mapping[str, Constant], limit: int) -> dict[str, Constant]:
    """The outputs of a node whose inputs are all known.

    Raises:
        InputError: it cannot be worked out, or an output would have more than ``limit`` values.
    """
    inputs = [known[name] if name else None for name in node.input]
    first = inputs[0] if inputs else None
    if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
        given = arguments(node)
        quantiser = quantiser_of(node, given, known)
        if node.op_type == "DequantizeLinear" and first is not None:
            return {node.output[0]: _dequantised(first.value, quantiser, given["axis"])}
    outputs = computed(model, node, [None if one is None else one.value for one in inputs], limit)
    found = {name: Constant(array) for name, array in zip(node.output, outputs, strict=False) if name}
    if first is not None and first.whole is not None and first.scale is not None and node.op_type in _LAYOUT:
        others = [None if one is None else one.value for one in inputs[1:]]
        (whole,), (scale,) = (computed(model, node, [moved, *others]) for moved in (first.whole, first.scale))
        found[node.output[0]] = Constant(found[node.output[0]].value, whole, scale)
    return found


def quantiser_of(node: NodeProto, given: Mapping[str, Any], known: Mapping[str, Constant]) -> Quantiser:
    """What a QuantizeLinear or DequantizeLinear does.

    Args:
        node: the node.
        given: its :func:`~tlm.exchange.onnx_operators.arguments`.
        known: constants.

    Raises:
        InputError: a scale or zero point that is no constant, or that cannot be meant.
    """
    import onnx

    if len(node.input) < 2 or node.input[1] not in known:
        raise InputError("its scale is missing or computed at run time; the engine's ranges are fixed")
    scale = np.asarray(known[node.input[1]].value)
    if scale.dtype.kind == "f" or "float" in str(scale.dtype):
        scale = scale.astype(np.float64)
    bad = ~((scale > 0) & np.isfinite(scale)) if scale.dtype == np.float64 else np.array([True])
    if bad.any() or not scale.size:
        shown = scale.reshape(-1)[np.flatnonzero(bad)[:1]].tolist()
        raise InputError(f"its scale is {shown}, but must be finite and above 0")
    zero, kind = np.zeros((), np.int64), None
    if given.get("output_dtype") and node.op_type == "QuantizeLinear":
        kind = str(onnx.helper.tensor_dtype_to_string(given["output_dtype"])).rpartition(".")[2].lower()
    if len(node.input) > 2 and node.input[2]:
        if node.input[2] not in known:
            raise InputError("its zero point is computed at run time; the engine's ranges are fixed")
        array = known[node.input[2]].value
        kind = str(array.dtype)
        zero = array.astype(np.int64) if _INTEGERS.fullmatch(kind) else zero
    if kind is not None and not _INTEGERS.fullmatch(kind):
        raise InputError(f"its whole numbers are of type {kind}, but must be of an integer type")
    return Quantiser(scale, zero, kind)


def integer_range(kind: str) -> tuple[int, int]:
    """Smallest and largest value of a type such as "int4" or "uint8"."""
    bits = int("".join(letter for letter in kind if letter.isdigit()))
    return (0, (1 << bits) - 1) if kind.startswith("u") else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def computed(
    model: ModelProto, node: NodeProto, inputs: Sequence[Array | None], limit: int = SIZE_LIMIT
) -> list[Array]:
    """What onnx's own reference gives for some inputs, None for one that is left out.

    Raises:
        InputError: it refuses them, or a result would have more than ``limit`` values.
    """
    from onnx import shape_inference
    from onnx.reference import ReferenceEvaluator

    alone, fed = _one_node_model(model, node, inputs)
    try:
        for one in shape_inference.infer_shapes(alone, strict_mode=True).graph.output:
            sizes = [dimension.dim_value for dimension in one.type.tensor_type.shape.dim]
            known = all(dimension.HasField("dim_value") for dimension in one.type.tensor_type.shape.dim)
            if not one.type.tensor_type.HasField("shape") or not known:
                raise InputError("cannot be worked out (the shape of its result is not known beforehand)")
            if prod(sizes) > limit:
                raise InputError(f"gives a tensor of shape {sizes}; at most {limit} values are allowed")
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            outputs: Any = ReferenceEvaluator(alone).run(None, fed)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"cannot be worked out ({_reason(error)})") from None
    arrays = [np.asarray(one) for one in outputs]
    if any(array.dtype == object for array in arrays):
        raise InputError("cannot be worked out (it gives no array of numbers)")
    return arrays


def _one_node_model(model: ModelProto, node: NodeProto, inputs: Sequence[Array | None]) -> tuple[Any, dict[str, Array]]:
    """A model of the node alone, and what to feed it; small inputs are constants of it, as they may say shapes."""
    import onnx
    from onnx import helper

    names = [f"in{i}" if one is not None else "" for i, one in enumerate(inputs)]
    outputs = [f"out{i}" if name else "" for i, name in enumerate(node.output)]
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    versions = list(model.opset_import)
    if copy.domain == "com.microsoft":  # its QuantizeLinear is the one of opset 21
        copy.domain, versions = "", [helper.make_opsetid("", 21)]
    del copy.input[:], copy.output[:]
    copy.input.extend(names)
    copy.output.extend(outputs)
    held, free, fed = [], [], {}
    for name, array in zip(names, inputs, strict=True):
        if array is not None and array.size <= _SHAPES_SIZE:
            held.append(onnx.numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name))
        elif array is not None:
            fed[name] = array
            kind = helper.np_dtype_to_tensor_dtype(array.dtype)
            free.append(helper.make_tensor_value_info(name, kind, array.shape))
    results = [onnx.ValueInfoProto(name=name) for name in outputs if name]
    graph = helper.make_graph([copy], "one", free, results, held)
    return helper.make_model(graph, opset_imports=versions, ir_version=model.ir_version), fed


def _dequantised(array: Array, quantiser: Quantiser, axis: int) -> Constant:
    if not _INTEGERS.fullmatch(str(array.dtype)):
        raise InputError(f"its whole numbers are of type {array.dtype}, but must be of an integer type")
    scale, zero = (_spread(one, axis, array.shape) for one in (quantiser.scale, quantiser.zero))
    whole = array.astype(np.int64) - zero
    return Constant(whole * scale, whole, scale)


def _spread(values: Array, axis: int, shape: tuple[int, ...]) -> Array:
    """One for all, or one for each index along an axis: the same for each value."""
    if values.size == 1:
        return np.broadcast_to(values.reshape(()), shape)
    if values.ndim != 1 or not -len(shape) <= axis < len(shape) or shape[axis] != values.size:
        raise InputError(f"scales or zero points of shape {values.shape} along axis {axis} of shape {shape}")
    along = [1] * len(shape)
    along[axis] = values.size
    return np.broadcast_to(values.reshape(along), shape)


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"
