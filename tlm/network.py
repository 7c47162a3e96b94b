"""What a user says: layers of integers and how they are connected.

Nothing here knows the chip. The golden model (:mod:`tlm.reference`) and the compiler both start from these
classes. Arrays are checked once, when a layer is made, and are read-only afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tlm.core.errors import InputError
from tlm.integer_arrays import Int8Array, IntArray, frozen, integers

INPUT = "input"
"""Name by which a layer refers to the network's own input tensor."""

WEIGHT_MIN, WEIGHT_MAX = -8, 7
MAX_TAPS = 60
"""A pattern word has 60 bits, so a kernel has at most 60 taps (engine.md, Layout)."""

BIAS_BITS, MULTIPLIER_BITS, MAX_SHIFT = 24, 16, 40
ACCUMULATOR_BITS = 24

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")
_SIZE_LIMIT = 65_535
_STRIDE_LIMIT = 255
_PADDING_LIMIT = 1_023
_DILATION_LIMIT = 1_023


def activation_range(signed: bool) -> tuple[int, int]:
    """Smallest and largest 4-bit activation: ``(-8, 7)`` or ``(0, 15)``."""
    return (-8, 7) if signed else (0, 15)


@dataclass(frozen=True)
class Padding:
    """Zero pixels added on each side of the input; sides may differ and may exceed the kernel."""

    top: int
    bottom: int
    left: int
    right: int


