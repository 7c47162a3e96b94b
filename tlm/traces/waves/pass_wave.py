"""A waveform of passes: cheap, for whole networks, in every fidelity.

It is written when the run has ended or failed, from what the recorder holds by then, so it costs nothing before. Its
unit of time is 1 ps at the operating point's clock; cycle c begins at c * 1e9 // clock_khz ps [S].
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path

from tlm.observe.watched import Watched
from tlm.traces.dram_trace import BurstRecorder
from tlm.traces.trace_options import TraceOptions, WaveLevel
from tlm.traces.waves.gtkwave import WAVES_PIXELS, View, first_shown, marks
from tlm.traces.waves.pass_changes import pass_changes
from tlm.traces.waves.pass_dram import dram_changes
from tlm.traces.waves.pass_signals import pass_signals
from tlm.traces.waves.signal_kinds import Value, start_ps
from tlm.traces.waves.wave_file import WaveFile

_SHOWN_PASSES = 9
"""So many passes fill the first view."""
_LEAD = 0.3
"""Where in the first view the moment that was asked for is."""
_MARGIN = 0.15
"""Share of the first view that is left on both sides of the longest wait."""
_RULER_PIXELS = 90


def pass_wave(watched: Watched, path: Path, options: TraceOptions) -> AbstractContextManager[None]:
    """A context manager around a run that has not started.

    Args:
        watched: the run.
        path: .vcd or .fst; an older file is replaced.
        options: where the waveform opens; by default at the longest wait between two parts.

    Raises:
        InputError: the file cannot be written there; on leaving, if the disk did not take it all.
    """
    file = WaveFile(path, watched.system.config)
    recorder = BurstRecorder(watched.system) if watched.system.config.uses_dram else None
    return file.around_run(lambda _: _write(watched, file, options.moment_cycle, recorder))


def _write(watched: Watched, file: WaveFile, moment_cycle: int | None, recorder: BurstRecorder | None) -> None:
    config, cycles = watched.system.config, watched.recorder.recorded_cycles
    clock_khz = config.clock_khz
    view, remark = _view(watched, moment_cycle), "clock.cycle is the cycle of the last change"
    writer = file.writer(WaveLevel.PASS, pass_signals(watched.program, config), remark)
    ruler = [(cycle, "clock.ruler", cycle) for cycle in range(0, cycles, _ruler_cycles(view.cycles))]
    dram = dram_changes(config, recorder.bursts, cycles) if recorder else ()
    changes = sorted([*pass_changes(watched), *dram, (0, "clock.cycle", 0), *ruler], key=itemgetter(0))
    for cycle, of_cycle in groupby(changes, key=itemgetter(0)):
        settled: dict[str, Value] = {name: value for _, name, value in of_cycle}
        settled["clock.cycle"] = cycle
        time_ps = start_ps(cycle, clock_khz)
        for name in reversed(settled):
            writer.change(time_ps, name, settled[name])
    writer.close(start_ps(cycles, clock_khz))
    file.finish(view)


def _view(watched: Watched, moment_cycle: int | None) -> View:
    """Around the moment that was asked for, or the whole of the longest wait between two parts, its end marked."""
    parts = [part for part in watched.recorder.parts.values() if part.passes]
    passes = [one for part in parts for one in part.passes]
    end_cycle, moment = watched.recorder.recorded_cycles, moment_cycle
    if not passes:  # the run has failed before
        return View(0, end_cycle, cursor_cycle=moment)
    if moment is None:
        waits = [(part.last_seen_cycle, after.first_cycle) for part, after in pairwise(parts)]
        begin, moment = max(waits, key=lambda wait: wait[1] - wait[0], default=(0, parts[0].first_cycle))
        cycles = float(min((moment - begin) / (1 - 2 * _MARGIN), end_cycle))
        first_cycle = first_shown(begin, cycles, _MARGIN, _ruler_cycles(cycles), end_cycle)
        return View(first_cycle, cycles, marks(watched), begin)
    shown = min(passes, key=lambda one: abs(one.first_cycle - moment))
    length = max(shown.handover_cycle, shown.last_fetch_cycle) + 1 - shown.first_cycle
    cycles = float(min(_SHOWN_PASSES * length, end_cycle))
    first_cycle = first_shown(moment, cycles, _LEAD, _ruler_cycles(cycles), end_cycle)
    return View(first_cycle, cycles, marks(watched), moment_cycle)


def _ruler_cycles(cycles: float) -> int:
    """From one number of the ruler to the next, where so many cycles fill the window: 1, 2, 5, 10, 20, .."""
    wanted, step = _RULER_PIXELS * cycles / WAVES_PIXELS, 1
    while True:
        for factor in (1, 2, 5):
            if step * factor >= wanted:
                return step * factor
        step *= 10
