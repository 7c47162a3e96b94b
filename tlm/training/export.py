"""From the trained INT4 network to the integers of the engine (engine.md, Values)."""

from __future__ import annotations

from typing import Any

import numpy as np

from tlm.core.errors import InputError
from tlm.inputs.integer_arrays import IntArray
from tlm.network.layers import BIAS_BITS, INPUT, WEIGHT_MAX, WEIGHT_MIN, AvgPool2d, Conv2d, Layer, MaxPool2d
from tlm.network.network import Network
from tlm.networks.fixed_point import FloatArray, fixed_point, requantisation
from tlm.training.int4_layers import Int4Layer, Pooling
from tlm.training.networks import INPUT_STEP, Int4Network
from tlm.training.quantiser import integers_of


def export(trained: Int4Network) -> Network:
    """The network that the engine runs: the trained one but for the rounding of multipliers.

    Raises:
        InputError: a scale or bias that the engine's registers cannot hold; names the layer.
    """
    steps = {INPUT: INPUT_STEP}
    layers: list[Layer | AvgPool2d] = []
    for spec, part in zip(trained.architecture.layers, trained.parts, strict=True):
        if isinstance(part, Pooling):
            steps[spec.name] = steps[spec.input] if part.output is None else part.output.step.detach().item()
            layers.append(_pooling(part, steps[spec.input], steps[spec.name]))
        else:
            assert isinstance(part, Int4Layer)
            if part.output is not None:
                steps[spec.name] = part.output.step.detach().item()
            layers.append(_convolution(part, steps))
    return Network(trained.architecture.input_shape, layers)


def _convolution(part: Int4Layer, steps: dict[str, float]) -> Conv2d:
    spec = part.spec
    weight_step = part.weight_step.detach()
    real = part.real_weights().detach()
    whole = integers_of(real, weight_step[:, None, None, None], WEIGHT_MIN, WEIGHT_MAX)
    scale = weight_step.double().numpy() * steps[spec.input]  # what one unit of the sums is worth
    arguments: dict[str, Any] = {
        "name": spec.name,
        "weights": whole.numpy().astype(np.int8),
        "stride": spec.stride,
        "padding": spec.padding,
        "bias": _bias(part, scale),
        "input": spec.input,
    }
    if part.output is None:
        return Conv2d(**arguments, accumulator_output=True)
    units = scale if spec.residual is None else np.append(scale, steps[spec.residual])
    try:
        arguments |= requantisation(units / steps[spec.name], spec.residual)
    except InputError as error:
        raise InputError(f"layer {spec.name!r}: {error}") from None
    return Conv2d(**arguments, signed_output=not spec.relu)


def _bias(part: Int4Layer, scale: FloatArray) -> IntArray:
    bias = np.rint(part.bias.detach().double().numpy() / scale)
    half = 1 << (BIAS_BITS - 1)
    worst = int(np.argmax(np.abs(bias)))
    if not -half <= bias[worst] < half:
        raise InputError(
            f"layer {part.spec.name!r}: bias[{worst}] is {bias[worst]:.0f} units of the sums, but must fit {BIAS_BITS} "
            f"bits; its weights' step {scale[worst]:g} has collapsed: train with a lower rate"
        )
    whole: IntArray = bias.astype(np.int64)
    return whole


def _pooling(part: Pooling, input_step: float, output_step: float) -> MaxPool2d | AvgPool2d:
    spec = part.spec
    arguments: dict[str, Any] = {"stride": spec.stride, "padding": spec.padding, "input": spec.input}
    if part.output is None:
        return MaxPool2d(spec.name, (spec.kernel, spec.kernel), **arguments)
    multiplier, shift = fixed_point(input_step / (spec.kernel * spec.kernel) / output_step)
    return AvgPool2d(spec.name, (spec.kernel, spec.kernel), multiplier=multiplier, shift=shift, **arguments)
