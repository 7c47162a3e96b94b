"""What a failed test prints: why the expectation failed, where a run stood still, and where its waveform is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tlm.core.errors import DeadlockError, SimulationError, TlmError
from tlm.testing.expectation import ASKED, Expectation
from tlm.testing.failing import directory_name, standstill_lines, write_wave
from tlm.testing.fixtures import CycleLimitError, TestRuns

Section = tuple[str, str]


def explain_assertion(error: BaseException) -> Expectation | None:
    """Gives a failed ``assert`` the words of the expectations that were false in it.

    Args:
        error: what the test raised.

    Returns:
        The first of them, if there is one.
    """
    if isinstance(error, CycleLimitError):
        return error.expectation
    if not isinstance(error, AssertionError):
        return None
    text = str(error)
    found, own_message = ASKED.shown_in(text), _own_message(error)
    if not found and not text and ASKED.false:  # an assert that pytest has not rewritten says nothing
        found, own_message = [ASKED.false[-1]], "the last sentence that was false in this test:"
    if not found:
        return None
    parts = [*([own_message] if own_message else []), *(one.explanation for one in found)]
    error.args = ("\n".join(parts),)
    return found[0]


def _own_message(error: AssertionError) -> str:
    """What the author of the test wrote behind the comma; pytest puts "assert .." below it."""
    text = str(error)
    head, found, _ = text.partition("\nassert ")
    return head if found else "" if text.startswith("assert ") else text


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


def failure_sections(runs: TestRuns, error: BaseException) -> Iterator[Section]:
    """What is known of a run that ended with an error."""
    watched = None if runs.attempt is None else runs.attempt.watched
    if watched is None or not isinstance(error, SimulationError):
        return
    title = "tlm: deadlock" if isinstance(error, DeadlockError) else "tlm: the run when it failed"
    yield title, "\n".join(standstill_lines(watched))


def wave_section(
    runs: TestRuns, expectation: Expectation | None, test_id: str, directory: Path, shown_from: Path
) -> Section | None:
    """Writes the waveform of the run at fault; its place in words.

    Args:
        runs: of the test.
        expectation: that failed, if it was one.
        test_id: pytest's.
        directory: of all waveforms.
        shown_from: what the printed path is relative to.
    """
    attempt = runs.attempt
    place = directory / directory_name(test_id)
    if expectation is not None:
        run, moment = expectation.run, expectation.moment_cycle
        recipe, end, name = run.recipe, run.last_cycle, "run"
    elif attempt is not None and attempt.watched is not None:  # a run that failed
        end = moment = attempt.watched.system.simulation.clock.now
        recipe, name = attempt.recipe, "failed-run"
    elif runs.runs:
        recipe, end, moment, name = runs.last.recipe, runs.last.last_cycle, None, "run"
    else:
        return None
    return "tlm: waveform", _written(recipe, place, name, end, moment, shown_from)


def all_waves(runs: TestRuns, test_id: str, directory: Path, shown_from: Path) -> Section | None:
    """Writes the waveform of every run of a test that passed."""
    place = directory / directory_name(test_id)
    lines = [
        _written(run.recipe, place, f"run{index}", run.last_cycle, None, shown_from)
        for index, run in enumerate(dict.fromkeys(runs.runs), 1)
    ]
    return ("tlm: waveform", "\n".join(lines)) if lines else None


def _written(recipe: Any, place: Path, name: str, end: int, moment: int | None, shown_from: Path) -> str:
    try:
        path = write_wave(recipe, place, name, end, moment)
        ignore = place.parent / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="ascii")
    except Exception as error:  # a report that fails would end the session
        return f"no waveform was written: {error}"
    shown = path.relative_to(shown_from) if path.is_relative_to(shown_from) else path
    opens = "" if moment is None else f" opens at cycle {moment:,}"
    return f"{shown}{opens}; `tlm wave {shown}` or: gtkwave {shown.with_suffix('.gtkw')}"
