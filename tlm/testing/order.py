"""What comes before what, and what must never happen at the same time.

Things that are empty, that have no place in time, or that are of different runs raise InputError.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, runtime_checkable

from tlm.core.errors import InputError
from tlm.testing.checks import counted
from tlm.testing.expectation import Expectation
from tlm.testing.explain import moment_lines
from tlm.testing.recording import Transaction
from tlm.testing.simulated import Simulated
from tlm.testing.span import Span


@runtime_checkable
class Timed(Protocol):
    """Anything of a run that lies in time: layers, passes, transfers, transactions."""

    simulated: Simulated

    def spans(self) -> list[Span]:
        """The cycles in which it was under way."""
        ...


def before(first: object, second: object) -> Expectation:
    """Everything of ``first`` has ended before anything of ``second`` begins, at the latest in the cycle before.

    Args:
        first: layer, pass, transfer, transactions, or a list of such.
        second: the same.
    """
    run, (ones, others) = _timed({"first": first, "second": second})
    last, next_one = max(ones, key=lambda one: one.last_cycle), min(others, key=lambda one: one.first_cycle)
    claim = (
        f"{last.name} ends in cycle {last.last_cycle:,}, expected before {next_one.name} begins in cycle "
        f"{next_one.first_cycle:,}"
    )
    apart = next_one.first_cycle - last.last_cycle - 1
    late = f"the second begins {counted(-apart)} too early"
    if next_one.last_cycle < last.first_cycle:
        late = f"they are in the opposite order, {counted(last.first_cycle - next_one.last_cycle - 1)} apart"
    return Expectation(run, apart >= 0, claim, next_one.first_cycle, lambda _: _pair_lines(run, last, next_one, late))


def never_together(*things: object) -> Expectation:
    """In no cycle more than one of the things is under way.

    Args:
        things: two or more layers, passes, transfers, transactions, or lists of such. What belongs to the same thing
            may overlap.
    """
    if len(things) < 2:
        raise InputError(
            f"never_together: {len(things)} things were given; give two or more, or a list to never_two_at_once"
        )
    run, spans = _timed({f"thing {number}": thing for number, thing in enumerate(things, 1)})
    owned = [(span, owner) for owner, own in enumerate(spans) for span in own]
    return _never(run, owned, "are never under way together")


def never_two_at_once(thing: object) -> Expectation:
    """No two of a list of things are under way in the same cycle.

    Args:
        thing: transactions, transfers or such.
    """
    run, (spans,) = _timed({"thing": thing})
    return _never(run, [(span, owner) for owner, span in enumerate(spans)], "are never two at once")


def _never(run: Simulated, owned: list[tuple[Span, int]], demand: str) -> Expectation:
    """Spans with their owners, of which no two may overlap."""
    overlaps = list(_overlaps(sorted(owned, key=lambda one: (one[0].first_cycle, one[1]))))
    if not overlaps:
        return Expectation(run, True, f"{len(owned):,} {demand}")
    earlier, later = overlaps[0]
    claim = (
        f"{earlier.name} and {later.name} are under way together in cycle {later.first_cycle:,}, "
        f"expected that they {demand}"
    )
    common = min(earlier.last_cycle, later.last_cycle) - later.first_cycle + 1
    more = f"; {len(overlaps):,} such pairs in all" if len(overlaps) > 1 else ""
    text = f"they have {counted(common)} in common{more}"
    return Expectation(run, False, claim, later.first_cycle, lambda _: _pair_lines(run, earlier, later, text))


def _overlaps(owned: list[tuple[Span, int]]) -> Iterator[tuple[Span, Span]]:
    """Pairs of different owners; each span with the one before it that lasts longest."""
    longest: dict[int, Span] = {}
    for span, owner in owned:
        longest = {key: one for key, one in longest.items() if one.last_cycle >= span.first_cycle}
        others = [one for other, one in longest.items() if other != owner]
        if others:
            yield max(others, key=lambda one: one.last_cycle), span
        if owner not in longest or span.last_cycle > longest[owner].last_cycle:
            longest[owner] = span


def _pair_lines(run: Simulated, first: Span, second: Span, relation: str) -> Iterator[str]:
    yield f"first   {first}"
    yield f"second  {second}"
    yield relation
    yield from moment_lines(run, second.first_cycle)


def _timed(things: Mapping[str, object]) -> tuple[Simulated, list[list[Span]]]:
    """The run of things, which are given by their names in messages, and the spans of each."""
    runs: list[Simulated] = []
    found: list[list[Span]] = []
    for what, thing in things.items():
        spans: list[Span] = []
        for one in _listed(thing):
            if isinstance(one, Transaction):
                raise InputError(
                    f"{what}: a single transaction cannot be ordered; give a slice, such as run.at(..)[3:4]"
                )
            if not isinstance(one, Timed):
                raise InputError(
                    f"{what}: a {type(one).__name__} has no place in time; give a layer, a pass, a transfer or "
                    'transactions of a run, such as run.layer("c1")'
                )
            runs.append(one.simulated)
            if one.simulated.recipe.key != runs[0].recipe.key:
                raise InputError(
                    f"{what}: it is of another run, whose moments come neither before nor after those of the first; "
                    "compare numbers of them, such as .begin or .cycles"
                )
            spans += one.spans()
        if not spans:
            raise InputError(f"{what}: it is empty ({thing!r}); choose something that happens")
        found.append(spans)
    return runs[0], found


def _listed(thing: object) -> Iterable[object]:
    if isinstance(thing, (Timed, str)) or not isinstance(thing, Iterable):
        return [thing]
    return thing.values() if isinstance(thing, Mapping) else thing
