"""Why a run took what it took: what a failed expectation prints below its first line.

A run says what happened, but not what should have happened. If the chip differs from the default one, the run is made
again with each change taken back, and with all of them taken back. The first that meets the expectation is compared
with: the changes that it lacks are the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import zip_longest

from tlm.chip.config import ChipConfig
from tlm.observe.causes import WAITS
from tlm.testing.checks import Bounds, counted
from tlm.testing.expectation import Expectation, indented
from tlm.testing.recording import Transaction
from tlm.testing.simulated import Simulated, changed_text, chip_changes
from tlm.testing.span import Span

_WAITS_SHOWN = 3
_NAME_WIDTH = 16
_MOST_CHANGES = 8
_MOST_CYCLES = 3_000_000
"""Longer runs are not repeated."""
_MOST_COMPARED_CYCLES = 150_000
"""Of longer runs the transactions are not compared: recording them takes long."""

Find = Callable[[Simulated], Span]
"""Finds the same thing in any run of a network."""


def overrun_lines(run: Simulated, span: Span, bounds: Bounds) -> Iterator[str]:
    """Where it lies, and what went on in the first cycle that it should not have taken."""
    yield f"from cycle {span.first_cycle:,} to cycle {span.last_cycle:,}"
    excess = int(bounds.excess(span.cycles))
    if excess > 0 and span.last_cycle - excess >= span.first_cycle:
        yield "the first cycle beyond what is expected:"
        yield from indented(moment_lines(run, span.last_cycle - excess + 1))


def account_lines(run: Simulated, span: Span) -> Iterator[str]:
    """Its causes, and who waited for whom and how long, the longest first."""
    yield "its cycles:"
    for cause, cycles in span.account.items():
        if cycles:
            yield f"  {cause:<{_NAME_WIDTH}}{cycles:>12,}  {100 * cycles / sum(span.account.values()):5.1f} %"
    waits = {cause: cycles for cause, cycles in span.account.items() if cause in WAITS and cycles}
    yield "who waited for whom:" if waits else "nobody waited for anybody"
    for cause in sorted(waits, key=lambda one: -waits[one])[:_WAITS_SHOWN]:
        waiter, target, why = WAITS[cause]
        yield f"  {waiter} for {target}, {counted(waits[cause])}: {why} ({cause})"
        own = [one for one in run.cause_spans if one.cause == cause]
        if span.layer is not None:
            own = [one for one in own if one.of_pass is not None and run.layer_at(one.first_cycle) == span.layer]
        if own:
            longest = max(own, key=lambda one: one.end_cycle - one.first_cycle)
            length = longest.end_cycle - longest.first_cycle
            where = f"{longest.first_cycle:,} .. {longest.end_cycle - 1:,}{run.place_of(longest)}"
            yield f"    longest {counted(length)}, {where}"


def moment_lines(run: Simulated, cycle: int) -> Iterator[str]:
    """What goes on in a cycle."""
    span = next((one for one in run.cause_spans if one.first_cycle <= cycle < one.end_cycle), None)
    if span is None:
        return
    state = "the array computes"
    if span.cause in WAITS:
        waiter, target, why = WAITS[span.cause]
        state = f"{waiter} waits for {target} since cycle {span.first_cycle:,}: {why} ({span.cause})"
    yield f"in cycle {cycle:,}: {state}{run.place_of(span)}"
    for transfer in run.result.timeline.transfers:
        if transfer.first_cycle <= cycle <= transfer.last_cycle:
            yield (
                f"  dma.{transfer.channel} moves {transfer.label!r} "
                f"(cycles {transfer.first_cycle:,} .. {transfer.last_cycle:,})"
            )
    for host in run.result.timeline.host:
        if host.first_cycle <= cycle <= host.last_cycle:
            doing = f"waits for {host.waits_for}" if host.waits_for else "accesses registers"
            yield f"  host {doing} (cycles {host.first_cycle:,} .. {host.last_cycle:,})"


# -- two runs compared ------------------------------------------------------------------------------------------------


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
