"""Sentences about where cycles went: what a failed expectation prints below its first line."""

from __future__ import annotations

from collections.abc import Iterator

from tlm.observe.causes import WAITS
from tlm.testing.bounds import Bounds, counted
from tlm.testing.expectation import indented
from tlm.testing.simulated import Simulated
from tlm.testing.span import Span

_WAITS_SHOWN = 3
_NAME_WIDTH = 16


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
