"""Generated convolutions, and the named extremes that no generator should be trusted to find."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from tlm.network.layers import Conv2d, activation_range
from tlm.network.network import Network

ARRAY_SIZES = (8, 16, 32, 64)
KERNELS = ((1, 1), (3, 3), (1, 3), (3, 1), (2, 2), (5, 5), (7, 7), (6, 10), (1, 60), (4, 3), (2, 5), (9, 7), (11, 11))


@dataclass(frozen=True, eq=False)
class Case:
    """A network (its last layer is under test), its input and the array's size."""

    network: Network
    activations: npt.NDArray[np.int8]
    lanes: int
    columns: int

    @property
    def layer(self) -> Conv2d:
        return self.network.layers[-1]

    def __repr__(self) -> str:
        layer = self.layer
        return (
            f"Case(input {self.network.input_shape} signed={self.network.signed_input}, weights {layer.weights.shape}, "
            f"groups {layer.groups}, stride {layer.stride}, {layer.pads}, dilation {layer.dilation}, "
            f"array {self.lanes}x{self.columns})"
        )


def random_activations(rng: np.random.Generator, shape: tuple[int, ...], signed: bool) -> npt.NDArray[np.int8]:
    low, high = activation_range(signed)
    return rng.integers(low, high + 1, shape).astype(np.int8)


def random_weights(rng: np.random.Generator, shape: tuple[int, ...], density: float, by_tap: bool) -> Any:
    """Weights with zeros spread at random, or whole (input channel, tap) pairs of them, as pruning leaves."""
    kept = rng.random((1, *shape[1:]) if by_tap else shape) < density
    return (rng.integers(-8, 8, shape) * kept).astype(np.int8)


