"""A network: layers (:mod:`tlm.network.layers`) and how they are connected.

Nothing here knows the chip. The golden model and the compiler both start from these classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from tlm.core.arguments import shown
from tlm.core.errors import InputError
from tlm.core.texts import counted
from tlm.inputs.integer_arrays import Int8Array, frozen, integers
from tlm.network.layers import (
    INPUT,
    MAX_LAYERS,
    SIZE_LIMIT,
    AvgPool2d,
    Conv2d,
    Layer,
    MaxPool2d,
    activation_range,
    check_values,
)


class TensorInfo(Struct, frozen=True):
    """Shape (C, H, W) and kind of one tensor of a network."""

    name: str
    shape: tuple[int, int, int]
    signed: bool
    accumulator: bool = False


@dataclass(frozen=True, eq=False, init=False, repr=False)
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
    layers: tuple[Layer, ...]
    """As they are executed: average pooling is a depth-wise convolution here, max pooling knows its channels."""
    signed_input: bool
    tensors: Mapping[str, TensorInfo]
    """By name, the input first, then every layer's output in the order of execution."""
    inputs: Mapping[str, str]
    """Layer's name -> name of the tensor that it reads."""

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        layers: Sequence[Layer | AvgPool2d],
        signed_input: bool = False,
    ) -> None:
        shape = tuple(input_shape) if isinstance(input_shape, Sequence) else ()
        if len(shape) != 3 or any(
            isinstance(n, bool) or not isinstance(n, (int, np.integer)) or not 1 <= n <= SIZE_LIMIT for n in shape
        ):
            raise InputError(
                f"network: input_shape is {shown(input_shape)}, but must be three integers (C, H, W) in 1..{SIZE_LIMIT}"
            )
        if not isinstance(signed_input, (bool, np.bool_)):
            raise InputError(f"network: signed_input is {shown(signed_input)}, but must be True or False")
        if not isinstance(layers, Sequence):
            raise InputError(f"network: layers is a {type(layers).__name__}, but must be a list of layers")
        if not layers:
            raise InputError("network: layers is empty; give at least one layer")
        channels, height, width = (int(n) for n in shape)
        check_values("network: input_shape", (channels, height, width))
        tensors = {INPUT: TensorInfo(INPUT, (channels, height, width), bool(signed_input))}
        self._put((channels, height, width), (), bool(signed_input), tensors, {}, layers)

    def with_layer(self, layer: Layer | AvgPool2d) -> Network:
        """The network with one more layer.

        Raises:
            InputError: it does not fit to those before it.
        """
        network = object.__new__(Network)
        network._put(self.input_shape, self.layers, self.signed_input, dict(self.tensors), dict(self.inputs), [layer])
        return network

    def _put(
        self,
        input_shape: tuple[int, int, int],
        layers: tuple[Layer, ...],
        signed_input: bool,
        tensors: dict[str, TensorInfo],
        inputs: dict[str, str],
        more: Sequence[Layer | AvgPool2d],
    ) -> None:
        """Become a network of layers that are known to fit, and more of them."""
        if len(layers) + len(more) > MAX_LAYERS:
            raise InputError(f"network: {len(layers) + len(more)} layers, but {MAX_LAYERS} are the most")
        resolved = list(layers)
        for given in more:
            if not isinstance(given, (Conv2d, MaxPool2d, AvgPool2d)):
                raise InputError(
                    f"network: layers holds a {type(given).__name__}, "
                    "but only Conv2d, MaxPool2d and AvgPool2d layers are known"
                )
            if given.name in tensors:
                raise InputError(f"layer {given.name!r}: this name is used twice; names must be unique")
            before = resolved[-1].name if resolved else INPUT
            source = _tensor(given, "input", given.input or before, tensors)
            layer = given if isinstance(given, Conv2d) else given.resolved(source.shape[0], source.signed)
            tensors[layer.name] = _output_of(layer, source, tensors)
            resolved.append(layer)
            inputs[layer.name] = layer.input or before
        object.__setattr__(self, "input_shape", input_shape)
        object.__setattr__(self, "layers", tuple(resolved))
        object.__setattr__(self, "signed_input", signed_input)
        object.__setattr__(self, "tensors", tensors)
        object.__setattr__(self, "inputs", inputs)

    def __repr__(self) -> str:
        """One line; ``summary`` has a line for each layer."""
        shapes = " -> ".join("x".join(map(str, shape)) for shape in (self.input_shape, self.output.shape))
        return f"<Network of {counted(len(self.layers), 'layer')}, {shapes}>"

    def summary(self) -> str:
        """A line for each layer: its name, what it reads, kernel, stride, output and weights that are not zero."""
        rows: list[tuple[str, ...]] = [("layer", "reads", "kernel", "stride", "output", "weights")]
        for layer in self.layers:
            sizes = ("x".join(map(str, size)) for size in (layer.kernel, layer.stride, self.tensors[layer.name].shape))
            reads = self.inputs[layer.name] + (f" + {layer.residual}" if layer.residual else "")
            weights = f"{np.count_nonzero(layer.weights):,}" if isinstance(layer, Conv2d) else "none"
            rows.append((layer.name, reads, *sizes, weights))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
        return "\n".join(line.rstrip() for line in lines)

    @property
    def output(self) -> TensorInfo:
        """The last layer's output."""
        return self.tensors[self.layers[-1].name]

    def input_of(self, layer: Layer) -> TensorInfo:
        """The tensor that a layer reads."""
        return self.tensors[self.inputs[layer.name]]

    def residual_of(self, layer: Layer) -> TensorInfo | None:
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
        return frozen(array, np.int8)


