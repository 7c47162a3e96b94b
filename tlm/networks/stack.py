"""Layers listed one by one, with weights from a file or from a seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
import numpy.typing as npt

from tlm.core.errors import InputError
from tlm.inputs.integer_arrays import Int8Array
from tlm.network.layers import MAX_LAYERS, Conv2d, check_values
from tlm.network.network import Network
from tlm.networks.builder import NetworkBuilder
from tlm.networks.seeded import SeededBits
from tlm.networks.weights import dense_weights, prune_taps, prune_weights, prune_words

ARRAYS = ("weights", "bias", "multiplier", "shift", "residual_multiplier")
"""What a weights file may hold for a layer ``c1``: ``c1.weights`` and so on."""

_KEYS = ("stride", "padding", "dilation", "groups", "signed_output", "input", "residual", "accumulator_output")
"""Of a layer, as :class:`tlm.Conv2d` takes them."""


@dataclass(frozen=True)
class StackLayer:
    """One layer; the arguments of :class:`tlm.Conv2d` without its arrays, and how to prune seeded weights.

    At most one of ``taps`` (per input channel), ``density`` (share of the single weights) and ``word_density``
    (share of the weight words of 32 output channels) is given.
    """

    name: str
    out_channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: Any = (1, 1)
    padding: Any = (0, 0)
    dilation: Any = (1, 1)
    groups: int = 1
    taps: int | None = None
    density: float | None = None
    word_density: float | None = None
    signed_output: bool = False
    input: str | None = None
    residual: str | None = None
    accumulator_output: bool = False


def build_stack(
    layers: Sequence[StackLayer],
    activations: npt.ArrayLike,
    seed: int = 0,
    signed_input: bool = False,
    arrays: Mapping[str, npt.NDArray[Any]] | None = None,
) -> Network:
    """A network of the listed layers.

    Args:
        layers: in the order of execution.
        activations: int8 (C, H, W); requantisation that no array gives is calibrated on it.
        seed: of the weights that no array gives.
        signed_input: range of ``activations``.
        arrays: ``"<layer>.weights"`` (O, C // groups, kh, kw), ``.bias``, ``.multiplier``, ``.shift`` (O,) and
            ``.residual_multiplier``; the last four only all together (residual_multiplier where there is a residual).

    Raises:
        InputError: a layer that does not fit, or an array that belongs to no layer.
    """
    builder = NetworkBuilder(np.asarray(activations, np.int8), signed_input)
    add_stack(builder, layers, seed, arrays)
    return builder.network()


def add_stack(
    builder: NetworkBuilder,
    layers: Sequence[StackLayer],
    seed: int = 0,
    arrays: Mapping[str, npt.NDArray[Any]] | None = None,
) -> None:
    """Add the listed layers to a network; arguments and errors as of :func:`build_stack`."""
    if len(layers) > MAX_LAYERS:
        raise InputError(f"network.layers: {len(layers)} layers, but {MAX_LAYERS} are the most")
    given = arrays or {}
    _check_names(given, layers)
    for spec in layers:
        own = {key: given[f"{spec.name}.{key}"] for key in ARRAYS if f"{spec.name}.{key}" in given}
        in_channels = builder.output_shape(spec.input)[0]
        if in_channels % spec.groups or spec.out_channels % spec.groups:
            raise InputError(
                f"layer {spec.name!r}: groups is {spec.groups}, but must divide its {in_channels} input channels "
                f"and its {spec.out_channels} output channels"
            )
        shape = (spec.out_channels, in_channels // spec.groups, *spec.kernel)
        weights = own.pop("weights", None)
        if weights is None:
            weights = _seeded(spec, seed, shape)
        elif weights.shape != shape:
            raise InputError(
                f"layer {spec.name!r}: weights {weights.shape} in the file, but out_channels, groups and kernel of the "
                f"layer and the {in_channels} channels that it reads make {shape}; change the layer's keys, or the file"
            )
        elif ways := [way for way in ("taps", "density", "word_density") if getattr(spec, way) is not None]:
            raise InputError(
                f"layer {spec.name!r}: {ways[0]} prunes seeded weights, but the file gives them; leave one of them out"
            )
        keys = {key: getattr(spec, key) for key in _KEYS}
        layer = Conv2d(spec.name, weights, **keys, **_requantisation(spec, own))
        builder.add(layer, calibrate="multiplier" not in own)


def _requantisation(spec: StackLayer, found: dict[str, npt.NDArray[Any]]) -> dict[str, Any]:
    """The arguments that arrays give; all of them are there, or none."""
    wanted = ["bias", "multiplier", "shift"] + (["residual_multiplier"] if spec.residual else [])
    if spec.residual is None and "residual_multiplier" in found:
        raise InputError(f"array '{spec.name}.residual_multiplier': layer {spec.name!r} adds no residual; leave it out")
    if found and len(found) < len(wanted) and not spec.accumulator_output:
        missing = ", ".join(f"{spec.name}.{key}" for key in wanted if key not in found)
        raise InputError(f"layer {spec.name!r}: {missing} missing beside {', '.join(found)}; give all of them or none")
    if spec.residual is None:
        return found
    factor = found.get("residual_multiplier", np.array(1))
    if factor.size != 1:
        name = f"{spec.name}.residual_multiplier"
        raise InputError(f"array {name!r} is {factor.dtype} {factor.shape}; a layer has one integer")
    return {**found, "residual_multiplier": factor.item()}


def _seeded(spec: StackLayer, seed: int, shape: tuple[int, ...]) -> Int8Array:
    bits = SeededBits(seed, spec.name)
    check_values(f"layer {spec.name!r}: weights", shape)
    weights = dense_weights(bits, shape)
    if spec.taps is not None:
        return prune_taps(weights, spec.taps)
    if spec.density is not None:
        return prune_weights(bits, weights, spec.density)
    if spec.word_density is not None:
        return prune_words(bits, weights, spec.word_density)
    return weights


def _check_names(given: Mapping[str, Any], layers: Sequence[StackLayer]) -> None:
    known = [f"{layer.name}.{array}" for layer in layers for array in ARRAYS]
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else "arrays are named <layer>.weights, <layer>.bias, ..."
            raise InputError(f"array {name!r} belongs to no layer; {hint}")
