"""Power over time: the energy of a run, spread over the cycles in which it was spent (docs/waveforms.md).

The events of a part (the words that the engine moved for it, its steps) are known exactly. They are divided among its
passes by their steps, and spread evenly over each pass's fetches. A transfer's energy is spread over its span, that of
register accesses over the cycles in which the host ran, that of off-chip DRAM over the whole run. Clock and leakage
count in their own cycles. So the integral equals the energy of the result exactly; the course in between is an
estimate [A].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from tlm.chip.contract import Port
from tlm.chip.format.descriptor import sram_size
from tlm.chip.format.driver import SramName
from tlm.observe.energy import cycle_events, transfer_events
from tlm.observe.energy_account import priced
from tlm.observe.timeline import Timeline
from tlm.observe.watched import Watched

_MW_PER_AJ_KHZ = 1e-12
"""1 aJ a cycle at 1 kHz is 1e-15 W."""


class Share(NamedTuple):
    """Energy that was spent evenly in some cycles."""

    first_cycle: int
    end_cycle: int
    core_aj: int
    off_chip_aj: int


class PowerStep(NamedTuple):
    """Power from a cycle on, until the next step."""

    first_cycle: int
    core_mw: float
    off_chip_mw: float


def energy_shares(watched: Watched, timeline: Timeline) -> list[Share]:
    """All energy of a run, or of what of it has ended: a part that was under way when it failed is left out."""
    shares = [*_clock(watched, timeline), *_parts(watched), *_transfers(watched, timeline)]
    return [share for share in (*shares, *_host(watched, timeline)) if share.first_cycle < share.end_cycle]


def power_steps(shares: Sequence[Share], clock_khz: int) -> list[PowerStep]:
    """The power that follows: one step for each moment at which it changes."""
    starts: dict[int, list[Share]] = {}
    for share in shares:
        starts.setdefault(share.first_cycle, []).append(share)
    edges = sorted({edge for share in shares for edge in (share.first_cycle, share.end_cycle)})
    steps: list[PowerStep] = []
    active: list[Share] = []
    for cycle in edges:
        # summed anew each time: nothing drifts
        active = [share for share in active if share.end_cycle > cycle] + starts.get(cycle, [])
        rates = [(one.core_aj, one.off_chip_aj, one.end_cycle - one.first_cycle) for one in active]
        core = sum(core_aj / length for core_aj, _, length in rates)
        off_chip = sum(off_chip_aj / length for _, off_chip_aj, length in rates)
        steps.append(PowerStep(cycle, mean_power_mw(core, clock_khz), mean_power_mw(off_chip, clock_khz)))
    return steps


def mean_power_mw(aj_per_cycle: float, clock_khz: int) -> float:
    """Power of so many attojoules a cycle, mW, as traces show it: to 0.1 uW."""
    return round(aj_per_cycle * clock_khz * _MW_PER_AJ_KHZ, 4)


def bandwidth_mb_per_s(moved_bytes: int, cycles: int, clock_khz: int) -> float:
    """Bytes that moved in so many cycles, as 1e6 bytes a second."""
    return round(moved_bytes * clock_khz / cycles / 1000, 3)


def _clock(watched: Watched, timeline: Timeline) -> Iterator[Share]:
    """Clock, leakage, the off-chip memory's background; what a running engine takes beyond an idle one; its END.

    Of a run that failed END has no share: what its last part had moved is no whole part.
    """
    cycles = watched.recorder.recorded_cycles
    yield _priced(watched, 0, cycles, cycle_events(cycles, 0))
    if dram := watched.meter.dram_energy(cycles):
        yield Share(0, cycles, 0, dram.total)
    for program in timeline.programs:
        first, end = program.first_cycle, program.last_cycle + 1
        running = _priced(watched, first, end, cycle_events(end - first, end - first))
        idle = _priced(watched, first, end, cycle_events(end - first, 0))
        yield Share(first, end, running.core_aj - idle.core_aj, 0)
    if watched.recorder.done and timeline.programs:
        last = timeline.programs[-1].last_cycle
        yield _priced(watched, last, last + 1, watched.meter.activity_behind_parts())


def _parts(watched: Watched) -> Iterator[Share]:
    for part in watched.recorder.parts.values():
        if part.flushed:
            whole = _priced(watched, 0, 1, watched.meter.part_activity(part.tag))
            spans = [(one.first_cycle, one.last_fetch_cycle + 1) for one in part.passes]
            yield from _divided(whole, spans, [one.steps for one in part.passes])


def _transfers(watched: Watched, timeline: Timeline) -> Iterator[Share]:
    for span in timeline.transfers:
        sram, loads = SramName[span.sram.upper()], span.channel == "load"
        words = {(sram, Port(f"dma_{span.channel}")): span.moved_bytes // sram_size(sram, watched.system.config)[1]}
        moved = (span.moved_bytes, 0) if loads else (0, span.moved_bytes)
        events = transfer_events(*moved, words)
        yield _priced(watched, span.first_cycle, span.last_cycle + 1, events)


def _host(watched: Watched, timeline: Timeline) -> Iterator[Share]:
    whole = _priced(watched, 0, 1, {"register_access_pj": watched.meter.register_accesses})
    spans = [(span.first_cycle, span.last_cycle + 1) for span in timeline.host if span.state == "run"]
    return _divided(whole, spans, [end - first for first, end in spans])


def _priced(watched: Watched, first: int, end: int, events: Mapping[str, int]) -> Share:
    core, off_chip = priced(events, watched.meter.per_event_aj)
    return Share(first, end, core.total, off_chip)


def _divided(whole: Share, spans: Sequence[tuple[int, int]], weights: Sequence[int]) -> Iterator[Share]:
    """The core's energy in proportion to weights, or all in the first span if all are 0; in sum exactly the whole."""
    weights = weights if any(weights) else [1, *weights[1:]]
    total, seen, given = sum(weights), 0, 0
    for (first, end), weight in zip(spans, weights, strict=True):
        seen += weight
        own = whole.core_aj * seen // total - given
        given += own
        yield Share(first, end, own, 0)
