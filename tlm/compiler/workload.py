"""What is compiled: a network, the chip, the packed weights, and its tensors in the chip's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tlm.chip.config import ChipConfig
from tlm.compiler.checks import check_accumulators, check_memory, check_planes
from tlm.compiler.chip_costs import ChipCosts
from tlm.compiler.liveness import Liveness
from tlm.compiler.places import Span, Window, planes_per_channel, tensor_plane_words, tensor_planes, tensor_words
from tlm.compiler.raster import raster_of
from tlm.compiler.weights import pack_layer
from tlm.network.layers import Conv2d, Layer
from tlm.network.network import Network


class Workload:
    """A network for a chip.

    Attributes:
        chip_costs: of transfers and the host.
        grain: AMem words from one to the next at which a load can begin; transfers start at multiples of the bus width.
        per_channel: tensor -> planes of a channel: 1, or 6 for accumulator output.
        planes: tensor -> all its planes.
        plane_words: tensor -> AMem words of a plane, as many as tiles of the layer that makes it.
        words: tensor -> AMem words of all of it.
        rasters: layer -> its rows and columns.
        live: when tensors are needed.
        weights: packed, of each layer.
        group_words: of each layer for each group of output channels WMem words and IMem words (parameters, patterns).
        spans: first and last layer, tiles of a band -> what :func:`tlm.compiler.bands.segment_spans` has found.

    Raises:
        CompileError: an accumulator could overflow, or a number fits no instruction or not the off-chip memory.
    """

    def __init__(self, network: Network, config: ChipConfig) -> None:
        for layer in network.layers:
            if isinstance(layer, Conv2d):
                check_accumulators(layer, network.input_of(layer).signed)
        check_planes(network, config.lanes)
        check_memory(network, config)
        self.network, self.config = network, config
        self._blocks: dict[tuple[bytes, ...], int] = {}
        self._known_blocks: dict[tuple[int, int, int], int] = {}
        self.spans: dict[tuple[str, str, int], Sequence[Mapping[str, Span]]] = {}
        self.chip_costs = ChipCosts(config)
        self.live = Liveness(network)
        self.grain = max(1, config.bus_bytes // config.amem_word_bytes)
        tensors = network.tensors.items()
        self.per_channel = {name: planes_per_channel(tensor) for name, tensor in tensors}
        self.planes = {name: tensor_planes(tensor) for name, tensor in tensors}
        self.plane_words = {name: tensor_plane_words(tensor, config.lanes) for name, tensor in tensors}
        self.words = {name: tensor_words(tensor, config.lanes) for name, tensor in tensors}
        self.rasters = {layer.name: raster_of(network, layer) for layer in network.layers}
        self.weights = [
            pack_layer(layer, config, self.plane_words[layer.name], self.words[network.input_of(layer).name])
            for layer in network.layers
        ]

        self.group_words = [
            [
                (words, min(config.columns, layer.out_channels - group * config.columns) + len(patterns))
                for group, (words, patterns) in enumerate(zip(own.word_counts, own.patterns, strict=True))
            ]
            for layer, own in zip(network.layers, self.weights, strict=True)
        ]

    def group_slots(self, layer: Layer) -> int:
        """Output planes that a whole group of a layer writes."""
        return min(self.config.columns, layer.out_channels) * self.per_channel[layer.name]

    def block(self, layer_index: int, first_group: int, groups: int) -> int:
        """A number of the weight words of a layer's groups: equal words have the same, whatever their layers are."""
        where = layer_index, first_group, groups
        if where not in self._known_blocks:
            words = self.weights[layer_index].words[first_group : first_group + groups]
            self._known_blocks[where] = self._blocks.setdefault(words, len(self._blocks))
        return self._known_blocks[where]

    def whole(self, tensor: str) -> Window:
        """All of a tensor."""
        return Window(tensor, 0, self.planes[tensor], 0, self.plane_words[tensor])
