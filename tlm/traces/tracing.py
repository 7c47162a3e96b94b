"""Traces of a run: opens what was asked for, and closes it whichever way the run ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tlm.core.interruption import interruption_waits
from tlm.observe.watched import Watched
from tlm.traces.trace_options import TraceOptions, WaveLevel


@contextmanager
def traced(watched: Watched, options: TraceOptions) -> Iterator[None]:
    """Record what ``options`` ask for while the block runs.

    Args:
        watched: of a system that has not started.
        options: which traces, and where.

    Raises:
        InputError: on entry, if a file cannot be written or a window is not in the program; on leaving, if the disk did
            not take it all.
    """
    wave, timeline, dram = options.wave_path, options.timeline_path, options.dram_path
    with ExitStack() as stack:
        with interruption_waits():  # until somebody is there to remove or finish a file that was opened
            if wave is not None:  # pyvcd is needed only here
                level = options.wave_level(watched.system.fidelity)
                if level is WaveLevel.RTL:
                    from tlm.traces.waves.rtl_wave import rtl_wave as make
                elif level is WaveLevel.CYCLE:
                    from tlm.traces.waves.cycle_wave import cycle_wave as make
                else:
                    from tlm.traces.waves.pass_wave import pass_wave as make
                stack.enter_context(make(watched, wave, options))
            if timeline is not None:
                from tlm.traces.timeline.timeline_trace import timeline_trace

                stack.enter_context(timeline_trace(watched, timeline))
            if dram is not None:
                from tlm.traces.dram_trace import dram_trace

                stack.enter_context(dram_trace(watched.system, dram, options))
        yield