@dataclass(frozen=True, eq=False)
class Conv2d:
    """One convolution of 4-bit integers, as the engine executes it.

    A linear layer is a 1x1 convolution on 1x1 maps; a depth-wise one has ``groups`` equal to its channels;
    a spatial shift is a kernel with one non-zero tap; a depth-wise kernel fused with the following
    point-wise layer is an ordinary kernel (see ``tlm.fuse_depthwise_pointwise``).

    Args:
        name: letters, digits, ``_ . -``; unique in its network, and not ``"input"``.
        weights: int array (O, C // groups, kh, kw), -8..7, kh * kw <= 60.
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

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise InputError(f"layer name {self.name!r}: use letters, digits, '_', '.', '-', at least one character")
        if self.name == INPUT:
            raise InputError(f"layer name {INPUT!r} is the name of the network's own input; choose another one")
        self._put("weights", self._checked_weights())
        self._put("stride", self._pair("stride", self.stride, 1, _STRIDE_LIMIT))
        self._put("dilation", self._pair("dilation", self.dilation, 1, _DILATION_LIMIT))
        self._put("pads", self._checked_padding())
        self._put("groups", self._integer("groups", self.groups, 1, _SIZE_LIMIT))
        if self.out_channels % self.groups:
            raise self._error("groups", self.groups, f"a divisor of the {self.out_channels} output channels")
        half = 1 << (BIAS_BITS - 1)
        for key in ("signed_output", "accumulator_output"):
            if not isinstance(getattr(self, key), (bool, np.bool_)):
                raise self._error(key, getattr(self, key), "True or False")
        self._put("bias", self._per_channel("bias", self.bias, -half, half - 1))
        self._put("multiplier", self._per_channel("multiplier", self.multiplier, 0, (1 << MULTIPLIER_BITS) - 1))
        self._put("shift", self._per_channel("shift", self.shift, 0, MAX_SHIFT))
        self._check_residual()

    @property
    def out_channels(self) -> int:
        """O."""
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
        kh, kw = self.kernel
        rows = height + self.pads.top + self.pads.bottom - self.dilation[0] * (kh - 1) - 1
        columns = width + self.pads.left + self.pads.right - self.dilation[1] * (kw - 1) - 1
        return rows // self.stride[0] + 1, columns // self.stride[1] + 1

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

    def _put(self, key: str, value: object) -> None:
        """Store a checked argument (the dataclass is frozen)."""
        object.__setattr__(self, key, value)

    # -- checks ---------------------------------------------------------------------------------------------

    def _error(self, key: str, value: object, allowed: str) -> InputError:
        return InputError(f"layer {self.name!r}: {key} is {value!r}, but must be {allowed}")

    def _checked_weights(self) -> Int8Array:
        w = integers(f"layer {self.name!r}: weights", self.weights)
        if w.ndim != 4 or 0 in w.shape:
            raise self._error("weights' shape", w.shape, "(O, C // groups, kh, kw) with no zero among them")
        if w.shape[2] * w.shape[3] > MAX_TAPS:
            raise self._error(
                "kernel size",
                w.shape[2:],
                f"at most {MAX_TAPS} taps: a pattern word has {MAX_TAPS} bits; split the kernel",
            )
        if max(w.shape[:2]) > _SIZE_LIMIT:
            raise self._error("weights' shape", w.shape, f"at most {_SIZE_LIMIT} channels")
        bad = (w < WEIGHT_MIN) | (w > WEIGHT_MAX)
        if bad.any():
            where = tuple(int(i) for i in np.argwhere(bad)[0])
            raise self._error(f"weights{list(where)}", int(w[where]), f"in {WEIGHT_MIN}..{WEIGHT_MAX} (4 bits, signed)")
        return frozen(w.astype(np.int8))

    def _integer(self, key: str, value: object, low: int, high: int) -> int:
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
            raise self._error(key, value, f"an integer in {low}..{high}")
        return int(value)

    def _pair(self, key: str, value: object, low: int, high: int) -> tuple[int, int]:
        if isinstance(value, (int, np.integer)):
            value = (value, value)
        if not isinstance(value, Sequence) or len(value) != 2:
            raise self._error(key, value, "one integer or a pair (y, x)")
        return self._integer(key, value[0], low, high), self._integer(key, value[1], low, high)

    def _checked_padding(self) -> Padding:
        value = self.padding
        if isinstance(value, Sequence) and len(value) == 2 and all(isinstance(v, Sequence) for v in value):
            top, bottom = self._pair("padding", value[0], 0, _PADDING_LIMIT)
            left, right = self._pair("padding", value[1], 0, _PADDING_LIMIT)
            return Padding(top, bottom, left, right)
        y, x = self._pair("padding", value, 0, _PADDING_LIMIT)
        return Padding(y, y, x, x)

    def _per_channel(self, key: str, value: object, low: int, high: int) -> IntArray:
        array = integers(f"layer {self.name!r}: {key}", value)
        if array.ndim == 0:
            array = np.full(self.out_channels, int(array))
        if array.shape != (self.out_channels,):
            raise self._error(f"{key}'s shape", array.shape, f"({self.out_channels},), one number per output channel")
        bad = (array < low) | (array > high)
        if bad.any():
            where = int(np.argmax(bad))
            raise self._error(f"{key}[{where}]", int(array[where]), f"in {low}..{high}")
        return frozen(array.astype(np.int64))

    def _check_residual(self) -> None:
        given = self.residual_multiplier
        if self.residual is not None and given is None:
            raise self._error("residual_multiplier", given, "given where there is a residual: its scale, 0..65535")
        multiplier = self._integer("residual_multiplier", 0 if given is None else given, 0, (1 << MULTIPLIER_BITS) - 1)
        self._put("residual_multiplier", multiplier)
        if self.residual is None:
            if multiplier:
                raise self._error(
                    "residual_multiplier", multiplier, "0 in a layer without a residual; name the residual tensor"
                )
            return
        if self.accumulator_output:
            raise self._error(
                "residual", self.residual, "left out in a layer with accumulator output: it bypasses the requantiser"
            )
        if len(set(self.shift.tolist())) > 1:
            raise self._error(
                "shift", sorted(set(self.shift.tolist())), "one number for all channels where there is a residual"
            )


@dataclass(frozen=True)
class TensorInfo:
    """Shape (C, H, W) and kind of one tensor of a network."""

    name: str
    shape: tuple[int, int, int]
    signed: bool
    accumulator: bool = False


@dataclass(frozen=True, eq=False)
class Network:
    """Layers in the order of execution, and the tensors between them.

    Args:
        input_shape: (C, H, W) of the input, each 1..65535.
        layers: at least one; a layer reads the one before it unless it says otherwise.
        signed_input: the input holds -8..7 instead of 0..15.

    Raises:
        InputError: unknown or repeated names, shapes that do not fit.
    """

    input_shape: tuple[int, int, int]
    layers: Sequence[Conv2d]
    signed_input: bool = False
    tensors: Mapping[str, TensorInfo] = field(init=False)

    def __post_init__(self) -> None:
        shape = tuple(self.input_shape) if isinstance(self.input_shape, Sequence) else ()
        if len(shape) != 3 or any(
            isinstance(n, bool) or not isinstance(n, (int, np.integer)) or not 1 <= n <= _SIZE_LIMIT for n in shape
        ):
            raise InputError(
                f"network: input_shape is {self.input_shape!r}, "
                f"but must be three integers (C, H, W) in 1..{_SIZE_LIMIT}"
            )
        if not isinstance(self.signed_input, (bool, np.bool_)):
            raise InputError(f"network: signed_input is {self.signed_input!r}, but must be True or False")
        if not isinstance(self.layers, Sequence):
            raise InputError(f"network: layers is a {type(self.layers).__name__}, but must be a list of Conv2d layers")
        layers = tuple(self.layers)
        if not layers:
            raise InputError("network: layers is empty; give at least one layer")
        object.__setattr__(self, "input_shape", tuple(int(n) for n in shape))
        object.__setattr__(self, "layers", layers)
        tensors = {INPUT: TensorInfo(INPUT, self.input_shape, bool(self.signed_input))}
        before = INPUT
        for layer in layers:
            if not isinstance(layer, Conv2d):
                raise InputError(f"network: layers holds a {type(layer).__name__}, but only Conv2d layers are known")
            if layer.name in tensors:
                raise InputError(f"layer {layer.name!r}: this name is used twice; names must be unique")
            tensors[layer.name] = self._output_of(layer, before, tensors)
            before = layer.name
        object.__setattr__(self, "tensors", tensors)

    @property
    def output(self) -> TensorInfo:
        """The last layer's output."""
        return self.tensors[self.layers[-1].name]

    def input_of(self, layer: Conv2d) -> TensorInfo:
        """The tensor that a layer reads."""
        if layer.input is not None:
            return self.tensors[layer.input]
        index = next(i for i, other in enumerate(self.layers) if other is layer)
        return self.tensors[self.layers[index - 1].name if index else INPUT]

    def residual_of(self, layer: Conv2d) -> TensorInfo | None:
        """The tensor that a layer adds, if any."""
        return None if layer.residual is None else self.tensors[layer.residual]

    def check_activations(self, activations: npt.ArrayLike) -> Int8Array:
        """The input as a read-only int8 array (C, H, W).

        Raises:
            InputError: wrong shape, a float array, or a value outside the input's range.
        """
        array = integers("activations", activations)
        if array.shape != self.input_shape:
            raise InputError(
                f"activations: shape is {array.shape}, but the network's input_shape is {self.input_shape}"
            )
        low, high = activation_range(self.signed_input)
        bad = (array < low) | (array > high)
        if bad.any():
            where = tuple(int(i) for i in np.argwhere(bad)[0])
            raise InputError(
                f"activations{list(where)}: {int(array[where])} is outside {low}..{high} "
                f"({'signed' if self.signed_input else 'unsigned'} 4-bit input; see signed_input)"
            )
        return frozen(array.astype(np.int8))

    def _output_of(self, layer: Conv2d, before: str, tensors: Mapping[str, TensorInfo]) -> TensorInfo:
        source = _tensor(layer, "input", layer.input or before, tensors)
        channels, height, width = source.shape
        if channels != layer.in_channels:
            raise InputError(
                f"layer {layer.name!r}: weights {layer.weights.shape} with groups={layer.groups} read "
                f"{layer.in_channels} channels, but its input {source.name!r} has {channels}"
            )
        rows, columns = layer.output_size(height, width)
        if rows < 1 or columns < 1:
            raise InputError(
                f"layer {layer.name!r}: a kernel of {layer.kernel} (dilation {layer.dilation}) does not fit into its "
                f"input {height}x{width} with padding {layer.pads}; enlarge the padding or the input"
            )
        shape = (layer.out_channels, rows, columns)
        if max(shape) > _SIZE_LIMIT:
            raise InputError(f"layer {layer.name!r}: output shape {shape} exceeds {_SIZE_LIMIT}")
        if layer.residual is not None:
            residual = _tensor(layer, "residual", layer.residual, tensors)
            if residual.shape != shape:
                raise InputError(
                    f"layer {layer.name!r}: residual {residual.name!r} has shape {residual.shape}, "
                    f"but the output has {shape}"
                )
        return TensorInfo(layer.name, shape, layer.signed_output or layer.accumulator_output, layer.accumulator_output)


def _tensor(layer: Conv2d, key: str, name: str, tensors: Mapping[str, TensorInfo]) -> TensorInfo:
    if name not in tensors:
        raise InputError(f"layer {layer.name!r}: {key} is {name!r}, but the tensors before it are {', '.join(tensors)}")
    if tensors[name].accumulator:
        raise InputError(
            f"layer {layer.name!r}: {key} is {name!r}, whose accumulator output (24-bit) no layer can read; "
            "only the host can"
        )
    return tensors[name]
