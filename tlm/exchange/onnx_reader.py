"""A quantised ONNX file as a network of the engine."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from tlm.core.errors import InputError
from tlm.exchange.onnx_constants import constants
from tlm.exchange.onnx_graph import GraphReader
from tlm.network import Network

if TYPE_CHECKING:
    from onnx import ModelProto


@dataclass(frozen=True, eq=False)
class Imported:
    """A network and how its whole numbers stand for the graph's real ones."""

    network: Network
    model: ModelProto
    input_name: str
    input_scale: float
    output_name: str
    output_scale: float
    tensors: dict[str, tuple[str, float]]
    """Layer -> (tensor of the graph that holds its output as real numbers, scale)."""
    coarser: dict[str, int]
    """Layer -> output channels whose biases are beyond the engine's registers in the graph's units of their sums, so
    that their weights were rounded to coarser ones."""


def require_onnx(*modules: str) -> None:
    """Say what to install where onnx or one of ``modules`` is missing.

    Raises:
        InputError: one cannot be imported.
    """
    for name in ("onnx", *modules):
        if find_spec(name) is None:
            raise InputError(f"this needs {name}, which is not installed; pip install 'cartesian-tlm[onnx]'")


def read_onnx(path: str | Path) -> Imported:
    """The network of a graph of Q and DQ nodes, in 4-bit types or in 8-bit ones clipped to 4 bits.

    Args:
        path: ONNX file; one input (N, C, H, W) with fixed C, H, W, one output.

    Raises:
        InputError: unreadable, or something that the engine cannot run; names the node.
    """
    require_onnx()
    import onnx

    try:
        model = onnx.load(str(path))
    except FileNotFoundError:
        raise InputError(f"{path}: does not exist") from None
    except Exception as error:
        raise InputError(f"{path}: is no ONNX file ({type(error).__name__})") from None
    try:
        return _imported(model)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _imported(model: ModelProto) -> Imported:
    graph, known = model.graph, constants(model)
    inputs = [one for one in graph.input if one.name not in known]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise InputError(f"{len(inputs)} inputs and {len(graph.output)} outputs; the engine has one of each")
    shape = [dimension.dim_value for dimension in inputs[0].type.tensor_type.shape.dim]
    if len(shape) != 4 or 0 in shape[1:]:
        raise InputError(f"input {inputs[0].name!r}: shape {shape} must be (N, C, H, W) with fixed C, H and W")
    reader = GraphReader(inputs[0].name, (shape[1], shape[2], shape[3]), known)
    for node in graph.node:
        reader.read(node)
    output_scale = reader.finish(graph.output[0].name)
    return Imported(
        network=reader.network(),
        model=model,
        input_name=inputs[0].name,
        input_scale=reader.input_scale,
        output_name=graph.output[0].name,
        output_scale=output_scale,
        tensors=reader.tensors,
        coarser=reader.coarser,
    )
