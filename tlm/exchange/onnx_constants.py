"""The part of an ONNX graph that does not depend on its input, and what onnx itself says about a node's outputs."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tlm.core.errors import InputError

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TypeProto

FloatArray = npt.NDArray[np.float64]
Array = npt.NDArray[Any]
Shape = tuple[int, ...]

ONNX_DOMAINS = ("", "ai.onnx")
MICROSOFT = "com.microsoft"
"""Domain of onnxruntime's own QuantizeLinear and DequantizeLinear."""

SIZE_LIMIT = 1 << 27
"""Values of a tensor: the importer and onnxruntime hold whole tensors."""

_SHAPES_SIZE = 4096
"""A constant up to this size may be one that says a shape."""


@dataclass(frozen=True, eq=False)
class Constant:
    """An array; where it is dequantised, also the whole numbers and scales behind it."""

    value: Array
    whole: npt.NDArray[np.int64] | None = None
    """Without their zero point."""
    scale: FloatArray | None = None
    """One for each of them."""


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


def tensor_type(array: Array) -> TypeProto:
    """Type and shape of an array."""
    from onnx import helper

    return helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)


def shape_of(kind: TypeProto) -> Shape:
    """The shape of a type of known shape."""
    return tuple(dimension.dim_value for dimension in kind.tensor_type.shape.dim)


def output_types(
    model: ModelProto,
    node: NodeProto,
    types: Mapping[str, TypeProto],
    known: Mapping[str, Constant],
    limit: int = SIZE_LIMIT,
) -> dict[str, TypeProto]:
    """Types and shapes of a node's outputs, by onnx's own inference.

    Args:
        model: the whole file.
        node: one of its nodes.
        types: of its inputs.
        known: those of its inputs that are constants.
        limit: most values that an output may have.

    Raises:
        InputError: onnx refuses the node, does not know a shape beforehand, or an output would be too large.
    """
    from onnx import defs, helper, numpy_helper, shape_inference

    node, version = _standard(model, node)
    small = {name: known[name].value for name in node.input if name in known and known[name].value.size <= _SHAPES_SIZE}
    try:
        outputs = shape_inference.infer_node_outputs(
            defs.get_schema(node.op_type, version, ""),
            node,
            {name: types[name] for name in node.input if name},
            {name: numpy_helper.from_array(array, name) for name, array in small.items()},
            opset_imports=[helper.make_opsetid("", version)],
            ir_version=model.ir_version,
        )
    except Exception as error:
        raise InputError(f"cannot be worked out ({_reason(error)})") from None
    for kind in outputs.values():
        sizes = kind.tensor_type.shape.dim
        if not kind.tensor_type.HasField("shape") or not all(size.HasField("dim_value") for size in sizes):
            raise InputError("cannot be worked out (the shape of its result is not known beforehand)")
        if prod(shape_of(kind)) > limit:
            raise InputError(f"gives a tensor of shape {[*shape_of(kind)]}; at most {limit} values are allowed")
    return outputs


def computed(model: ModelProto, node: NodeProto, inputs: Mapping[str, Array]) -> list[Array]:
    """A node's outputs as onnx's reference computes them; ask :func:`output_types` first how large they are.

    Raises:
        InputError: it refuses the inputs.
    """
    import onnx
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    node, version = _standard(model, node)
    given = [onnx.ValueInfoProto(name=name, type=tensor_type(array)) for name, array in inputs.items()]
    results = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    alone = helper.make_model(
        helper.make_graph([node], "node", given, results),
        opset_imports=[helper.make_opsetid("", version)],
        ir_version=model.ir_version,
    )
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            outputs: Any = ReferenceEvaluator(alone).run(None, dict(inputs))
    except Exception as error:
        raise InputError(f"cannot be worked out ({_reason(error)})") from None
    arrays = [np.asarray(one) for one in outputs]
    if any(array.dtype == object for array in arrays):
        raise InputError("cannot be worked out (it gives no array of numbers)")
    return arrays


def _standard(model: ModelProto, node: NodeProto) -> tuple[NodeProto, int]:
    """A copy of a node in onnx's own domain, and its opset: Microsoft's QuantizeLinear is that of opset 21."""
    import onnx

    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.domain = ""
    versions = [] if node.domain == MICROSOFT else [one for one in model.opset_import if one.domain in ONNX_DOMAINS]
    return copy, versions[0].version if versions else 21


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"
