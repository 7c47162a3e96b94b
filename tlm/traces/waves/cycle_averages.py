"""Utilisation, power and bandwidth in a waveform of every cycle: averages of spans of cycles, by the recorder's counts.

Each event is counted in the span in which it was seen, so the integral of the power is the energy of the result.
"""

from __future__ import annotations

from collections import Counter

from tlm.chip.engine import PassStarted
from tlm.chip.format.driver import Unit
from tlm.chip.format.layer_header import LayerHeader
from tlm.core.probe import Probe
from tlm.observe.energy import cycle_events, engine_events, step_kind_events
from tlm.observe.energy_account import priced
from tlm.observe.power import mean_power_mw
from tlm.observe.watched import Watched
from tlm.traces.waves.dump import Frame

_CHANNELS = (Unit.LOAD, Unit.STORE)


class Averages:
    """Subscribes before the simulation starts.

    Args:
        watched: the run.
    """

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._moved = dict.fromkeys(_CHANNELS, 0)
        self._pooling = False
        self._macs_of_step = 0
        """Of the present pass."""
        self._steps = {False: 0, True: 0}
        """Pooling or not -> steps."""
        self._macs = 0
        self._before = (0, 0, 0)
        """MACs, attojoules of the core and of the off-chip memory at the last sample."""
        events = watched.system.engine.events
        events.layer_started.listen(self._see_layer)
        events.pass_started.listen(self._see_pass)
        for probe in watched.system.simulation.probes():
            if probe.path == "engine.aligner.fetching":
                probe.observe(self._see_step)

    def _see_layer(self, header: LayerHeader) -> None:
        self._pooling = header.pooling

    def _see_pass(self, started: PassStarted) -> None:
        self._macs_of_step = 0 if self._pooling else started.pixels * started.channels

    def _see_step(self, fetching: Probe[bool]) -> None:
        if not fetching.value:
            self._steps[self._pooling] += 1
            self._macs += self._macs_of_step

    def __call__(self, first: int, end: int) -> Frame:
        """Averages of cycles that are over."""
        config, length = self._watched.system.config, end - first
        now = (self._macs, *self._energy(end))
        macs, core_aj, off_chip_aj = (a - b for a, b in zip(now, self._before, strict=True))
        self._before = now
        # a step of the cycle behind the span may have been seen already
        share = min(1.0, macs / (length * config.peak_macs_per_cycle))
        return {
            "power.utilisation": round(share, 6),
            "power.core_mw": mean_power_mw(core_aj / length, config.clock_khz),
            "power.off_chip_mw": mean_power_mw(off_chip_aj / length, config.clock_khz),
            **self._bandwidths(length),
        }

    def _bandwidths(self, cycles: int) -> Frame:
        """Off-chip bytes of each channel in cycles that are over, as 1e6 bytes a second."""
        moved, khz = self._watched.recorder.moved_bytes, self._watched.system.config.clock_khz
        found: Frame = {}
        for unit in _CHANNELS:
            found[f"dma.{unit.value}.mb_per_s"] = round((moved[unit] - self._moved[unit]) * khz / cycles / 1000, 3)
        self._moved = moved
        return found

    def _energy(self, cycles: int) -> tuple[int, int]:
        recorder, meter = self._watched.recorder, self._watched.meter
        running = recorder.running.until(cycles).cycles
        events: Counter[str] = engine_events(recorder.banks.served()) + cycle_events(cycles, running)
        for pooling, steps in self._steps.items():
            events += step_kind_events(steps, pooling)
        events += meter.transfers_until_now()
        core, off_chip = priced(events, meter.per_event_aj)
        return core.total, off_chip
