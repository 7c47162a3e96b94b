"""What a failed test prints: why the expectation failed, where a run stood still, and where its waveform is."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tlm.chip.fidelity import Fidelity
from tlm.core.errors import DeadlockError, SimulationError, TlmError, TraceWarning
from tlm.core.probe import Probe
from tlm.observe.watched import Watched
from tlm.testing.expectation import Expectation, false_ones
from tlm.testing.fixtures import CycleLimitError, TestRuns
from tlm.testing.simulated import Recipe
from tlm.traces.trace_options import TraceOptions, WaveLevel

_AROUND_CYCLES = 400
"""A waveform shows every cycle so far before and behind the moment."""
_MOST_CYCLES = 300_000
"""Of longer runs passes are shown instead of cycles: the clear model takes long."""
_MOST_SHOWN_CYCLES = 50_000
"""The same where no moment limits what is shown: the file would be large."""
_LONGEST_NAME = 100


def explain_assertion(error: BaseException) -> Expectation | None:
    """Gives a failed ``assert`` the words of the expectations that were false in it.

    Args:
        error: what the test raised.

    Returns:
        The first of them, if there is one.
    """
    if not isinstance(error, AssertionError):
        return None
    text = str(error)
    found = false_ones(text)
    if found and not isinstance(error, CycleLimitError):
        own_message, below, _ = text.partition("\nassert ")  # what the author wrote behind the comma comes first
        if not below:
            own_message = "" if text.startswith("assert ") else text or "the last sentence that was false in this test:"
        error.args = ("\n".join([*([own_message] if own_message else []), *(one.explanation for one in found)]),)
    return found[0] if found else None


def hide_internals(error: BaseException) -> None:
    """Ends the traceback of an error of ours where the test called the simulator: the message says the rest."""
    if not isinstance(error, (TlmError, CycleLimitError)):
        return
    package = Path(__file__).resolve().parent.parent
    entry = error.__traceback__
    while entry is not None and entry.tb_next is not None:
        if Path(entry.tb_next.tb_frame.f_code.co_filename).is_relative_to(package):
            entry.tb_next = None
        entry = entry.tb_next


def standstill(runs: TestRuns, error: BaseException) -> Iterator[tuple[str, str]]:
    """A section of the report: what a run that ended with an error was waiting for."""
    watched = None if runs.attempt is None else runs.attempt.watched
    if watched is not None and isinstance(error, SimulationError):
        title = "tlm: deadlock" if isinstance(error, DeadlockError) else "tlm: the run when it failed"
        yield title, "\n".join(_standstill_lines(watched))


def _standstill_lines(watched: Watched) -> Iterator[str]:
    simulation = watched.system.simulation
    now = simulation.clock.now
    transactions = sorted(simulation.kernel.open_transactions, key=lambda one: one.since_cycle)
    yield f"cycle {now:,}; {'open transactions, the oldest first:' if transactions else 'no open transaction'}"
    for one in transactions:
        phase = "accepted" if one.payload.accepted else "not accepted"
        yield f"  {now - one.since_cycle:>8,} cycles  {one.way}: {one.payload.describe()}, {phase}"
    yield "who was doing what:"
    for module in simulation.modules():
        probes = [module.parts[name] for name in ("state", "waits_for") if name in module.parts]
        states = [probe.value for probe in probes if isinstance(probe, Probe)]
        words = [str(getattr(state, "value", state)) for state in states if state is not None]
        if words:
            yield f"  {module.path:<20} {', waits for '.join(words)}"


class Waves:
    """Writes waveforms of one test.

    Args:
        directory: of all waveforms.
        test_id: pytest's.
        shown_from: what printed paths are relative to.
    """

    def __init__(self, directory: Path, test_id: str, shown_from: Path) -> None:
        self._directory = directory
        self._place = directory / directory_name(test_id)
        self._shown_from = shown_from

    def of_failure(self, runs: TestRuns, expectation: Expectation | None) -> Iterator[tuple[str, str]]:
        """A section of the report: the waveform of the run at fault.

        Args:
            runs: of the test.
            expectation: that failed, if it was one.
        """
        watched = None if runs.attempt is None else runs.attempt.watched
        if expectation is not None:
            run = expectation.run
            yield self._section(self._written(run.recipe, "run", run.last_cycle, expectation.moment_cycle))
        elif runs.attempt is not None and watched is not None:  # a run that failed
            end = watched.system.simulation.clock.now
            yield self._section(self._written(runs.attempt.recipe, "failed-run", end, end))
        elif runs.runs:
            yield self._section(self._written(runs.last.simulated.recipe, "run", runs.last.end, None))

    def of_all(self, runs: TestRuns) -> Iterator[tuple[str, str]]:
        """A section of the report: the waveform of every run of a test that passed."""
        lines = [
            self._written(run.simulated.recipe, f"run{index}", run.end, None)
            for index, run in enumerate(dict.fromkeys(runs.runs), 1)
        ]
        if lines:
            yield self._section(*lines)

    @staticmethod
    def _section(*lines: str) -> tuple[str, str]:
        return "tlm: waveform", "\n".join(lines)

    def _written(self, recipe: Recipe, name: str, end_cycle: int, moment_cycle: int | None) -> str:
        path = self._place / f"{name}.vcd"
        try:
            self._place.mkdir(parents=True, exist_ok=True)
            _write_wave(recipe, path, end_cycle, moment_cycle)
            ignore = self._directory / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n", encoding="ascii")
        except Exception as error:  # a report that fails would end the session
            return f"no waveform was written: {error}"
        shown = path.relative_to(self._shown_from) if path.is_relative_to(self._shown_from) else path
        opens = "" if moment_cycle is None else f" opens at cycle {moment_cycle:,}"
        return f"{shown}{opens}; `tlm wave {shown}` or: gtkwave {shown.with_suffix('.gtkw')}"


def _write_wave(recipe: Recipe, path: Path, end_cycle: int, moment_cycle: int | None) -> None:
    """Makes a run again, with a waveform; it opens at the moment, with every cycle around it."""
    every_cycle = end_cycle <= (_MOST_SHOWN_CYCLES if moment_cycle is None else _MOST_CYCLES)
    level, fidelity = (WaveLevel.CYCLE, Fidelity.CYCLE) if every_cycle else (WaveLevel.PASS, Fidelity.PASS)
    window = None
    if every_cycle and moment_cycle is not None:
        window = f"cycles:{max(0, moment_cycle - _AROUND_CYCLES)}..{moment_cycle + _AROUND_CYCLES}"
    options = TraceOptions(wave=path, level=level.value, window=window, moment_cycle=moment_cycle)
    with warnings.catch_warnings(), suppress(Exception):  # the run may fail again, and the dump is closed nevertheless
        warnings.simplefilter("ignore", TraceWarning)
        path.unlink(missing_ok=True)
        recipe.simulate(fidelity=fidelity.value, trace=options)
    if not path.is_file():
        recipe.simulate(fidelity=fidelity.value, trace=options)  # says why


def directory_name(test_id: str) -> str:
    """A test's id as the name of a directory; different ids give different names."""
    file, _, test = test_id.partition("::")
    head, bracket, parameters = test.partition("[")
    words = [re.sub(r"[/\\]", "-", file), *head.split("::")]
    plain = "-".join(words) + (f".{parameters.removesuffix(']')}" if bracket else "")
    name = re.sub(r"[^\w.\-]+", "_", plain, flags=re.ASCII)
    if name == plain and "-" not in file and len(name) <= _LONGEST_NAME:  # nothing else can have this name
        return name
    return f"{name[:_LONGEST_NAME]}-{hashlib.sha256(test_id.encode()).hexdigest()[:8]}"
