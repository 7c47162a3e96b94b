"""Puts a network together layer by layer, calibrating each on what the layers before it really produce."""

from __future__ import annotations

from dataclasses import dataclass, field

from tlm.core.errors import InputError
from tlm.inputs.integer_arrays import Int8Array
from tlm.network.golden import OutputArray, accumulate, finished, output
from tlm.network.layers import INPUT, AvgPool2d, Conv2d, Layer
from tlm.network.network import Network
from tlm.networks.calibration import calibrated, calibrated_average


@dataclass
class NetworkBuilder:
    """Collects layers in the order of execution.

    Calibration needs the values that each layer really gets, so the golden model runs along: when the network is
    complete, so are its outputs (:meth:`tensors`).

    Args:
        activations: int8 (C, H, W), the input that the network is calibrated on.
        signed_input: its range.
    """

    activations: Int8Array
    signed_input: bool = False
    _network: Network | None = field(default=None, init=False)
    _tensors: dict[str, OutputArray] = field(default_factory=dict, init=False)

    def add(self, layer: Layer | AvgPool2d, calibrate: bool = True) -> None:
        """Append a layer; with ``calibrate`` a convolution's bias, multiplier and shift are replaced by fitting ones.

        An average keeps the ratios between channels: it is scaled as a whole, by one multiplier.

        Raises:
            InputError: the layer does not fit to those before it.
        """
        network = self._with(layer)
        added = network.layers[-1]
        if calibrate and isinstance(added, Conv2d) and not added.accumulator_output:
            residual = None if added.residual is None else self._tensor(added.residual)
            sums = accumulate(added, self._tensor(network.input_of(added).name))
            average = isinstance(layer, AvgPool2d)
            added = calibrated_average(added, sums) if average else calibrated(added, sums, residual)
            self._tensors[added.name] = finished(added, sums, residual)
            network = self._with(added)
        self._network = network

    @property
    def layers(self) -> tuple[Layer, ...]:
        """As the network executes them: average pooling is a depth-wise convolution."""
        return self._network.layers if self._network else ()

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        channels, height, width = self.activations.shape
        return channels, height, width

    @property
    def last(self) -> str:
        """Name of the tensor that a following layer reads."""
        return self.layers[-1].name if self.layers else INPUT

    def output_shape(self, name: str | None = None) -> tuple[int, int, int]:
        """(C, H, W) of a tensor that exists so far; by default of the last one.

        Raises:
            InputError: no tensor of that name.
        """
        tensors = self._network.tensors if self._network else {}
        shapes = {INPUT: self.input_shape} | {info.name: info.shape for info in tensors.values()}
        wanted = name or self.last
        if wanted not in shapes:
            raise InputError(f"tensor {wanted!r} does not exist here; the tensors so far are {', '.join(shapes)}")
        return shapes[wanted]

    def network(self) -> Network:
        """What has been added so far."""
        return self._network or Network(self.input_shape, [], self.signed_input)

    def tensors(self) -> dict[str, OutputArray]:
        """Every layer's golden output by name, as :func:`tlm.reference.run` gives it for the same activations."""
        return {layer.name: self._tensor(layer.name) for layer in self.layers}

    def _with(self, layer: Layer | AvgPool2d) -> Network:
        if self._network is None:
            return Network(self.input_shape, [layer], self.signed_input)
        return self._network.with_layer(layer)

    def _tensor(self, name: str) -> OutputArray:
        """Values of a tensor; those of a layer that was not calibrated are computed on demand."""
        if name == INPUT:
            return self.activations
        if name not in self._tensors:
            layer = next(layer for layer in self.layers if layer.name == name)
            residual = None if layer.residual is None else self._tensor(layer.residual)
            source = self._tensor(self.network().inputs[name])
            self._tensors[name] = output(layer, source, residual)
        return self._tensors[name]
