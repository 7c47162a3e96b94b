"""The choice of segments: which tensors stay on chip, which layers run band by band together, by predicted cycles.

This is dynamic programming over the layers. A state says which of the tensors that are still needed lie in AMem before
a layer. A step from one state to another is a segment of at most :data:`MAX_LAYERS` layers. A segment's cost is
estimated in closed form (:mod:`tlm.compiler.costs`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, combinations, islice

from tlm.chip.config import ChipConfig
from tlm.compiler.bands import band_sizes, output_tiles, segment_spans, tile_bands
from tlm.compiler.costs import LayerCosts, load_cycles, store_cycles
from tlm.compiler.places import load_grain, planes_per_channel, tensor_planes, tensor_words
from tlm.compiler.segments import Liveness, Segment, reads
from tlm.core.errors import CompileError
from tlm.network.layers import INPUT
from tlm.network.network import Network

MAX_LAYERS = 4
"""Layers that may be computed band by band together."""


@dataclass(frozen=True, slots=True)
class _Extent:
    """The words that a segment reads and writes if it is cut into bands of some size."""

    bands: int
    largest: dict[str, int]
    """Tensor -> words of its largest window, of one plane."""
    total: dict[str, int]
    """Tensor -> words of its windows together, of one plane."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """A segment before it is decided how to cut it."""

    first: int
    last: int
    evict: tuple[str, ...]
    load: tuple[str, ...]
    stream: frozenset[str]
    keep_output: bool
    resident_words: int
    """AMem words of the tensors that are there throughout."""
    overlays: bool
    """The output takes the words of the residual that it consumes."""


_State = frozenset[str]


class Planner:
    """Plans one network for one chip.

    Args:
        network: what is planned.
        config: the chip.
        costs: of each layer.
        budget_words: AMem words that may be used; fewer than there are leave room for gaps between tensors.
    """

    def __init__(self, network: Network, config: ChipConfig, costs: Sequence[LayerCosts], budget_words: int) -> None:
        self._network = network
        self._config = config
        self._costs = costs
        self._budget = budget_words
        self._live = Liveness(network)
        self._grain = load_grain(config)
        self._sizes = {name: tensor_words(info, config.lanes) for name, info in network.tensors.items()}
        self._planes = {name: tensor_planes(info) for name, info in network.tensors.items()}
        self._extents: dict[tuple[int, int, int], _Extent] = {}

    def plan(self) -> tuple[Segment, ...]:
        """The segments of the cheapest plan.

        Raises:
            CompileError: a layer does not fit; the message says what it needs.
        """
        count = len(self._network.layers)
        best: list[dict[_State, tuple[float, _State, Segment | None]]] = [{} for _ in range(count + 1)]
        best[0][frozenset()] = (0.0, frozenset(), None)
        for index in range(count):
            for state, (cost, _, _) in best[index].items():
                for segment, more, after in self._options(index, state):
                    known = best[segment.last + 1].get(after)
                    if known is None or cost + more < known[0]:
                        best[segment.last + 1][after] = (cost + more, state, segment)
        if not best[count]:
            raise self._does_not_fit(max(index for index in range(count) if best[index]))
        segments: list[Segment] = []
        state = min(best[count], key=lambda other: best[count][other][0])
        index = count
        while index:
            _, before, found = best[index][state]
            assert found is not None  # only the start has none
            segments.append(found)
            index, state = found.first, before
        return tuple(reversed(segments))

    # -- what can come next ---------------------------------------------------------------------------------------

    def _options(self, first: int, state: _State) -> Iterator[tuple[Segment, float, _State]]:
        in_turn = 0
        for last in range(first, min(first + MAX_LAYERS, len(self._network.layers))):
            in_turn += in_turn == last - first and self._fits_in_turn(first, last, state)
            easy = in_turn == last - first + 1
            if last > first and (easy or not self._live.closed(first, last)):
                continue
            after = self._live.live(last + 1)
            frames = self._frames(first, last, state)
            for frame in islice(frames, 1) if easy else frames:
                found = self._cheapest_cut(frame)
                if found is not None:
                    kept = (state - set(frame.evict)) | set(frame.load)
                    output = {self._network.layers[last].name} if frame.keep_output else set()
                    yield (*found, (kept | output) & after)

    def _fits_in_turn(self, first: int, last: int, state: _State) -> bool:
        """Whether layers first .. last can run one after another, everything whole, nothing evicted.

        Then nothing is gained by other ways to run them, and the first of :meth:`_frames` is the only one looked at.
        """
        resident = set(state)
        for index in range(first, last + 1):
            output = self._network.layers[index].name
            resident |= set(self._live.inputs(index, index))
            words = sum(self._sizes[name] for name in resident)
            words += 0 if self._overlays(index, index, frozenset(resident), True) else self._sizes[output]
            if words > self._budget:
                return False
            resident = {name for name in (*resident, output) if self._live.last_use(name) > index}
        return True

    def _frames(self, first: int, last: int, state: _State) -> Iterator[_Frame]:
        inputs = self._live.inputs(first, last)
        idle = sorted(state - set(inputs), key=lambda name: (-self._live.next_use(name, first), name))
        present = [name for name in inputs if name in state]
        for dropped in reversed(_subsets(present)):
            missing = [name for name in inputs if name not in state]
            for load in _subsets(missing):
                for evicted in range(len(idle) + 1):
                    evict = (*idle[:evicted], *dropped)
                    resident = (state - set(evict)) | set(load)
                    for keep_output in (True, False):
                        yield _Frame(
                            first, last, evict, load, (frozenset(missing) - set(load)) | set(dropped), keep_output,
                            sum(self._sizes[name] for name in resident),
                            self._overlays(first, last, resident, keep_output),
                        )  # fmt: skip

    def _overlays(self, first: int, last: int, resident: frozenset[str], keep_output: bool) -> bool:
        residual = self._network.layers[last].residual
        if residual is None or keep_output != (residual in resident) or self._live.produced[residual] >= first:
            return False
        inside = [name for index in range(first, last + 1) for name in reads(self._network, index)]
        return inside.count(residual) == 1 and (not keep_output or self._live.last_use(residual) == last)

    # -- cutting --------------------------------------------------------------------------------------------------

    def _cheapest_cut(self, frame: _Frame) -> tuple[Segment, float] | None:
        """For each way to double and to divide the output the fewest bands that fit; of these the cheapest."""
        moves = bool(frame.stream) or not frame.keep_output
        sizes = band_sizes(
            output_tiles(self._network, self._network.layers[frame.last], self._config.lanes), self._grain
        )
        if frame.last > frame.first:
            sizes = sizes[1:]
        elif not moves:
            sizes = sizes[:1]
        best: tuple[Segment, float] | None = None
        for double in (True, False) if moves else (False,):
            for most_groups in self._divisions(frame):
                place = bisect_left(sizes, True, key=partial(self._fits, frame, most_groups, double))
                if place == len(sizes):
                    continue
                segment, cost = self._priced(frame, sizes[place], most_groups, double)
                if best is None or cost < best[1]:
                    best = segment, cost
        return best

    def _fits(self, frame: _Frame, most_groups: int | None, double: bool, size: int) -> bool:
        return self._words(frame, size, most_groups, double) <= self._budget

    def _divisions(self, frame: _Frame) -> Iterator[int | None]:
        """Limits to the groups of a part: none, a half, a quarter .. one."""
        yield None
        if not frame.keep_output or any(self._is_piecewise(frame, name) for name in frame.stream):
            groups = sum(one.count for one in self._costs[frame.last].ranges)
            while groups > 1:
                groups = -(-groups // 2)
                yield groups

    def _words(self, frame: _Frame, size: int, most_groups: int | None, double: bool) -> int:
        """AMem words that are needed at the same time."""
        extent, output = self._extent(frame.first, frame.last, size), self._network.layers[frame.last].name
        inside = [layer.name for layer in self._network.layers[frame.first : frame.last]]
        words = frame.resident_words + sum(extent.largest[name] * self._planes[name] for name in inside)
        moving = 0
        for name in frame.stream:
            moving += extent.largest[name] * self._stream_planes(frame, name, most_groups)
        if not frame.overlays:
            if frame.keep_output:
                words += self._sizes[output]
            else:
                moving += extent.largest[output] * self._part_planes(frame.last, most_groups)
        return words + moving * (2 if double else 1)

    def _stream_planes(self, frame: _Frame, name: str, most_groups: int | None) -> int:
        """Planes of a streamed tensor that are there at the same time."""
        if not self._is_piecewise(frame, name):
            return self._planes[name]
        if name == self._network.layers[frame.last].residual:
            return self._part_planes(frame.last, most_groups)
        return self._part_inputs(frame.last, most_groups)

    def _is_piecewise(self, frame: _Frame, name: str) -> bool:
        return self._live.is_piecewise(frame.first, frame.last, name, self._costs[frame.last].own_inputs)

    def _part_planes(self, index: int, most_groups: int | None) -> int:
        """Planes of the output that the largest part of a layer writes."""
        layer = self._network.layers[index]
        channels = max(one.channels for one in self._costs[index].ranges)
        if most_groups is not None:
            channels = min(channels, most_groups * self._config.columns)
        return channels * planes_per_channel(self._network.tensors[layer.name])

    def _part_inputs(self, index: int, most_groups: int | None) -> int:
        """Input planes that the largest part of a layer reads, if each reads its own."""
        ranges = self._costs[index].ranges
        channels = max(one.in_channels for one in ranges)
        if most_groups is not None and max(one.count for one in ranges) > 1:  # pooling: as many as outputs
            channels = min(channels, most_groups * self._config.columns)
        return channels

    def _extent(self, first: int, last: int, size: int) -> _Extent:
        key = (first, last, size)
        if key not in self._extents:
            self._extents[key] = self._measured(first, last, size)
        return self._extents[key]

    def _measured(self, first: int, last: int, size: int) -> _Extent:
        layers, lanes = self._network.layers[first : last + 1], self._config.lanes
        bands = tile_bands(output_tiles(self._network, layers[-1], lanes), size)
        largest: dict[str, int] = {}
        total: dict[str, int] = {}
        made = {layer.name for layer in layers}
        for spans in segment_spans(self._network, layers, bands, lanes):
            for name, span in spans.items():
                words = (span if name in made else span.aligned(self._grain)).words
                largest[name] = max(largest.get(name, 0), words)
                total[name] = total.get(name, 0) + words
        return _Extent(len(bands), largest, total)

    # -- price ----------------------------------------------------------------------------------------------------

    def _priced(self, frame: _Frame, size: int, most_groups: int | None, double: bool) -> tuple[Segment, float]:
        config, extent = self._config, self._extent(frame.first, frame.last, size)
        compute = parts = 0
        for index in range(frame.first, frame.last + 1):
            costs, name = self._costs[index], self._network.layers[index].name
            limit = most_groups if index == frame.last else None
            own = sum(-(-one.count // (limit or one.count)) for one in costs.ranges)
            parts += own * extent.bands
            compute += extent.total[name] * costs.pass_cycles + own * extent.bands * costs.part_cycles
        weights = self._weight_cycles(frame, extent.bands)
        reads_in = sum(self._stream_cycles(name, extent) for name in frame.stream)
        weights_outer = False
        ranges = len(self._costs[frame.last].ranges)
        if frame.first == frame.last and extent.bands > 1 and ranges > 1:
            once = self._weight_cycles(frame, 1)
            weights_outer = once + reads_in * ranges < weights + reads_in
            if weights_outer:
                weights, reads_in = once, reads_in * ranges
        output = self._network.layers[frame.last].name
        writes = 0 if frame.keep_output else self._store_cycles(output, extent)
        if double:
            cost = max(compute, reads_in + weights, writes) + (reads_in + writes) / extent.bands
        else:
            cost = max(compute, weights) + reads_in + writes
        moved = [name for name in frame.evict if name != INPUT] + list(frame.load)
        cost += sum(load_cycles(self._sizes[name] * config.amem_word_bytes, config) for name in moved)
        segment = Segment(
            first=frame.first,
            last=frame.last,
            tiles_per_band=size,
            evict=frame.evict,
            load=frame.load,
            stream=tuple(sorted(frame.stream)),
            keep_output=frame.keep_output,
            most_groups=most_groups,
            double=double,
            weights_outer=weights_outer,
        )
        return segment, cost

    def _weight_cycles(self, frame: _Frame, bands: int) -> int:
        """Loading weights and instructions; weights that fit WMem together are loaded once."""
        costs = self._costs[frame.first : frame.last + 1]
        once = sum(one.weight_words for one in costs) <= self._config.wmem_words
        size_bytes = sum(one.weight_bytes * (1 if once else bands) + one.instruction_bytes * bands for one in costs)
        return load_cycles(size_bytes, self._config)

    def _stream_cycles(self, name: str, extent: _Extent) -> int:
        size_bytes = extent.total[name] * self._planes[name] * self._config.amem_word_bytes
        return load_cycles(size_bytes, self._config, rows=self._planes[name] * extent.bands)

    def _store_cycles(self, name: str, extent: _Extent) -> int:
        word_bytes, planes = self._config.amem_word_bytes, self._planes[name]
        size_bytes = extent.total[name] * planes * word_bytes
        return store_cycles(size_bytes, self._config, word_bytes, rows=planes * extent.bands)

    # -- refusal --------------------------------------------------------------------------------------------------

    def _does_not_fit(self, index: int) -> CompileError:
        network, layer, lanes = self._network, self._network.layers[index], self._config.lanes
        source = network.inputs[layer.name]
        extent = self._extent(index, index, self._grain)
        rows = extent.largest[source]
        piecewise = self._live.is_piecewise(index, index, source, self._costs[index].own_inputs)
        channels = self._part_inputs(index, 1) if piecewise else self._planes[source]
        slots = min(self._config.columns, layer.out_channels) * planes_per_channel(network.tensors[layer.name])
        band_words = min(self._grain, output_tiles(network, layer, lanes))
        of_output = slots * band_words
        over = ", which lies over the residual's" if layer.residual not in (None, source) else ""
        fewer = "use narrower maps, fewer input channels or a smaller kernel, "
        remedy = fewer if of_output < self._config.amem_words else "use fewer output channels, "
        tiles = "a tile" if band_words == 1 else f"{band_words} tiles"
        return CompileError(
            f"layer {layer.name!r}: even in bands of {tiles} of {lanes} pixels it needs "
            f"{channels * rows} AMem words for the rows of {source!r} that a band sees ({channels} channels of {rows} "
            f"words), {of_output} for the output of one group of channels{over}, but chip.amem_words is "
            f"{self._config.amem_words}; {remedy}or enlarge the memory"
        )


def _subsets(names: Sequence[str]) -> list[tuple[str, ...]]:
    """All subsets, the largest first."""
    sizes = range(len(names), -1, -1)
    return list(chain.from_iterable(combinations(names, size) for size in sizes))
