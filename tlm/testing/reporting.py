"""What a failed test prints: why the expectation failed, where a run stood still, and where its waveform is."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tlm.core.errors import DeadlockError, SimulationError, TlmError, TraceWarning
from tlm.core.probe import Probe
from tlm.observe.watched import Watched
from tlm.testing.expectation import Expectation, false_ones
from tlm.testing.fixtures import CycleLimitError, TestRuns
from tlm.testing.simulated import Recipe
from tlm.traces.trace_options import TraceOptions

_AROUND_CYCLES = 400
"""A waveform shows every cycle so far before and behind the moment."""
_MOST_CYCLES = 300_000
"""Of longer runs passes are shown instead of cycles: fidelity "cycle" takes long."""
_MOST_SHOWN_CYCLES = 50_000
"""The same where no moment limits what is shown: the file would be large."""
_LONGEST_NAME = 100


def explain_assertion(error: BaseException) -> Expectation | None:
    """Gives a failed ``assert`` the words of the expectations that were false in it, and returns the first of them."""
    text = str(error)
    found = false_ones(text) if isinstance(error, AssertionError) else []
    if found and not isinstance(error, CycleLimitError):
        own_message, below, _ = text.partition("\nassert ")  # what the author wrote behind the comma comes first
        if not below:
            own_message = "" if text.startswith("assert ") else text or "the last sentence that was false in this test:"
        error.args = ("\n".join([*([own_message] if own_message else []), *(one.explanation for one in found)]),)
    return found[0] if found else None


def hide_internals(error: BaseException) -> None:
    """Ends the traceback of an error of ours where the test called the simulator: the message says the rest."""
    package = Path(__file__).resolve().parent.parent
    entry = error.__traceback__ if isinstance(error, (TlmError, CycleLimitError)) else None
    while entry is not None and entry.tb_next is not None:
        if Path(entry.tb_next.tb_frame.f_code.co_filename).is_relative_to(package):
            entry.tb_next = None
        entry = entry.tb_next


def standstill(watched: Watched, error: SimulationError) -> tuple[str, str]:
    """A section of the report: what a run that ended with an error was waiting for."""
    title = "tlm: deadlock" if isinstance(error, DeadlockError) else "tlm: the run when it failed"
    simulation = watched.system.simulation
    now = simulation.clock.now
    transactions = sorted(simulation.kernel.open_transactions, key=lambda one: one.since_cycle)
    lines = [f"cycle {now:,}; {'open transactions, the oldest first:' if transactions else 'no open transaction'}"]
    for one in transactions:
        phase = "accepted" if one.payload.accepted else "not accepted"
        lines.append(f"  {now - one.since_cycle:>8,} cycles  {one.way}: {one.payload.describe()}, {phase}")
    lines.append("who was doing what:")
    for module in simulation.modules():
        probes = [module.parts[name] for name in ("state", "waits_for") if name in module.parts]
        states = [probe.value for probe in probes if isinstance(probe, Probe)]
        words = [str(getattr(state, "value", state)) for state in states if state is not None]
        if words:
            lines.append(f"  {module.path:<20} {', waits for '.join(words)}")
    return title, "\n".join(lines)


def failure_sections(
    runs: TestRuns, error: BaseException, expectation: Expectation | None, wave: Path | None, root: Path
) -> Iterator[tuple[str, str]]:
    """Sections of the report of a test that failed.

    Args:
        runs: of the test.
        error: that it raised.
        expectation: that failed, if it was one.
        wave: directory of the test's waveforms; None for none.
        root: what printed paths are relative to.
    """
    attempt, moment = runs.attempt, None
    watched = attempt.watched if attempt is not None else []
    if watched and isinstance(error, SimulationError):
        yield standstill(watched[0], error)
    if expectation is not None:
        simulated, moment = expectation.run, expectation.moment_cycle
        recipe, name, end = simulated.recipe, "run", simulated.last_cycle
    elif attempt is not None and watched:
        end = moment = watched[0].system.simulation.clock.now
        recipe, name = attempt.recipe, "failed-run"
    elif runs.runs:
        recipe, name, end = runs.last.simulated.recipe, "run", runs.last.end
    else:
        return
    if wave is not None:
        yield "tlm: waveform", _written(recipe, wave / f"{name}.vcd", end, moment, root)


def all_waves(runs: TestRuns, directory: Path, root: Path) -> Iterator[tuple[str, str]]:
    """A section of the report of a test that passed: the waveform of each of its runs."""
    lines = [
        _written(run.simulated.recipe, directory / f"run{number}.vcd", run.end, None, root)
        for number, run in enumerate(dict.fromkeys(runs.runs), 1)
    ]
    if lines:
        yield "tlm: waveform", "\n".join(lines)


def _written(recipe: Recipe, path: Path, end_cycle: int, moment_cycle: int | None, root: Path) -> str:
    """Makes a run again, with a waveform that opens at the moment, with every cycle around it; where it is."""
    every_cycle = end_cycle <= (_MOST_SHOWN_CYCLES if moment_cycle is None else _MOST_CYCLES)
    level = "cycle" if every_cycle else "pass"
    window = None
    if every_cycle and moment_cycle is not None:
        window = f"cycles:{max(0, moment_cycle - _AROUND_CYCLES)}..{moment_cycle + _AROUND_CYCLES}"
    options = TraceOptions(wave=path, level=level, window=window, moment_cycle=moment_cycle)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        with warnings.catch_warnings(), suppress(Exception):  # the run may fail again; the dump is closed nevertheless
            warnings.simplefilter("ignore", TraceWarning)
            recipe.simulate(fidelity=level, trace=options)
        if not path.is_file():
            recipe.simulate(fidelity=level, trace=options)  # says why
        ignore = path.parent.parent / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="ascii")
    except Exception as error:  # a report that fails would end the session
        return f"no waveform was written: {error}"
    shown = path.relative_to(root) if path.is_relative_to(root) else path
    opens = "" if moment_cycle is None else f" opens at cycle {moment_cycle:,}"
    return f"{shown}{opens}; `tlm wave {shown}` or: gtkwave {shown.with_suffix('.gtkw')}"


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