def fitting_requantisation(rng: np.random.Generator, weights: npt.NDArray[Any], signed_output: bool) -> dict[str, Any]:
    """Parameters that spread a layer's outputs over the 4-bit range, instead of clamping them all."""
    out_channels = weights.shape[0]
    fan_in = max(1, np.count_nonzero(weights) // out_channels)
    shift = 14
    levels = 4 if signed_output else 8  # one standard deviation, with activations of 9 and weights of 4.6 rms
    scale = levels * (1 << shift) / (40 * np.sqrt(fan_in))
    return {
        "bias": rng.integers(-64, 65, out_channels),
        "multiplier": np.clip(rng.uniform(0.5, 1.5, out_channels) * scale, 0, 65_535).astype(np.int64),
        "shift": np.full(out_channels, shift),
    }


@st.composite
def cases(draw: st.DrawFn, lanes: int | None = None, columns: int | None = None, max_size: int = 14) -> Case:
    """One-layer networks over shape, kernel, stride, dilation, padding, groups, sparsity and signedness.

    ``max_size`` bounds the input's height and width; array sizes are drawn unless given.
    """
    lanes = lanes or draw(st.sampled_from(ARRAY_SIZES))
    columns = columns or draw(st.sampled_from(ARRAY_SIZES))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kh, kw = draw(st.sampled_from(KERNELS))
    groups, out_per, in_per = draw(_channels(kh * kw))
    height, width = draw(st.integers(1, max_size)), draw(st.integers(1, max_size))
    stride = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    dilation = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    padding = [[draw(st.integers(0, size + 2)) for _ in range(2)] for size in (kh, kw)]
    for axis, (size, kernel) in enumerate(((height, kh), (width, kw))):  # grow what would leave no output
        padding[axis][1] += max(0, dilation[axis] * (kernel - 1) + 1 - size - sum(padding[axis]))
    signed = draw(st.booleans())
    density = draw(st.sampled_from((0.0, 0.05, 0.3, 0.7, 1.0)))
    weights = random_weights(rng, (groups * out_per, in_per, kh, kw), density, draw(st.booleans()))
    signed_output = draw(st.booleans())
    layer = Conv2d(
        "c",
        weights,
        stride=stride,
        padding=tuple(map(tuple, padding)),
        dilation=dilation,
        groups=groups,
        signed_output=signed_output,
        **fitting_requantisation(rng, weights, signed_output),
    )
    shape = (groups * in_per, height, width)
    return Case(Network(shape, [layer], signed_input=signed), random_activations(rng, shape, signed), lanes, columns)


@st.composite
def _channels(draw: st.DrawFn, taps: int) -> tuple[int, int, int]:
    """(groups, output channels a group, input channels a group), fewer for large kernels."""
    limit = 24 if taps <= 9 else 6
    kind = draw(st.sampled_from(("dense", "dense", "depthwise", "grouped")))
    if kind == "dense":
        return 1, draw(st.integers(1, 40)), draw(st.integers(1, limit))
    if kind == "depthwise":
        return draw(st.integers(1, limit)), draw(st.integers(1, 2)), 1
    return draw(st.integers(2, 4)), draw(st.integers(1, 12)), draw(st.integers(1, max(1, limit // 4)))


def _extreme(
    shape: tuple[int, int, int], weights_shape: tuple[int, ...], *, signed: bool = False, array: int = 32, **keys: Any
) -> Case:
    rng = np.random.default_rng(sum(shape) * 1000 + sum(weights_shape))
    weights = keys.pop("weights", None)
    if weights is None:
        weights = random_weights(rng, weights_shape, keys.pop("density", 1.0), by_tap=False)
    keys = {"multiplier": 1500, "shift": 14, **keys}
    layer = Conv2d("c", weights, **keys)
    activations = keys.get("activations")
    if activations is None:
        activations = random_activations(rng, shape, signed)
    return Case(Network(shape, [layer], signed_input=signed), activations, array, array)


def limits_case(total: int, array: int = 8) -> Case:
    """A layer of one pixel whose only sum is ``total``, as it can be a limit of the 24-bit accumulator.

    60 taps see 60 pixels of every channel; all but one of them are 15 under the largest weight of the sign.
    """
    sign, largest = (1, 7) if total > 0 else (-1, 8)
    full, rest = divmod(abs(total), 15)
    weights = np.zeros(-(-(-(-full // largest) + 1) // 60) * 60, np.int8)
    weights[: full // largest] = sign * largest
    weights[full // largest] = sign * (full % largest)
    weights[-1] = sign
    activations = np.full(weights.size, 15, np.int8)
    activations[-1] = rest
    layer = Conv2d("c", weights.reshape(1, -1, 1, 60), accumulator_output=True)
    shape = (weights.size // 60, 1, 60)
    return Case(Network(shape, [layer]), activations.reshape(shape), array, array)


def bias_limit_case(total: int) -> Case:
    """A small layer with accumulator output whose ``acc + bias`` is ``total`` in its every pixel and channel."""
    sign = 1 if total > 0 else -1
    layer = Conv2d("c", np.full((9, 3, 1, 1), sign, np.int8), bias=total - 45 * sign, accumulator_output=True)
    return Case(Network((3, 3, 3), [layer]), np.full((3, 3, 3), 15, np.int8), 8, 8)


@cache
def extremes() -> dict[str, Case]:
    """The named extremes; every model of the engine must get them right.

    The accumulator reaches its limits only with 79,920 weight words, more than the published WMem holds.
    """
    one_tap = np.zeros((4, 4, 3, 3), np.int8)
    one_tap[:, :, 0, 2] = np.arange(16).reshape(4, 4) - 8
    even = np.random.default_rng(40).integers(-7, 8, (2, 8, 3, 3)).astype(np.int8)  # sums on both sides of 0
    corner = np.zeros((3, 2, 3, 3), np.int8)
    corner[:, :, 0, 0] = 3
    return {
        "1x1 maps": _extreme((40, 1, 1), (33, 40, 1, 1)),
        "1x1 map under a 3x3 kernel": _extreme((5, 1, 1), (7, 5, 3, 3), padding=1),
        "one channel in and out": _extreme((1, 9, 9), (1, 1, 3, 3), padding=1),
        "no valid tap at all": _extreme((6, 5, 5), (6, 6, 3, 3), density=0.0, padding=1, bias=8),
        "only taps that see padding": _extreme(
            (2, 2, 2), (3, 2, 3, 3), weights=corner, padding=((2, 0), (2, 0)), stride=9
        ),
        "7x7 with stride 2": _extreme((3, 20, 20), (64, 3, 7, 7), stride=2, padding=3, multiplier=200),
        "last partial tile and group": _extreme((8, 5, 13), (37, 8, 3, 3), padding=1),
        "60 taps in one word": _extreme((3, 12, 14), (9, 3, 6, 10), padding=(2, 4)),
        "60 taps in a row": _extreme((2, 3, 70), (9, 2, 1, 60), padding=(0, 7)),
        "61 taps in a row": _extreme((2, 3, 70), (9, 2, 1, 61), padding=(0, 7)),
        "11x11 with stride 4": _extreme((3, 39, 39), (40, 3, 11, 11), stride=4, padding=2, multiplier=200, density=0.3),
        "63x63 taps": _extreme((1, 64, 66), (3, 1, 63, 63), multiplier=40, density=0.05),
        "padding larger than the kernel": _extreme((4, 6, 6), (8, 4, 3, 3), padding=((7, 5), (9, 4))),
        "stride larger than the kernel": _extreme((4, 17, 19), (8, 4, 2, 2), stride=(5, 4)),
        "dilation larger than the input": _extreme((4, 6, 6), (8, 4, 3, 3), dilation=9, padding=9),
        "signed input": _extreme((16, 8, 8), (16, 16, 3, 3), signed=True, padding=1, signed_output=True),
        "an arbitrary shift": _extreme((4, 6, 7), (4, 4, 3, 3), weights=one_tap, padding=1, multiplier=400),
        "depth-wise alone": _extreme((35, 7, 7), (35, 1, 3, 3), groups=35, padding=1, multiplier=4000),
        "shift 0": _extreme((4, 4, 4), (8, 4, 1, 1), density=0.2, multiplier=1, shift=0, signed_output=True),
        "shift 40": _extreme(
            (8, 4, 4), (2, 8, 3, 3), weights=even, padding=1, multiplier=65_535, shift=40, bias=(1 << 23) - 1
        ),
        "multiplier 65535": _extreme((8, 4, 4), (8, 8, 1, 1), multiplier=65_535, shift=22, signed_output=True),
        "array of 8": _extreme((9, 9, 9), (17, 9, 3, 3), array=8, padding=1, density=0.4),
        "array of 64": _extreme((9, 9, 9), (70, 9, 3, 3), array=64, padding=1, density=0.4),
        "accumulator at its highest": limits_case((1 << 23) - 1),
        "accumulator at its lowest": limits_case(-(1 << 23)),
        "acc + bias at its highest": bias_limit_case((1 << 23) - 1),
        "acc + bias at its lowest": bias_limit_case(-(1 << 23)),
    }
