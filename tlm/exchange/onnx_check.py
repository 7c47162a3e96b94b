"""onnxruntime beside the engine's arithmetic, value by value.

Both need not agree everywhere: onnxruntime rounds halves to even and computes in float32; the engine rounds halves up,
its biases are whole units of the sums, and its multipliers have 16 bits. A value near an edge between two levels may
come out on either side, and so may what follows from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tlm import reference
from tlm.exchange.onnx_reader import Imported, require_onnx
from tlm.integer_arrays import Int8Array
from tlm.layers import INPUT, Layer
from tlm.network import Network


@dataclass(frozen=True)
class Compared:
    """How many values are equal."""

    images: int
    alone: dict[str, float]
    """Layer -> share of its values that are equal if it reads what onnxruntime computed before it."""
    layers: dict[str, float]
    """Layer -> share of its values that are equal after all that comes before; differences spread."""
    scores: float
    """The same of the graph's output, within half a unit of the sums."""
    best: float
    """Share of the images with the same best class."""


def compare(imported: Imported, batch: Int8Array) -> Compared:
    """Run both.

    Args:
        imported: from :func:`tlm.exchange.onnx_reader.read_onnx`.
        batch: int8 (N, C, H, W), in the range of the network's input.
    """
    require_onnx("onnxruntime")
    import onnx
    import onnxruntime  # type: ignore[import-untyped]

    model = onnx.ModelProto()
    model.CopyFrom(imported.model)
    names = [tensor for tensor, _ in imported.tensors.values()]
    kept = {one.name for one in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in kept)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3  # errors; exporters leave initialisers among the inputs, which it warns of
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    equal: dict[str, list[float]] = {}
    alone: dict[str, list[float]] = {}
    scores, best = [], []
    for activations in batch:
        found = reference.run(imported.network, activations)
        real = activations[None].astype(np.float32) * np.float32(imported.input_scale)
        outputs = dict(zip([imported.output_name, *names], session.run([imported.output_name, *names], {
            imported.input_name: real
        }), strict=True))  # fmt: skip
        held = {INPUT: activations}
        for layer in imported.network.layers:
            if layer.accumulator_output:
                continue
            own = _alone(imported.network, layer, held)
            if layer.name not in imported.tensors:  # max pooling, which no quantiser follows
                held[layer.name] = own
                continue
            tensor, scale = imported.tensors[layer.name]
            held[layer.name] = np.rint(outputs[tensor][0].reshape(own.shape) / np.float32(scale)).astype(np.int8)
            alone.setdefault(layer.name, []).append(float((held[layer.name] == own).mean()))
            equal.setdefault(layer.name, []).append(float((held[layer.name] == found[layer.name]).mean()))
        last = found[imported.network.output.name]
        scores.append(_equal(outputs[imported.output_name], imported.output_scale, last))
        best.append(int(outputs[imported.output_name].argmax()) == int(last.argmax()))
    return Compared(len(batch), _means(alone), _means(equal), float(np.mean(scores)), float(np.mean(best)))


def _means(shares: dict[str, list[float]]) -> dict[str, float]:
    return {layer: float(np.mean(each)) for layer, each in shares.items()}


def _alone(network: Network, layer: Layer, held: dict[str, Int8Array]) -> Int8Array:
    """A layer's output for what onnxruntime computed before it."""
    residual = None if layer.residual is None else held[layer.residual]
    return reference.output(layer, held[network.inputs[layer.name]], residual)


def _equal(real: npt.NDArray[np.float32], scale: float, whole: npt.NDArray[np.integer]) -> float:
    return float((np.rint(real.astype(np.float64).reshape(-1) / scale) == whole.reshape(-1)).mean())
