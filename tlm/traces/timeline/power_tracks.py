"""Power over time, as counters."""

from __future__ import annotations

from collections.abc import Iterator

from tlm.observe.power import energy_shares, power_steps
from tlm.traces.timeline.events import Counter, Event, EventMaker
from tlm.traces.timeline.run_view import RunView

CORE_POWER, OFF_CHIP_POWER = Counter("core power", "(mW)"), Counter("off-chip power", "(mW)")


def power_events(view: RunView, make: EventMaker) -> Iterator[Event]:
    """Each change of the core's and of the off-chip memory's power; the integral is the energy of the result."""
    steps = power_steps(energy_shares(view.watched, view.timeline), make.clock_khz)
    for counter, values in (
        (CORE_POWER, [(step.first_cycle, step.core_mw) for step in steps]),
        (OFF_CHIP_POWER, [(step.first_cycle, step.off_chip_mw) for step in steps]),
    ):
        shown: float | None = None
        for cycle, value in values:
            if value != shown and cycle < view.cycles:
                yield make.counter(counter, cycle, value)
                shown = value
