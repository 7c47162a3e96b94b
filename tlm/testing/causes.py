"""The account of a run as a sequence: which cycles were spent on what, and who waited for whom meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from itertools import groupby
from typing import TYPE_CHECKING

from tlm.observe.account import ArrayAccount, WaitAccount
from tlm.observe.cause_spans import CauseSpan, cause_spans
from tlm.observe.watched import Watched

if TYPE_CHECKING:
    from tlm.testing.recipe import Recipe
    from tlm.testing.recording import Recording

WAITS: dict[str, tuple[str, str, str]] = {
    "bank_conflict": ("engine.aligner", "engine.amem", "words of one step lie in the same bank"),
    "instruction": ("engine.mac_array", "engine.sequencer", "pattern words without a valid tap"),
    "pipeline": ("engine.sequencer", "aligner, mac_array and requantiser", "the pipeline behind a pass empties"),
    "parameters": ("engine.mac_array", "engine.sequencer", "it reads the parameters of the next group of channels"),
    "write_back": ("engine.mac_array", "engine.requantiser", "outputs are not yet written back to engine.amem"),
    "drain": ("engine.sequencer", "engine.requantiser", "it writes the last pass of the layer to engine.amem"),
    "weights": ("engine", "dma.load", "weights are on their way to engine.wmem"),
    "activations": ("engine", "dma.load or dma.store", "activations are on their way to or from engine.amem"),
    "instructions": ("engine.mac_array", "engine.sequencer or dma.load", "headers, first parameters, or loading them"),
    "host": ("engine", "host", "register accesses, and the way from an interrupt to the next instruction"),
}
"""Cause of docs/account.md -> who waits, for whom, and why."""

CAUSES = tuple(item.name for kind in (ArrayAccount, WaitAccount) for item in fields(kind))
"""All causes in the order of the account."""


def changed_wait(cause: str, before: int, after: int) -> str:
    """How a cause's cycles changed, and who waits for whom in them."""
    words = f"{cause:<16}{before:>12,} -> {after:,} ({after - before:+,})"
    if cause not in WAITS:
        return words
    waiter, target, _ = WAITS[cause]
    return f"{words}: {waiter} waits for {target}"


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
