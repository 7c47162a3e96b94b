"""Puts a network together layer by layer, calibrating each on what the layers before it really produce."""

from __future__ import annotations

from dataclasses import dataclass, field

from tlm.core.errors import InputError
from tlm.integer_arrays import Int8Array
from tlm.layers import INPUT, Conv2d
from tlm.network import Network
from tlm.networks.calibration import calibrated
from tlm.reference import Int32Array, accumulate, requantise


@dataclass
class NetworkBuilder:
    """Collects layers in the order of execution.

    Args:
        activations: int8 (C, H, W), the input that the network is calibrated on.
        signed_input: its range.
    """

    activations: Int8Array
    signed_input: bool = False
    layers: list[Conv2d] = field(default_factory=list)
    _accumulators: dict[str, Int32Array] = field(default_factory=dict)
    _tensors: dict[str, Int8Array] = field(default_factory=dict)

    def add(self, layer: Conv2d, calibrate: bool = True) -> None:
        """Append a layer; with ``calibrate`` its bias, multiplier and shift are replaced by fitting ones.

        Raises:
            InputError: the layer does not fit to those before it.
        """
        self.layers.append(layer)
        checked = self.network()
        if not calibrate or layer.accumulator_output:
            return
        residual = None if layer.residual is None else self._tensor(layer.residual)
        sums = accumulate(layer, self._tensor(checked.input_of(layer).name))
        self._accumulators[layer.name] = sums
        self.layers[-1] = calibrated(layer, sums, residual)

    def output_shape(self, name: str | None = None) -> tuple[int, int, int]:
        """(C, H, W) of a tensor that exists so far; by default of the last one.

        Raises:
            InputError: no tensor of that name.
        """
        if not self.layers:
            shapes = {INPUT: self.input_shape}
        else:
            shapes = {info.name: info.shape for info in self.network().tensors.values()}
        wanted = name or list(shapes)[-1]
        if wanted not in shapes:
            raise InputError(f"tensor {wanted!r} does not exist here; the tensors so far are {', '.join(shapes)}")
        return shapes[wanted]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        channels, height, width = self.activations.shape
        return channels, height, width

    def network(self) -> Network:
        """What has been added so far."""
        return Network(self.input_shape, tuple(self.layers), self.signed_input)

    def _tensor(self, name: str) -> Int8Array:
        """Values of a tensor, worked out when somebody asks; what nobody reads is never requantised."""
        if name == INPUT:
            return self.activations
        if name not in self._tensors:
            layer = next(layer for layer in self.layers if layer.name == name)
            if name not in self._accumulators:
                self._accumulators[name] = accumulate(layer, self._tensor(self.network().input_of(layer).name))
            residual = None if layer.residual is None else self._tensor(layer.residual)
            self._tensors[name] = requantise(layer, self._accumulators.pop(name), residual)
        return self._tensors[name]
