"""A network of the engine as a quantised ONNX graph: INT4 weights, activations in 8-bit types clipped to 4 bits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tlm.core.errors import InputError
from tlm.core.files import whole_file
from tlm.exchange.onnx_reader import require_onnx
from tlm.network.layers import INPUT, Conv2d, Layer, activation_range
from tlm.network.network import Network

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

OPSET, _IR_VERSION = 21, 10


class _Writer:
    def __init__(self, network: Network, input_scale: float) -> None:
        self.network = network
        # Layers' names hold no "/", so names made with one are no layer's.
        self.image = "image" if all(layer.name != "image" for layer in network.layers) else "network/image"
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self.scales = {INPUT: input_scale}

    def layer(self, layer: Layer) -> None:
        source = self.network.inputs[layer.name]
        pads = layer.pads
        around: dict[str, Any] = {"strides": layer.stride, "dilations": layer.dilation, "kernel_shape": layer.kernel}
        around["pads"] = (pads.top, pads.left, pads.bottom, pads.right)
        if not isinstance(layer, Conv2d):
            self.scales[layer.name] = self.scales[source]
            self.node("MaxPool", [source], layer.name, layer.name, **around)
            return
        unit = self._unit(layer, self.scales[source])
        used = np.ones_like(layer.bias) if layer.accumulator_output else layer.multiplier != 0
        weights = self.dequantised(
            f"{layer.name}/weights", "INT4", layer.weights * used[:, None, None, None], unit / self.scales[source]
        )
        bias = self.dequantised(f"{layer.name}/bias", "INT32", layer.bias * used, unit)
        last = layer.accumulator_output
        if last and layer is not self.network.layers[-1]:
            raise InputError(f"layer {layer.name!r}: accumulator output, but it is not the last layer")
        sums = layer.name if last else f"{layer.name}/sums"
        self.node("Conv", [source, weights, bias], sums, layer.name, group=layer.groups, **around)
        if last:
            return
        if layer.residual is not None and layer.residual_multiplier:
            self.node("Add", [sums, layer.residual], f"{layer.name}/added")
            sums = f"{layer.name}/added"
        self.quantise(sums, layer.name, self.scales[layer.name], layer.signed_output)

    def _unit(self, layer: Conv2d, input_scale: float) -> Any:
        """What one unit of each channel's sums is worth, (O,); chooses the scale of the layer's output."""
        if layer.accumulator_output:
            return np.full(layer.out_channels, input_scale)
        ratios = layer.multiplier / np.exp2(layer.shift)
        # A multiplier of 0 is no scale in ONNX; that channel has weights of 0 instead, in a unit that is no larger than
        # the others: it must not push them out of the shift that all channels share beside a residual.
        idle = float(ratios.max()) or 1.0
        if layer.residual is not None and layer.residual_multiplier:
            share = layer.residual_multiplier / 2.0 ** int(layer.shift[0])
            self.scales[layer.name] = self.scales[layer.residual] / share
            idle = float(ratios.max()) or share
        else:
            self.scales[layer.name] = input_scale * float(2.0 ** np.round(-np.log2(ratios.max() or 1.0)))
        return np.where(ratios == 0, idle, ratios) * self.scales[layer.name]

    def quantise(self, source: str, target: str, scale: float, signed: bool) -> None:
        """Q, Clip and DQ in an 8-bit type."""
        kind = np.int8 if signed else np.uint8
        step = self.constant(f"{target}/scale", np.float32(scale))
        zero = self.constant(f"{target}/zero", kind(0))
        low, high = (self.constant(f"{target}/{i}", kind(end)) for i, end in enumerate(activation_range(signed)))
        self.node("QuantizeLinear", [source, step, zero], f"{target}/whole")
        self.node("Clip", [f"{target}/whole", low, high], f"{target}/clipped")
        self.node("DequantizeLinear", [f"{target}/clipped", step, zero], target)

    def dequantised(self, name: str, kind: str, whole: Any, scale: Any) -> str:
        """Whole numbers behind a DQ with a scale per output channel."""
        import onnx

        number = onnx.TensorProto.DataType.Value(kind)
        packed = onnx.helper.make_tensor(f"{name}/whole", number, whole.shape, whole.ravel().tolist())
        self.constants.append(packed)
        scales = self.constant(f"{name}/scale", scale.astype(np.float32))
        self.node("DequantizeLinear", [packed.name, scales], name, axis=0)
        return name

    def constant(self, name: str, value: Any) -> str:
        import onnx

        self.constants.append(onnx.numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, name: str | None = None, **keys: Any) -> None:
        import onnx

        self.nodes.append(onnx.helper.make_node(kind, inputs, [output], name=name or f"{output}/{kind}", **keys))


def onnx_model(network: Network, input_scale: float = 1.0) -> ModelProto:
    """The graph.

    Args:
        network: what to write.
        input_scale: what one level of its input is worth.

    Raises:
        InputError: a layer that no graph of Q and DQ nodes stands for.
    """
    require_onnx()
    import onnx

    writer = _Writer(network, input_scale)
    writer.quantise(writer.image, INPUT, input_scale, network.signed_input)
    for layer in network.layers:
        writer.layer(layer)
    float_type = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        writer.nodes,
        "tlm",
        [onnx.helper.make_tensor_value_info(writer.image, float_type, (1, *network.input_shape))],
        [onnx.helper.make_tensor_value_info(network.output.name, float_type, (1, *network.output.shape))],
        writer.constants,
    )
    opsets = [onnx.helper.make_opsetid("", OPSET)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, producer_name="tlm", ir_version=_IR_VERSION)
    onnx.checker.check_model(model)
    return model


def write_onnx(path: str | Path, network: Network, input_scale: float = 1.0) -> None:
    """Write the graph, whole or not at all; arguments and errors as of :func:`onnx_model`."""
    model = onnx_model(network, input_scale)
    with whole_file(Path(path)) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))
