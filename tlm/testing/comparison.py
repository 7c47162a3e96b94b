"""Two runs compared: the causes whose cycles differ, and the first transaction that does.

A run says what happened, but not what should have happened. If the chip differs from the default one, the run is made
again with each change taken back, and with all of them taken back. The first that meets the expectation is compared
with: the changes that it lacks are the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import zip_longest

from tlm.chip.config import ChipConfig
from tlm.observe.causes import WAITS
from tlm.testing.bounds import Bounds, counted
from tlm.testing.expectation import Expectation, indented
from tlm.testing.recording import Transaction
from tlm.testing.simulated import Simulated, changed_text, chip_changes
from tlm.testing.span import Span

_MOST_CHANGES = 8
_MOST_CYCLES = 3_000_000
"""Longer runs are not repeated."""
_MOST_COMPARED_CYCLES = 150_000
"""Of longer runs the transactions are not compared: recording them takes long."""

Find = Callable[[Simulated], Span]
"""Finds the same thing in any run of a network."""


def reference_lines(run: Simulated, find: Find, bounds: Bounds, expectation: Expectation) -> Iterator[str]:
    """What the run differs in from one that meets the expectation, if the chip is not the default one."""
    changes = chip_changes(run.result.chip)
    if not changes:
        return
    yield f"this chip is not the default one: {changed_text(changes)}"
    each = [[key] for key in changes] if len(changes) <= _MOST_CHANGES and run.result.cycles <= _MOST_CYCLES else []
    for taken_back in (*each, list(changes)) if len(each) > 1 else each:
        other = run.on({key: value for key, value in changes.items() if key not in taken_back})
        if other is not None and not bounds.excess(find(other).cycles):
            break
    else:
        yield "taking back these changes, each or all, does not give what is expected"
        return
    own, theirs = find(run), find(other)
    keys = ", ".join(f"{key} = {getattr(ChipConfig(), key)}" for key in taken_back)
    yield f"with {keys} {own.name} takes {theirs.cycles:,} cycles, as expected; in comparison with that run:"
    yield from indented(difference_lines(run, own, other, theirs, expectation))


def difference_lines(
    run: Simulated, own: Span, other: Simulated, theirs: Span, expectation: Expectation
) -> Iterator[str]:
    """The causes whose cycles differ, and the first transaction that does, to which the expectation's moment moves.

    Args:
        run: this run.
        own: a piece of it.
        other: the run that it is compared with.
        theirs: the same piece of that.
        expectation: that is being explained.
    """
    yield from changed_causes(theirs.account, own.account)
    if max(run.result.cycles, other.result.cycles) > _MOST_COMPARED_CYCLES:
        yield f"transactions are compared in runs of up to {_MOST_COMPARED_CYCLES:,} cycles only"
        return
    shift = theirs.first_cycle - own.first_cycle if own.layer is not None else 0
    found = list(_partings(run, own, other, theirs, shift))
    if not found:
        yield "every transaction is the same"
        return
    # of several in one cycle the one that began last and was over first: it is what the others wait for
    cycle, *_, mine, other_one = min(found, key=lambda one: one[:3])
    since = f" ({cycle - own.first_cycle:,} since {own.name} began)" if own.layer is not None else ""
    expectation.moment_cycle = cycle
    yield f"the first transaction where they part, in cycle {cycle:,}{since}:"
    yield from indented(_parting_lines(mine, other_one, shift))


def changed_causes(before: Mapping[str, int], after: Mapping[str, int]) -> Iterator[str]:
    """The causes whose cycles changed, and who waits for whom in them."""
    for cause in dict.fromkeys((*after, *before)):
        old, new = before.get(cause, 0), after.get(cause, 0)
        if old != new:
            who = f": {WAITS[cause].waiter} waits for {WAITS[cause].target}" if cause in WAITS else ""
            yield f"{cause:<16}{old:>12,} -> {new:,} ({new - old:+,}){who}"


def _partings(
    run: Simulated, own: Span, other: Simulated, theirs: Span, shift: int
) -> Iterator[tuple[int, int, int, Transaction | None, Transaction | None]]:
    """Of each socket the first transactions that differ, compared in the order in which they began.

    Yields:
        The first moment that differs, the negative begin and the end to sort by, and the two; None for what only one
        run has.
    """
    for socket in run.recording.targets:
        if own.layer is not None and not socket.startswith("engine."):
            continue
        for one, another in zip_longest(_inside(run, socket, own), _inside(other, socket, theirs)):
            if one is None:
                yield another.begin_cycle - shift, -another.begin_cycle, another.end_cycle, None, another
            elif another is None:
                yield one.begin_cycle, -one.begin_cycle, one.end_cycle, one, None
            elif _form(one) != _form(another) or _moments(one) != _moments(another, shift):
                pairs = zip(_moments(one), _moments(another, shift), strict=True)
                different = [min(pair) if min(pair) >= 0 else max(pair) for pair in pairs if pair[0] != pair[1]]
                yield min(different, default=one.begin_cycle), -one.begin_cycle, one.end_cycle, one, another
            else:
                continue
            break


def _inside(run: Simulated, socket: str, span: Span) -> list[Transaction]:
    ones = run.recording.at[socket]
    if span.layer is None:
        return ones
    return [one for one in ones if span.first_cycle <= one.begin_cycle <= span.last_cycle]


def _moments(one: Transaction, shift: int = 0) -> tuple[int, ...]:
    return tuple(cycle - shift if cycle >= 0 else -1 for cycle in (one.begin_cycle, one.accept_cycle, one.end_cycle))


def _form(one: Transaction) -> tuple[str, str, int]:
    return one.kind, one.status, one.address


def _parting_lines(own: Transaction | None, other: Transaction | None, shift: int) -> Iterator[str]:
    if own is None or other is None:
        yield f"{own or other}"
        yield "which this run does not have" if own is None else "which only this run has"
        return
    yield f"{own.socket} -> {own.target}: {own.what}"
    if own.what != other.what:
        yield f"instead of: {other.what}"
    pairs = list(zip(_moments(own), _moments(other, shift), strict=True))
    verbs = ("begins", "is accepted", "is answered") if len(set(pairs)) > 1 else ("is made",)
    for verb, (cycle, other_cycle) in zip(verbs, pairs, strict=False):
        change = f"{counted(abs(cycle - other_cycle))} {'later' if cycle > other_cycle else 'earlier'} than there"
        yield f"{verb} in cycle {cycle:,}, {'as there' if cycle == other_cycle else change}"
    if own.status != other.status:
        yield f"the answer is {own.status!r} instead of {other.status!r}"
