"""The choice of segments: which tensors stay on chip, which layers run band by band together, by predicted cycles.

This is dynamic programming over the layers. A state says which of the tensors that are still needed lie in AMem before
a layer. A step from one state to another is a segment of at most :data:`MAX_LAYERS` layers. A segment's cost is
estimated in closed form (:mod:`tlm.compiler.costs`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import accumulate, chain
from math import inf
from typing import Any, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from tlm.compiler.costs import LayerCosts
from tlm.compiler.extents import Extent, Extents
from tlm.compiler.liveness import reads
from tlm.compiler.segments import Segment, subsets
from tlm.compiler.workload import Workload
from tlm.core.errors import CompileError
from tlm.network.layers import INPUT

MAX_LAYERS = 4
"""Layers that may be computed band by band together."""

_SIZES = 2
"""Sizes of bands, from the largest that fits, that are priced."""


class _Frame(Struct, frozen=True):
    """A segment that is not cut yet."""

    segment: Segment
    resident_words: int
    """AMem words of the tensors that are there throughout."""
    overlays: bool
    """The output takes the words of the residual that it consumes."""


class _Cut(NamedTuple):
    """How a segment is cut."""

    budget_words: int
    used_words: int
    """The most AMem words of anything that fitted in the search."""
    cheapest: tuple[Segment, float] | None
    """With its cost; None: nothing fits."""


_State = frozenset[str]


class Plan(NamedTuple):
    """Segments of all layers."""

    segments: tuple[Segment, ...]
    costs_cycles: tuple[float, ...]
    """In closed form, for each layer up to the end of its segment."""


class Planner:
    """Plans one network for one chip.

    Args:
        work: what is planned.
        costs: of each layer.
        batch: images.
    """

    def __init__(self, work: Workload, costs: Sequence[LayerCosts], batch: int = 1) -> None:
        self._work = work
        self._layers = work.network.layers
        self._costs = costs
        self._batch = batch
        self._live = work.live
        self._extents = Extents(work, costs)
        self._cuts: dict[_Frame, _Cut] = {}
        self._largest = [
            (max(one.channels for one in own.ranges), max(one.in_channels for one in own.ranges),
             max(one.count for one in own.ranges)) for own in costs
        ]  # fmt: skip
        """Of each layer the most output channels, input channels and groups of a part."""
        self._weight_words = [0, *accumulate(weights.word_count for weights in work.weights)]
        self._instruction_bytes = [0, *accumulate(own.instruction_bytes for own in costs)]
        """Both of all layers before each, and of all."""
        self._budget = 0
        self.used_words = 0
        """The most AMem words of anything that fitted in the last plan's search: with as many it would be the same."""
        self._shared_from = len(self._layers)
        self._hides = False

    def plan(
        self,
        budget_words: int,
        shared_from: int | None = None,
        hides: bool = False,
        most_cycles: Sequence[float] | None = None,
    ) -> Plan:
        """The cheapest plan.

        Args:
            budget_words: AMem words that may be used; fewer than there are leave room for gaps between tensors.
            shared_from: layers from this one on are to run part by part for all images of a batch; by default none.
            hides: also price bands of what would fit whole, if they hide a load of the input or the store of the
                output; of a batch the image before hides it better.
            most_cycles: of each layer, what a plan may cost at most up to the end of its segment.

        Raises:
            CompileError: a layer does not fit; the message says what it needs. Or every plan costs more.
        """
        self._budget, self._hides, self.used_words = budget_words, hides and self._batch == 1, 0
        self._shared_from = len(self._layers) if shared_from is None else shared_from
        count = len(self._layers)
        best: list[dict[_State, tuple[float, _State, Segment | None]]] = [{} for _ in range(count + 1)]
        best[0][frozenset()] = (0.0, frozenset(), None)
        for index in range(count):
            for state, (cost, _, _) in best[index].items():
                for segment, more in self._options(index, state):
                    last = segment.last
                    if most_cycles is not None and cost + more > most_cycles[last]:
                        continue
                    output = {self._layers[last].name} if segment.keep_output else set()
                    after = (state.difference(segment.evict).union(segment.load, output)) & self._live.live[last + 1]
                    known = best[last + 1].get(after)
                    if known is None or cost + more < known[0]:
                        best[last + 1][after] = (cost + more, state, segment)
        if not best[count]:
            raise self._does_not_fit(max(index for index in range(count) if best[index]))
        segments, costs_cycles = list[Segment](), list[float]()
        state = min(best[count], key=lambda other: best[count][other][0])
        index = count
        while index:
            cost, before, found = best[index][state]
            assert found is not None  # only the start has none
            segments.append(found)
            costs_cycles += [cost] * (index - found.first)
            index, state = found.first, before
        return Plan(tuple(reversed(segments)), tuple(reversed(costs_cycles)))

    # -- what can come next ---------------------------------------------------------------------------------------

    def _options(self, first: int, state: _State) -> Iterator[tuple[Segment, float]]:
        """Segments that may begin with a layer, each with its cost."""
        if first >= self._shared_from:
            evict, stream = tuple(sorted(state)), tuple(sorted(self._live.inputs(first, first)))
            shared = Segment(first, first, 0, evict, (), stream, keep_output=False, weights_outer=True)
            found = self._cheapest_cut(_Frame(shared, 0, self._overlays(first, first, frozenset(), False)))
            if found is not None:
                yield found
            return
        end = min(first + MAX_LAYERS, self._shared_from)
        easy_end = self._end_in_turn(first, end, state)
        for last in range(first, end):
            easy = last < easy_end
            if last > first and ((easy and not self._moves(first, last, state)) or not self._live.closed(first, last)):
                continue
            for frame in self._easy_frames(first, last, state) if easy else self._frames(first, last, state):
                found = self._cheapest_cut(frame)
                if found is not None:
                    yield found

    def _moves(self, first: int, last: int, state: _State) -> bool:
        """Whether something has to be moved that bands are to hide: an input from off-chip, the network's output."""
        missing = not state.issuperset(self._live.inputs(first, last))
        return self._hides and (last == len(self._layers) - 1 or missing)

    def _end_in_turn(self, first: int, end: int, state: _State) -> int:
        """The layer before which layers first .. can run one after another, everything whole, nothing evicted.

        Then nothing is gained by giving up words, and only :meth:`_easy_frames` are looked at.
        """
        resident = set(state)
        for index in range(first, end):
            output = self._layers[index].name
            resident |= set(reads(self._work.network, index))
            words = sum(self._work.words[name] for name in resident)
            words += 0 if self._overlays(index, index, resident, True) else self._work.words[output]
            if not self._is_within(words):
                return index
            resident = {name for name in (*resident, output) if self._live.last_use(name) > index}
        return end

    def _easy_frames(self, first: int, last: int, state: _State) -> Iterator[_Frame]:
        """Nothing gives up its words; what is off-chip is loaded whole, or window by window."""
        missing = tuple(name for name in self._live.inputs(first, last) if name not in state)
        for load in (missing, ()) if missing and self._hides else (missing,):
            resident = state.union(load)
            stream = tuple(sorted(set(missing).difference(load)))
            words = sum(self._work.words[name] for name in resident)
            yield _Frame(Segment(first, last, 0, (), load, stream), words, self._overlays(first, last, resident, True))

    def _frames(self, first: int, last: int, state: _State) -> Iterator[_Frame]:
        inputs = self._live.inputs(first, last)
        idle = sorted(state - set(inputs), key=lambda name: (-self._live.next_use(name, first), name))
        present = [name for name in inputs if name in state]
        missing = [name for name in inputs if name not in state]
        for dropped in reversed(subsets(present)):
            for load in subsets(missing):
                for evicted in range(len(idle) + 1):
                    evict = (*idle[:evicted], *dropped)
                    resident = state.difference(evict).union(load)
                    stream = tuple(sorted({*missing, *dropped}.difference(load)))
                    words = sum(self._work.words[name] for name in resident)
                    for keep_output in (True, False):
                        segment = Segment(first, last, 0, evict, load, stream, keep_output)
                        yield _Frame(segment, words, self._overlays(first, last, resident, keep_output))

    def _overlays(self, first: int, last: int, resident: Set[str], keep_output: bool) -> bool:
        residual = self._layers[last].residual
        if residual is None or keep_output != (residual in resident) or self._live.produced[residual] >= first:
            return False
        uses = sum(first <= index <= last for index in self._live.consumers[residual])
        return uses == 1 and (not keep_output or self._live.last_use(residual) == last)

    # -- cutting --------------------------------------------------------------------------------------------------

    def _cheapest_cut(self, frame: _Frame) -> tuple[Segment, float] | None:
        """The cheapest way to cut a segment; one that was found for more AMem if all that was looked at fits."""
        known = self._cuts.get(frame)
        if known is None or not known.used_words <= self._budget <= known.budget_words:
            before, self.used_words = self.used_words, 0
            cheapest = self._cut(frame)
            known = self._cuts[frame] = _Cut(self._budget, self.used_words, cheapest)
            self.used_words = before
        self.used_words = max(self.used_words, known.used_words)
        return known.cheapest

    def _cut(self, frame: _Frame) -> tuple[Segment, float] | None:
        """For each way to double and to divide the output the fewest bands that fit; of these the cheapest."""
        segment = frame.segment
        moves = bool(segment.stream) or not segment.keep_output
        moves |= self._batch == 1 and segment.last == len(self._layers) - 1
        sizes = self._extents.sizes(segment.last)
        if segment.last > segment.first:
            sizes = sizes[1:]
        elif not moves:
            sizes = sizes[:1]
        least, best = inf, dict[str, Any]()
        for double in (True, False) if moves else (False,):
            place = len(sizes)
            for most_groups in self._divisions(segment):  # the smaller the parts, the larger the bands that fit
                fixed_words, planes = self._needs(frame, most_groups, double)
                before, place = place, self._first_fit(segment, fixed_words, list(planes.items()), sizes[:place])
                if place == before:  # the same bands in more parts cost more
                    continue
                for size in sizes[place : place + _SIZES]:
                    cost, weights_outer = self._price(segment, size, most_groups, double, least)
                    if cost < least:
                        least, best = cost, {
                            "tiles_per_band": size, "most_groups": most_groups, "double": double,
                            "weights_outer": weights_outer,
                        }  # fmt: skip
                if place == 0:
                    break
        return (replace(segment, **best), least) if best else None

    def _divisions(self, segment: Segment) -> Iterator[int | None]:
        """Limits to the groups of a part: none, a half, a quarter .. one."""
        yield None
        if not segment.keep_output or any(self._is_piecewise(segment, name) for name in segment.stream):
            groups = self._work.weights[segment.last].groups
            while groups > 1:
                groups = -(-groups // 2)
                yield groups

    def _needs(self, frame: _Frame, most_groups: int | None, double: bool) -> tuple[int, Mapping[str, int]]:
        """What must be in AMem at the same time: words that do not depend on bands, and planes of windows."""
        segment, times = frame.segment, 2 if double else 1
        output, words = self._layers[segment.last].name, frame.resident_words
        planes = {layer.name: self._work.planes[layer.name] for layer in self._layers[segment.first : segment.last]}
        for name in segment.stream:
            planes[name] = planes.get(name, 0) + times * self._stream_planes(segment, name, most_groups)
        if segment.keep_output and not frame.overlays:
            words += self._work.words[output]
        elif not frame.overlays:
            planes[output] = planes.get(output, 0) + times * self._largest_part(segment.last, most_groups)[0]
        return words, planes

    def _first_fit(
        self, segment: Segment, fixed_words: int, planes: Sequence[tuple[str, int]], sizes: Sequence[int]
    ) -> int:
        """Where the first size is whose words are within the budget, at the end if none is.

        A larger one may need fewer words than a smaller one: bands of whole rows do.
        """
        if not planes:
            return 0 if self._is_within(fixed_words) else len(sizes)
        extent_of, first, last, budget = self._extents.of, segment.first, segment.last, self._budget
        for at, size in enumerate(sizes if fixed_words <= budget else ()):
            words, largest = fixed_words, extent_of(first, last, size).largest
            for name, count in planes:
                words += largest[name] * count
            if words <= budget:
                self.used_words = max(self.used_words, words)
                return at
        return len(sizes)

    def _is_within(self, words: int) -> bool:
        """Whether so many AMem words are within the budget."""
        if words > self._budget:
            return False
        self.used_words = max(self.used_words, words)
        return True

    def _stream_planes(self, segment: Segment, name: str, most_groups: int | None) -> int:
        """Planes of a streamed tensor that are there at the same time."""
        if not self._is_piecewise(segment, name):
            return self._work.planes[name]
        outputs, inputs = self._largest_part(segment.last, most_groups)
        return outputs if name == self._layers[segment.last].residual else inputs

    def _is_piecewise(self, segment: Segment, name: str) -> bool:
        return self._live.is_piecewise(segment.first, segment.last, name, self._costs[segment.last].own_inputs)

    def _largest_part(self, index: int, most_groups: int | None) -> tuple[int, int]:
        """Planes that the largest part of a layer writes, and reads if each part reads its own."""
        outputs, inputs, groups = self._largest[index]
        if most_groups is not None and groups > 1:  # pooling: as many inputs as outputs
            limit = most_groups * self._work.config.columns
            outputs, inputs = min(outputs, limit), min(inputs, limit)
        return outputs * self._work.per_channel[self._layers[index].name], inputs

    # -- price ----------------------------------------------------------------------------------------------------

    def _price(
        self, segment: Segment, size: int, most_groups: int | None, double: bool, least: float
    ) -> tuple[float, bool]:
        """The cost of a segment that is cut so, infinite if not below the least; whether weights stay for all bands."""
        work, extent, last = self._work, self._extents.of(segment.first, segment.last, size), self._costs[segment.last]
        parts = sum(-(-one.count // most_groups) for one in last.ranges) if most_groups else len(last.ranges)
        compute = extent.compute_cycles + parts * extent.bands * last.part_cycles
        if compute >= least:
            return inf, False
        weights = self._weight_cycles(segment, extent.bands)
        reads_in = writes = 0
        for name in segment.stream:
            size_bytes, rows = self._moved(name, extent)
            reads_in += work.chip_costs.load_cycles(size_bytes, rows)
        if not segment.keep_output:
            size_bytes, rows = self._moved(self._layers[segment.last].name, extent)
            writes = work.chip_costs.store_cycles(size_bytes, rows)
        ranges, moves, weights_outer = len(last.ranges), extent.bands, segment.weights_outer
        if weights_outer:  # shared: weights are loaded once for all images
            weights, reads_in = self._weight_cycles(segment, 1) // self._batch, reads_in * ranges
            moves *= self._batch * ranges
        elif segment.first == segment.last and extent.bands > 1 and ranges > 1:
            once = self._weight_cycles(segment, 1)
            if once + reads_in * ranges < weights + reads_in:
                weights_outer = True
                weights, reads_in = once, reads_in * ranges
        if double:
            cost = max(compute, reads_in + weights, writes) + (reads_in + writes) / moves
        else:
            cost = max(compute, weights) + reads_in + writes
        for name in chain((name for name in segment.evict if name != INPUT), segment.load):
            cost += work.chip_costs.load_cycles(work.words[name] * work.config.amem_word_bytes)
        return cost, weights_outer

    def _weight_cycles(self, segment: Segment, bands: int) -> int:
        """Loading weights and instructions; weights that fit WMem together are loaded once."""
        config, first, end = self._work.config, segment.first, segment.last + 1
        words = self._weight_words[end] - self._weight_words[first]
        times = 1 if words <= config.wmem_words else bands
        instructions = self._instruction_bytes[end] - self._instruction_bytes[first]
        size_bytes = words * config.wmem_word_bytes * times + instructions * bands
        return self._work.chip_costs.load_cycles(size_bytes)

    def _moved(self, name: str, extent: Extent) -> tuple[int, int]:
        """Bytes and rows that transfers of all windows of a tensor move."""
        planes = self._work.planes[name]
        return extent.total[name] * planes * self._work.config.amem_word_bytes, planes * extent.bands

    # -- refusal --------------------------------------------------------------------------------------------------

    def _does_not_fit(self, index: int) -> CompileError:
        work, layer = self._work, self._layers[index]
        lanes, amem_words = work.config.lanes, work.config.amem_words
        source, alone = work.network.inputs[layer.name], Segment(index, index, work.grain)
        rows = self._extents.of(index, index, work.grain).largest[source]
        channels = self._largest_part(index, 1)[1] if self._is_piecewise(alone, source) else work.planes[source]
        band_words = min(work.grain, work.plane_words[layer.name])
        of_output = work.group_slots(layer) * band_words
        over = ", which lies over the residual's" if layer.residual not in (None, source) else ""
        fewer = "use narrower maps, fewer input channels or a smaller kernel, "
        remedy = fewer if of_output < amem_words else "use fewer output channels, "
        tiles = "a tile" if band_words == 1 else f"{band_words} tiles"
        return CompileError(
            f"layer {layer.name!r}: even in bands of {tiles} of {lanes} pixels it needs "
            f"{channels * rows} AMem words for the rows of {source!r} that a band sees ({channels} channels of {rows} "
            f"words), {of_output} for the output of one group of channels{over}, but chip.amem_words is "
            f"{amem_words}; {remedy}or enlarge the memory"
        )
