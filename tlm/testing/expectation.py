"""What a test demands of a run: an object whose truth decides, and which says why when it is false.

``assert run.layer("c1").takes(cycles=73)`` asks for the truth of an :class:`Expectation`. Each such question is noted
with the line that asked it, so that the report of a failed ``assert`` can find what was false in it. That works for
every ``assert``, rewritten by pytest or not.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from tlm.testing.run import Run

_INDENT = "  "
_REMEMBERED = 64
_CALLERS = 24
_PACKAGE = str(Path(__file__).resolve().parent.parent) + os.sep


class MomentLine(str):
    """A line that names the moment to look at; it overrules the verdict's."""

    cycle: int

    def __new__(cls, text: str, cycle: int) -> MomentLine:
        """The text and the moment."""
        made = super().__new__(cls, text)
        made.cycle = cycle
        return made


def indented(lines: Iterable[str]) -> Iterator[str]:
    """The same lines further to the right."""
    for line in lines:
        text = f"{_INDENT}{line}".rstrip()
        yield MomentLine(text, line.cycle) if isinstance(line, MomentLine) else text


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found.

    Args:
        holds: whether the expectation is met.
        claim: one line: what was found and what was expected.
        moment_cycle: where to look at, in cycles since the first host access.
        details: makes the lines that explain it; called only when somebody reads them.
    """

    holds: bool
    claim: str
    moment_cycle: int | None = None
    details: Callable[[], Iterable[str]] = tuple


class Expectation:
    """True or false; prints what was expected, what happened and why.

    Args:
        run: what it is about.
        verdict: what was found.
    """

    def __init__(self, run: Run, verdict: Verdict) -> None:
        self.run = run
        self._verdict = verdict
        EVALUATIONS.made(self)

    @property
    def claim(self) -> str:
        """One line: what was found and what was expected."""
        return self._verdict.claim

    @property
    def verdict(self) -> Verdict:
        """What was found."""
        EVALUATIONS.used(self)
        return self._verdict

    def __bool__(self) -> bool:
        EVALUATIONS.note(self)
        return self.verdict.holds

    def __repr__(self) -> str:
        return f"<{'holds' if self.verdict.holds else 'fails'}: {self.verdict.claim}>"

    @property
    def explanation(self) -> str:
        """The claim, and below it the lines that explain it."""
        return "\n".join([self.verdict.claim, *self._details])

    @property
    def moment_cycle(self) -> int | None:
        """Where to look at."""
        named = [line.cycle for line in self._details if isinstance(line, MomentLine)]
        return named[0] if named else self.verdict.moment_cycle

    @cached_property
    def _details(self) -> list[str]:
        found: list[str] = []
        if not self.verdict.holds:
            try:
                found.extend(indented(self.verdict.details()))
            except Exception as error:  # the failure itself must be reported, whatever happens to its explanation
                found.append(f"{_INDENT}(no further explanation: {type(error).__name__}: {error})")
        return found


_Place: TypeAlias = tuple[CodeType, int, int]
"""Code, line and instruction."""


@dataclass(frozen=True, slots=True)
class _Evaluation:
    expectation: Expectation
    places: tuple[_Place, ...]
    """Where its truth was asked for, and who had called that, the outermost last."""

    def path_from(self, code: CodeType, lines: range) -> tuple[_Place, ...]:
        """From the question up to these lines; empty if they did not ask it."""
        for depth, (own, line, _) in enumerate(self.places, 1):
            if own is code and line in lines:
                return self.places[:depth]
        return ()


class Evaluations:
    """The last expectations whose truth was asked for, and where."""

    def __init__(self) -> None:
        self._last: deque[_Evaluation] = deque(maxlen=_REMEMBERED)
        self._unused: dict[int, tuple[Expectation, str, int]] = {}
        """By identity: expectations that nobody has asked or read, with file and line of the test."""
        self._used_lines: set[tuple[str, int]] = set()

    def made(self, expectation: Expectation) -> None:
        """Called by a new expectation."""
        if len(self._unused) < _REMEMBERED:
            frame: FrameType | None = sys._getframe(2)
            while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
                frame = frame.f_back
            if frame is not None:
                self._unused[id(expectation)] = expectation, frame.f_code.co_filename, frame.f_lineno

    def used(self, expectation: Expectation) -> None:
        """Called by an expectation that somebody looks at."""
        entry = self._unused.pop(id(expectation), None)
        if entry is not None:
            self._used_lines.add(entry[1:])

    def forgotten(self) -> list[tuple[str, str, int]]:
        """Claim, file and line of expectations that nobody has looked at; afterwards they are not known any more.

        One whose line had another that was looked at does not count: ``any([..])`` ends with the first that holds.
        """
        unused = [entry for entry in self._unused.values() if entry[1:] not in self._used_lines]
        self.clear()
        return [(one.claim, file, line) for one, file, line in unused]

    def note(self, expectation: Expectation) -> None:
        """Called by an expectation that is asked."""
        frame: FrameType | None = sys._getframe(2)
        places: list[_Place] = []
        while frame is not None and len(places) < _CALLERS:
            places.append((frame.f_code, frame.f_lineno, frame.f_lasti))
            frame = frame.f_back
        self._last.append(_Evaluation(expectation, tuple(places)))

    def clear(self) -> None:
        """A new test begins."""
        self._last.clear()
        self._unused.clear()
        self._used_lines.clear()

    def behind(self, traceback: TracebackType | None) -> list[Expectation]:
        """Those that an ``assert`` asked before it failed, itself or in what it called, in that order.

        Args:
            traceback: of its AssertionError.

        Returns:
            Those that are false; if none is, those that hold.
        """
        if traceback is None:
            return []
        while traceback.tb_next is not None:
            traceback = traceback.tb_next
        code, lines = traceback.tb_frame.f_code, _statement_lines(traceback)
        asked = {one.path_from(code, lines): one.expectation for one in self._last}
        asked.pop((), None)
        found = list(dict.fromkeys(asked.values()))  # "a or b" asks a twice
        return [one for one in found if not one.verdict.holds] or found


def _statement_lines(traceback: TracebackType) -> range:
    """Lines of the statement that raised."""
    first = last = traceback.tb_lineno
    for index, (line, end_line, _, _) in enumerate(traceback.tb_frame.f_code.co_positions()):
        if index == traceback.tb_lasti // 2:
            first, last = line or first, end_line or last
    return range(first, last + 1)


EVALUATIONS = Evaluations()
"""Of this process; the plugin clears it for each test."""
