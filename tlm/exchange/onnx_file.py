"""An ONNX file from the disk, checked before anything reads it: its size, its weights' files, its graph and shapes.

What could keep onnx or onnxruntime busy without end (graphs inside nodes, tensors of any size) is refused here.
"""

from __future__ import annotations

from itertools import chain
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from tlm.core.errors import InputError
from tlm.exchange.onnx_constants import SIZE_LIMIT
from tlm.exchange.onnx_operators import check_operator

if TYPE_CHECKING:
    from onnx import ModelProto, TensorProto

MAX_BYTES = (1 << 31) - 1
"""Of the file, and of its weights files together: what protobuf reads."""
_NODES = 5_000
_OPSET = 10
"""The first with QuantizeLinear."""


def load(data: bytes, directory: Path) -> ModelProto:
    """The model, its weights included.

    Args:
        data: content of the file.
        directory: where it lies.

    Raises:
        InputError: damaged, or nothing that the importer reads.
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
    return model


def inferred_shapes(model: ModelProto) -> dict[str, tuple[int | None, ...]]:
    """What onnx says about the shapes of tensors, None for a size that it does not know; checks the model.

    Raises:
        InputError: the model is invalid, or one tensor would be too large.
    """
    import onnx

    known = not any(node.domain == "com.microsoft" for node in model.graph.node)  # onnx knows nothing about these
    try:
        # First the shapes: the checker asks for that of the output, which exporters leave out. Without data_prop: a few
        # Concat nodes make it work for hours.
        inferred = onnx.shape_inference.infer_shapes(model, check_type=known, strict_mode=known)
        onnx.checker.check_model(inferred, full_check=known)
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise InputError(f"is no valid ONNX model ({' '.join(lines[:3])})") from None
    shapes = {}
    for one in chain(inferred.graph.input, inferred.graph.value_info, inferred.graph.output):
        if one.type.tensor_type.HasField("shape"):
            sizes = [item.dim_value or None for item in one.type.tensor_type.shape.dim]
            if any((size or 0) < 0 for size in sizes) or prod(size or 1 for size in sizes) > SIZE_LIMIT:
                raise InputError(f"tensor {one.name!r}: shape {sizes}; at most {SIZE_LIMIT} values are allowed")
            shapes[one.name] = tuple(sizes)
    return shapes


def _check_structure(model: ModelProto) -> None:
    graph = model.graph
    if model.functions:
        raise InputError(f"function {model.functions[0].name!r}: functions are not read; export without them (inline)")
    if graph.sparse_initializer:
        raise InputError("holds sparse initialisers; export its weights as plain tensors")
    if len(graph.node) > _NODES:
        raise InputError(f"has {len(graph.node)} nodes; at most {_NODES} are allowed")
    for opset in model.opset_import:
        if opset.domain in ("", "ai.onnx") and opset.version < _OPSET:
            raise InputError(f"opset {opset.version} is not allowed; must be {_OPSET} or later")
    for node in graph.node:
        check_operator(node)
    for tensor in _tensors(model):
        if any(size < 0 for size in tensor.dims) or prod(tensor.dims) > SIZE_LIMIT:
            raise InputError(f"tensor {tensor.name!r}: shape {[*tensor.dims]}; at most {SIZE_LIMIT} values are allowed")


def _tensors(model: ModelProto) -> list[TensorProto]:
    held = [item.t for node in model.graph.node for item in node.attribute if item.HasField("t")]
    return [*model.graph.initializer, *held]


def _load_weights(model: ModelProto, directory: Path) -> None:
    """Take in what tensors keep in other files: beside the model or below it, nowhere else."""
    import onnx

    read_bytes = 0
    outside = [one for one in _tensors(model) if one.data_location == onnx.TensorProto.EXTERNAL]
    for tensor in outside:
        where = {item.key: item.value for item in tensor.external_data}
        location = where.get("location", "")
        if not location or "\0" in location or not (directory / location).resolve().is_relative_to(directory.resolve()):
            raise InputError(
                f"tensor {tensor.name!r}: its weights file {location!r} must be in the model's own directory"
            )
        file = directory / location
        if not file.is_file():
            raise InputError(f"tensor {tensor.name!r}: its weights file {location} is missing")
        offset, length = (_count(tensor, where, key) for key in ("offset", "length"))
        if offset + length > file.stat().st_size:
            raise InputError(
                f"tensor {tensor.name!r}: its weights file {location} has {file.stat().st_size} bytes, but it needs "
                f"{length} from byte {offset}"
            )
        read_bytes += length or file.stat().st_size - offset
        if read_bytes > MAX_BYTES:
            raise InputError(f"its weights files hold more than the {MAX_BYTES} bytes that are allowed")
    try:
        for tensor in outside:
            onnx.external_data_helper.load_external_data_for_tensor(tensor, str(directory))
            tensor.data_location = onnx.TensorProto.DEFAULT
            del tensor.external_data[:]
    except Exception as error:
        raise InputError(f"its weights file cannot be read ({type(error).__name__}: {error})") from None


def _count(tensor: TensorProto, where: dict[str, str], key: str) -> int:
    text = where.get(key, "0")
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise InputError(f"tensor {tensor.name!r}: {key} of its external data is {text!r}, but must be a whole number")
    return int(text)
