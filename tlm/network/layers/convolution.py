"""The convolution, which is nearly everything that the engine does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tlm.inputs.integer_arrays import Int8Array, IntArray, frozen, integers
from tlm.network.layers.base import (
    BIAS_BITS,
    DILATION_LIMIT,
    KERNEL_LIMIT,
    MAX_SHIFT,
    MULTIPLIER_BITS,
    SIZE_LIMIT,
    STRIDE_LIMIT,
    WEIGHT_MAX,
    WEIGHT_MIN,
    Checks,
    Padding,
    Pair,
    Sides,
    activation_range,
    check_values,
    output_size,
)


@dataclass(frozen=True, eq=False, repr=False)
class Conv2d:
    """One convolution of 4-bit integers, as the engine executes it.

    A linear layer is a 1x1 convolution on 1x1 maps; a depth-wise one has ``groups`` equal to its channels;
    a spatial shift is a kernel with one non-zero tap; a depth-wise kernel fused with the following
    point-wise layer is an ordinary kernel (see ``tlm.fuse_depthwise_pointwise``).

    Args:
        name: letters, digits, ``_ . -``; unique in its network, and not ``"input"``.
        weights: int array (O, C // groups, kh, kw), -8..7, kh and kw at most 63.
        stride: (y, x) or one number, 1..255.
        padding: (y, x), one number, or ((top, bottom), (left, right)); 0..1023 a side.
        dilation: (y, x) or one number, 1..1023.
        groups: divisor of C and of O.
        bias: int array (O,) or one number, 24-bit signed.
        multiplier: int array (O,) or one number, 0..65535.
        shift: int array (O,) or one number, 0..40; all equal in a layer with a residual.
        signed_output: clamp to -8..7 instead of 0..15 (which includes the ReLU).
        input: name of the layer that is read; default the layer before, or the network's input.
        residual: name of a tensor of the output's shape that is added before requantisation.
        residual_multiplier: 0..65535, the residual's scale; must be given where there is one, and is 0 elsewhere.
        accumulator_output: write ``acc + bias`` (24-bit) and leave the requantiser out.

    Raises:
        InputError: with layer, argument, value, what is allowed and the remedy.
    """

    name: str
    weights: Int8Array
    stride: tuple[int, int] = (1, 1)
    padding: Any = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    bias: IntArray = 0  # type: ignore[assignment]
    multiplier: IntArray = 1  # type: ignore[assignment]
    shift: IntArray = 0  # type: ignore[assignment]
    signed_output: bool = False
    input: str | None = None
    residual: str | None = None
    residual_multiplier: int = None  # type: ignore[assignment]
    accumulator_output: bool = False
    pads: Padding = field(init=False)

    if TYPE_CHECKING:  # wider than the attributes, which are what __post_init__ makes of the arguments

        def __init__(
            self,
            name: str,
            weights: npt.ArrayLike,
            stride: Pair = ...,
            padding: Sides = ...,
            dilation: Pair = ...,
            groups: int = ...,
            bias: npt.ArrayLike = ...,
            multiplier: npt.ArrayLike = ...,
            shift: npt.ArrayLike = ...,
            signed_output: bool = ...,
            input: str | None = ...,
            residual: str | None = ...,
            residual_multiplier: int | None = ...,
            accumulator_output: bool = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        check = self._check
        self._put("weights", self._checked_weights())
        self._put("stride", check.pair("stride", self.stride, 1, STRIDE_LIMIT))
        self._put("dilation", check.pair("dilation", self.dilation, 1, DILATION_LIMIT))
        self._put("pads", check.padding(self.padding))
        self._put("groups", check.integer("groups", self.groups, 1, SIZE_LIMIT))
        if self.out_channels % self.groups:
            raise check.error("groups", self.groups, f"a divisor of the {self.out_channels} output channels")
        half = 1 << (BIAS_BITS - 1)
        for key in ("signed_output", "accumulator_output"):
            self._put(key, check.flag(key, getattr(self, key)))
        for key in ("input", "residual"):
            check.tensor(key, getattr(self, key))
        self._put("bias", self._per_channel("bias", self.bias, -half, half - 1))
        self._put("multiplier", self._per_channel("multiplier", self.multiplier, 0, (1 << MULTIPLIER_BITS) - 1))
        self._put("shift", self._per_channel("shift", self.shift, 0, MAX_SHIFT))
        self._check_residual()

    def __repr__(self) -> str:
        """One line; weights by their shape."""
        return (
            f"<Conv2d {self.name}: weights {'x'.join(map(str, self.weights.shape))}, stride {self.stride}, "
            f"{self.pads}, dilation {self.dilation}, groups {self.groups}, residual {self.residual}>"
        )

    @property
    def out_channels(self) -> int:
        """O, as the weights have them."""
        return int(self.weights.shape[0])

    @property
    def in_channels(self) -> int:
        """C, all groups together."""
        return int(self.weights.shape[1]) * self.groups

    @property
    def kernel(self) -> tuple[int, int]:
        """(kh, kw)."""
        return int(self.weights.shape[2]), int(self.weights.shape[3])

    @property
    def output_range(self) -> tuple[int, int]:
        """Smallest and largest value that the requantiser writes."""
        return activation_range(self.signed_output)

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """(H', W') for an input of height x width pixels (engine.md, Values); may be below 1 if nothing fits."""
        return output_size((height, width), self.kernel, self.stride, self.pads, self.dilation)

    def full_weights(self) -> Int8Array:
        """(O, C, kh, kw) with explicit zeros outside a channel's group: what a weight word is cut from."""
        if self.groups == 1:
            return self.weights
        out_per, in_per = self.out_channels // self.groups, self.in_channels // self.groups
        full = np.zeros((self.out_channels, self.in_channels, *self.kernel), np.int8)
        for g in range(self.groups):
            rows = slice(g * out_per, (g + 1) * out_per)
            full[rows, g * in_per : (g + 1) * in_per] = self.weights[rows]
        return full

    @property
    def _check(self) -> Checks:
        return Checks(self.name)

    def _put(self, key: str, value: object) -> None:
        """Store a checked argument (the dataclass is frozen)."""
        object.__setattr__(self, key, value)

    # -- checks ---------------------------------------------------------------------------------------------

    def _checked_weights(self) -> Int8Array:
        w = integers(f"layer {self.name!r}: weights", self.weights)
        if w.ndim != 4 or 0 in w.shape:
            raise self._check.error("weights' shape", w.shape, "(O, C // groups, kh, kw), no zero among them")
        if max(w.shape[2:]) > KERNEL_LIMIT:
            limit = f"at most {KERNEL_LIMIT} rows and columns, 6 bits each in a layer's header"
            raise self._check.error("kernel size", w.shape[2:], f"{limit}; use a smaller kernel")
        if max(w.shape[:2]) > SIZE_LIMIT:
            raise self._check.error("weights' shape", w.shape, f"at most {SIZE_LIMIT} channels")
        check_values(f"layer {self.name!r}: weights", w.shape)
        if w.min() < WEIGHT_MIN or w.max() > WEIGHT_MAX:
            where = tuple(int(i) for i in np.argwhere((w < WEIGHT_MIN) | (w > WEIGHT_MAX))[0])
            raise self._check.error(
                f"weights{list(where)}", int(w[where]), f"in {WEIGHT_MIN}..{WEIGHT_MAX} (4 bits, signed)"
            )
        return frozen(w, np.int8)

    def _per_channel(self, key: str, value: object, low: int, high: int) -> IntArray:
        array = integers(f"layer {self.name!r}: {key}", value)
        if array.ndim == 0:
            array = np.full(self.out_channels, int(array))
        if array.shape != (self.out_channels,):
            raise self._check.error(
                f"{key}'s shape", array.shape, f"({self.out_channels},), one number per output channel"
            )
        bad = (array < low) | (array > high)
        if bad.any():
            where = int(np.argmax(bad))
            raise self._check.error(f"{key}[{where}]", int(array[where]), f"in {low}..{high}")
        return frozen(array, np.int64)

    def _check_residual(self) -> None:
        given = self.residual_multiplier
        if self.residual is not None and given is None:
            raise self._check.error(
                "residual_multiplier", given, "given where there is a residual: its scale, 0..65535"
            )
        multiplier = self._check.integer(
            "residual_multiplier", 0 if given is None else given, 0, (1 << MULTIPLIER_BITS) - 1
        )
        self._put("residual_multiplier", multiplier)
        if self.residual is None:
            if multiplier:
                raise self._check.error(
                    "residual_multiplier", multiplier, "0 in a layer without a residual; name the residual tensor"
                )
            return
        if self.accumulator_output:
            raise self._check.error(
                "residual", self.residual, "left out in a layer with accumulator output: it bypasses the requantiser"
            )
        if len(set(self.shift.tolist())) > 1:
            raise self._check.error(
                "shift", sorted(set(self.shift.tolist())), "one number for all channels where there is a residual"
            )
