"""The account of a run as a sequence: which cycles were spent on what, and who waited for whom meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from tlm.observe.cause_spans import CauseSpan, cause_spans
from tlm.observe.causes import WAITS
from tlm.observe.watched import Watched

if TYPE_CHECKING:
    from tlm.testing.recipe import Recipe
    from tlm.testing.recording import Recording

def changed_wait(cause: str, before: int, after: int) -> str:
    """How a cause's cycles changed, and who waits for whom in them."""
    words = f"{cause:<16}{before:>12,} -> {after:,} ({after - before:+,})"
    if cause not in WAITS:
        return words
    return f"{words}: {WAITS[cause].waiter} waits for {WAITS[cause].target}"


@dataclass(eq=False)
class CauseRecorder:
    """An observer that keeps the recorder of a run, from which the sequence is made when the run has ended."""

    spans: list[CauseSpan] | None = None
    _watched: Watched | None = None

    def __call__(self, watched: Watched) -> None:
        """Called with the run before it starts."""
        self._watched = watched

    def finish(self) -> list[CauseSpan]:
        """The sequence; nothing of the system is kept."""
        assert self._watched is not None
        found = cause_spans(self._watched.recorder, self._watched.system.config)
        self._watched = None
        return found


def causes_of(recipe: Recipe) -> list[CauseSpan]:
    """Runs it in the fast fidelity and gives the sequence of its causes."""
    recorder = CauseRecorder()
    recipe.simulate(fidelity="pass", observers=[recorder])
    return recorder.finish()


def cycle_by_cycle(spans: Iterable[CauseSpan], recording: Recording) -> list[CauseSpan]:
    """The same with the cycles within passes told apart, as seen at the sockets of fidelity "cycle"."""
    steps = _steps(recording)
    refused = _refused_writes(recording)
    found: list[CauseSpan] = []
    for span in spans:
        causes = range(span.first_cycle, span.end_cycle)
        if span.cause == "computing":
            found += _runs(span, (steps.get(cycle, "instruction") for cycle in causes))
        elif span.cause == "drain":
            found += _runs(span, ("write_back" if cycle in refused else "drain" for cycle in causes))
        else:
            found.append(span)
    return found


def _runs(span: CauseSpan, causes: Iterable[str]) -> Iterator[CauseSpan]:
    at = span.first_cycle
    for cause, cycles in groupby(causes):
        end = at + sum(1 for _ in cycles)
        yield replace(span, first_cycle=at, end_cycle=end, cause=cause)
        at = end


def _steps(recording: Recording) -> dict[int, str]:
    """Cycle -> "computing" in the last cycle of a step's fetch, "bank_conflict" in the earlier ones."""
    socket = recording.sockets.index("engine.sequencer.steps")
    found: dict[int, str] = {}
    for row in (recording.socket == socket).nonzero()[0].tolist():
        if recording.kinds[int(recording.kind[row])] == "StepPayload":
            begin, end = int(recording.begin_cycle[row]), int(recording.end_cycle[row])
            found |= dict.fromkeys(range(begin, end), "bank_conflict")
            found[end] = "computing"
    return found


def _refused_writes(recording: Recording) -> set[int]:
    from tlm.testing.recording import STATUSES

    retry = next(index for index, status in enumerate(STATUSES) if status.value == "retry")
    socket = recording.sockets.index("engine.requantiser.writes")
    return set(recording.begin_cycle[(recording.socket == socket) & (recording.status == retry)].tolist())
