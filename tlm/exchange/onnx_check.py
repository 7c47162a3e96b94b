"""onnxruntime beside the engine's arithmetic, value by value.

Both need not agree everywhere: onnxruntime rounds halves to even and computes in float32; the engine rounds halves up,
its biases are whole units of the sums, and its multipliers have 16 bits. A value near an edge between two levels may
come out on either side, and so may what follows from it. A layer alone, fed with onnxruntime's
own input of that layer, may be one level off in one of twenty values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from tlm.core.errors import InputError
from tlm.exchange.onnx_constants import FloatArray
from tlm.exchange.onnx_file import INPUT_TYPES
from tlm.exchange.onnx_reader import Imported, require_onnx
from tlm.exchange.onnx_runtime import session
from tlm.exchange.onnx_values import Tensor
from tlm.inputs.integer_arrays import Int8Array
from tlm.network import golden
from tlm.network.layers import INPUT, Layer

LEAST_EQUAL, MOST_LEVELS = 0.95, 1
_VALUES = 1 << 29
"""Of all compared tensors together, in float32: 2 GB."""
_SUMS_ROUNDING = 2.0**-20
"""float32 sums of thousands of products, relative to the sum."""


@dataclass(frozen=True)
class Compared:
    """How many values are equal; the last layer's count as equal within half a unit if they are sums."""

    images: int
    alone: dict[str, float]
    """Layer -> share of its values that are equal if it reads what onnxruntime computed before it."""
    layers: dict[str, float]
    """Layer -> share of its values that are equal after all that comes before; differences spread."""
    levels_off: dict[str, int]
    """Layer -> by how many levels a value is off at most, alone."""
    best: float
    """Share of the images with the same best class."""
    differing: list[str]
    """Layers that break the rule, and how."""


@np.errstate(all="ignore")  # scales at the ends of what a float holds
def compare(imported: Imported, batch: Int8Array) -> Compared:
    """Run both.

    Args:
        imported: from :func:`tlm.exchange.onnx_reader.read_onnx`.
        batch: int8 (N, C, H, W), in the range of the network's input, at least one image.

    Raises:
        InputError: onnxruntime refuses the graph, or gives tensors of other shapes.
    """
    network, best = imported.network, []
    alone: dict[str, list[FloatArray]] = {name: [] for name in imported.tensors}
    after: dict[str, list[FloatArray]] = {name: [] for name in imported.tensors}
    run = _session(imported)
    for first in range(0, len(batch), imported.batch):
        images = batch[first : first + imported.batch]
        outputs = run(images)
        for i, activations in enumerate(images):
            found, held = golden.run(network, activations), {INPUT: activations}
            for layer in network.layers:
                residual = None if layer.residual is None else held[layer.residual]
                own = golden.output(layer, held[network.inputs[layer.name]], residual)
                held[layer.name] = own
                if layer.name in imported.tensors:  # else it is one of several layers that a node needs
                    tensor = imported.tensors[layer.name]
                    real = _in_order(outputs[tensor.name][i], tensor, own.shape).astype(np.float64) / tensor.scale
                    alone[layer.name].append(_levels_off(layer, real, own))
                    after[layer.name].append(_levels_off(layer, real, found[layer.name]))
                    held[layer.name] = np.clip(np.rint(np.nan_to_num(real)), -8, 15).astype(np.int8)
            last = outputs[imported.output.name][i]
            best.append(int(last.argmax()) == int(found[network.output.name].argmax()))
    shares, after_all = (
        {name: float(np.mean([np.mean(off == 0) for off in every])) for name, every in of.items()}
        for of in (alone, after)
    )
    most = {name: max(float(off.max()) for off in every) for name, every in alone.items()}
    return Compared(
        images=len(batch),
        alone=shares,
        layers=after_all,
        levels_off={name: int(min(levels, np.iinfo(np.int32).max)) for name, levels in most.items()},
        best=float(np.mean(best)),
        differing=[
            f"{name} ({shares[name]:.1%} equal, up to {levels:g} levels off)"
            for name, levels in most.items()
            if levels > MOST_LEVELS or shares[name] < LEAST_EQUAL
        ],
    )


def _session(imported: Imported) -> Callable[[Int8Array], dict[str, npt.NDArray[Any]]]:
    """What runs onnxruntime: from as many images as the graph takes, or fewer, to every tensor that is compared."""
    require_onnx("onnxruntime")
    import onnxruntime  # type: ignore[import-untyped]

    tensors = {tensor.name: tensor for tensor in (imported.output, *imported.tensors.values())}
    values = sum(prod(tensor.shape) for tensor in tensors.values())
    if values > _VALUES:
        raise InputError(f"comparing takes {values} values at once, but at most {_VALUES} are allowed; --check 0")
    name, shape = imported.input.name, imported.input.shape
    (kind,) = (one.type.tensor_type.elem_type for one in imported.model.graph.input if one.name == name)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    ask = session(imported.model, options, list(tensors))

    def run(images: Int8Array) -> dict[str, npt.NDArray[Any]]:
        indices = np.minimum(np.arange(imported.batch), len(images) - 1)  # where they are fewer, the last one again
        real = images[indices].astype(np.float32) * np.float32(imported.input.scale)
        if imported.input.order is not None:
            real = real.reshape(len(real), -1)[:, imported.input.order.reshape(-1)]
        outputs = ask(list(tensors), {name: real.astype(INPUT_TYPES[kind]).reshape(shape)})
        for tensor, found in zip(tensors.values(), outputs, strict=True):
            if found.shape != tensor.shape:
                raise InputError(
                    f"tensor {tensor.name!r}: onnxruntime gives shape {found.shape}, but the engine's would be "
                    f"{tensor.shape}"
                )
        return dict(zip(tensors, outputs, strict=True))

    return run


def _in_order(found: npt.NDArray[Any], tensor: Tensor, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """One image of a tensor as the engine holds it."""
    if tensor.order is not None:
        found = found.reshape(-1)[np.argsort(tensor.order, axis=None)]
    return found.reshape(shape)


def _levels_off(layer: Layer, real: FloatArray, own: npt.NDArray[Any]) -> FloatArray:
    """By how many levels, or units of sums, each value is off; infinite where onnxruntime gives no number."""
    if not layer.accumulator_output:
        off = np.abs(np.rint(real) - own)
    else:  # a bias is not whole in the graph, but is in the engine
        beyond = np.abs(real - own) - 0.501 - np.abs(real) * _SUMS_ROUNDING
        off = np.ceil(np.maximum(beyond, 0.0))
    return np.where(np.isfinite(off), off, np.inf)
