"""What a test demands of a run: an object whose truth decides, and which says why when it is false.

``assert run.layer("c1").takes(cycles=73)`` asks for the truth of an :class:`Expectation`. Those that are false are
noted, so that the report of a failed ``assert`` can say why.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from tlm.testing.subject import Subject

_INDENT = "  "
_REMEMBERED = 64
_SHOWN = 80
"""Characters of a claim that pytest does not cut."""


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

    def __init__(self, run: Subject, verdict: Verdict) -> None:
        self.run = run
        self._verdict = verdict
        ASKED.made(self)

    @property
    def claim(self) -> str:
        """One line: what was found and what was expected."""
        return self._verdict.claim

    @property
    def verdict(self) -> Verdict:
        """What was found."""
        ASKED.read(self)
        return self._verdict

    @property
    def holds(self) -> bool:
        """Whether it is met; to ask this way is no demand."""
        return self._verdict.holds

    def __bool__(self) -> bool:
        if not self.verdict.holds:
            ASKED.false.append(self)
        return self.holds

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


class Asked:
    """Expectations of the test that runs: which were found false, and which nobody has asked yet."""

    def __init__(self) -> None:
        self.false: deque[Expectation] = deque(maxlen=_REMEMBERED)
        """The last ones that were asked and are false, latest last."""
        self._unasked: dict[int, Expectation] = {}

    def made(self, expectation: Expectation) -> None:
        """Called by a new expectation."""
        if len(self._unasked) < _REMEMBERED:
            self._unasked[id(expectation)] = expectation

    def read(self, expectation: Expectation) -> None:
        """Called by an expectation that somebody looks at."""
        self._unasked.pop(id(expectation), None)

    def forgotten(self) -> list[str]:
        """Claims of false expectations that nobody has looked at; afterwards they are not known any more."""
        unasked = [one for one in self._unasked.values() if not one.holds]
        self.clear()
        return [one.claim for one in unasked]

    def clear(self) -> None:
        """A new test begins."""
        self.false.clear()
        self._unasked.clear()

    def shown_in(self, text: str) -> list[Expectation]:
        """The false ones that the message of a failed ``assert`` shows; pytest cuts what is long."""
        return [one for one in dict.fromkeys(self.false) if one.claim[:_SHOWN] in text]


ASKED = Asked()
"""Of this process; the plugin clears it for each test."""
