"""Parts: what the engine runs as a layer of its own, with the places of its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tlm.chip.format.layer_header import BANDED_HEADER_WORDS, HEADER_WORDS
from tlm.compiler.operations import Buffer, Run
from tlm.compiler.places import Place, tensor_plane_words
from tlm.network.network import Network


@dataclass(frozen=True, slots=True)
class Part:
    """Groups ``first_group`` .. and tiles ``first_tile`` .. of a layer."""

    layer_index: int
    part_index: int
    """Which one of its layer."""
    first_group: int
    groups: int
    first_channel: int
    channels: int
    first_in_channel: int
    in_channels: int
    """Input channels that it reads: all, or those that its output channels see (pooling, grouped convolutions)."""
    first_tile: int
    tiles: int
    weight_words: int
    instruction_words: int
    """Header, parameter and pattern words; END not counted."""
    banded: bool
    """The header says which tiles and which windows; else everything is whole."""
    source: Place
    output: Place
    residual: Place | None

    @property
    def header_words(self) -> int:
        """IMem words of its header."""
        return _header_words(self.banded)


def make_part(network: Network, run: Run, part_index: int, places: Mapping[Buffer, Place], lanes: int) -> Part:
    """The part that a run is."""
    banded = is_banded(network, run, lanes)
    groups = run.groups
    return Part(
        layer_index=run.layer_index,
        part_index=part_index,
        first_group=groups.first,
        groups=groups.count,
        first_channel=groups.first_channel,
        channels=groups.channels,
        first_in_channel=groups.first_in_channel,
        in_channels=groups.in_channels,
        first_tile=run.tiles.first,
        tiles=run.tiles.words,
        weight_words=groups.weight_words,
        instruction_words=_header_words(banded) + groups.instruction_words,
        banded=banded,
        source=places[run.source],
        output=places[run.output],
        residual=None if run.residual is None else places[run.residual],
    )


def is_banded(network: Network, run: Run, lanes: int) -> bool:
    """Whether a tensor is not whole, so that the header needs its band words."""
    layer = network.layers[run.layer_index]
    words = {tensor_plane_words(network.tensors[layer.name], lanes), run.tiles.words, run.output.window.words}
    if run.residual is not None:
        words.add(run.residual.window.words)
    return len(words) > 1 or run.source.window.words != tensor_plane_words(network.input_of(layer), lanes)


def _header_words(banded: bool) -> int:
    return BANDED_HEADER_WORDS if banded else HEADER_WORDS
