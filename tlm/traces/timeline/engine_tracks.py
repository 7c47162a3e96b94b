"""Tracks of the engine: programs, parts, groups and passes; causes; MAC array; requantiser; counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from tlm.observe.passes import PassRecord
from tlm.observe.power import energy_shares, power_steps
from tlm.traces.timeline.events import CAUSES, ENGINE, MAC_ARRAY, REQUANTISER, Event, EventMaker, Level
from tlm.traces.timeline.run_view import PartView, RunView

_PROGRAM_RANK, _PART_RANK, _GROUP_RANK, _PASS_RANK = range(4)
_REFUSED = ("refused_writes", "refused_residual_reads")
_PASS_KEYS = ("group", "tile", "steps", "fetch_cycles", *_REFUSED, "pixels", "channels")
_PASS_CYCLES = {"s": "first_cycle", "e": "last_fetch_cycle", "h": "handover_cycle", "last_write": "last_write_cycle"}


# -- layers -----------------------------------------------------------------------------------------------------------


def layer_events(view: RunView, make: EventMaker) -> Iterator[Event]:
    """Programs, parts, and waits outside them."""
    level = Level.LAYER
    for index, program in enumerate(view.timeline.programs):
        span = program.first_cycle, program.last_cycle + 1
        args: dict[str, Any] = {"parts": [part.name for part in view.parts if span[0] <= part.span[0] < span[1]]}
        yield make.slice(level, ENGINE, f"program {index}", span, args, _PROGRAM_RANK)
    for part in view.parts:
        yield make.slice(level, ENGINE, part.name, part.span, _part_args(view, part), _PART_RANK)
    following = [*(part.name for part in view.parts), None]
    for wait in view.wait_spans():
        args = {"before": following[wait.before], "causes": wait.causes}
        yield make.slice(level, CAUSES, f"wait: {wait.cause}", (wait.first_cycle, wait.end_cycle), args)


def _part_args(view: RunView, part: PartView) -> dict[str, Any]:
    program, record = view.watched.program, part.record
    layer = program.parts[record.tag].layer_index
    causes, moved = Counter[str](), Counter[str]()
    for span in view.array_spans(part):
        causes.update(span.causes)
    for transfer in view.timeline.transfers:
        moved[transfer.channel] += transfer.part_bytes.get(record.tag, 0)
    return {
        "layer": program.network.layers[layer].name,
        "part": program.parts[record.tag].part_index,
        "parts": len(program.parts_of_layer[layer]) // program.batch,
        **({"image": program.runs[record.tag][0]} if program.batch > 1 else {}),
        "passes": len(record.passes),
        "steps": record.steps,
        "fetch_cycles": record.fetch_cycles,
        "macs": sum(one.macs for one in record.passes),
        "causes": dict(causes),
        "bank_conflicts": {initiator: count for initiator, count in record.conflicts.items() if count},
        "load_bytes": moved["load"],
        "store_bytes": moved["store"],
        **({} if record.flushed else {"unfinished": True}),
    }


# -- passes -----------------------------------------------------------------------------------------------------------


def pass_events(view: RunView, make: EventMaker) -> Iterator[Event]:
    """Groups, passes, what happens in them, and power."""
    level = Level.PASS
    for part in view.parts:
        passes = part.record.passes
        groups, count = [one.group for one in passes], len(passes)
        if part.under_way_cycle is not None:
            groups.append(count // view.watched.program.parts[part.record.tag].tiles)
            name = f"pass {count}, not ended"
            yield make.slice(level, ENGINE, name, part.pass_span(count), {}, _PASS_RANK)
        for group, of_group in groupby(range(len(groups)), key=groups.__getitem__):
            own = [part.pass_span(index) for index in of_group]
            args: dict[str, Any] = {"group": group, "passes": len(own)}
            yield make.slice(level, ENGINE, f"group {group}", (own[0][0], own[-1][1]), args, _GROUP_RANK)
        for index, one in enumerate(passes):
            yield from _pass(view, make, part, index, one)
        for span in view.array_spans(part):
            name = ", ".join(span.causes).replace("_", " ")
            yield make.slice(level, CAUSES, name, (span.first_cycle, span.end_cycle), {"causes": span.causes})
    yield from _power(view, make)


def _pass(view: RunView, make: EventMaker, part: PartView, index: int, one: PassRecord) -> Iterator[Event]:
    config, level = view.watched.system.config, Level.PASS
    first, behind = part.pass_span(index)
    args = {"pass": index, **{key: getattr(one, key) for key in _PASS_KEYS}}
    args |= {key: getattr(one, name) for key, name in _PASS_CYCLES.items() if getattr(one, name) >= 0}
    yield make.slice(level, ENGINE, f"pass {index}", (first, behind), args, _PASS_RANK)
    full = min(one.last_fetch_cycle + 1 + config.pipeline_cycles, behind)
    # where a step that is fetched in cycle s reaches the multipliers
    into_array = first + config.pipeline_cycles + 1 - config.multiply_cycles - config.accumulate_cycles
    if one.steps and into_array < full:
        args = {"pass": index, "steps": one.steps}
        yield make.slice(level, MAC_ARRAY, f"compute {index}", (into_array, full), args)
    if full < behind:
        yield make.slice(level, MAC_ARRAY, f"hold {index}", (full, behind), {"pass": index})
    written = one.last_write_cycle + 1 if one.last_write_cycle >= 0 else part.end_cycle
    if 0 <= one.handover_cycle < written - 1:
        args = {"pass": index} | {key: getattr(one, key) for key in _REFUSED}
        yield make.slice(level, REQUANTISER, f"write {index}", (one.handover_cycle + 1, written), args)


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
    changes: list[tuple[int, float]] = [(0, 0)] if view.parts else []
    for part in view.parts:
        passes = part.record.passes
        if by_pass:
            spans = [(one.first_cycle, part.next_cycle(index), one.macs) for index, one in enumerate(passes)]
            if part.under_way_cycle is not None:
                changes.append((part.under_way_cycle, 0))
        else:
            spans = [(*part.span, sum(one.macs for one in passes))]
        for first, end, macs in spans:
            changes.append((first, round(macs / ((end - first) * peak), 6) if first < end else 0))
        changes.append((part.end_cycle, 0))
    for cycle, value in changes:
        yield make.counter("MAC utilisation", "(0..1)", cycle, value)


def conflicts(view: RunView, make: EventMaker, by_pass: bool) -> Iterator[Event]:
    """Cycles lost so far because a bank was taken, of each initiator that lost any."""
    lost: dict[str, list[tuple[int, int]]] = {"aligner": [], "residual": [], "write_back": []}
    for part in view.parts:
        for one in part.record.passes:
            fetched = one.last_fetch_cycle + 1 if by_pass else part.end_cycle
            written = one.last_write_cycle + 1 if by_pass and one.last_write_cycle >= 0 else part.end_cycle
            for initiator, count in one.conflicts.items():
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
