"""A graph as exporters write it becomes the one form that the reader knows.

Dead branches and what stands after the scores at the end are cut off. A Split becomes Slice nodes. Quantised nodes of
other kinds become QuantizeLinear and DequantizeLinear around plain operators.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tlm.core.errors import InputError
from tlm.exchange.onnx_nodes import node_name
from tlm.exchange.onnx_qdq_form import to_qdq_form

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_SCORES = {"Softmax": -1, "LogSoftmax": -1, "Sigmoid": None, "ArgMax": 0}
"""At the end they follow from the scores, and change no class; with the default of their axis."""
_BEHIND_SCORES = {
    "Cast", "Clip", "DequantizeLinear", "Dropout", "Flatten", "Identity", "QuantizeLinear", "Reshape", "Squeeze",
    "Unsqueeze",
}  # fmt: skip


def prepare(model: ModelProto) -> list[NodeProto]:
    """Bring a graph to the reader's form, in place.

    Args:
        model: its weights are loaded.

    Returns:
        The nodes at the end that are left to the host, in the order of the graph.

    Raises:
        InputError: a node that has no such form.
    """
    to_qdq_form(model)
    left_out = _cut_end(model)
    _drop_dead(model)
    _slice_splits(model)
    return left_out


def check_scores(left_out: list[NodeProto], shape: tuple[int, ...], opset: int) -> None:
    """Nothing if nodes at the end look at all scores of an image together.

    Args:
        left_out: from :func:`prepare`.
        shape: of the scores, the batch first.
        opset: of the graph; before 13, a Softmax looked at all axes from its own on.

    Raises:
        InputError: one looks at each pixel, or across images.
    """
    for node in left_out:
        axis = _SCORES.get(node.op_type)
        if axis is None:
            continue
        whole = opset < 13 and node.op_type != "ArgMax"
        given = next((one.i for one in node.attribute if one.name == "axis"), 1 if whole else axis)
        index = given % len(shape) if shape else 0
        seen = np.prod(shape[index:]) if whole else shape[index]
        if index == 0 or seen != np.prod(shape[1:]):
            raise InputError(
                f"node {node_name(node)}: axis is {given}, but must be that of all scores in shape {shape}"
            )


def _cut_end(model: ModelProto) -> list[NodeProto]:
    graph = model.graph
    if len(graph.output) != 1:
        return []
    makers = {name: node for node in graph.node for name in node.output}  # each is passed once: a graph may be a circle
    behind: list[NodeProto] = []
    found: list[NodeProto] = []
    name = graph.output[0].name
    while (
        (node := makers.pop(name, None)) is not None and node.op_type in _SCORES.keys() | _BEHIND_SCORES and node.input
    ):
        behind.append(node)
        name = node.input[0]
        if node.op_type in _SCORES:
            found = [*behind]
            graph.output[0].Clear()
            graph.output[0].name = name
    return found[::-1]


def _drop_dead(model: ModelProto) -> None:
    needed, kept = {one.name for one in model.graph.output}, []
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            needed |= set(node.input)
            kept.append(node)
    del model.graph.node[:]
    model.graph.node.extend(reversed(kept))


def _slice_splits(model: ModelProto) -> None:
    """Slice nodes have one output each, which is what the reader's handlers give."""
    import onnx

    graph = model.graph
    if all(node.op_type != "Split" for node in graph.node):
        return
    try:
        inferred = onnx.shape_inference.infer_shapes(model)
    except Exception as error:
        raise InputError(f"is no valid ONNX model ({' '.join(str(error).split())})") from None
    shapes = {one.name: one.type.tensor_type.shape.dim for one in (*inferred.graph.value_info, *inferred.graph.output)}
    nodes = []
    for node in graph.node:
        if node.op_type != "Split":
            nodes.append(node)
            continue
        axis, begin = next((one.i for one in node.attribute if one.name == "axis"), 0), 0
        for index, name in enumerate(node.output):
            sizes = shapes.get(name, ())
            size = sizes[axis].dim_value if -len(sizes) <= axis < len(sizes) else 0
            if not size:
                raise InputError(f"node {node_name(node)}: the sizes of its parts are not known beforehand")
            bounds = (("begin", begin), ("end", begin + size), ("axis", axis))
            names = [f"{name}/split/{key}" for key, _ in bounds]
            graph.initializer.extend(
                onnx.numpy_helper.from_array(np.array([value], np.int64), own)
                for own, (_, value) in zip(names, bounds, strict=True)
            )
            nodes.append(onnx.helper.make_node("Slice", [node.input[0], *names], [name], name=f"{node.name}_{index}"))
            begin += size
    del graph.node[:]
    graph.node.extend(nodes)
