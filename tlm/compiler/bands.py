"""Bands: which words of which tensors a range of output tiles needs, through several layers (halo included).

Word t of a layer's output plane is what its tile t writes, so a window of the output is a range of tiles of its layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import lcm
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tlm.compiler.places import Span
from tlm.compiler.workload import Workload
from tlm.network.layers import Layer

Words: TypeAlias = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""Of each band the first word of a plane, and the one behind the last: int64 (bands,) each."""


def source_span(work: Workload, layer: Layer, tiles: Span) -> Span:
    """Words of each input plane that must be there for a range of a layer's output tiles."""
    return _spans(_source_words(work, layer, (np.array([tiles.first]), np.array([tiles.end]))))[0]


def _source_words(work: Workload, layer: Layer, tiles: Words) -> Words:
    """The same for the ranges of many bands.

    Whole rows of pixels, as the engine checks them (:mod:`tlm.chip.format.band`); one word where the tiles see nothing
    but padding.
    """
    raster, lanes = work.rasters[layer.name], work.config.lanes
    (height, width), (out_height, out_width) = raster.size, raster.out_size
    stride, top = raster.stride[0], raster.pads.top
    last_pixel = np.minimum(tiles[1] * lanes, out_height * out_width) - 1
    seen_below = raster.dilation[0] * (raster.kernel[0] - 1) - top
    first_row = np.maximum(tiles[0] * lanes // out_width * stride - top, 0)
    last_row = np.minimum(last_pixel // out_width * stride + seen_below, height - 1)
    first, end = first_row * width // lanes, (last_row * width + width - 1) // lanes + 1
    nothing = first_row > last_row
    if nothing.any():
        first[nothing], end[nothing] = 0, 1
    return first, end


def _spans(words: Words) -> list[Span]:
    return list(map(Span, words[0].tolist(), words[1].tolist()))


def segment_spans(work: Workload, layers: Sequence[Layer], tiles_per_band: int) -> Sequence[Mapping[str, Span]]:
    """For each band: tensor -> its span, as :func:`segment_words` has it. Worked out once for a workload."""
    key = layers[0].name, layers[-1].name, tiles_per_band
    if key not in work.spans:
        words = segment_words(work, layers, [tiles_per_band])
        work.spans[key] = [
            dict(zip(words, band, strict=True)) for band in zip(*map(_spans, words.values()), strict=True)
        ]
    return work.spans[key]


def segment_words(work: Workload, layers: Sequence[Layer], sizes: Sequence[int]) -> dict[str, Words]:
    """For each band of the last layer's tiles the words of tensors that layers in a row need or make.

    The bands of a size together cover each layer's whole output: rows that no later layer reads are computed too, with
    the first band behind them.

    Args:
        work: the layers' network.
        layers: consecutive; no tensor that one of them makes is needed elsewhere, but for the last one's.
        sizes: tiles per band of the last layer; the bands of one size follow those of the one before.
    """
    tiles = work.plane_words[layers[-1].name]
    counts = np.array([-(-tiles // size) for size in sizes])
    last_bands = np.cumsum(counts) - 1
    first_bands = last_bands - counts + 1
    number, tiles_per_band = np.repeat(np.arange(len(sizes)), counts), np.repeat(sizes, counts)
    first = (np.arange(len(number)) - first_bands[number]) * tiles_per_band
    found: dict[str, Words] = {layers[-1].name: (first, np.minimum(first + tiles_per_band, tiles))}
    for layer in reversed(layers):
        begin, end = found[layer.name]
        end[last_bands], begin[first_bands] = work.plane_words[layer.name], 0
        if len(begin) > 1:
            apart = number * (work.plane_words[layer.name] + 1)  # no size sees the maxima of the one before
            begin[1:] = np.minimum(begin[1:], (np.maximum.accumulate(end + apart) - apart)[:-1])
        _join(found, work.network.inputs[layer.name], _source_words(work, layer, (begin, end)))
        if layer.residual is not None:
            _join(found, layer.residual, (begin.copy(), end.copy()))
    return found


def _join(found: dict[str, Words], name: str, words: Words) -> None:
    """A layer needs these words of a tensor, others perhaps more."""
    if name in found:
        words = np.minimum(found[name][0], words[0]), np.maximum(found[name][1], words[1])
    found[name] = words


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
