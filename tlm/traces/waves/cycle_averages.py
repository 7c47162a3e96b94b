"""Utilisation, power and bandwidth in a waveform of every cycle: averages of spans of cycles, by the recorder's counts.

Each event is counted in the span in which it was seen, so the integral of the power is the energy of the result.
"""

from __future__ import annotations

from collections import Counter

from tlm.chip.contract import PassStarted
from tlm.chip.format.layer_header import LayerHeader
from tlm.core.probe import Probe
from tlm.observe.energy import cycle_events, engine_events, step_kind_events
from tlm.observe.energy_account import priced
from tlm.observe.power import bandwidth_mb_per_s, mean_power_mw
from tlm.observe.watched import Watched
from tlm.traces.waves.dump import Frame


class Averages:
    """Subscribes before the simulation starts.

    Args:
        watched: the run.
    """

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._pooling = False
        self._macs_of_step = 0
        """Of the present pass."""
        self._steps = {False: 0, True: 0}
        """Pooling or not -> steps."""
        self._macs = 0
        self._before: Counter[str] = Counter()
        """What :meth:`_totals` gave at the last sample."""
        events = watched.system.engine.events
        events.layer_started.listen(self._see_layer)
        events.pass_started.listen(self._see_pass)
        for probe in watched.system.simulation.probes():
            if probe.path == "engine.aligner.fetching":
                probe.observe(self._see_step)

    def __call__(self, first: int, end: int) -> Frame:
        """Averages of cycles that are over."""
        config, length, now = self._watched.system.config, end - first, self._totals(end)
        grown = {key: count - self._before[key] for key, count in now.items()}
        self._before = now
        return {
            # a step of the cycle after the span may have been seen already
            "power.utilisation": round(min(1.0, grown["macs"] / (length * config.peak_macs_per_cycle)), 6),
            "power.core_mw": mean_power_mw(grown["core_aj"] / length, config.clock_khz),
            "power.off_chip_mw": mean_power_mw(grown["off_chip_aj"] / length, config.clock_khz),
            "dma.load.mb_per_s": bandwidth_mb_per_s(grown["load"], length, config.clock_khz),
            "dma.store.mb_per_s": bandwidth_mb_per_s(grown["store"], length, config.clock_khz),
        }

    def _totals(self, cycles: int) -> Counter[str]:
        """Multiply-accumulates, energy and bytes of the cycles that are over."""
        recorder, meter = self._watched.recorder, self._watched.meter
        running = recorder.running.until(cycles).cycles
        events = engine_events(recorder.banks.served()) + cycle_events(cycles, running) + meter.transfers_until_now()
        for pooling, steps in self._steps.items():
            events += step_kind_events(steps, pooling)
        core, off_chip_aj = priced(events, meter.per_event_aj)
        if dram := meter.dram_energy(cycles):
            off_chip_aj += dram.total
        moved = {unit.value: count for unit, count in recorder.moved_bytes.items()}
        return Counter(macs=self._macs, core_aj=core.total, off_chip_aj=off_chip_aj, **moved)

    def _see_layer(self, header: LayerHeader) -> None:
        self._pooling = header.pooling

    def _see_pass(self, started: PassStarted) -> None:
        self._macs_of_step = 0 if self._pooling else started.pixels * started.channels

    def _see_step(self, fetching: Probe[bool]) -> None:
        if not fetching.value:
            self._steps[self._pooling] += 1
            self._macs += self._macs_of_step
