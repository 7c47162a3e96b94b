"""A waveform of every cycle (fidelity "cycle"), of the whole run or of a window, written while it goes on.

An observer: it listens to events, sockets and probes and changes neither a cycle nor an output. The unit of time is
1 ps at the operating point's clock; cycle c begins at c * 1e9 // clock_khz ps [S].
"""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager
from pathlib import Path

from tlm.core.errors import TraceWarning
from tlm.observe.watched import Watched
from tlm.traces.trace_options import TraceOptions, WaveLevel
from tlm.traces.waves.cycle_averages import Averages
from tlm.traces.waves.cycle_causes import CauseWatcher
from tlm.traces.waves.cycle_signals import watch
from tlm.traces.waves.dump import RULER_CYCLES, Dump
from tlm.traces.waves.gtkwave import WAVES_PIXELS, View, first_shown, marked_cycles
from tlm.traces.waves.wave_file import WaveFile
from tlm.traces.waves.window_gate import WindowGate

BYTES_PER_MB = 10**6
_CYCLE_PIXELS = 16
"""Width of a cycle in the first view: a hexadecimal digit fits."""
_LEAD = 0.2


def cycle_wave(watched: Watched, path: Path, options: TraceOptions) -> AbstractContextManager[None]:
    """A context manager around a run.

    The file grows under another name beside ``path`` and takes its place when the block is left, whichever way: after
    an error or Ctrl-C it holds everything up to that moment and ends with a timestamp.

    Args:
        watched: a run that has not started, of fidelity "cycle".
        path: .vcd or .fst; an older file is replaced.
        options: window, limit, and where it opens.

    Raises:
        InputError: the file cannot be written there or the window is not in the program; on leaving, if the disk did
            not take it all.
    """
    config, clock = watched.system.config, watched.system.simulation.clock
    gate = None if options.window is None else WindowGate(options.trace_window, watched)
    dump = Dump(clock, config.clock_khz, options.limit_mb * BYTES_PER_MB, gate, Averages(watched))
    signals = watch(dump, watched)
    CauseWatcher(dump, watched)
    file = WaveFile(path, config)
    try:
        dump.writer = file.writer(WaveLevel.CYCLE, signals, "a signal has one value a cycle")
    except OSError as error:
        file.discard()
        raise file.refusal(error) from None

    def finish(error: BaseException | None) -> None:
        dump.close()
        file.finish(_view(watched, dump, options.moment_cycle))
        if isinstance(error, OSError):  # nothing in a run but this file touches the system
            raise error
        warn_of_missing(watched, path, options, dump.cut_cycle, empty=not dump.recorded_cycles)

    return file.around_run(finish)


def warn_of_missing(watched: Watched, path: Path, options: TraceOptions, cut_cycle: int | None, empty: bool) -> None:
    """Say what is not in the file although it was asked for."""
    end, missing = watched.recorder.recorded_cycles, ""
    if cut_cycle is not None:
        missing = (
            f"was cut in cycle {cut_cycle} of {end}, where it had grown to {options.limit_mb} MB; "
            "give a window (trace.window) or another trace.limit_mb"
        )
    elif empty:
        missing = f"is empty: the run ended with cycle {end - 1}, before the window {options.window!r} began"
    if missing:
        warnings.warn(f"trace: {path.name} {missing}", TraceWarning, stacklevel=3)


def _view(watched: Watched, dump: Dump, moment_cycle: int | None) -> View:
    """Around the moment that was asked for, or the end of a pass, if possible of one that waits."""
    first, last = dump.first_recorded_cycle, dump.last_recorded_cycle
    moment = moment_cycle
    if moment is None:
        passes = [one for part in watched.recorder.parts.values() for one in part.passes]
        ends = [one for one in passes if first <= one.last_fetch_cycle <= last]
        ready = 1 + watched.system.config.pipeline_cycles
        waiting = [one for one in ends if one.handover_cycle > one.last_fetch_cycle + ready]
        moment = next((one.last_fetch_cycle for one in (*waiting, *ends)), first)
    cycles = WAVES_PIXELS / _CYCLE_PIXELS
    shown = max(first, first_shown(moment, cycles, _LEAD, RULER_CYCLES, last + 1))
    return View(shown, cycles, marked_cycles(watched, first), moment_cycle)
