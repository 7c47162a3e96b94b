"""Utilisation, power and bandwidth in a waveform of every cycle: averages of spans of cycles, by the recorder's counts.

Each event is counted in the span in which it was seen, so the integral of the power is the energy of the result.
"""

from __future__ import annotations

from collections import Counter

from tlm.chip.cycle.engine import CycleEngine
from tlm.chip.engine import Port
from tlm.chip.format.driver import SramName, Unit
from tlm.chip.format.layer_header import LayerHeader
from tlm.chip.payloads import LayerPayload, StepPayload, Work
from tlm.core.sockets import Phase
from tlm.observe.energy import cycle_events, engine_events, step_kind_events, transfer_events
from tlm.observe.energy_account import priced
from tlm.observe.power import mean_power_mw
from tlm.observe.watched import Watched
from tlm.traces.waves.dump import Dump, Frame
from tlm.traces.waves.following import on

_CHANNELS = (Unit.LOAD, Unit.STORE)


def watch_averages(dump: Dump, engine: CycleEngine, watched: Watched) -> None:
    """Register the signals and have the dump ask for them."""
    averages = _Averages(dump, watched)
    on(Phase.BEGIN_REQ, engine.sequencer.layers_to_aligner, averages.see_layer)
    on(Phase.END_RESP, engine.sequencer.steps, averages.see_step)
    dump.average(averages.sample)


class _Averages:
    def __init__(self, dump: Dump, watched: Watched) -> None:
        self._watched = watched
        self._utilisation = dump.variables.real("power", "utilisation")
        self._power = dump.variables.real("power", "core_mw"), dump.variables.real("power", "off_chip_mw")
        self._bandwidth = {unit: dump.variables.real(f"dma.{unit.value}", "mb_per_s") for unit in _CHANNELS}
        self._moved = dict.fromkeys(_CHANNELS, 0)
        self._header: LayerHeader | None = None
        self._steps = {False: 0, True: 0}
        """Pooling or not -> steps."""
        self._macs = 0
        self._before = (0, 0, 0)
        """MACs, attojoules of the core and of the off-chip memory at the last sample."""

    def see_layer(self, payload: LayerPayload) -> None:
        """Another layer starts."""
        self._header = payload.header

    def see_step(self, payload: StepPayload) -> None:
        """A step enters the array."""
        header = self._header
        if not payload.is_step or header is None:
            return
        self._steps[header.pooling] += 1
        if not header.pooling:
            config = self._watched.system.config
            part = payload.cause.find(Work.GROUP) if payload.cause is not None else None
            assert part is not None
            channels = header.group_channels(part.index, config.columns)
            self._macs += header.tile_pixels(payload.tile, config.lanes) * channels

    def sample(self, first: int, end: int) -> Frame:
        """Averages of cycles that are over."""
        config, length = self._watched.system.config, end - first
        now = (self._macs, *self._energy(end))
        macs, core_aj, off_chip_aj = (a - b for a, b in zip(now, self._before, strict=True))
        self._before = now
        core, off_chip = self._power
        # a step of the cycle behind the span may have been seen already
        share = min(1.0, macs / (length * config.peak_macs_per_cycle))
        return {
            self._utilisation: round(share, 6),
            core: mean_power_mw(core_aj / length, config.clock_khz),
            off_chip: mean_power_mw(off_chip_aj / length, config.clock_khz),
            **self._bandwidths(length),
        }

    def _bandwidths(self, cycles: int) -> Frame:
        """Off-chip bytes of each channel in cycles that are over, as 1e6 bytes a second."""
        moved, khz = self._watched.recorder.moved_bytes, self._watched.system.config.clock_khz
        found: Frame = {}
        for unit, variable in self._bandwidth.items():
            found[variable] = round((moved[unit] - self._moved[unit]) * khz / cycles / 1000, 3)
            self._moved[unit] = moved[unit]
        return found

    def _energy(self, cycles: int) -> tuple[int, int]:
        recorder, meter = self._watched.recorder, self._watched.meter
        served, moved = recorder.banks.served(), recorder.moved_bytes
        running = sum(last + 1 - first for first, last in recorder.activity.running.until(cycles))
        words = {
            who: {name: served.get((name, Port(f"dma_{who}")), 0) for name in SramName} for who in ("load", "store")
        }  # fmt: skip
        events: Counter[str] = engine_events(served) + cycle_events(cycles, running)
        for pooling, steps in self._steps.items():
            events += step_kind_events(steps, pooling)
        events += transfer_events(moved[Unit.LOAD], moved[Unit.STORE], words["load"], words["store"])
        events["register_access_pj"] += meter.register_accesses
        core, off_chip = priced(events, meter.per_event_aj)
        return core.total, off_chip
