"""The signals of a waveform of passes and their changes, from what was recorded: the same in every fidelity."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from vcd.writer import Variable

from tlm.observe.cause_spans import cause_spans
from tlm.observe.passes import PartRecord, PassRecord
from tlm.observe.power import energy_shares, power_steps
from tlm.observe.timeline import Timeline, TransferSpan
from tlm.observe.timeline_builder import timeline
from tlm.observe.watched import Watched
from tlm.traces.waves import labels
from tlm.traces.waves.layer_signals import LayerSignals, layer_signals
from tlm.traces.waves.variables import BY_CYCLE, Change, Totals, Variables

Changes: TypeAlias = Iterator[Change]


class PassSignals:
    """Declares the variables of the blocks in a dump.

    Args:
        variables: of a dump that has not started.
        watched: the run.
    """

    def __init__(self, variables: Variables, watched: Watched) -> None:
        self._watched = watched
        self._layers = layer_signals(variables, watched.program)
        state, text, number = variables.state, variables.text, variables.integer
        self._host = state("host", "state", "run"), state("host", "waits_for")
        self._irqs = {unit: variables.event("host", f"irq_{unit}") for unit in ("load", "store", "engine")}
        self._busy = {c: variables.bits(f"dma.{c}", "busy") for c in ("load", "store")}
        self._transfer = {c: text(f"dma.{c}", "transfer") for c in self._busy}
        self._sram = {c: state(f"dma.{c}", "sram") for c in self._busy}
        self._bytes = {c: number(f"dma.{c}", "bytes") for c in self._busy}
        self._bandwidth = {c: variables.real(f"dma.{c}", "mb_per_s") for c in self._busy}
        self._running = variables.bits("engine", "running")
        self._activity, self._cause = state("engine", "activity", "host"), state("engine", "cause", "host")
        self._layer = text("engine.sequencer", "layer")
        self._sequencer = state("engine.sequencer", "state", "idle")
        self._place = [number("engine.sequencer", name, None) for name in ("pass", "group", "tile")]
        self._conflicts = number("engine.aligner", "bank_conflict_cycles")
        self._array, self._steps = state("engine.mac_array", "state", "idle"), number("engine.mac_array", "steps")
        self._busy_array = variables.bits("engine.mac_array", "busy")
        self._hold = variables.bits("engine.mac_array", "hold")
        self._utilisation = variables.real("engine.mac_array", "utilisation")
        self._requantiser = state("engine.requantiser", "state", "idle")
        self._writing = variables.bits("engine.requantiser", "busy")
        self._drained = number("engine.requantiser", "pass", None)
        self._refused = [number("engine.requantiser", f"refused_{what}") for what in ("writes", "residual_reads")]
        self._power = variables.real("power", "core_mw"), variables.real("power", "off_chip_mw")

    def changes(self) -> list[Change]:
        """All changes until now, in the order of time; of two for the same variable and cycle the later one counts."""
        seen = timeline(self._watched.recorder, self._watched.program)
        groups = (
            self._of_host(seen), self._of_transfers(seen), self._of_programs(seen), self._of_causes(),
            self._of_parts(), self._of_power(seen),
        )  # fmt: skip
        return sorted((change for group in groups for change in group), key=BY_CYCLE)

    # -- around the engine ----------------------------------------------------------------------------------------

    def _of_host(self, seen: Timeline) -> Changes:
        state, waits_for = self._host
        for span in seen.host:
            yield Change(span.first_cycle, state, labels.code(span.state))
            yield Change(span.first_cycle, waits_for, labels.code(span.waits_for or "-"))

    def _of_transfers(self, seen: Timeline) -> Changes:
        totals = Totals()
        khz, cycles = self._watched.system.config.clock_khz, self._watched.recorder.recorded_cycles
        for span in seen.transfers:
            channel, end = span.channel, span.last_cycle + 1
            bandwidth = round(span.moved_bytes * khz / (end - span.first_cycle) / 1000, 3)
            yield Change(span.first_cycle, self._busy[channel], 1)
            yield Change(span.first_cycle, self._transfer[channel], labels.short_label(span.label))
            yield Change(span.first_cycle, self._sram[channel], labels.code(span.sram))
            yield Change(span.first_cycle, self._bandwidth[channel], bandwidth)
            if end < cycles:
                yield from self._end_of_transfer(span, end, totals)

    def _end_of_transfer(self, span: TransferSpan, end: int, totals: Totals) -> Changes:
        channel, parts = span.channel, self._watched.program.parts
        yield Change(end, self._busy[channel], 0)
        yield Change(end, self._transfer[channel], "-")
        yield Change(end, self._sram[channel], labels.code("-"))
        yield Change(end, self._bandwidth[channel], 0.0)
        yield Change(end, self._irqs[channel], 1)
        yield totals.add(end, self._bytes[channel], span.moved_bytes)
        for tag, count in span.part_bytes.items():
            layer = self._layers[parts[tag].layer_index]
            yield totals.add(end, layer.load_bytes if channel == "load" else layer.store_bytes, count)

    # -- the engine -----------------------------------------------------------------------------------------------

    def _of_programs(self, seen: Timeline) -> Changes:
        cycles = self._watched.recorder.recorded_cycles
        for span in seen.programs:
            yield Change(span.first_cycle, self._running, 1)
            yield Change(span.first_cycle, self._sequencer, labels.code("header"))
            if span.last_cycle + 1 < cycles:
                end = span.last_cycle + 1
                yield Change(end, self._running, 0)
                yield Change(end, self._sequencer, labels.code("idle"))
                yield Change(end, self._irqs["engine"], 1)

    def _of_causes(self) -> Changes:
        recorder, known_cycles = self._watched.recorder, 0
        for span in cause_spans(recorder, self._watched.system.config):
            known_cycles = span.end_cycle
            yield Change(span.first_cycle, self._cause, labels.code(span.cause))
            activity = span.cause if span.of_pass is None else "computing"
            yield Change(span.first_cycle, self._activity, labels.code(activity))
        if known_cycles < recorder.recorded_cycles:  # the run failed in a part
            yield Change(known_cycles, self._cause, labels.code("-"))
            yield Change(known_cycles, self._activity, labels.code("-"))

    def _of_parts(self) -> Changes:
        program, totals = self._watched.program, Totals()
        for part in self._watched.recorder.parts.values():
            if not part.passes:
                continue
            layer = self._layers[program.parts[part.tag].layer_index]
            yield Change(part.first_cycle, self._layer, program.part_name(part.tag))
            yield Change(part.first_cycle, layer.active, 1)
            yield from self._of_passes(part, layer, totals)
            yield from self._of_write_backs(part, totals)
            if part.flushed:
                end = part.last_write_cycle + 1
                yield Change(end, self._layer, "-")
                yield Change(end, layer.active, 0)
                yield Change(end, self._utilisation, 0.0)
                yield Change(end, self._sequencer, labels.code("header"))
                yield from (Change(end, variable, None) for variable in self._place)

    def _of_passes(self, part: PartRecord, layer: LayerSignals, totals: Totals) -> Changes:
        tiles = self._watched.program.parts[part.tag].tiles
        ends = [after.first_cycle for after in part.passes[1:]]
        ends.append(part.last_write_cycle + 1 if part.flushed else part.last_seen_cycle + 1)
        for index, (one, end) in enumerate(zip(part.passes, ends, strict=True)):
            yield from self._of_pass(one, index, tiles, end)
            if one.handover_cycle >= 0:  # else the run failed in it
                at, conflicts = one.handover_cycle, one.fetch_cycles - one.steps
                yield totals.add(at, self._steps, one.steps)
                yield totals.add(at, self._conflicts, conflicts)
                yield totals.add(at, layer.passes, 1)
                yield totals.add(at, layer.steps, one.steps)
                yield totals.add(at, layer.bank_conflict_cycles, conflicts)

    def _of_pass(self, one: PassRecord, index: int, tiles: int, end: int) -> Changes:
        first, behind = one.first_cycle, one.last_fetch_cycle + 1
        for variable, value in zip(self._place, (index, index // tiles, index % tiles), strict=True):
            yield Change(first, variable, value)
        yield Change(first, self._sequencer, labels.code("steps"))
        yield Change(first, self._array, labels.code("compute"))
        yield Change(first, self._busy_array, 1)
        peak = self._watched.system.config.peak_macs_per_cycle * (end - first)
        yield Change(first, self._utilisation, round(one.macs / peak, 6))
        yield Change(behind, self._sequencer, labels.code("drain"))
        if one.handover_cycle >= 0:
            ready = behind + self._watched.system.config.pipeline_cycles
            if ready < one.handover_cycle:
                yield Change(ready, self._hold, 1)
                yield Change(one.handover_cycle, self._hold, 0)
            yield Change(one.handover_cycle + 1, self._array, labels.code("idle"))
            yield Change(one.handover_cycle + 1, self._busy_array, 0)
            yield Change(one.handover_cycle + 1, self._sequencer, labels.code("gap"))

    def _of_write_backs(self, part: PartRecord, totals: Totals) -> Changes:
        handed_over = [one for one in part.passes if one.handover_cycle >= 0]
        for index, one in enumerate(handed_over):
            first, end = one.handover_cycle + 1, one.last_write_cycle + 1
            yield Change(first, self._requantiser, labels.code("writes"))
            yield Change(first, self._writing, 1)
            yield Change(first, self._drained, index)
            if one is handed_over[-1] and not one.written:  # the run failed in it
                return
            yield Change(end, self._requantiser, labels.code("idle"))
            yield Change(end, self._writing, 0)
            refused = one.refused_writes, one.refused_residual_reads
            yield from (totals.add(end, *item) for item in zip(self._refused, refused, strict=True))

    def _of_power(self, seen: Timeline) -> Changes:
        core, off_chip = self._power
        shares = energy_shares(self._watched, seen)
        for step in power_steps(shares, self._watched.system.config.clock_khz):
            yield Change(step.first_cycle, core, step.core_mw)
            yield Change(step.first_cycle, off_chip, step.off_chip_mw)


def ruler_changes(ruler: Variable[Any], cycles: int, step_cycles: int) -> Changes:
    """A ruler: every so many cycles the number of the cycle."""
    for cycle in range(0, cycles, step_cycles):
        yield Change(cycle, ruler, cycle)
