"""Sentences about where cycles went: what a failed expectation prints below its first line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from tlm.observe.cause_spans import CauseSpan
from tlm.observe.causes import WAITS
from tlm.testing.cycles import Bounds, counted
from tlm.testing.expectation import indented
from tlm.testing.reference import reference_lines
from tlm.testing.subject import Layer, Piece, Subject, WholeRun

_WAITS_SHOWN = 3
_NAME_WIDTH = 16


def explain_layer(layer: Layer, bounds: Bounds) -> Iterator[str]:
    """Why a layer takes what it takes."""
    yield from reference_lines(layer, bounds)
    yield from _overrun(layer, bounds)
    yield "its cycles:"
    yield from account_lines(layer.account())
    spans = [span for span in layer.run.cause_spans if span.of_pass is not None and _inside(span, layer)]
    yield from wait_lines(layer.run, spans, layer.account())


def explain_run(run: WholeRun, bounds: Bounds) -> Iterator[str]:
    """Why a run takes what it takes."""
    yield from reference_lines(run, bounds)
    yield from _overrun(run, bounds)
    yield "its cycles:"
    yield from account_lines(run.account())
    yield from wait_lines(run, run.cause_spans, run.account())


def explain_stretch(stretch: Piece, bounds: Bounds) -> Iterator[str]:
    """Why anything else takes what it takes."""
    yield from reference_lines(stretch, bounds)
    yield from _overrun(stretch, bounds)


def account_lines(account: Mapping[str, int]) -> Iterator[str]:
    """A table of causes, those without a cycle left out."""
    for cause, cycles in account.items():
        if cycles:
            yield f"  {cause:<{_NAME_WIDTH}}{cycles:>12,}  {100 * cycles / sum(account.values()):5.1f} %"


def wait_lines(run: Subject, spans: list[CauseSpan], account: Mapping[str, int]) -> Iterator[str]:
    """Who waited for whom and how long, the longest first."""
    waits = Counter({cause: cycles for cause, cycles in account.items() if cause in WAITS and cycles})
    if not waits:
        yield "nobody waited for anybody"
        return
    yield "who waited for whom:"
    for cause, cycles in waits.most_common(_WAITS_SHOWN):
        waiter, target, why = WAITS[cause]
        yield f"  {waiter} for {target}, {counted(cycles)}: {why} ({cause})"
        own = [span for span in spans if span.cause == cause]
        if own:
            longest = max(own, key=lambda span: span.end_cycle - span.first_cycle)
            length = longest.end_cycle - longest.first_cycle
            where = f"{longest.first_cycle:,} .. {longest.end_cycle - 1:,}{run.place_of(longest)}"
            yield f"    longest {counted(length)}, {where}"


def moment_lines(run: Subject, cycle: int) -> Iterator[str]:
    """What goes on in a cycle."""
    span = next((one for one in run.cause_spans if one.first_cycle <= cycle < one.end_cycle), None)
    if span is None:
        return
    timeline = run.result.timeline
    yield f"in cycle {cycle:,}: {_state(span)}{run.place_of(span)}"
    for transfer in timeline.transfers:
        if transfer.first_cycle <= cycle <= transfer.last_cycle:
            yield (
                f"  dma.{transfer.channel} moves {transfer.label!r} "
                f"(cycles {transfer.first_cycle:,} .. {transfer.last_cycle:,})"
            )
    for host in timeline.host:
        if host.first_cycle <= cycle <= host.last_cycle:
            doing = f"waits for {host.waits_for}" if host.waits_for else "accesses registers"
            yield f"  host {doing} (cycles {host.first_cycle:,} .. {host.last_cycle:,})"


def _state(span: CauseSpan) -> str:
    if span.cause not in WAITS:
        return "the array computes"
    waiter, target, why = WAITS[span.cause]
    return f"{waiter} waits for {target} since cycle {span.first_cycle:,}: {why} ({span.cause})"


def _inside(span: CauseSpan, layer: Layer) -> bool:
    run: Subject = layer.run
    return run.layer_at(span.first_cycle) == layer.figures.name


def _overrun(stretch: Piece, bounds: Bounds) -> Iterator[str]:
    """Where it lies, and what went on in the first cycle that it should not have taken."""
    yield f"from cycle {stretch.first_cycle:,} to cycle {stretch.last_cycle:,}"
    excess = bounds.excess(int(stretch.cycles))
    if excess > 0 and stretch.last_cycle - excess >= stretch.first_cycle:
        yield "the first cycle beyond what is expected:"
        yield from indented(moment_lines(stretch.run, stretch.last_cycle - excess + 1))
