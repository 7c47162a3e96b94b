"""Stalls: cycles that the account counts under a cause, and banks that somebody was refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from msgspec.structs import replace

from tlm.core.errors import InputError
from tlm.observe.cause_spans import CauseSpan
from tlm.observe.causes import WAITS
from tlm.testing.checks import counted, is_whole, known_name
from tlm.testing.expectation import Expectation
from tlm.testing.recording import Transaction
from tlm.testing.simulated import Simulated

_SHOWN = 3
_IN_PASSES = ("bank_conflict", "instruction", "write_back")
"""Causes of cycles within passes, which the transactions alone tell apart."""


def no_stall(
    run: Simulated, kind: str, first_cycle: int, last_cycle: int, where: str, layer: str | None = None
) -> Expectation:
    """No cycle of an interval is counted under a cause of docs/account.md.

    Args:
        where: the interval in words.
        layer: count only cycles of its parts, and those in which the next of them is waited for; by default all.

    Raises:
        InputError: no such cause; "computing" is no stall; an interval outside of the run.
    """
    known_name("kind of stall", kind, WAITS)
    if last_cycle < 0 or first_cycle > run.last_cycle:
        raise InputError(
            f"between: cycles {first_cycle:,} .. {last_cycle:,} lie outside of the run, which is cycles "
            f"0 .. {run.last_cycle:,}; give moments of it"
        )
    hidden = kind in _IN_PASSES and run.result.account.by_cause()[kind]
    spans = [
        replace(span, first_cycle=max(span.first_cycle, first_cycle), end_cycle=min(span.end_cycle, last_cycle + 1))
        for span in (cause_cycles(run) if hidden else run.cause_spans)
        if span.cause == kind and span.first_cycle <= last_cycle and span.end_cycle > first_cycle
        if layer in (None, run.layer_at(span.first_cycle))
    ]
    lost = sum(map(_length, spans))
    claim = f"{counted(lost)} {'is a stall' if lost == 1 else 'are stalls'} of kind {kind!r} {where}, expected none"
    moment = spans[0].first_cycle if spans else None
    return Expectation(run, not lost, claim, moment, lambda _: _explain(run, kind, spans))


def cause_cycles(run: Simulated) -> list[CauseSpan]:
    """The account as a sequence, with the cycles within passes told apart."""
    at = run.recording.at
    steps: dict[int, str] = {}  # a step computes in the last cycle of its fetch
    for one in at["engine.sequencer.steps"]:
        if one.kind == "step":
            steps |= dict.fromkeys(range(one.begin_cycle, one.end_cycle), "bank_conflict")
            steps[one.end_cycle] = "computing"
    refused = {one.begin_cycle: "write_back" for one in at["engine.requantiser.writes"] if one.refused}
    found: list[CauseSpan] = []
    for span in run.cause_spans:
        cycles = range(span.first_cycle, span.end_cycle)
        if span.cause == "computing":
            found += _told_apart(span, (steps.get(cycle, "instruction") for cycle in cycles))
        elif span.cause == "drain":
            found += _told_apart(span, (refused.get(cycle, "drain") for cycle in cycles))
        else:
            found.append(span)
    return found


def _told_apart(span: CauseSpan, causes: Iterable[str]) -> Iterator[CauseSpan]:
    at = span.first_cycle
    for cause, cycles in groupby(causes):
        end = at + sum(1 for _ in cycles)
        yield replace(span, first_cycle=at, end_cycle=end, cause=cause)
        at = end


def _explain(run: Simulated, kind: str, spans: Sequence[CauseSpan]) -> Iterator[str]:
    waiter, target, why = WAITS[kind]
    longest = max(spans, key=_length)
    yield f"{waiter} waited for {target}: {why}"
    times = "once" if len(spans) == 1 else f"{len(spans):,} times"
    yield f"{times}, at most {counted(_length(longest))}, from cycle {longest.first_cycle:,} on; the first:"
    for span in spans[:_SHOWN]:
        place = run.place_of(span)
        yield f"  cycles {span.first_cycle:,} .. {span.end_cycle - 1:,} ({_length(span):,}){place}"


def _length(span: CauseSpan) -> int:
    return span.end_cycle - span.first_cycle


def bank_never_conflicts(run: Simulated, sram: str, bank: int | None) -> Expectation:
    """No access finds a bank of an SRAM taken: none is refused, and no step has two words in it; None is any bank."""
    known_name("memory", sram, ("amem", "wmem", "imem"))
    banks = getattr(run.result.chip, f"{sram}_banks")
    if bank is not None and not (is_whole(bank) and 0 <= bank < banks):
        raise InputError(f"bank: {sram} has no bank {bank!r}; it has {banks}, from 0 on")
    accesses = [
        one
        for one in run.recording.transactions
        if one.target.startswith(f"engine.{sram}.") and one.address >= 0 and bank in (None, one.address % banks)
    ]
    found = list(_conflicts(accesses, banks))
    what = f"{sram} bank {bank}" if bank is not None else sram
    claim = f"{len(found):,} access{'' if len(found) == 1 else 'es'} found {what} taken, expected none"
    moment = found[0][0].begin_cycle if found else None
    return Expectation(run, not found, claim, moment, lambda _: _explain_conflicts(accesses, found, banks))


def _conflicts(accesses: Sequence[Transaction], banks: int) -> Iterator[tuple[Transaction, Transaction | None]]:
    """(who found it taken, who had it), in the order of time."""
    served = {(one.begin_cycle, one.address % banks): one for one in accesses if not one.refused}
    fetched: dict[int, Transaction] = {}
    for one in accesses:
        bank = one.address % banks
        if one.refused:
            yield one, served.get((one.begin_cycle, bank))
        elif one.socket == "engine.aligner.amem":
            if bank in fetched and str(fetched[bank].origin) == str(one.origin):  # another word of the same step
                yield one, fetched[bank]
            fetched[bank] = one


def _explain_conflicts(
    accesses: Sequence[Transaction], found: Sequence[tuple[Transaction, Transaction | None]], banks: int
) -> Iterator[str]:
    by_socket = Counter(one.socket for one, _ in found)
    counts = (f"{socket} {count:,} time{'' if count == 1 else 's'}" for socket, count in by_socket.items())
    yield f"who found it taken: {', '.join(counts)}"
    one, holder = found[0]
    yield f"the first, in cycle {one.begin_cycle:,} at bank {one.address % banks}:"
    yield f"  {one}"
    if holder is not None:
        yield f"  while the bank served {holder}"
    request = one.socket, one.asked_cycle, one.address
    later = [two for two in accesses if two.served and (two.socket, two.asked_cycle, two.address) == request]
    if later and later[0].begin_cycle > one.asked_cycle:
        yield f"  {one.socket} waited {counted(later[0].begin_cycle - one.asked_cycle)} for {one.target}"
