"""An ONNX file from the disk, checked before anything reads it: its size, its weights' files, its graph and shapes.

What could keep onnx or onnxruntime busy without end (graphs inside nodes, tensors of any size) is refused here.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from itertools import chain
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from tlm.core.errors import InputError
from tlm.exchange.onnx_constants import MICROSOFT, ONNX_DOMAINS, SIZE_LIMIT, Shape
from tlm.exchange.onnx_nodes import OPERATORS, node_name
from tlm.exchange.onnx_prepare import prepare

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

CONSTANT_OPERATORS = {
    "Abs", "Add", "And", "Cast", "Ceil", "Clip", "Concat", "Constant", "ConstantOfShape", "DequantizeLinear",
    "Div", "Equal", "Exp", "Expand", "Flatten", "Floor", "Gather", "Greater", "Identity", "Less", "Log", "Max",
    "Min", "Mod", "Mul", "Neg", "Not", "Or", "Pow", "QuantizeLinear", "Range", "Reciprocal", "ReduceMax",
    "ReduceMin", "ReduceProd", "ReduceSum", "Reshape", "Round", "Shape", "Sign", "Size", "Slice", "Split",
    "Sqrt", "Squeeze", "Sub", "Tile", "Transpose", "Unsqueeze", "Where",
}  # fmt: skip
"""Operators that exporters compute constants with; on constants, nothing else is worked out."""

INPUT_TYPES = {1: "float32", 10: "float16"}
"""TensorProto's numbers of types."""

_BEFORE_LAYERS = {"QuantizeLinear", "DequantizeLinear", "Clip", "Relu", "Identity", "Mul", "Div"}

MAX_BYTES = (1 << 31) - 1
"""Of the file, and of its weights files together: what protobuf reads."""
_NODES = 5_000
_OPSET = 10
"""The first with QuantizeLinear."""


def load(
    data: bytes, directory: Path, change: Callable[[ModelProto], None] | None = None
) -> tuple[ModelProto, list[NodeProto]]:
    """The model, its weights included, as onnx's own checker finds it valid, in the reader's form.

    Args:
        data: content of the file.
        directory: where it lies.
        change: what is made of a valid model, in place, such as a quantised one.

    Returns:
        The model, and the nodes at its end that were cut off: they change no class.

    Raises:
        InputError: damaged, invalid, or nothing that the importer reads.
    """
    import onnx

    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as error:
        raise InputError(f"is no ONNX file ({str(error).strip()})") from None
    if not model.graph.node:
        raise InputError("is no ONNX file, or its graph has no nodes")
    _check_structure(model)
    _load_weights(model, directory)
    left_out = prepare(model)
    _check_nodes(model)
    if change is not None:
        change(model)
        _check_nodes(model)
    return model, left_out


def channels_last(model: ModelProto, name: str) -> bool:
    """Whether a tensor of a graph is transposed to (N, C, H, W) before a layer reads it."""
    for node in model.graph.node:
        if name in node.input[:1]:
            if node.op_type == "Transpose":
                return [*node.attribute[0].ints] == [0, 3, 1, 2] if node.attribute else False
            if node.op_type not in _BEFORE_LAYERS:
                return False
            name = node.output[0]
    return False


def input_of(model: ModelProto, known: Container[str]) -> tuple[str, int, Shape]:
    """Name, type and shape, with a batch of 1 where it is open, of the one input.

    Raises:
        InputError: several inputs or outputs, or another type or shape.
    """
    import onnx

    inputs = [one for one in model.graph.input if one.name not in known]
    if len(inputs) != 1 or len(model.graph.output) != 1:
        raise InputError(f"{len(inputs)} inputs and {len(model.graph.output)} outputs; the engine has one of each")
    name, kind = inputs[0].name, inputs[0].type.tensor_type
    if kind.elem_type not in INPUT_TYPES:
        types = {number: word.lower() for word, number in onnx.TensorProto.DataType.items()}
        given = types.get(kind.elem_type, kind.elem_type)
        raise InputError(f"input {name!r}: is of type {given}, but must be float or float16")
    first, *sizes = [size.dim_value or None for size in kind.shape.dim] or [None]
    whole = tuple(size for size in sizes if size is not None)
    if len(sizes) not in (1, 3) or len(whole) != len(sizes):
        raise InputError(
            f"input {name!r}: shape {[first, *sizes]} must be (N, C, H, W) or (N, C), fixed but for N "
            "(python -m onnxruntime.tools.make_dynamic_shape_fixed fixes sizes)"
        )
    return name, kind.elem_type, (first or 1, *whole)


