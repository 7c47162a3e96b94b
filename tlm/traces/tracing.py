"""Traces of a run: opens what was asked for, and closes it whichever way the run ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tlm.chip.fidelity import Fidelity
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
    with ExitStack() as stack:
        with interruption_waits():  # until somebody is there to remove or finish a file that was opened
            _open(stack, watched, options)
        yield


def _open(stack: ExitStack, watched: Watched, options: TraceOptions) -> None:
    path = options.wave_path
    if path is not None:
        # pyvcd is needed only here
        if options.wave_level(watched.system.fidelity is Fidelity.CYCLE) is WaveLevel.CYCLE:
            from tlm.traces.waves.cycle_wave import CycleWave

            stack.enter_context(CycleWave(watched, path, options))
        else:
            from tlm.traces.waves.pass_wave import PassWave

            stack.enter_context(PassWave(watched, path, options.moment_cycle))
    if options.timeline_path is not None:
        from tlm.traces.timeline.timeline_trace import TimelineTrace

        stack.enter_context(TimelineTrace(watched, options.timeline_path))
