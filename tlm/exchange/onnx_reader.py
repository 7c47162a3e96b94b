"""A quantised ONNX file as a network of the engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tlm.core.errors import InputError
from tlm.core.input_files import read_file
from tlm.exchange import onnx_moves, onnx_operators  # noqa: F401  (they register their operators)
from tlm.exchange.onnx_constants import (
    ONNX_DOMAINS,
    SIZE_LIMIT,
    Constant,
    Shape,
    computed,
    initialisers,
    output_types,
    shape_of,
    tensor_type,
)
from tlm.exchange.onnx_file import CONSTANT_OPERATORS, INPUT_TYPES, MAX_BYTES, channels_last, input_of, load
from tlm.exchange.onnx_layers import LayerList
from tlm.exchange.onnx_nodes import OPERATORS, SAME_SCALE, Graph, Node, node_name
from tlm.exchange.onnx_prepare import check_scores
from tlm.exchange.onnx_quantisers import folded
from tlm.exchange.onnx_values import Quantised, Sum, Tensor, Unquantised, Value
from tlm.exchange.onnx_windows import NO_PADS
from tlm.network.layers import INPUT
from tlm.network.network import Network

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_CONSTANTS, _TIMES_HELD = 1 << 22, 8
"""Values that nodes may compute from constants: this many, and this many times what the file holds. Weights pass
through a few nodes; a small file that asks for more is hostile."""


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
    """Nodes at the graph's end that change no class."""

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


def read_onnx(path: str | Path, change: Callable[[ModelProto], None] | None = None) -> Imported:
    """The network of a graph of Q and DQ nodes, in 4-bit types or in 8-bit ones clipped to 4 bits.

    Args:
        path: ONNX file; one input (N, C, H, W) or (N, C) with fixed sizes but for N, one output.
        change: what is made of it before it is read (:class:`tlm.exchange.ptq.PostTraining`).

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
        return _imported(*load(data, path.parent, change))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


@np.errstate(all="ignore")  # scales at the ends of what a float holds
def _imported(model: ModelProto, left_out: list[NodeProto]) -> Imported:
    known = initialisers(model)
    name, kind, shape = input_of(model, known)
    channels, height, width = (*shape[1:], 1, 1)[:3]
    order = None
    if len(shape) == 4 and channels_last(model, name):
        height, width, channels = shape[1:]
        order = np.arange(prod(shape[1:])).reshape(channels, height, width).transpose(1, 2, 0)
    types = {name: tensor_type(one.value) for name, one in known.items()}
    types[name] = tensor_type(np.broadcast_to(np.zeros((), INPUT_TYPES[kind]), shape))
    graph = Graph(model, shape[0], LayerList((channels, height, width)), model.graph.output[0].name, known, types)
    graph.values[name] = Unquantised(shape=shape, order=order)
    constants_left = _CONSTANTS + _TIMES_HELD * sum(one.value.size for one in known.values())
    for node in model.graph.node:
        try:
            found = _read(node, graph, constants_left)
        except InputError as error:
            text = str(error)
            raise InputError(text if text.startswith("node ") else f"node {node_name(node)}: {text}") from None
        constants_left -= sum(one.value.size for one in found.values())
        known.update(found)
    network, output = _finished(graph)
    opset = max(one.version for one in model.opset_import if one.domain in ONNX_DOMAINS)
    check_scores(left_out, output.shape, opset)
    return Imported(
        network=network,
        model=model,
        batch=graph.batch,
        input=Tensor(name, graph.input_scale, shape, order),
        output=output,
        tensors=graph.layers.tensors,
        coarser=graph.layers.coarser,
        left_out=", ".join(map(node_name, left_out)) or None,
    )


def _read(proto: NodeProto, graph: Graph, constants_left: int) -> dict[str, Constant]:
    """Take in one node; its outputs if they are constants."""
    given = [name for name in proto.input if name]
    constant = all(name in graph.known for name in given) and proto.op_type in CONSTANT_OPERATORS
    operator = OPERATORS.get(proto.op_type)
    if not constant and operator is None and proto.op_type != "Shape":
        known = ", ".join(OPERATORS)
        raise InputError(f"the engine cannot run it; on what it computes it runs {known}")
    for name in given:
        if name not in graph.types:
            raise InputError(f"its input {name!r} is neither computed nor a constant that can be worked out")
    limit = constants_left if constant else SIZE_LIMIT
    graph.types.update(output_types(graph.model, proto, graph.types, graph.known, limit))
    if constant:
        return folded(proto, graph, operator)
    if operator is None:
        inputs = {name: np.broadcast_to(np.float32(0), shape_of(graph.types[name])) for name in given}
        return {proto.output[0]: Constant(computed(graph.model, proto, inputs)[0])}
    value = operator.handle(Node(proto, graph, operator))
    shape = shape_of(graph.types[proto.output[0]])
    value = value if value.shape == shape else replace(value, shape=shape)
    _check_shape(value, graph)
    graph.values[proto.output[0]] = value
    return {}


def _check_shape(value: Value, graph: Graph) -> None:
    """The graph's shape of a tensor must be the engine's."""
    if min(value.shape, default=1) < 1:
        raise InputError(f"gives a tensor of shape {value.shape}; no size may be 0")
    if isinstance(value, Quantised) and value.pads == NO_PADS:
        own: Shape = (graph.batch, *graph.layers.shape(value.name))
        if prod(own) != prod(value.shape):
            raise InputError(f"its output has shape {value.shape} in the graph, but the engine's would have {own}")


def _finished(graph: Graph) -> tuple[Network, Tensor]:
    """The network, and where the graph holds its output, with the worth of one unit.

    Raises:
        InputError: sums whose channels have different scales, or an output that is not the last layer's.
    """
    output, value, layers, name = graph.output, graph.values.get(graph.output), graph.layers, INPUT
    if isinstance(value, Sum):
        if not value.plain or np.ptp(value.scale) > SAME_SCALE * value.scale.max():
            raise InputError(
                f"node {value.node}: the graph ends with it, but its channels have different scales (or a "
                "residual, ReLU or Clip); quantise its weights per tensor, or its output"
            )
        name, scale = layers.convolution(value, accumulator_output=True), float(value.scale[0])
        tensor = Tensor(output, scale, value.shape, value.order)
        _check_shape(Quantised(name, scale, signed=True, shape=value.shape), graph)
    elif isinstance(value, Quantised):
        value = layers.placed(f"Pad {output}", value)
        name, tensor = value.name, Tensor(output, value.scale, value.shape, value.order)
    if layers.network is None or name != layers.network.output.name:
        raise InputError(f"output {output!r}: is not that of the last layer, or not quantised")
    layers.tensors.setdefault(name, tensor)
    return layers.network, tensor
