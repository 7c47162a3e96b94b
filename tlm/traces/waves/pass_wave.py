"""A waveform of passes: cheap, for whole networks, in every fidelity.

It is written when the run has ended or failed, from what the recorder holds by then, so it costs nothing before. Its
unit of time is 1 ps at the operating point's clock; cycle c begins at c * 1e9 // clock_khz ps [S].
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

from vcd.writer import Variable

from tlm.observe.passes import PartRecord, PassRecord
from tlm.observe.watched import Watched
from tlm.traces.waves.layout import pass_layout, with_readable
from tlm.traces.waves.markers import marked_cycles
from tlm.traces.waves.pass_signals import PassSignals, ruler_changes
from tlm.traces.waves.rows import boxes_of
from tlm.traces.waves.save_file import WAVES_PIXELS, View
from tlm.traces.waves.variables import BY_CYCLE, Change, Value, Variables, start_ps
from tlm.traces.waves.view import Span, best_choice, round_number
from tlm.traces.waves.wave_file import WaveFile

_PASS_PIXELS = (120, 90, 150, 70, 55, 45, 35, 200, 250, 300, 400, 500, 700, 900, 1200)
"""Widths of a pass that a view may have, the best first."""
_ANCHORS = 16
_LEAD = 0.3
"""Where in the first view what it is about begins."""
_RULER_PIXELS = 90


class PassWave:
    """Context manager around a run.

    Args:
        watched: a run that has not started.
        path: .vcd or .fst; an older file is replaced.
        moment_cycle: the cycle that it opens at; by default one where every word can be read.

    Raises:
        InputError: on entry, if the file cannot be written there; on leaving, if the disk did not take it all.
    """

    def __init__(self, watched: Watched, path: Path, moment_cycle: int | None = None) -> None:
        self._watched = watched
        self._path = path
        self._moment_cycle = moment_cycle

    def __enter__(self) -> PassWave:
        self._file = WaveFile(self._path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.leave(error, self._write)

    def _write(self) -> None:
        config, cycles = self._watched.system.config, self._watched.recorder.recorded_cycles
        comment = (
            f"level pass; cycle c begins at c * 1e9 // {config.clock_khz} ps: core clock {config.clock_khz} kHz "
            f"at {config.voltage_v:g} V; clock.cycle is the cycle of the last change"
        )
        variables = Variables(self._file.stream, comment, self._file.date)
        counter, ruler = variables.integer("clock", "cycle", bits=64), variables.integer("clock", "ruler", bits=64)
        signals = PassSignals(variables, self._watched)
        changes = signals.changes()
        groups = pass_layout(self._watched.program)
        needed, finer_rows = (boxes_of(variables, groups, changes, finer) for finer in (False, True))
        choice = best_choice(needed, finer_rows, self._moments(), cycles)
        span = choice.span
        changes += ruler_changes(ruler, cycles, _ruler_cycles(span.cycles))
        _write_changes(variables, counter, sorted(changes, key=BY_CYCLE), config.clock_khz)
        variables.close(start_ps(cycles, config.clock_khz))
        self._file.finish(with_readable(groups, choice.readable), self._view(span))

    def _view(self, span: Span) -> View:
        khz = self._watched.system.config.clock_khz
        return View(
            start_ps=start_ps(span.first_cycle, khz),
            ps_per_pixel=start_ps(1, khz) * span.cycles / WAVES_PIXELS,
            markers_ps=tuple(start_ps(cycle, khz) for cycle in marked_cycles(self._watched)),
            cursor_ps=-1 if self._moment_cycle is None else start_ps(self._moment_cycle, khz),
        )

    def _moments(self) -> Iterator[list[Span]]:
        """Views to choose from: where parts begin, at first those that were waited for longest, then other passes."""
        parts = [part for part in self._watched.recorder.parts.values() if part.passes]
        before = {part.tag: 0 for part in parts}
        for last, part in pairwise(parts):
            before[part.tag] = part.first_cycle - last.last_seen_cycle
        waited = sorted(parts, key=lambda part: -before[part.tag])
        if self._moment_cycle is not None:
            yield [_before(self._moment_cycle, parts, pixels) for pixels in _PASS_PIXELS]
            return
        anchors = [part.passes[0] for part in waited] + [one for part in parts for one in part.passes[1:3]]
        for anchor in anchors[:_ANCHORS]:
            yield [_around(anchor, pixels) for pixels in _PASS_PIXELS]
        if not anchors:  # the run has failed before: its end tells more than its beginning
            cycles = self._watched.recorder.recorded_cycles
            lengths = [cycles >> shift for shift in range(cycles.bit_length())]
            yield [Span(cycles - length, length) for length in lengths]


def _before(cycle: int, parts: Sequence[PartRecord], pixels: int) -> Span:
    """The view in which a moment lies where the eye begins, as wide as passes near it need."""
    passes = [one for part in parts for one in part.passes]
    nearest = min(passes, key=lambda one: abs(one.first_cycle - cycle), default=None)
    cycles = WAVES_PIXELS / 4 if nearest is None else _around(nearest, pixels).cycles
    return _span(cycle, cycles)


def _around(anchor: PassRecord, pixels: int) -> Span:
    length = max(1, max(anchor.handover_cycle, anchor.last_fetch_cycle) + 1 - anchor.first_cycle)
    cycles = WAVES_PIXELS * length / pixels
    return _span(anchor.first_cycle, cycles)


def _span(moment_cycle: int, cycles: float) -> Span:
    """So many cycles, from a number of the ruler on."""
    first = max(0, int(moment_cycle - _LEAD * cycles))
    return Span(first - first % _ruler_cycles(cycles), cycles)


def _ruler_cycles(cycles: float) -> int:
    """From one number of the ruler to the next, where so many cycles fill the window."""
    return round_number(_RULER_PIXELS * cycles / WAVES_PIXELS)


def _write_changes(
    variables: Variables, counter: Variable[Any], changes: Sequence[Change], clock_khz: int
) -> None:  # fmt: skip
    """All of them; of two for one variable in one cycle the later one."""
    variables.start()
    settled: dict[Variable[Any], Value] = {}
    cycle = 0
    for change in changes:
        if change.cycle != cycle:
            _write_cycle(variables, counter, cycle, settled, clock_khz)
            cycle = change.cycle
        settled[change.variable] = change.value
    _write_cycle(variables, counter, cycle, settled, clock_khz)


def _write_cycle(
    variables: Variables, counter: Variable[Any], cycle: int, settled: dict[Variable[Any], Value], clock_khz: int
) -> None:
    time_ps = start_ps(cycle, clock_khz)
    settled[counter] = cycle
    while settled:
        variable, value = settled.popitem()
        variables.change(variable, time_ps, value)
