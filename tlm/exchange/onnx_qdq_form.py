"""Quantised nodes of other kinds as QuantizeLinear and DequantizeLinear around plain operators.

QONNX (Quant, BipolarQuant), as Brevitas and FINN write them: https://github.com/fastmachinelearning/qonnx. Integer
operators of onnx and onnxruntime (QLinearConv, QLinearAdd, QGemm, ...): the same as their plain operator between
DequantizeLinear and QuantizeLinear, up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tlm.core.errors import InputError
from tlm.exchange.onnx_constants import MICROSOFT, ONNX_DOMAINS, Array
from tlm.exchange.onnx_nodes import node_name

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_OPSET = 13
"""The first whose QuantizeLinear has an axis."""

_MOVING = {"MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Pad", "Relu", "Identity"}
"""On whole numbers, in graphs of integer operators, as on the real ones that they stand for (with zero point 0)."""


class Rewriter:
    """Writes the nodes of a graph anew; :meth:`finish` puts them in the place of the old ones."""

    def __init__(self, model: ModelProto) -> None:
        import onnx

        self.model = model
        self.arrays = {one.name: one for one in model.graph.initializer}
        for node in model.graph.node:
            if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
                self.arrays[node.output[0]] = node.attribute[0].t
        self.nodes: list[NodeProto] = []
        self.integers: dict[str, tuple[str, str]] = {}
        """Integer tensor of an integer operator -> names of its scale and zero point."""
        self._make = onnx.helper.make_node

    def node(self, kind: str, inputs: list[str], output: str, name: str = "", **keys: Any) -> NodeProto:
        """Write a node."""
        self.nodes.append(self._make(kind, inputs, [output], name=name or output, **keys))
        return self.nodes[-1]

    def finish(self) -> None:
        """The graph has the written nodes from now on."""
        nodes = [*self.nodes]
        del self.model.graph.node[:]
        self.model.graph.node.extend(nodes)

    def array(self, name: str, what: str) -> Array:
        """A constant of the file."""
        import onnx

        if name not in self.arrays:
            raise InputError(f"its {what} {name!r} is no constant of the file; the engine's ranges are fixed")
        try:
            return np.asarray(onnx.numpy_helper.to_array(self.arrays[name]))
        except Exception as error:
            raise InputError(f"its {what} cannot be read ({type(error).__name__})") from None

    def constant(self, name: str, value: Array) -> str:
        """A new constant."""
        import onnx

        made = onnx.numpy_helper.from_array(value, name)
        self.model.graph.initializer.append(made)
        self.arrays[name] = made
        return name

    def real(self, source: Sequence[str], output: str, axis: int = 0) -> str:
        """Dequantise a tensor, given with its scale and zero point; the axis counts only for several scales."""
        whole, scale, zero = source
        keys: dict[str, Any] = {"axis": axis} if self.array(scale, "scale").size > 1 else {}
        self.node("DequantizeLinear", [whole, *self._per_axis(scale, zero)], output, **keys)
        return output

    def _per_axis(self, scale: str, zero: str) -> list[str]:
        """Scale and zero point, of equal shape: integer operators take one number beside several."""
        if not zero:
            return [scale]
        scales, zeros = self.array(scale, "scale"), self.array(zero, "zero point")
        if scales.shape == zeros.shape:
            return [scale, zero]
        if scales.size == zeros.size == 1:  # () and (1,)
            return [scale, self.constant(f"{zero}/of/{scale}", zeros.reshape(scales.shape))]
        return [scale, self.constant(f"{zero}/of/{scale}", np.broadcast_to(zeros.reshape(-1), scales.shape).copy())]

    def quantised(
        self, source: str, output: str, scale: Array, zero: Array, bounds: tuple[float, float], name: str, **keys: Any
    ) -> None:
        """Q, Clip and DQ in the 8-bit type of the zero point: whole numbers in ``bounds``, as real numbers."""
        step, start = self.constant(f"{output}/scale", scale), self.constant(f"{output}/zero", zero)
        self.node("QuantizeLinear", [source, step, start], f"{output}/whole", **keys)
        ends = [self.constant(f"{output}/end{i}", np.array(end, zero.dtype)) for i, end in enumerate(bounds)]
        self.node("Clip", [f"{output}/whole", *ends], f"{output}/cut")
        self.node("DequantizeLinear", [f"{output}/cut", step, start], output, name, **keys)

    def whole(self, source: str, scale: str, zero: str, output: str) -> None:
        """Quantise; ``output`` is an integer tensor of an integer operator from now on."""
        self.node("QuantizeLinear", [source, *self._per_axis(scale, zero)], output)
        self.integers[output] = (scale, zero)


def to_opset_with_axes(model: ModelProto) -> None:
    """Convert a graph in place, if need be, to an opset whose DequantizeLinear has scales per channel.

    Raises:
        InputError: onnx cannot convert it.
    """
    import onnx

    versions = [one for one in model.opset_import if one.domain in ONNX_DOMAINS]
    if versions and versions[0].version < _OPSET:
        try:
            model.CopyFrom(onnx.version_converter.convert_version(model, _OPSET))
        except Exception as error:
            text = " ".join(str(error).split())
            raise InputError(f"cannot be converted to opset {_OPSET} ({text}); export it in a later opset") from None


def to_qdq_form(model: ModelProto) -> None:
    """Rewrite a graph in place, if it has such nodes.

    Raises:
        InputError: a node that has no such form.
    """
    import onnx

    if not any(node.op_type in _FORMS for node in model.graph.node):
        return
    to_opset_with_axes(model)
    rewriter = Rewriter(model)
    for node in model.graph.node:
        form = _FORMS.get(node.op_type)
        try:
            if form is not None:
                form(rewriter, node)
            elif node.op_type in _MOVING and node.input[0] in rewriter.integers:
                _moving(rewriter, node)
            else:
                if node.op_type == "Clip" and node.input[0] in rewriter.integers:
                    rewriter.integers[node.output[0]] = rewriter.integers[node.input[0]]
                elif node.op_type == "QuantizeLinear" and len(node.input) > 2:
                    rewriter.integers[node.output[0]] = (node.input[1], node.input[2])
                rewriter.nodes.append(node)
        except (InputError, IndexError, ValueError) as error:
            text = str(error) if isinstance(error, InputError) else "has too few inputs, or inputs that do not fit"
            raise InputError(f"node {node_name(node)}: {text}") from None
    rewriter.finish()
    if not any(node.domain == MICROSOFT for node in model.graph.node):
        kept = [one for one in model.opset_import if one.domain in ONNX_DOMAINS]
        del model.opset_import[:]
        model.opset_import.extend(kept or [onnx.helper.make_opsetid("", _OPSET)])


# -- QONNX ------------------------------------------------------------------------------------------------------------


def _quant(to: Rewriter, node: NodeProto) -> None:
    """Quant(x, scale, zero point, bits) as Q, Clip, DQ in 8 bits: the whole numbers are cut to what the bits hold."""
    import onnx

    given = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
    rounding = given.get("rounding_mode", b"ROUND").decode()
    if rounding not in ("ROUND", "HALF_EVEN"):
        raise InputError(f"rounding_mode is {rounding!r}, but must be 'ROUND'")
    bits = float(to.array(node.input[3], "bit width").reshape(-1)[0])
    if bits > 8 and node.input[0] in to.arrays:  # a bias
        values, step = to.array(node.input[0], "constant"), to.array(node.input[1], "scale")
        whole = to.constant(f"{node.output[0]}/whole", np.rint(values / step).astype(np.int32))
        unit = to.constant(f"{node.output[0]}/scale", step.reshape(() if step.size == 1 else (-1,)).astype(np.float32))
        to.node("DequantizeLinear", [whole, unit], node.output[0], node.name, **({"axis": 0} if step.size > 1 else {}))
        return
    signed, narrow = bool(given.get("signed", 1)), bool(given.get("narrow", 0))
    if not (2 <= bits <= 8 or (bits == 1 and not signed)):
        raise InputError(f"its bit width is {bits:g}, but must be 2 to 8, or 1 where it is unsigned")
    levels = 2**bits - 1 - narrow
    low = -np.floor(2 ** (bits - 1)) + narrow if signed else 0.0
    scale, zero = (to.array(node.input[i], what) for i, what in ((1, "scale"), (2, "zero point")))
    axis = _axis(scale)
    name, kind = node.output[0], np.int8 if signed else np.uint8
    zeros = np.broadcast_to(np.rint(zero.reshape(-1)), scale.size).astype(kind)
    shape = () if scale.size == 1 else (-1,)
    step, start = scale.reshape(shape).astype(np.float32), zeros.reshape(shape)
    keys: dict[str, Any] = {"axis": axis} if scale.size > 1 else {}
    to.quantised(node.input[0], name, step, start, (low, low + levels), node.name, **keys)


def _bipolar_quant(to: Rewriter, node: NodeProto) -> None:
    if node.input[0] not in to.arrays:
        raise InputError("makes -1 and 1 of what is computed; the engine has no such step: quantise to 2 bits or more")
    name, scale = node.output[0], to.array(node.input[1], "scale")
    signs = np.where(to.array(node.input[0], "weights") >= 0, 1, -1).astype(np.int8)
    whole = to.constant(f"{name}/whole", signs)
    step = to.constant(f"{name}/scale", scale.reshape(() if scale.size == 1 else (-1,)).astype(np.float32))
    keys: dict[str, Any] = {"axis": _axis(scale)} if scale.size > 1 else {}
    to.node("DequantizeLinear", [whole, step], name, **keys)


def _axis(scale: Array) -> int:
    """Along which axis a scale that broadcasts has several numbers."""
    several = [axis for axis, size in enumerate(scale.shape) if size > 1]
    if len(several) > 1:
        raise InputError(f"its scale has shape {scale.shape}, but must have one number, or one per channel")
    return several[0] if several else 0


def _refused(reason: str) -> Callable[[Rewriter, NodeProto], None]:
    def refuse(to: Rewriter, node: NodeProto) -> None:
        raise InputError(reason)

    return refuse


# -- integer operators ------------------------------------------------------------------------------------------------


def _weighted(kind: str, *, weights: int, bias: int, result: int, axis: int) -> Callable[[Rewriter, NodeProto], None]:
    """A form of QLinearConv, QLinearMatMul and QGemm; the arguments are indices of inputs."""

    def form(to: Rewriter, node: NodeProto) -> None:
        inputs, name = [*node.input, "", "", ""], node.output[0]
        turned = kind == "Gemm" and any(one.name == "transB" and one.i for one in node.attribute)
        given = [
            to.real(inputs[:3], f"{name}/real"),
            to.real(inputs[weights : weights + 3], f"{name}/weights", 0 if turned else axis),
        ]
        if bias and inputs[bias]:
            unit = to.array(inputs[1], "scale").reshape(-1) * to.array(inputs[weights + 1], "scale").reshape(-1)
            unit = unit.reshape(() if unit.size == 1 else (-1,)).astype(np.float32)
            given.append(to.real((inputs[bias], to.constant(f"{name}/unit", unit), ""), f"{name}/bias"))
        _result(to, node, kind, given, inputs[result], inputs[result + 1])

    return form


def _on_one(kind: str) -> Callable[[Rewriter, NodeProto], None]:
    def form(to: Rewriter, node: NodeProto) -> None:
        inputs = [*node.input]
        _result(to, node, kind, [to.real(inputs[:3], f"{node.output[0]}/real")], *inputs[3:5])

    return form


def _linear_add(to: Rewriter, node: NodeProto) -> None:
    inputs, name = [*node.input], node.output[0]
    given = [to.real(inputs[i : i + 3], f"{name}/real{i}") for i in (0, 3)]
    _result(to, node, "Add", given, *inputs[6:8])


def _linear_concat(to: Rewriter, node: NodeProto) -> None:
    inputs, name = [*node.input], node.output[0]
    given = [to.real(inputs[i : i + 3], f"{name}/real{i}") for i in range(2, len(inputs), 3)]
    _result(to, node, "Concat", given, *inputs[:2])


def _result(to: Rewriter, node: NodeProto, kind: str, given: list[str], scale: str, zero: str = "") -> None:
    """The plain operator, and what quantises its result, unless it is given as a real number."""
    name = node.output[0]
    if any(one.name == "channels_last" and one.i for one in node.attribute):
        raise InputError("channels_last is 1, but must be 0; export with channels first")
    made = to.node(kind, given, f"{name}/sums" if scale else name, node.name)
    made.attribute.extend(one for one in node.attribute if one.name != "channels_last")
    if scale:
        to.whole(f"{name}/sums", scale, zero, name)


def _moving(to: Rewriter, node: NodeProto) -> None:
    scale, zero = to.integers[node.input[0]]
    name = node.output[0]
    source = to.real((node.input[0], scale, zero), f"{name}/real")
    to.node(node.op_type, [source, *node.input[1:]], f"{name}/moved", node.name).attribute.extend(node.attribute)
    to.whole(f"{name}/moved", scale, zero, name)


_QLINEAR: dict[str, Callable[[Rewriter, NodeProto], None]] = {
    "QLinearConv": _weighted("Conv", weights=3, bias=8, result=6, axis=0),
    "QLinearMatMul": _weighted("MatMul", weights=3, bias=0, result=6, axis=1),
    "QGemm": _weighted("Gemm", weights=3, bias=6, result=7, axis=1),
    "QLinearAdd": _linear_add,
    "QLinearConcat": _linear_concat,
    "QLinearGlobalAveragePool": _on_one("GlobalAveragePool"),
    "QLinearAveragePool": _on_one("AveragePool"),
    "QLinearSigmoid": _on_one("Sigmoid"),
    "QLinearSoftmax": _on_one("Softmax"),
}
_FORMS: dict[str, Callable[[Rewriter, NodeProto], None]] = {
    "Quant": _quant,
    "IntQuant": _quant,
    "BipolarQuant": _bipolar_quant,
    "Trunc": _refused(
        "cuts bits off without rounding; the engine rounds: export a mean followed by a Quant instead"
    ),
    **_QLINEAR,
}
