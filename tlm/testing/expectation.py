"""What a test demands of a run: an object whose truth decides, and which says why when it is false."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

from tlm.testing.simulated import Simulated

_SHOWN = 80
"""Characters of a claim that pytest does not cut."""


class Expectation:
    """True or false; prints what was expected, what happened and why.

    Args:
        run: what it is about.
        holds: whether the expectation is met; to ask for the attribute is no demand.
        claim: one line: what was found and what was expected.
        moment_cycle: where to look at, in cycles since the first host access.
        details: makes the lines that explain it; called only when somebody reads them. It is given the expectation, and
            may move ``moment_cycle``.
    """

    def __init__(
        self,
        run: Simulated,
        holds: bool,
        claim: str,
        moment_cycle: int | None = None,
        details: Callable[[Expectation], Iterable[str]] = lambda _: (),
    ) -> None:
        self.run = run
        self.holds = holds
        self.claim = claim
        self.moment_cycle = moment_cycle
        self._details = details
        self._asked = False
        MADE.append(self)

    def __bool__(self) -> bool:
        self._asked = True
        return self.holds

    def __repr__(self) -> str:
        self._asked = True
        return f"<{'holds' if self.holds else 'fails'}: {self.claim}>"

    @cached_property
    def explanation(self) -> str:
        """The claim, and below it the lines that explain it."""
        self._asked = True
        lines = [self.claim]
        if not self.holds:
            try:
                lines.extend(indented(self._details(self)))
            except Exception as error:  # the failure itself must be reported, whatever happens to its explanation
                lines.append(f"  (no further explanation: {type(error).__name__}: {error})")
        return "\n".join(lines)


MADE: deque[Expectation] = deque(maxlen=64)
"""The last ones of the test that runs; the plugin clears it for each test."""


def forgotten() -> list[str]:
    """Claims of false expectations that nobody has looked at."""
    return [one.claim for one in MADE if not one.holds and not one._asked]


def false_ones(message: str) -> list[Expectation]:
    """The false ones that the message of a failed ``assert`` shows.

    An ``assert`` that pytest has not rewritten has no message; then it is the last one that was asked.
    """
    false = [one for one in MADE if not one.holds and one._asked]
    return [one for one in false if one.claim[:_SHOWN] in message] if message else false[-1:]


def indented(lines: Iterable[str]) -> Iterator[str]:
    """The same lines further to the right."""
    return (f"  {line}".rstrip() for line in lines)
