"""Bands: which words of which tensors a range of output tiles needs, through several layers (halo included).

Word t of a layer's output plane is what its tile t writes, so a window of the output is a range of tiles of its layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import lcm

from tlm.chip.format.band import input_words
from tlm.compiler.workload import Workload
from tlm.network.layers import Layer
from tlm.network.layers.base import Padding


@dataclass(frozen=True, slots=True)
class Span:
    """Words ``first`` .. ``end - 1`` of every plane of a tensor."""

    first: int
    end: int

    @property
    def words(self) -> int:
        """How many."""
        return self.end - self.first

    def joined(self, other: Span | None) -> Span:
        """The smallest span that holds both."""
        return self if other is None else Span(min(self.first, other.first), max(self.end, other.end))

    def aligned(self, grain: int) -> Span:
        """From a multiple of ``grain`` words on."""
        return Span(self.first - self.first % grain, self.end)


@dataclass(frozen=True, slots=True)
class Raster:
    """A layer's geometry as its header words have it: (rows, columns) each, and the padding."""

    size: tuple[int, int]
    out_size: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    pads: Padding


def raster_of(work: Workload, layer: Layer) -> Raster:
    """The rows and columns of a layer.

    A map of one row is a column where no window has a second row: its pixels lie in the same words, and a band then
    holds those that its windows see, instead of the whole row.
    """
    size, out_size = work.network.input_of(layer).shape[1:], work.network.tensors[layer.name].shape[1:]
    pads = layer.pads
    if size[0] > 1 or size[1] == 1 or layer.kernel[0] > 1 or pads.top or pads.bottom:
        return Raster(size, out_size, layer.kernel, layer.stride, layer.dilation, pads)
    column = Padding(pads.left, pads.right, 0, 0)
    return Raster(size[::-1], out_size[::-1], layer.kernel[::-1], layer.stride[::-1], layer.dilation[::-1], column)


def source_span(work: Workload, layer: Layer, tiles: Span) -> Span:
    """Words of each input plane that must be there for a range of a layer's output tiles.

    Whole rows of pixels, as the engine checks them; one word where the tiles see nothing but padding.
    """
    raster = raster_of(work, layer)
    first, end = input_words(
        height=raster.size[0],
        width=raster.size[1],
        out_width=raster.out_size[1],
        out_pixels=raster.out_size[0] * raster.out_size[1],
        kernel_h=raster.kernel[0],
        stride_y=raster.stride[0],
        pad_top=raster.pads.top,
        dilation_y=raster.dilation[0],
        first_tile=tiles.first,
        tile_count=tiles.words,
        lanes=work.config.lanes,
    )
    return Span(first, end) if end > first else Span(0, 1)


def segment_spans(work: Workload, layers: Sequence[Layer], tiles_per_band: int) -> list[Mapping[str, Span]]:
    """For each band of the last layer's tiles: tensor -> words that layers in a row need or make.

    The bands together cover each layer's whole output: rows that no later layer reads are computed too, with the first
    band behind them.

    Args:
        work: the layers' network.
        layers: consecutive; no tensor that one of them makes is needed elsewhere, but for the last one's.
        tiles_per_band: of the last layer.
    """
    done = dict.fromkeys((layer.name for layer in layers), 0)
    tiles = work.plane_words[layers[-1].name]
    found: list[Mapping[str, Span]] = []
    for first in range(0, tiles, tiles_per_band):
        end = min(first + tiles_per_band, tiles)
        spans: dict[str, Span] = {layers[-1].name: Span(first, end)}
        for layer in reversed(layers):
            own = spans[layer.name]
            last = work.plane_words[layer.name] if end == tiles else own.end
            own = Span(min(own.first, done[layer.name]), last)
            spans[layer.name] = own
            done[layer.name] = max(done[layer.name], own.end)
            source = work.network.inputs[layer.name]
            spans[source] = source_span(work, layer, own).joined(spans.get(source))
            if layer.residual is not None:
                spans[layer.residual] = own.joined(spans.get(layer.residual))
        found.append(spans)
    return found


def band_sizes(tiles: int, grain: int, row_tiles: int) -> list[int]:
    """Tiles per band that are worth trying, the largest first: for 1, 2, 3 .. bands.

    Args:
        tiles: of the whole layer.
        grain: bands begin at multiples of so many tiles.
        row_tiles: the fewest tiles that are whole rows; bands of whole rows share fewer rows with their neighbours.
    """
    sizes: set[int] = set()
    for unit in {grain, lcm(grain, row_tiles)}:
        bands, size = 1, 0
        while size != unit:
            size = -(-tiles // (bands * unit)) * unit
            sizes.add(size)
            bands += 1 if bands < 8 else bands // 4
    return sorted(sizes, reverse=True)
