"""Tracks of the engine: programs, parts, groups and passes; causes; MAC array; requantiser; utilisation."""

from __future__ import annotations

import collections
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from tlm.observe.passes import PassRecord
from tlm.traces.timeline.events import Counter, Event, EventMaker, Track
from tlm.traces.timeline.levels import Level
from tlm.traces.timeline.run_view import PartView, RunView

UTILISATION = Counter("MAC utilisation", "(0..1)")

_PROGRAM_RANK, _PART_RANK, _GROUP_RANK, _PASS_RANK = range(4)


def conflict_counter(initiator: str) -> Counter:
    """Of the cycles that an initiator lost."""
    return Counter(f"conflicts of {initiator}", "(cycles)")


@dataclass(frozen=True, slots=True)
class EngineTracks:
    """Makes the events.

    Args:
        view: of the run.
        make: for the events.
    """

    view: RunView
    make: EventMaker

    # -- layers ---------------------------------------------------------------------------------------------------

    def layer_events(self) -> Iterator[Event]:
        """Programs, parts, and waits outside them."""
        level, engine = Level.LAYER.value, self.make.tracks.engine
        for index, span in enumerate(self.view.timeline.programs):
            own = [part for part in self.view.parts if span.first_cycle <= part.first_cycle <= span.last_cycle]
            args: dict[str, Any] = {"parts": [self._name(part) for part in own]}
            end_cycle = span.last_cycle + 1
            yield self.make.slice(engine, f"program {index}", span.first_cycle, end_cycle, level, args, _PROGRAM_RANK)
        for part in self.view.parts:
            name, args = self._name(part), self._part_args(part)
            yield self.make.slice(engine, name, part.first_cycle, part.end_cycle, level, args, _PART_RANK)
        names = [*map(self._name, self.view.parts), None]
        for wait in self.view.wait_spans():
            name, first, end = f"wait: {wait.cause}", wait.first_cycle, wait.end_cycle
            args = {"before": names[wait.before], "causes": {wait.cause: end - first}}
            yield self.make.slice(self.make.tracks.causes, name, first, end, level, args)

    def _name(self, part: PartView) -> str:
        return self.view.watched.program.part_name(part.tag)

    def _part_args(self, part: PartView) -> dict[str, Any]:
        program, passes = self.view.watched.program, part.passes
        layer = program.parts[part.tag].layer_index
        causes: collections.Counter[str] = collections.Counter()
        for span in self.view.array_spans(part):
            causes.update(span.causes)
        moved = {
            f"{channel}_bytes": sum(one.part_bytes.get(part.tag, 0) for one in self.view.timeline.transfers
                                    if one.channel == channel) for channel in ("load", "store")
        }  # fmt: skip
        return {
            "layer": program.network.layers[layer].name,
            "part": program.parts[part.tag].part_index,
            "parts": len(program.parts_of_layer[layer]),
            "passes": len(passes),
            "steps": sum(one.steps for one in passes),
            "fetch_cycles": sum(one.fetch_cycles for one in passes),
            "macs": sum(one.macs for one in passes),
            "causes": dict(causes),
            "bank_conflicts": {cause: count for cause, count in _conflicts(passes).items() if count},
            **moved,
            **({} if part.ended else {"unfinished": True}),
        }

    # -- passes ---------------------------------------------------------------------------------------------------

    def pass_events(self) -> Iterator[Event]:
        """Groups, passes, what happens in them, and the counters."""
        for part in self.view.parts:
            yield from self._groups(part)
            for index, one in enumerate(part.passes):
                yield from self._pass(part, index, one)
            if part.under_way_cycle is not None:
                end_cycle, name = part.end_cycle, f"pass {len(part.passes)}, not ended"
                yield self._pass_slice(self.make.tracks.engine, name, part.under_way_cycle, end_cycle, {}, _PASS_RANK)
            for span in self.view.array_spans(part):
                name = ", ".join(span.causes).replace("_", " ")
                causes, args = self.make.tracks.causes, {"causes": span.causes}
                yield self._pass_slice(causes, name, span.first_cycle, span.end_cycle, args)

    def _pass_slice(
        self, track: Track, name: str, first_cycle: int, end_cycle: int, args: Mapping[str, Any], rank: int = 5
    ) -> Event:
        return self.make.slice(track, name, first_cycle, end_cycle, Level.PASS.value, args, rank)

    def _groups(self, part: PartView) -> Iterator[Event]:
        spans = [(one.group, one.first_cycle, part.pass_end_cycle(index)) for index, one in enumerate(part.passes)]
        if part.under_way_cycle is not None:
            tiles = self.view.watched.program.parts[part.tag].tiles
            spans.append((len(part.passes) // tiles, part.under_way_cycle, part.end_cycle))
        for group, of_group in groupby(spans, key=lambda span: span[0]):
            own = list(of_group)
            args = {"group": group, "passes": len(own)}
            (_, first, _), (_, _, end) = own[0], own[-1]
            yield self._pass_slice(self.make.tracks.engine, f"group {group}", first, end, args, _GROUP_RANK)

    def _pass(self, part: PartView, index: int, one: PassRecord) -> Iterator[Event]:
        config, end = self.view.watched.system.config, part.end_cycle
        name, first, fetched, handed = f"pass {index}", one.first_cycle, one.last_fetch_cycle + 1, one.handover_cycle
        behind = part.pass_end_cycle(index)
        yield self._pass_slice(self.make.tracks.engine, name, first, behind, _pass_args(one, index), _PASS_RANK)
        full = min(fetched + config.pipeline_cycles, behind)
        # where a step that is fetched in cycle s reaches the multipliers
        into_array = first + config.pipeline_cycles + 1 - config.multiply_cycles - config.accumulate_cycles
        if one.steps and into_array < full:
            yield self._pass_slice(
                self.make.tracks.mac_array, f"compute {index}", into_array, full, {"pass": index, "steps": one.steps}
            )
        if full < behind:
            yield self._pass_slice(self.make.tracks.mac_array, f"hold {index}", full, behind, {"pass": index})
        if handed >= 0:
            written = one.last_write_cycle + 1 if one.last_write_cycle >= 0 else end
            refusals = {"refused_writes": one.refused_writes, "refused_residual_reads": one.refused_residual_reads}
            if handed + 1 < written:
                yield self._pass_slice(
                    self.make.tracks.requantiser, f"write {index}", handed + 1, written, {"pass": index, **refusals}
                )

    # -- counters -------------------------------------------------------------------------------------------------

    def utilisation(self, by_pass: bool) -> Iterator[Event]:
        """Real multiply-accumulates / (cycles x lanes x columns), of each pass from its s to the next, or of a part."""
        peak = self.view.watched.system.config.peak_macs_per_cycle
        if self.view.parts:
            yield self.make.counter(UTILISATION, 0, 0)
        for part in self.view.parts:
            if by_pass:
                for index, one in enumerate(part.passes):
                    cycles = part.next_cycle(index) - one.first_cycle
                    yield self.make.counter(UTILISATION, one.first_cycle, _share(one.macs, cycles * peak))
                if part.under_way_cycle is not None:
                    yield self.make.counter(UTILISATION, part.under_way_cycle, 0)
            else:
                cycles = part.end_cycle - part.first_cycle
                macs = sum(one.macs for one in part.passes)
                yield self.make.counter(UTILISATION, part.first_cycle, _share(macs, cycles * peak))
            yield self.make.counter(UTILISATION, part.end_cycle, 0)

    def conflicts(self, by_pass: bool) -> Iterator[Event]:
        """Cycles lost so far because a bank was taken, of each initiator that lost any."""
        lost: dict[str, list[tuple[int, int]]] = {"aligner": [], "residual": [], "write_back": []}
        for part in self.view.parts:
            for one in part.passes:
                written = one.last_write_cycle + 1 if by_pass and one.last_write_cycle >= 0 else part.end_cycle
                cycles = {"aligner": one.last_fetch_cycle + 1 if by_pass else part.end_cycle}
                for initiator, count in _conflicts([one]).items():
                    lost[initiator].append((cycles.get(initiator, written), count))
        for initiator, counts in lost.items():
            yield from running_total(self.make, conflict_counter(initiator), counts)


def running_total(make: EventMaker, counter: Counter, counts: list[tuple[int, int]]) -> Iterator[Event]:
    """A counter that grows by each (cycle, count); nothing if it never does."""
    total = 0
    for cycle, own in groupby(sorted((at, count) for at, count in counts if count), key=lambda item: item[0]):
        if not total:
            yield make.counter(counter, 0, 0)
        total += sum(count for _, count in own)
        yield make.counter(counter, cycle, total)


def _conflicts(passes: Any) -> dict[str, int]:
    """Initiator -> cycles that it lost."""
    return {
        "aligner": sum(one.fetch_cycles - one.steps for one in passes),
        "residual": sum(one.refused_residual_reads for one in passes),
        "write_back": sum(one.refused_writes for one in passes),
    }


def _pass_args(one: PassRecord, index: int) -> dict[str, Any]:
    seen = {
        "s": one.first_cycle,
        "e": one.last_fetch_cycle,
        "h": one.handover_cycle,
        "last_write": one.last_write_cycle,
    }
    return {
        "pass": index,
        "group": one.group,
        "tile": one.tile,
        "steps": one.steps,
        "fetch_cycles": one.fetch_cycles,
        "refused_writes": one.refused_writes,
        "refused_residual_reads": one.refused_residual_reads,
        "pixels": one.pixels,
        "channels": one.channels,
        **{key: cycle for key, cycle in seen.items() if cycle >= 0},
    }


def _share(part: int, whole: int) -> float:
    return round(part / whole, 6) if whole else 0
