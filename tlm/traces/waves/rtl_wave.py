"""A waveform of the circuit's own signals (fidelity "rtl"), written by Verilator's code while the circuit is clocked.

An observer like the other waveforms. In a cycle, each signal has the value that it settles to in it. The unit of time
is 1 ps; cycle c begins at c * 1e9 // clock_khz ps [S], with the rising edge of the clock.
"""

from __future__ import annotations

import errno
import os
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import cast

from tlm.chip.rtl.library import TracedEngine
from tlm.core.kernel import Activity
from tlm.observe.watched import Watched
from tlm.traces.trace_options import TraceOptions
from tlm.traces.waves.cycle_wave import BYTES_PER_MB, warn_of_missing
from tlm.traces.waves.wave_file import WaveFile
from tlm.traces.waves.window_gate import WindowGate

_SIZE_CHECKED_CYCLES = 64
"""The file's size is looked at after so many cycles."""


class _Cycles:
    """Which cycles are written; see :class:`tlm.chip.rtl.library.Waves`."""

    def __init__(self, engine: TracedEngine, gate: WindowGate | None, file: Path, limit_bytes: int) -> None:
        self.shown = False
        self.cut_cycle: int | None = None
        self.empty = True
        self._circuit, self._gate = engine.circuit, gate
        self._file, self._limit_bytes = file, limit_bytes

    def before(self, cycle: int, cycles: int) -> int:
        """Have these cycles written or not, and look at the size of the file now and then."""
        if self._gate is not None:
            cycles = int(min(cycles, self._gate.until(cycle) - cycle))
        if self.cut_cycle is None and self._file.stat().st_size > self._limit_bytes:
            self.cut_cycle = cycle
        self.shown = self.cut_cycle is None and (self._gate is None or self._gate(cycle))
        if self.shown:
            self.empty = False
            cycles = min(cycles, _SIZE_CHECKED_CYCLES)
        self._circuit.show_waves(cycle, cycle + cycles if self.shown else cycle)
        return cycles


def rtl_wave(watched: Watched, path: Path, options: TraceOptions) -> AbstractContextManager[None]:
    """A context manager around a run; whichever way it is left, the file holds what was written until then.

    Args:
        watched: a run that has not started, of a circuit that is traced.
        path: .vcd or .fst; an older file is replaced.
        options: window and limit.

    Raises:
        InputError: the file cannot be written there or the window is not in the program; on leaving, if the disk did
            not take it all.
    """
    engine, clock = cast(TracedEngine, watched.system.engine), watched.system.simulation.clock
    gate = None if options.window is None else WindowGate(options.trace_window, watched)
    if options.trace_window.cycles is not None:
        watched.system.simulation.add_process(partial(_wake_at, engine, options.trace_window.cycles[0]))
    file = WaveFile(path, watched.system.config)
    file.stream.close()  # Verilator's code opens it itself
    if not engine.circuit.open_waves(file.temporary, watched.system.config.clock_khz):
        file.discard()
        raise file.refusal(OSError(errno.EIO, os.strerror(errno.EIO)))
    engine.waves = cycles = _Cycles(engine, gate, file.temporary, options.limit_mb * BYTES_PER_MB)

    def finish(_: BaseException | None) -> None:
        if not engine.circuit.close_waves(clock.now):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        file.place()
        warn_of_missing(watched, path, options, cycles.cut_cycle, cycles.empty)

    return file.around_run(finish)


def _wake_at(engine: TracedEngine, cycle: int) -> Activity:
    """Clock a circuit that stands still where the window begins."""
    if cycle:
        yield engine.clock.cycles(cycle)
    engine.wake()
