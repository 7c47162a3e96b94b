"""Where tensors lie in AMem: by liveness, and among the possible bases by predicted cycles (engine.md, Layout).

A layer's write-back can starve if it goes to the bank that the aligner reads; so for every output each bank that its
base could fall into is tried with the lowest free address there, and the fastest one is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tlm.chip.config import ChipConfig
from tlm.chip.packing import ACCUMULATOR_PLANES, plane_words
from tlm.core.errors import CompileError
from tlm.layers import INPUT, Conv2d
from tlm.network import Network, TensorInfo

Cost = Callable[[int, Sequence[int]], Sequence[int]]
"""cost(layer index, candidate output bases) -> predicted compute cycles of each; the other tensors are placed."""


@dataclass(frozen=True, slots=True)
class TensorPlace:
    """A tensor's words in AMem, its own from when it is written to the end of ``last_layer``."""

    name: str
    base_word: int
    words: int
    last_layer: int
    """Index of the last layer that reads it; the number of layers for the network's output, which is stored then."""

    @property
    def end_word(self) -> int:
        """First word behind it."""
        return self.base_word + self.words


def tensor_words(tensor: TensorInfo, lanes: int) -> int:
    """AMem words that a tensor occupies; six planes for accumulator output."""
    channels, height, width = tensor.shape
    return channels * plane_words(height, width, lanes) * (ACCUMULATOR_PLANES if tensor.accumulator else 1)


class Layout:
    """Places tensors one after another, in the order of the layers.

    Args:
        network: what is placed.
        config: AMem's words, banks and lanes.
    """

    def __init__(self, network: Network, config: ChipConfig) -> None:
        self._network = network
        self._config = config
        self._last_use = _last_uses(network)
        self.places: dict[str, TensorPlace] = {}

    def place_all(self, cost: Cost) -> Mapping[str, TensorPlace]:
        """Place every tensor.

        Raises:
            CompileError: the tensors that must be in AMem at the same time do not fit.
        """
        try:
            self._place_fastest(cost)
        except CompileError as refusal:
            self.places.clear()
            try:
                self._place_tightly()
            except CompileError:
                raise refusal from None
        return self.places

    def _place_fastest(self, cost: Cost) -> None:
        """One tensor after another from the bottom, each in the bank where its layer is fastest."""
        self._place(self._network.tensors[INPUT], 0)
        for index, layer in enumerate(self._network.layers):
            bases = self._candidates(index, layer, from_top=False)
            costs = cost(index, bases) if len(bases) > 1 else [0]
            self._place(self._network.tensors[layer.name], min(zip(costs, bases, strict=True))[1])

    def _place_tightly(self) -> None:
        """In turn from the top and the bottom, whatever the bank, so that gaps are as large as can be."""
        self._place(self._network.tensors[INPUT], 0)
        for index, layer in enumerate(self._network.layers):
            from_top = index % 2 == 0
            bases = self._candidates(index, layer, from_top)
            self._place(self._network.tensors[layer.name], max(bases) if from_top else min(bases))

    def _place(self, tensor: TensorInfo, base_word: int) -> None:
        words = tensor_words(tensor, self._config.lanes)
        if words > self._config.amem_words:
            raise CompileError(self._does_not_fit(tensor.name, words, []))
        self.places[tensor.name] = TensorPlace(tensor.name, base_word, words, self._last_use[tensor.name])

    def _candidates(self, index: int, layer: Conv2d, from_top: bool) -> list[int]:
        words = tensor_words(self._network.tensors[layer.name], self._config.lanes)
        live = [place for place in self.places.values() if place.last_layer >= index]
        bases = self._free_bases(live, words, from_top)
        overlay = self._overlay(index, layer)
        if overlay is not None and overlay not in bases:
            bases.append(overlay)
        if not bases:
            raise CompileError(self._does_not_fit(layer.name, words, live))
        return bases

    def _free_bases(self, live: Sequence[TensorPlace], words: int, from_top: bool) -> list[int]:
        """For each bank the lowest (or highest) base in it at which ``words`` words are free."""
        banks, last = self._config.amem_banks, self._config.amem_words - words
        bases = []
        for bank in range(banks):
            if from_top:
                starts = {last, *(place.base_word - words for place in live)}
                found = sorted((start - (start - bank) % banks for start in starts), reverse=True)
            else:
                starts = {0, *(place.end_word for place in live)}
                found = sorted(start + (bank - start) % banks for start in starts)
            free = (b for b in found if 0 <= b <= last and not any(_overlap(b, b + words, p) for p in live))
            bases += [*free][:1]
        return sorted(bases)

    def _overlay(self, index: int, layer: Conv2d) -> int | None:
        """The base of the residual, if this layer may write over it: its last use, and not its input as well."""
        if layer.residual is None or self._network.input_of(layer).name == layer.residual:
            return None
        place = self.places[layer.residual]
        return place.base_word if place.last_layer == index else None

    def _does_not_fit(self, name: str, words: int, live: Sequence[TensorPlace]) -> str:
        held = ", ".join(f"{place.name} {place.words}" for place in live)
        return (
            f"tensor {name!r} needs {words} consecutive AMem words, but chip.amem_words is {self._config.amem_words}"
            f"{f' and these tensors are still needed: {held}' if held else ''}; "
            "use smaller maps or fewer channels, or enlarge the memory"
        )


def _overlap(first_word: int, end_word: int, place: TensorPlace) -> bool:
    return first_word < place.end_word and place.base_word < end_word


def _last_uses(network: Network) -> dict[str, int]:
    last = {INPUT: -1}
    for index, layer in enumerate(network.layers):
        last[layer.name] = index
        last[network.input_of(layer).name] = index
        if layer.residual is not None:
            last[layer.residual] = index
    last[network.output.name] = len(network.layers)
    return last