def _output_of(layer: Layer, source: TensorInfo, tensors: Mapping[str, TensorInfo]) -> TensorInfo:
    channels, height, width = source.shape
    if isinstance(layer, Conv2d) and channels != layer.in_channels:
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
    if max(shape) > SIZE_LIMIT:
        raise InputError(f"layer {layer.name!r}: output shape {shape} exceeds {SIZE_LIMIT}")
    check_values(f"layer {layer.name!r}: output", shape)
    if isinstance(layer, MaxPool2d):
        _check_windows(layer, (height, width), (rows, columns))
    if layer.residual is not None:
        residual = _tensor(layer, "residual", layer.residual, tensors)
        if residual.shape != shape:
            raise InputError(
                f"layer {layer.name!r}: residual {residual.name!r} has shape {residual.shape}, "
                f"but the output has {shape}"
            )
    return TensorInfo(layer.name, shape, layer.signed_output or layer.accumulator_output, layer.accumulator_output)


def _check_windows(layer: MaxPool2d, inputs: tuple[int, int], outputs: tuple[int, int]) -> None:
    """Every window of a max pooling holds at least one pixel, or there would be no largest one."""
    for axis, before in enumerate((layer.pads.top, layer.pads.left)):
        first = np.arange(outputs[axis])[:, None] * layer.stride[axis] - before
        sources = first + np.arange(layer.kernel[axis]) * layer.dilation[axis]
        if not ((sources >= 0) & (sources < inputs[axis])).any(axis=1).all():
            raise InputError(
                f"layer {layer.name!r}: with padding {layer.pads} some window of {layer.kernel} (dilation "
                f"{layer.dilation}) holds no pixel of the input {inputs[0]}x{inputs[1]}; use less padding"
            )


def _tensor(layer: Layer | AvgPool2d, key: str, name: str, tensors: Mapping[str, TensorInfo]) -> TensorInfo:
    if name not in tensors:
        raise InputError(f"layer {layer.name!r}: {key} is {name!r}, but the tensors before it are {', '.join(tensors)}")
    if tensors[name].accumulator:
        raise InputError(
            f"layer {layer.name!r}: {key} is {name!r}, whose accumulator output (24-bit) no layer can read; "
            "only the host can"
        )
    return tensors[name]
