"""What the signals of a waveform of passes show when, from what was recorded: the same in every fidelity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from operator import itemgetter
from typing import TypeAlias

from tlm.observe.cause_spans import cause_spans
from tlm.observe.passes import PartRecord, PassRecord
from tlm.observe.power import bandwidth_mb_per_s, energy_shares, power_steps
from tlm.observe.timeline import TransferSpan
from tlm.observe.timeline_builder import timeline
from tlm.observe.watched import Watched
from tlm.traces.waves import labels
from tlm.traces.waves.pass_signals import pass_signals
from tlm.traces.waves.signal_kinds import Value, part_scope

Change: TypeAlias = tuple[int, str, Value]
"""A signal's new value: (first cycle, name, value)."""

_SEQUENCER, _ARRAY, _REQUANTISER = "engine.sequencer", "engine.mac_array", "engine.requantiser"


def pass_changes(watched: Watched) -> list[Change]:
    """All changes until now, in the order of time; of two for the same signal and cycle the later one counts."""
    return sorted(_Changes(watched).all(), key=itemgetter(0))


class _Changes:
    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._seen = timeline(watched.recorder, watched.program)
        self._cycles = watched.recorder.recorded_cycles
        self._idle = {signal.name: signal.init for signal in pass_signals(watched.program, watched.system.config)}
        """What signals show while nothing happens."""
        self._totals: Counter[str] = Counter()

    def all(self) -> Iterator[Change]:
        for host in self._seen.host:
            yield host.first_cycle, "host.state", host.state
            yield host.first_cycle, "host.waits_for", host.waits_for or "-"
        for transfer in self._seen.transfers:
            yield from self._transfer(transfer)
        for program in self._seen.programs:
            end = program.last_cycle + 1
            yield from self._during(program.first_cycle, end, {"engine.running": 1, f"{_SEQUENCER}.state": "header"})
            if end < self._cycles:
                yield end, "host.irq_engine", 1
        yield from self._causes()
        for part in self._watched.recorder.parts.values():
            if part.passes:
                yield from self._part(part)
        for step in power_steps(energy_shares(self._watched, self._seen), self._watched.system.config.clock_khz):
            yield step.first_cycle, "power.core_mw", step.core_mw
            yield step.first_cycle, "power.off_chip_mw", step.off_chip_mw

    def _during(self, first: int, end: int, values: Mapping[str, Value]) -> Iterator[Change]:
        """Values that fall back when something has ended; what was under way when the run failed has no end."""
        for name, value in values.items():
            yield first, name, value
        if end < self._cycles:
            for name in values:
                yield end, name, self._idle[name]

    def _grow(self, cycle: int, counts: Mapping[str, int]) -> Iterator[Change]:
        """Totals that grow."""
        for name, count in counts.items():
            self._totals[name] += count
            yield cycle, name, self._totals[name]

    def _transfer(self, span: TransferSpan) -> Iterator[Change]:
        scope, first, end = f"dma.{span.channel}", span.first_cycle, span.last_cycle + 1
        shown: dict[str, Value] = {
            f"{scope}.busy": 1,
            f"{scope}.transfer": labels.short_label(span.label),
            f"{scope}.sram": span.sram,
            f"{scope}.mb_per_s": bandwidth_mb_per_s(
                span.moved_bytes, end - first, self._watched.system.config.clock_khz
            ),
        }
        yield from self._during(first, end, shown)
        if end < self._cycles:
            yield end, f"host.irq_{span.channel}", 1
            yield from self._grow(end, {f"{scope}.bytes": span.moved_bytes})
            for tag, count in span.part_bytes.items():
                yield from self._grow(end, {f"{part_scope(self._watched.program, tag)}.{span.channel}_bytes": count})

    def _causes(self) -> Iterator[Change]:
        known_cycles = 0
        for span in cause_spans(self._watched.recorder, self._watched.system.config):
            known_cycles = span.end_cycle
            yield span.first_cycle, "engine.cause", span.cause
            yield span.first_cycle, "engine.activity", span.cause if span.of_pass is None else "computing"
        if known_cycles < self._cycles:  # the run failed in a part
            yield known_cycles, "engine.cause", "-"
            yield known_cycles, "engine.activity", "-"

    def _part(self, part: PartRecord) -> Iterator[Change]:
        program = self._watched.program
        scope, tiles = part_scope(program, part.tag), program.parts[part.tag].tiles
        yield part.first_cycle, f"{_SEQUENCER}.layer", program.part_name(part.tag)
        yield part.first_cycle, f"{scope}.active", 1
        end = part.end_cycle if part.flushed else part.last_seen_cycle + 1
        starts = [*(one.first_cycle for one in part.passes), end]
        for index, (one, (first, after)) in enumerate(zip(part.passes, pairwise(starts), strict=True)):
            for name, value in (("pass", index), ("group", index // tiles), ("tile", index % tiles)):
                yield first, f"{_SEQUENCER}.{name}", value
            yield from self._pass(one, after)
            if one.handover_cycle >= 0:  # else the run failed in it
                conflicts = one.conflicts["aligner"]
                counts = {f"{_ARRAY}.steps": one.steps, "engine.aligner.bank_conflict_cycles": conflicts}
                counts |= {
                    f"{scope}.passes": 1,
                    f"{scope}.steps": one.steps,
                    f"{scope}.bank_conflict_cycles": conflicts,
                }
                yield from self._grow(one.handover_cycle, counts)
        yield from self._write_backs([one for one in part.passes if one.handover_cycle >= 0])
        if part.flushed:
            yield end, f"{_SEQUENCER}.layer", "-"
            yield end, f"{scope}.active", 0
            yield end, f"{_ARRAY}.utilisation", 0.0
            yield end, f"{_SEQUENCER}.state", "header"
            for name in ("pass", "group", "tile"):
                yield end, f"{_SEQUENCER}.{name}", None

    def _pass(self, one: PassRecord, end: int) -> Iterator[Change]:
        config, first, handover = self._watched.system.config, one.first_cycle, one.handover_cycle
        fetched = one.last_fetch_cycle + 1
        yield first, f"{_SEQUENCER}.state", "steps"
        yield first, f"{_ARRAY}.state", "compute"
        yield first, f"{_ARRAY}.busy", 1
        yield first, f"{_ARRAY}.utilisation", round(one.macs / (config.peak_macs_per_cycle * (end - first)), 6)
        yield fetched, f"{_SEQUENCER}.state", "drain"
        if handover >= 0:
            if fetched + config.pipeline_cycles < handover:
                yield fetched + config.pipeline_cycles, f"{_ARRAY}.hold", 1
                yield handover, f"{_ARRAY}.hold", 0
            yield handover + 1, f"{_ARRAY}.state", "idle"
            yield handover + 1, f"{_ARRAY}.busy", 0
            yield handover + 1, f"{_SEQUENCER}.state", "gap"

    def _write_backs(self, handed_over: list[PassRecord]) -> Iterator[Change]:
        for index, one in enumerate(handed_over):
            first, end = one.handover_cycle + 1, one.last_write_cycle + 1
            yield first, f"{_REQUANTISER}.state", "writes"
            yield first, f"{_REQUANTISER}.busy", 1
            yield first, f"{_REQUANTISER}.pass", index
            if one is handed_over[-1] and not one.written:  # the run failed in it
                return
            yield end, f"{_REQUANTISER}.state", "idle"
            yield end, f"{_REQUANTISER}.busy", 0
            counts = {key: getattr(one, key) for key in ("refused_writes", "refused_residual_reads")}
            yield from self._grow(end, {f"{_REQUANTISER}.{key}": count for key, count in counts.items()})
