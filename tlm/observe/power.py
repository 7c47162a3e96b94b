"""Power over time: the energy of a run, spread over the cycles in which it was spent (docs/waveforms.md).

The events of a part (the words that the engine moved for it, its steps) are known exactly. They are divided among its
passes by their steps, and spread evenly over each pass's fetches. A transfer's energy is spread over its span, that of
register accesses over the cycles in which the host ran. Clock and leakage count in their own cycles. So the integral
equals the energy of the result exactly; the course in between is an estimate [A].
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tlm.chip.format.descriptor import sram_size
from tlm.chip.format.driver import SramName
from tlm.observe.energy import cycle_events, transfer_events
from tlm.observe.energy_account import priced
from tlm.observe.passes import PassRecord
from tlm.observe.timeline import Timeline, TransferSpan
from tlm.observe.watched import Watched

T = TypeVar("T")

_MW_PER_AJ_KHZ = 1e-12
"""1 aJ a cycle at 1 kHz is 1e-15 W."""


@dataclass(frozen=True, slots=True)
class Share:
    """Energy that was spent evenly in some cycles."""

    first_cycle: int
    end_cycle: int
    core_aj: int
    off_chip_aj: int


@dataclass(frozen=True, slots=True)
class PowerStep:
    """Power from a cycle on, until the next step."""

    first_cycle: int
    core_mw: float
    off_chip_mw: float


def energy_shares(watched: Watched, timeline: Timeline) -> list[Share]:
    """All energy of a run, or of what of it has ended: a part that was under way when it failed is left out."""
    cycles = watched.recorder.recorded_cycles
    return [
        share
        for share in (
            *_clock(watched, timeline, cycles),
            *(share for tag in watched.recorder.parts for share in _part(watched, tag)),
            *(_transfer(watched, span) for span in timeline.transfers),
            *_register_accesses(watched, timeline),
            *_behind_parts(watched, timeline),
        )
        if share.first_cycle < share.end_cycle
    ]


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


def _clock(watched: Watched, timeline: Timeline, cycles: int) -> Iterator[Share]:
    """Clock, leakage, the off-chip memory's background; what a running engine takes beyond an idle one."""
    yield _priced(watched, 0, cycles, cycle_events(cycles, 0))
    for program in timeline.programs:
        length = program.last_cycle - program.first_cycle + 1
        running, _ = priced(cycle_events(length, length), watched.meter.per_event_aj)
        idle, _ = priced(cycle_events(length, 0), watched.meter.per_event_aj)
        yield Share(program.first_cycle, program.last_cycle + 1, running.total - idle.total, 0)


def _part(watched: Watched, tag: int) -> Iterator[Share]:
    part = watched.recorder.parts[tag]
    if not part.flushed:
        return
    core, off_chip = priced(watched.meter.part_activity(tag), watched.meter.per_event_aj)
    weighted: list[tuple[PassRecord, int]] = [(one, one.steps) for one in part.passes]
    if not part.steps:
        weighted = [(part.passes[0], 1)]
    for one, energy_aj in _divided(core.total, weighted):
        yield Share(one.first_cycle, one.last_fetch_cycle + 1, energy_aj, 0)
    assert not off_chip  # the engine does not touch it


def _transfer(watched: Watched, span: TransferSpan) -> Share:
    sram = SramName[span.sram.upper()]
    words = {sram: span.moved_bytes // sram_size(sram, watched.system.config)[1]}
    if span.channel == "load":
        events = transfer_events(span.moved_bytes, 0, words, {})
    else:
        events = transfer_events(0, span.moved_bytes, {}, words)
    return _priced(watched, span.first_cycle, span.last_cycle + 1, events)


def _register_accesses(watched: Watched, timeline: Timeline) -> Iterator[Share]:
    running = [(span, span.last_cycle - span.first_cycle + 1) for span in timeline.host if span.state == "run"]
    energy, _ = priced({"register_access_pj": watched.meter.register_accesses}, watched.meter.per_event_aj)
    for span, energy_aj in _divided(energy.total, running):
        yield Share(span.first_cycle, span.last_cycle + 1, energy_aj, 0)


def _behind_parts(watched: Watched, timeline: Timeline) -> Iterator[Share]:
    """END of the last program; of a run that failed, nothing: what its last part had moved is no whole part."""
    if watched.recorder.host.done and timeline.programs:
        last = timeline.programs[-1].last_cycle
        yield _priced(watched, last, last + 1, watched.meter.activity_behind_parts())


def _priced(watched: Watched, first: int, end: int, events: Mapping[str, int]) -> Share:
    core, off_chip = priced(events, watched.meter.per_event_aj)
    return Share(first, end, core.total, off_chip)


def _divided(whole: int, weights: Iterable[tuple[T, int]]) -> Iterator[tuple[T, int]]:
    """A whole number in proportion to weights; the parts are whole numbers, too, and give the whole in sum."""
    items = list(weights)
    total, seen, given = sum(weight for _, weight in items), 0, 0
    for item, weight in items:
        seen += weight
        own = whole * seen // total - given
        given += own
        yield item, own
