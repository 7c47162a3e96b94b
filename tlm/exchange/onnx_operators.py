"""Which operators of ONNX are read, and every attribute of theirs: honoured, held to some values, or refused.

This table is the only place that decides it. An attribute, an input or a domain that is not in it is refused by name,
so nothing that a file says can be passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tlm.core.errors import InputError

if TYPE_CHECKING:
    from onnx import NodeProto


@dataclass(frozen=True)
class Operator:
    """What is read of a node."""

    inputs: int
    """How many; a further one that is given is refused."""
    honoured: Mapping[str, Any] = field(default_factory=dict)
    """Attribute -> default. The default's type is the attribute's."""
    only: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """Attribute -> the values that it may have, the default first."""
    domains: tuple[str, ...] = ("", "ai.onnx")


_WINDOW = {"auto_pad": "NOTSET", "pads": (), "strides": (1, 1), "dilations": (1, 1), "kernel_shape": ()}
_QUANTISERS = ("", "ai.onnx", "com.microsoft")
_FLOAT_TYPES = (0, 1, 10)
"""TensorProto: not said, FLOAT, FLOAT16."""

OPERATORS: dict[str, Operator] = {
    "QuantizeLinear": Operator(
        3,
        {"axis": 1, "output_dtype": 0},
        {"block_size": (0,), "saturate": (1, 0), "precision": _FLOAT_TYPES},  # saturate: of 8-bit floats only
        domains=_QUANTISERS,
    ),
    "DequantizeLinear": Operator(
        3, {"axis": 1}, {"block_size": (0,), "output_dtype": _FLOAT_TYPES}, domains=_QUANTISERS
    ),
    "Conv": Operator(3, {**_WINDOW, "group": 1}),
    "Gemm": Operator(3, {"transB": 0}, {"alpha": (1.0,), "beta": (1.0,), "transA": (0,)}),
    "MatMul": Operator(2),
    "Add": Operator(2),
    "Relu": Operator(1),
    "Clip": Operator(3),
    # Inference needs no momentum.
    "BatchNormalization": Operator(5, {"epsilon": 1e-5, "momentum": 0.9}, {"training_mode": (0,), "spatial": (1,)}),
    "MaxPool": Operator(1, {**_WINDOW, "ceil_mode": 0}, {"storage_order": (0,)}),  # storage_order: of the indices
    "AveragePool": Operator(1, {**_WINDOW, "ceil_mode": 0, "count_include_pad": 0}),
    "GlobalAveragePool": Operator(1),
    "ReduceMean": Operator(2, {"axes": (), "keepdims": 1}, {"noop_with_empty_axes": (0,)}),
    "Pad": Operator(4, {"pads": (), "value": 0.0}, {"mode": ("constant",)}),
    # What follows changes no value; onnx's own reference says what becomes of the shape.
    "Flatten": Operator(1, {"axis": 1}),
    "Reshape": Operator(2, {"allowzero": 0}),
    "Squeeze": Operator(2, {"axes": ()}),
    "Unsqueeze": Operator(2, {"axes": ()}),
    "Identity": Operator(1),
    "Dropout": Operator(3, {"ratio": 0.5, "seed": 0}),  # without training it is the identity
    # At a network's end they change no class, and are left to the host.
    "Softmax": Operator(1, {"axis": -1}),
    "LogSoftmax": Operator(1, {"axis": -1}),
}

CONSTANT_OPERATORS = {
    "Abs", "Add", "And", "Cast", "Ceil", "Clip", "Concat", "Constant", "ConstantOfShape", "DequantizeLinear",
    "Div", "Equal", "Exp", "Expand", "Flatten", "Floor", "Gather", "Greater", "Identity", "Less", "Log", "Max",
    "Min", "Mod", "Mul", "Neg", "Not", "Or", "Pow", "QuantizeLinear", "Range", "Reciprocal", "ReduceMax",
    "ReduceMin", "ReduceProd", "ReduceSum", "Reshape", "Round", "Shape", "Sign", "Size", "Slice", "Split",
    "Sqrt", "Squeeze", "Sub", "Tile", "Transpose", "Unsqueeze", "Where",
}  # fmt: skip
"""Operators that exporters compute constants with; on constants, nothing else is worked out."""


def node_name(node: NodeProto) -> str:
    """How messages call a node."""
    return f"{node.op_type} {node.name or next(iter(node.output), '')}"


def check_operator(node: NodeProto) -> None:
    """Refuse what is no part of any graph that can be read, whatever its inputs are.

    Raises:
        InputError: a node that holds graphs (Loop, If, Scan), or an operator that is not known.
    """
    import onnx

    holders = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
    if any(one.type in holders or one.HasField("g") or one.graphs for one in node.attribute):
        raise InputError(f"node {node_name(node)}: holds a graph of its own; the engine runs each node once, in order")
    if not node.output or not node.output[0]:
        raise InputError(f"node {node_name(node)}: has no output")
    operator = OPERATORS.get(node.op_type)
    domains = Operator(0).domains if operator is None else operator.domains
    if node.domain not in domains or (operator is None and node.op_type not in CONSTANT_OPERATORS):
        of = f" of domain {node.domain!r}" if node.domain else ""
        raise InputError(f"node {node_name(node)}{of}: the engine cannot run it; the graph may hold {_known()}")


def arguments(node: NodeProto) -> dict[str, Any]:
    """A node's attributes, defaults included: whole numbers, floats, texts and tuples.

    Raises:
        InputError: an operator that is only known between constants; an attribute, its type, its value or an input that
            is not read.
    """
    operator = OPERATORS.get(node.op_type)
    if operator is None:
        raise InputError(f"node {node_name(node)}: the engine cannot run it; on what it computes it runs {_known()}")
    given = {**operator.honoured, **{key: values[0] for key, values in operator.only.items()}}
    for one in node.attribute:
        if one.name not in given:
            raise InputError(f"{one.name} is {_value(one)!r}, but must be left out{_instead(given)}")
        value, default = _value(one), given[one.name]
        if type(value) is not type(default):
            kind = {int: "a whole number", float: "a float", str: "a text", tuple: "whole numbers"}[type(default)]
            raise InputError(f"{one.name} is {value!r}, but must be {kind}")
        allowed = operator.only.get(one.name)
        if allowed is not None and value not in allowed:
            raise InputError(f"{one.name} is {value!r}, but must be {' or '.join(map(repr, allowed))}")
        given[one.name] = value
    beyond = [name for name in node.input[operator.inputs :] if name]
    if beyond:
        raise InputError(f"its input {beyond[0]!r} is one too many; {operator.inputs} are read")
    return given


def _value(one: Any) -> Any:
    """As a whole number, float, text, tuple of whole numbers; otherwise whatever it is."""
    import onnx

    try:
        value = onnx.helper.get_attribute_value(one)
    except ValueError:
        return None
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if one.type == onnx.AttributeProto.INTS:
        return tuple(value)
    return value if isinstance(value, (int, float)) else f"of type {onnx.AttributeProto.AttributeType.Name(one.type)}"


def _known() -> str:
    return ", ".join(OPERATORS)


def _instead(given: Mapping[str, Any]) -> str:
    return f"; read are {', '.join(given)}" if given else ""