def _check_structure(model: ModelProto) -> None:
    graph = model.graph
    if model.functions:
        raise InputError(f"function {model.functions[0].name!r}: functions are not read; export without them (inline)")
    if graph.sparse_initializer:
        raise InputError("holds sparse initialisers; export its weights as plain tensors")
    if len(graph.node) > _NODES:
        raise InputError(f"has {len(graph.node)} nodes; at most {_NODES} are allowed")
    for opset in model.opset_import:
        if opset.domain in ONNX_DOMAINS and opset.version < _OPSET:
            raise InputError(f"opset {opset.version} is not allowed; must be {_OPSET} or later")
    for node in graph.node:
        _check_node(node)
    for tensor in _tensors(model):
        _check_size(tensor.name, list(tensor.dims))


def _check_node(node: NodeProto) -> None:
    import onnx

    holders = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
    if any(one.type in holders or one.HasField("g") or one.graphs for one in node.attribute):
        raise InputError(f"node {node_name(node)}: holds a graph of its own; the engine runs each node once, in order")
    if not node.output or not node.output[0]:
        raise InputError(f"node {node_name(node)}: has no output")


def _check_nodes(model: ModelProto) -> None:
    for node in model.graph.node:
        _check_operator(node)
    _check_model(model)


def _check_operator(node: NodeProto) -> None:
    """Refuse what is no part of any graph that can be read, whatever its inputs are."""
    operator = OPERATORS.get(node.op_type)
    domains = ONNX_DOMAINS if operator is None else operator.domains
    if node.domain not in domains or (operator is None and node.op_type not in CONSTANT_OPERATORS):
        of = f" of domain {node.domain!r}" if node.domain else ""
        raise InputError(
            f"node {node_name(node)}{of}: the engine cannot run it; the graph may hold {', '.join(OPERATORS)}"
        )


def _check_size(name: str, sizes: list[int]) -> None:
    if any(size < 0 for size in sizes) or prod(size or 1 for size in sizes) > SIZE_LIMIT:
        raise InputError(f"tensor {name!r}: shape {sizes}; at most {SIZE_LIMIT} values are allowed")


def _check_model(model: ModelProto) -> None:
    """By onnx's own checker, and that no tensor is too large as far as shapes are known beforehand."""
    import onnx

    known = not any(node.domain == MICROSOFT for node in model.graph.node)  # onnx knows nothing about these
    try:
        # First the shapes: the checker asks for that of the output, which exporters leave out. Without data_prop: a few
        # Concat nodes make it work for hours.
        inferred = onnx.shape_inference.infer_shapes(model, check_type=known, strict_mode=known)
        onnx.checker.check_model(inferred, full_check=known)
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise InputError(f"is no valid ONNX model ({' '.join(lines[:3])})") from None
    for one in chain(inferred.graph.input, inferred.graph.value_info, inferred.graph.output):
        _check_size(one.name, [size.dim_value for size in one.type.tensor_type.shape.dim])


def _tensors(model: ModelProto) -> list[TensorProto]:
    held = [item.t for node in model.graph.node for item in node.attribute if item.HasField("t")]
    return [*model.graph.initializer, *held]


def _load_weights(model: ModelProto, directory: Path) -> None:
    """Take in what tensors keep in other files: beside the model or below it, nowhere else."""
    import onnx

    read_bytes = 0
    for tensor in _tensors(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        location = {item.key: item.value for item in tensor.external_data}.get("location", "")
        if not location or "\0" in location or not (directory / location).resolve().is_relative_to(directory.resolve()):
            raise InputError(
                f"tensor {tensor.name!r}: its weights file {location!r} must be in the model's own directory"
            )
        file = directory / location
        if not file.is_file():
            raise InputError(f"tensor {tensor.name!r}: its weights file {location} is missing")
        read_bytes += min(file.stat().st_size, prod(tensor.dims) * 16)
        if max(read_bytes, file.stat().st_size) > MAX_BYTES:
            raise InputError(f"its weights files hold more than the {MAX_BYTES} bytes that are allowed")
        try:
            onnx.external_data_helper.load_external_data_for_tensor(tensor, str(directory))
        except Exception as error:
            raise InputError(f"its weights file cannot be read ({type(error).__name__}: {error})") from None
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]
