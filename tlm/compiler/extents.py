"""How much of its tensors a segment reads and writes if it is cut into bands of some size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tlm.compiler.bands import segment_words
from tlm.compiler.costs import LayerCosts
from tlm.compiler.workload import Workload


@dataclass(frozen=True, slots=True)
class Extent:
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

    def of(self, first: int, last: int, size: int) -> Extent:
        """Of layers first .. last in bands of so many tiles of the last one."""
        key = first, last, size
        if key not in self._known:
            self._known[key] = self._worked_out(*key)
        return self._known[key]

    def _worked_out(self, first: int, last: int, size: int) -> Extent:
        layers, grain = self._work.network.layers[first : last + 1], self._work.grain
        found = segment_words(self._work, layers, size)
        made = {layer.name for layer in layers}
        begin, end = (np.array(words) for words in zip(*found.values(), strict=True))
        if grain > 1:
            loaded = [name not in made for name in found]
            begin[loaded] -= begin[loaded] % grain
        words = end - begin
        largest = dict(zip(found, words.max(axis=1).tolist(), strict=True))
        total = dict(zip(found, words.sum(axis=1).tolist(), strict=True))
        bands, costs = words.shape[1], self._costs[first : last + 1]
        cycles = sum(total[layer.name] * own.pass_cycles for layer, own in zip(layers, costs, strict=True))
        cycles += sum(len(own.ranges) * own.part_cycles for own in costs[:-1]) * bands
        return Extent(bands, largest, total, cycles)
