"""What the signals of a waveform of passes show when, from what was recorded: the same in every fidelity."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from operator import itemgetter
from typing import TypeAlias

from tlm.observe.cause_spans import cause_spans
from tlm.observe.passes import PartRecord, PassRecord
from tlm.observe.power import energy_shares, power_steps
from tlm.observe.timeline import Timeline
from tlm.observe.timeline_builder import timeline
from tlm.observe.watched import Watched
from tlm.traces.waves import labels
from tlm.traces.waves.signals import Totals, Value, part_scope

Change: TypeAlias = tuple[int, str, Value]
"""A signal's new value: (first cycle, name, value)."""

SEQUENCER, ARRAY, REQUANTISER = "engine.sequencer", "engine.mac_array", "engine.requantiser"


def pass_changes(watched: Watched) -> list[Change]:
    """All changes until now, in the order of time; of two for the same signal and cycle the later one counts."""
    seen = timeline(watched.recorder, watched.program)
    changes = [
        *_host(seen),
        *_transfers(watched, seen),
        *_programs(watched, seen),
        *_causes(watched),
        *_parts(watched),
        *_power(watched, seen),
    ]
    return sorted(changes, key=itemgetter(0))


# -- around the engine ------------------------------------------------------------------------------------------------


def _host(seen: Timeline) -> Iterator[Change]:
    for span in seen.host:
        yield span.first_cycle, "host.state", span.state
        yield span.first_cycle, "host.waits_for", span.waits_for or "-"


def _transfers(watched: Watched, seen: Timeline) -> Iterator[Change]:
    totals = Totals()
    khz, cycles = watched.system.config.clock_khz, watched.recorder.recorded_cycles
    for span in seen.transfers:
        scope, first, end = f"dma.{span.channel}", span.first_cycle, span.last_cycle + 1
        yield first, f"{scope}.busy", 1
        yield first, f"{scope}.transfer", labels.short_label(span.label)
        yield first, f"{scope}.sram", span.sram
        yield first, f"{scope}.mb_per_s", round(span.moved_bytes * khz / (end - first) / 1000, 3)
        if end >= cycles:  # under way when the run failed
            continue
        yield end, f"{scope}.busy", 0
        yield end, f"{scope}.transfer", "-"
        yield end, f"{scope}.sram", "-"
        yield end, f"{scope}.mb_per_s", 0.0
        yield end, f"host.irq_{span.channel}", 1
        yield end, f"{scope}.bytes", totals.add(f"{scope}.bytes", span.moved_bytes)
        for tag, count in span.part_bytes.items():
            name = f"{part_scope(watched.program, tag)}.{span.channel}_bytes"
            yield end, name, totals.add(name, count)


def _power(watched: Watched, seen: Timeline) -> Iterator[Change]:
    for step in power_steps(energy_shares(watched, seen), watched.system.config.clock_khz):
        yield step.first_cycle, "power.core_mw", step.core_mw
        yield step.first_cycle, "power.off_chip_mw", step.off_chip_mw


# -- the engine -------------------------------------------------------------------------------------------------------


def _programs(watched: Watched, seen: Timeline) -> Iterator[Change]:
    for span in seen.programs:
        end = span.last_cycle + 1
        yield span.first_cycle, "engine.running", 1
        yield span.first_cycle, f"{SEQUENCER}.state", "header"
        if end < watched.recorder.recorded_cycles:
            yield end, "engine.running", 0
            yield end, f"{SEQUENCER}.state", "idle"
            yield end, "host.irq_engine", 1


def _causes(watched: Watched) -> Iterator[Change]:
    known_cycles = 0
    for span in cause_spans(watched.recorder, watched.system.config):
        known_cycles = span.end_cycle
        yield span.first_cycle, "engine.cause", span.cause
        yield span.first_cycle, "engine.activity", span.cause if span.of_pass is None else "computing"
    if known_cycles < watched.recorder.recorded_cycles:  # the run failed in a part
        yield known_cycles, "engine.cause", "-"
        yield known_cycles, "engine.activity", "-"


