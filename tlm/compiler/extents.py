"""How much of its tensors a segment reads and writes if it is cut into bands of some size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from math import lcm

import numpy as np
from msgspec import Struct

from tlm.compiler.bands import band_sizes, segment_words
from tlm.compiler.costs import LayerCosts
from tlm.compiler.workload import Workload

_AT_ONCE = 8
"""Sizes of bands that are worked out together: hardly dearer than one."""


class Extent(Struct, frozen=True):
    """The words of a segment's bands."""

    bands: int
    largest: Mapping[str, int]
    """Tensor -> words of its largest window, of one plane."""
    total: Mapping[str, int]
    """Tensor -> words of its windows together, of one plane."""
    compute_cycles: int
    """But for what each part of the last layer adds."""


class Extents:
    """Works out each extent once.

    Args:
        work: what is compiled.
        costs: of each layer.
    """

    def __init__(self, work: Workload, costs: Sequence[LayerCosts]) -> None:
        self._work, self._costs = work, costs
        self._known: dict[tuple[int, int, int], Extent] = {}
        self._sizes: dict[int, list[int]] = {}

    def sizes(self, index: int) -> list[int]:
        """Tiles per band of a layer that are worth trying, the largest first, the smallest possible last."""
        if index not in self._sizes:
            name, lanes = self._work.network.layers[index].name, self._work.config.lanes
            width, tiles = self._work.network.tensors[name].shape[2], self._work.plane_words[name]
            self._sizes[index] = band_sizes(tiles, self._work.grain, lcm(width, lanes) // lanes)
        return self._sizes[index]

    def of(self, first: int, last: int, size: int) -> Extent:
        """Of layers first .. last in bands of so many tiles of the last one, one of its :meth:`sizes`."""
        key = first, last, size
        if key not in self._known:
            sizes = self.sizes(last)
            begin = sizes.index(size) // _AT_ONCE * _AT_ONCE
            own = sizes[begin : begin + _AT_ONCE]
            self._known.update(
                zip([(first, last, one) for one in own], self._worked_out(first, last, own), strict=True)
            )
        return self._known[key]

    def _worked_out(self, first: int, last: int, sizes: Sequence[int]) -> Iterator[Extent]:
        layers, grain = self._work.network.layers[first : last + 1], self._work.grain
        found = segment_words(self._work, layers, sizes)
        made = {layer.name for layer in layers}
        begin, end = (np.array(words) for words in zip(*found.values(), strict=True))
        if grain > 1:
            loaded = [name not in made for name in found]
            begin[loaded] -= begin[loaded] % grain
        words, tiles = end - begin, self._work.plane_words[layers[-1].name]
        counts = [-(-tiles // size) for size in sizes]
        first_bands = [0, *accumulate(counts[:-1])]
        largest, total = (what.reduceat(words, first_bands, axis=1).T.tolist() for what in (np.maximum, np.add))
        costs = self._costs[first : last + 1]
        further_cycles = sum(len(own.ranges) * own.part_cycles for own in costs[:-1])
        for bands, most, all_words in zip(counts, largest, total, strict=True):
            of_all = dict(zip(found, all_words, strict=True))
            cycles = sum(of_all[layer.name] * own.pass_cycles for layer, own in zip(layers, costs, strict=True))
            yield Extent(bands, dict(zip(found, most, strict=True)), of_all, cycles + further_cycles * bands)
