"""Tracks of the engine: programs, parts, groups and passes; causes; MAC array; requantiser; counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from tlm.observe.passes import PassRecord
from tlm.observe.power import energy_shares, power_steps
from tlm.traces.timeline.events import CAUSES, ENGINE, MAC_ARRAY, REQUANTISER, Event, EventMaker, Level
from tlm.traces.timeline.run_view import PartView, RunView

_PROGRAM_RANK, _PART_RANK, _GROUP_RANK, _PASS_RANK = range(4)
_UTILISATION = "MAC utilisation", "(0..1)"


# -- layers -----------------------------------------------------------------------------------------------------------


def layer_events(view: RunView, make: EventMaker) -> Iterator[Event]:
    """Programs, parts, and waits outside them."""
    level = Level.LAYER
    for index, span in enumerate(view.timeline.programs):
        first, end = span.first_cycle, span.last_cycle + 1
        args: dict[str, Any] = {"parts": [part.name for part in view.parts if first <= part.first_cycle < end]}
        yield make.slice(level, ENGINE, f"program {index}", first, end, args, _PROGRAM_RANK)
    for part in view.parts:
        args = _part_args(view, part)
        yield make.slice(level, ENGINE, part.name, part.first_cycle, part.end_cycle, args, _PART_RANK)
    following = [*(part.name for part in view.parts), None]
    for wait in view.wait_spans():
        first, end = wait.first_cycle, wait.end_cycle
        args = {"before": following[wait.before], "causes": {wait.cause: end - first}}
        yield make.slice(level, CAUSES, f"wait: {wait.cause}", first, end, args)


def _part_args(view: RunView, part: PartView) -> dict[str, Any]:
    program, passes = view.watched.program, part.passes
    layer = program.parts[part.tag].layer_index
    causes: Counter[str] = Counter()
    for span in view.array_spans(part):
        causes.update(span.causes)
    moved = Counter[str]()
    for transfer in view.timeline.transfers:
        moved[transfer.channel] += transfer.part_bytes.get(part.tag, 0)
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
        "load_bytes": moved["load"],
        "store_bytes": moved["store"],
        **({} if part.ended else {"unfinished": True}),
    }


# -- passes -----------------------------------------------------------------------------------------------------------


def pass_events(view: RunView, make: EventMaker) -> Iterator[Event]:
    """Groups, passes, what happens in them, and power."""
    level = Level.PASS
    for part in view.parts:
        spans = [(one.group, one.first_cycle, part.pass_end_cycle(index)) for index, one in enumerate(part.passes)]
        under_way, count = part.under_way_cycle, len(part.passes)
        if under_way is not None:
            spans.append((count // view.watched.program.parts[part.tag].tiles, under_way, part.end_cycle))
            name = f"pass {count}, not ended"
            yield make.slice(level, ENGINE, name, under_way, part.end_cycle, {}, _PASS_RANK)
        for group, of_group in groupby(spans, key=lambda span: span[0]):
            own = list(of_group)
            args = {"group": group, "passes": len(own)}
            yield make.slice(level, ENGINE, f"group {group}", own[0][1], own[-1][2], args, _GROUP_RANK)
        for index in range(count):
            yield from _pass(view, make, part, index)
        for span in view.array_spans(part):
            name = ", ".join(span.causes).replace("_", " ")
            yield make.slice(level, CAUSES, name, span.first_cycle, span.end_cycle, {"causes": span.causes})
    yield from _power(view, make)


def _pass(view: RunView, make: EventMaker, part: PartView, index: int) -> Iterator[Event]:
    config, level, one = view.watched.system.config, Level.PASS, part.passes[index]
    first, behind = one.first_cycle, part.pass_end_cycle(index)
    yield make.slice(level, ENGINE, f"pass {index}", first, behind, _pass_args(one, index), _PASS_RANK)
    full = min(one.last_fetch_cycle + 1 + config.pipeline_cycles, behind)
    # where a step that is fetched in cycle s reaches the multipliers
    into_array = first + config.pipeline_cycles + 1 - config.multiply_cycles - config.accumulate_cycles
    if one.steps and into_array < full:
        args = {"pass": index, "steps": one.steps}
        yield make.slice(level, MAC_ARRAY, f"compute {index}", into_array, full, args)
    if full < behind:
        yield make.slice(level, MAC_ARRAY, f"hold {index}", full, behind, {"pass": index})
    written = one.last_write_cycle + 1 if one.last_write_cycle >= 0 else part.end_cycle
    if 0 <= one.handover_cycle < written - 1:
        args = {
            "pass": index,
            "refused_writes": one.refused_writes,
            "refused_residual_reads": one.refused_residual_reads,
        }
        yield make.slice(level, REQUANTISER, f"write {index}", one.handover_cycle + 1, written, args)


def _pass_args(one: PassRecord, index: int) -> dict[str, Any]:
    seen = {
        "s": one.first_cycle,
        "e": one.last_fetch_cycle,
        "h": one.handover_cycle,
        "last_write": one.last_write_cycle,
    }
    own = ("group", "tile", "steps", "fetch_cycles", "refused_writes", "refused_residual_reads", "pixels", "channels")
    return {
        "pass": index,
        **{key: getattr(one, key) for key in own},
        **{key: cycle for key, cycle in seen.items() if cycle >= 0},
    }


# -- counters ---------------------------------------------------------------------------------------------------------


def _power(view: RunView, make: EventMaker) -> Iterator[Event]:
    """Each change of the core's and of the off-chip memory's power; the integral is the energy of the result."""
    steps = power_steps(energy_shares(view.watched, view.timeline), make.clock_khz)
    for name, values in (
        ("core power", [(step.first_cycle, step.core_mw) for step in steps]),
        ("off-chip power", [(step.first_cycle, step.off_chip_mw) for step in steps]),
    ):
        for value, same in groupby(values, key=lambda item: item[1]):
            cycle, _ = next(same)
            if cycle < view.cycles:
                yield make.counter(name, "(mW)", cycle, value)


def utilisation(view: RunView, make: EventMaker, by_pass: bool) -> Iterator[Event]:
    """Real multiply-accumulates / (cycles x lanes x columns), of each pass from its s to the next, or of a part."""
    peak = view.watched.system.config.peak_macs_per_cycle
    if view.parts:
        yield make.counter(*_UTILISATION, 0, 0)
    for part in view.parts:
        if by_pass:
            spans = [(one.first_cycle, part.next_cycle(index), one.macs) for index, one in enumerate(part.passes)]
            if part.under_way_cycle is not None:
                yield make.counter(*_UTILISATION, part.under_way_cycle, 0)
        else:
            spans = [(part.first_cycle, part.end_cycle, sum(one.macs for one in part.passes))]
        for first, end, macs in spans:
            share = round(macs / ((end - first) * peak), 6) if first < end else 0
            yield make.counter(*_UTILISATION, first, share)
        yield make.counter(*_UTILISATION, part.end_cycle, 0)


def conflicts(view: RunView, make: EventMaker, by_pass: bool) -> Iterator[Event]:
    """Cycles lost so far because a bank was taken, of each initiator that lost any."""
    lost: dict[str, list[tuple[int, int]]] = {"aligner": [], "residual": [], "write_back": []}
    for part in view.parts:
        for one in part.passes:
            fetched = one.last_fetch_cycle + 1 if by_pass else part.end_cycle
            written = one.last_write_cycle + 1 if by_pass and one.last_write_cycle >= 0 else part.end_cycle
            for initiator, count in _conflicts([one]).items():
                lost[initiator].append((fetched if initiator == "aligner" else written, count))
    for initiator, counts in lost.items():
        yield from running_total(make, initiator, counts)


def running_total(make: EventMaker, initiator: str, counts: list[tuple[int, int]]) -> Iterator[Event]:
    """The conflicts of an initiator, which grow by each (cycle, count); nothing if there are none."""
    name, unit, total = f"conflicts of {initiator}", "(cycles)", 0
    for cycle, own in groupby(sorted((at, count) for at, count in counts if count), key=lambda item: item[0]):
        if not total:
            yield make.counter(name, unit, 0, 0)
        total += sum(count for _, count in own)
        yield make.counter(name, unit, cycle, total)


def _conflicts(passes: Sequence[PassRecord]) -> dict[str, int]:
    """Initiator -> cycles that it lost."""
    return {
        "aligner": sum(one.fetch_cycles - one.steps for one in passes),
        "residual": sum(one.refused_residual_reads for one in passes),
        "write_back": sum(one.refused_writes for one in passes),
    }