def _parts(watched: Watched) -> Iterator[Change]:
    program, totals = watched.program, Totals()
    for part in watched.recorder.parts.values():
        if not part.passes:
            continue
        scope = part_scope(program, part.tag)
        yield part.first_cycle, f"{SEQUENCER}.layer", program.part_name(part.tag)
        yield part.first_cycle, f"{scope}.active", 1
        yield from _passes(watched, part, scope, totals)
        yield from _write_backs(part, totals)
        if part.flushed:
            end = part.last_write_cycle + 1
            yield end, f"{SEQUENCER}.layer", "-"
            yield end, f"{scope}.active", 0
            yield end, f"{ARRAY}.utilisation", 0.0
            yield end, f"{SEQUENCER}.state", "header"
            for name in ("pass", "group", "tile"):
                yield end, f"{SEQUENCER}.{name}", None


def _passes(watched: Watched, part: PartRecord, scope: str, totals: Totals) -> Iterator[Change]:
    tiles = watched.program.parts[part.tag].tiles
    end = part.last_write_cycle if part.flushed else part.last_seen_cycle
    starts = [*(one.first_cycle for one in part.passes), end + 1]
    for index, (one, (first, after)) in enumerate(zip(part.passes, pairwise(starts), strict=True)):
        yield first, f"{SEQUENCER}.pass", index
        yield first, f"{SEQUENCER}.group", index // tiles
        yield first, f"{SEQUENCER}.tile", index % tiles
        yield from _pass(watched, one, after)
        if one.handover_cycle >= 0:  # else the run failed in it
            conflicts = one.fetch_cycles - one.steps
            for name, count in (
                (f"{ARRAY}.steps", one.steps),
                ("engine.aligner.bank_conflict_cycles", conflicts),
                (f"{scope}.passes", 1),
                (f"{scope}.steps", one.steps),
                (f"{scope}.bank_conflict_cycles", conflicts),
            ):
                yield one.handover_cycle, name, totals.add(name, count)


def _pass(watched: Watched, one: PassRecord, end: int) -> Iterator[Change]:
    config, first, handover = watched.system.config, one.first_cycle, one.handover_cycle
    fetched = one.last_fetch_cycle + 1
    yield first, f"{SEQUENCER}.state", "steps"
    yield first, f"{ARRAY}.state", "compute"
    yield first, f"{ARRAY}.busy", 1
    yield first, f"{ARRAY}.utilisation", round(one.macs / (config.peak_macs_per_cycle * (end - first)), 6)
    yield fetched, f"{SEQUENCER}.state", "drain"
    if handover >= 0:
        ready = fetched + config.pipeline_cycles
        if ready < handover:
            yield ready, f"{ARRAY}.hold", 1
            yield handover, f"{ARRAY}.hold", 0
        yield handover + 1, f"{ARRAY}.state", "idle"
        yield handover + 1, f"{ARRAY}.busy", 0
        yield handover + 1, f"{SEQUENCER}.state", "gap"


def _write_backs(part: PartRecord, totals: Totals) -> Iterator[Change]:
    handed_over = [one for one in part.passes if one.handover_cycle >= 0]
    for index, one in enumerate(handed_over):
        first, end = one.handover_cycle + 1, one.last_write_cycle + 1
        yield first, f"{REQUANTISER}.state", "writes"
        yield first, f"{REQUANTISER}.busy", 1
        yield first, f"{REQUANTISER}.pass", index
        if one is handed_over[-1] and not one.written:  # the run failed in it
            return
        yield end, f"{REQUANTISER}.state", "idle"
        yield end, f"{REQUANTISER}.busy", 0
        for what in ("refused_writes", "refused_residual_reads"):
            name = f"{REQUANTISER}.{what}"
            yield end, name, totals.add(name, getattr(one, what))
