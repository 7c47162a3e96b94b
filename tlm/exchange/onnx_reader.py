"""A quantised ONNX file as a network of the engine."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tlm.core.errors import InputError
from tlm.core.input_files import read_file
from tlm.exchange.onnx_constants import initialisers
from tlm.exchange.onnx_file import MAX_BYTES, inferred_shapes, load
from tlm.exchange.onnx_graph import GraphReader
from tlm.exchange.onnx_values import Tensor
from tlm.network.network import Network

if TYPE_CHECKING:
    from onnx import ModelProto

INPUT_TYPES = {1: "float32", 10: "float16"}
"""TensorProto's numbers of types."""


@dataclass(frozen=True, eq=False)
class Imported:
    """A network and how its whole numbers stand for the graph's real ones."""

    network: Network
    model: ModelProto
    batch: int
    """Images that the graph takes at once; the network takes one."""
    input: Tensor
    output: Tensor
    """The last layer's, whatever the graph does with it."""
    tensors: dict[str, Tensor]
    """Layer -> where the graph holds its output as real numbers."""
    coarser: dict[str, int]
    """Layer -> output channels whose biases are beyond the engine's registers in the graph's units of their sums, so
    that their weights were rounded to coarser ones."""
    left_out: str | None
    """A node at the graph's end that changes no class."""

    @property
    def input_scale(self) -> float:
        """What one level of the input is worth."""
        return self.input.scale


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
        path: ONNX file; one input (N, C, H, W) or (N, C) with fixed sizes but for N, one output.

    Raises:
        InputError: unreadable, or something that the engine cannot run; names the node.
    """
    require_onnx()
    path = Path(path)
    try:
        data = read_file(path, MAX_BYTES)
    except FileNotFoundError:
        raise InputError(f"{path}: does not exist") from None
    try:
        return _imported(load(data, path.parent))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


@np.errstate(all="ignore")  # scales at the ends of what a float holds
def _imported(model: ModelProto) -> Imported:
    graph, inferred, known = model.graph, inferred_shapes(model), initialisers(model)
    inputs = [one for one in graph.input if one.name not in known]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise InputError(f"{len(inputs)} inputs and {len(graph.output)} outputs; the engine has one of each")
    name, kind = inputs[0].name, inputs[0].type.tensor_type.elem_type
    if kind not in INPUT_TYPES:
        raise InputError(f"input {name!r}: is of type {kind}, but must be float or float16")
    first, *sizes = inferred.get(name, ()) or (None,)
    whole = tuple(size for size in sizes if size is not None)
    if len(sizes) not in (1, 3) or len(whole) != len(sizes):
        raise InputError(f"input {name!r}: shape {[first, *sizes]} must be (N, C, H, W) or (N, C), fixed but for N")
    reader = GraphReader(model, name, (first or 1, *whole), known, inferred)
    for node in graph.node:
        reader.read(node)
    network, output = reader.finish()
    return Imported(
        network=network,
        model=model,
        batch=reader.batch,
        input=Tensor(name, reader.input_scale, reader.input_shape),
        output=output,
        tensors=reader.layers.tensors,
        coarser=reader.layers.coarser,
        left_out=reader.left_out,
    )
