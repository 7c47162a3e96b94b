"""When the tensors of a network are needed."""

from __future__ import annotations

from collections.abc import Iterator

from tlm.network.layers import INPUT
from tlm.network.network import Network


class Liveness:
    """When tensors are needed; layers by index.

    Attributes:
        consumers: tensor -> layers that read it, as input or residual, in order; the same one twice if both.
        produced: tensor -> its layer; -1 for the network's input.
        live: for each layer, and for the end, the tensors that exist before it and are read by it or later ones.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.consumers: dict[str, list[int]] = {name: [] for name in network.tensors}
        self.produced = {INPUT: -1} | {layer.name: index for index, layer in enumerate(network.layers)}
        for index in range(len(network.layers)):
            for name in reads(network, index):
                self.consumers[name].append(index)
        live: list[set[str]] = [set() for _ in range(len(network.layers) + 1)]
        for name in self.consumers:
            for layer in range(self.produced[name] + 1, self.last_use(name) + 1):
                live[layer].add(name)
        self.live = tuple(map(frozenset, live))
        self._inputs: dict[tuple[int, int], tuple[str, ...]] = {}
        self._piecewise: dict[tuple[int, int, str, bool], bool] = {}

    def last_use(self, tensor: str) -> int:
        """Last layer that reads it; -1 if none does."""
        return self.consumers[tensor][-1] if self.consumers[tensor] else -1

    def next_use(self, tensor: str, layer: int) -> int:
        """First layer from ``layer`` on that reads it; beyond all layers if none does."""
        return next((index for index in self.consumers[tensor] if index >= layer), len(self.network.layers))

    def inputs(self, first: int, last: int) -> tuple[str, ...]:
        """Tensors that layers first .. last read and do not make, in the order of their first use."""
        if (first, last) not in self._inputs:
            names = (name for index in range(first, last + 1) for name in reads(self.network, index))
            self._inputs[first, last] = tuple(dict.fromkeys(name for name in names if self.produced[name] < first))
        return self._inputs[first, last]

    def closed(self, first: int, last: int) -> bool:
        """Whether all that layers first .. last make, but for the last tensor, is read by them alone."""
        return all(0 <= self.last_use(layer.name) <= last for layer in self.network.layers[first:last])

    def is_piecewise(self, first: int, last: int, tensor: str, own_inputs: bool) -> bool:
        """Whether each part of layer ``last`` needs only its own channels of a tensor that first .. last read.

        So it is with a tensor that is nothing but that layer's residual, or nothing but the input of a layer that runs
        alone and whose parts read different channels.

        Args:
            first, last: layers that run together.
            tensor: which is read.
            own_inputs: whether the parts of layer ``last`` read different channels.
        """
        key = first, last, tensor, own_inputs
        if key not in self._piecewise:
            self._piecewise[key] = self._found_piecewise(*key)
        return self._piecewise[key]

    def _found_piecewise(self, first: int, last: int, tensor: str, own_inputs: bool) -> bool:
        if sum(first <= index <= last for index in self.consumers[tensor]) != 1:
            return False
        residual = self.network.layers[last].residual
        return tensor == residual or (own_inputs and first == last and residual is None)


def reads(network: Network, index: int) -> Iterator[str]:
    """Tensors that a layer reads: its input, then its residual."""
    layer = network.layers[index]
    yield network.inputs[layer.name]
    if layer.residual is not None:
        yield layer.residual
