"""Stalls: cycles that the account counts under a cause, and banks that somebody was refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tlm.core.errors import InputError
from tlm.observe.cause_spans import CauseSpan
from tlm.observe.causes import WAITS
from tlm.testing.cycles import counted
from tlm.testing.expectation import Expectation, Verdict
from tlm.testing.limits import is_whole
from tlm.testing.names import known_name
from tlm.testing.subject import Subject
from tlm.testing.transaction import Transaction

_SHOWN = 3


def no_stall(
    run: Subject, kind: str, first_cycle: int, last_cycle: int, where: str, layer: str | None = None
) -> Expectation:
    """No cycle of an interval is counted under a cause of docs/account.md.

    Args:
        run: any.
        kind: the cause.
        first_cycle: of the interval.
        last_cycle: of the interval, included.
        where: the interval in words.
        layer: count only cycles of its parts, and those in which the next of them is waited for; by default all.

    Raises:
        InputError: no such cause; "computing" is no stall; an interval outside of the run.
    """
    known_name("kind of stall", kind, list(WAITS))
    if last_cycle < 0 or first_cycle > run.last_cycle:
        raise InputError(
            f"between: cycles {first_cycle:,} .. {last_cycle:,} lie outside of the run, which is cycles "
            f"0 .. {run.last_cycle:,}; give moments of it"
        )
    spans = [span for span in _spans(run, kind, first_cycle, last_cycle) if span.cause == kind]
    spans = [span for span in spans if layer in (None, run.layer_at(span.first_cycle))]
    cut = [_clipped(span, first_cycle, last_cycle) for span in spans]
    lost = sum(end - begin for begin, end in cut)
    are = "is a stall" if lost == 1 else "are stalls"
    claim = f"{counted(lost)} {are} of kind {kind!r} {where}, expected none"
    moment = cut[0][0] if cut else None
    return Expectation(run, Verdict(not lost, claim, moment, lambda: _explain(run, kind, spans, cut)))


def _spans(run: Subject, kind: str, first_cycle: int, last_cycle: int) -> list[CauseSpan]:
    """Those that overlap the interval; told apart cycle by cycle where passes hide what is asked for."""
    in_passes = kind in ("bank_conflict", "instruction", "write_back") and run.account()[kind]
    spans = run.cause_cycles if in_passes else run.cause_spans
    return [span for span in spans if span.first_cycle <= last_cycle and span.end_cycle > first_cycle]


def _clipped(span: CauseSpan, first_cycle: int, last_cycle: int) -> tuple[int, int]:
    return max(span.first_cycle, first_cycle), min(span.end_cycle, last_cycle + 1)


def _explain(run: Subject, kind: str, spans: Sequence[CauseSpan], cut: Sequence[tuple[int, int]]) -> Iterator[str]:
    waiter, target, why = WAITS[kind]
    longest = max(cut, key=lambda one: one[1] - one[0])
    yield f"{waiter} waited for {target}: {why}"
    times = "once" if len(cut) == 1 else f"{len(cut):,} times"
    yield f"{times}, at most {counted(longest[1] - longest[0])}, from cycle {longest[0]:,} on; the first:"
    for span, (begin, end) in list(zip(spans, cut, strict=True))[:_SHOWN]:
        yield f"  cycles {begin:,} .. {end - 1:,} ({end - begin:,}){run.place_of(span)}"


def bank_never_conflicts(run: Subject, sram: str, bank: int | None) -> Expectation:
    """No access finds a bank taken: none is refused, and no step has two words in it.

    Args:
        run: any.
        sram: "amem", "wmem" or "imem".
        bank: its number; None for all.

    Raises:
        InputError: no such memory or bank.
    """
    known_name("memory", sram, ("amem", "wmem", "imem"))
    banks = getattr(run.result.chip, f"{sram}_banks")
    if bank is not None and not (is_whole(bank) and 0 <= bank < banks):
        raise InputError(f"bank: {sram} has no bank {bank!r}; it has {banks}, from 0 on")
    found = sorted(_conflicts(run, sram, banks, bank), key=lambda one: one[0].begin_cycle)
    what = f"{sram} bank {bank}" if bank is not None else sram
    claim = f"{len(found):,} access{'' if len(found) == 1 else 'es'} found {what} taken, expected none"
    moment = found[0][0].begin_cycle if found else None
    return Expectation(run, Verdict(not found, claim, moment, lambda: _explain_conflicts(run, found, banks)))


def _conflicts(
    run: Subject, sram: str, banks: int, bank: int | None
) -> Iterator[tuple[Transaction, Transaction | None]]:
    """(who found it taken, who had it)."""
    trace = run.trace
    served: dict[tuple[int, int], Transaction] = {}
    asked: list[Transaction] = []
    last: dict[int, tuple[str, Transaction]] = {}
    for socket, target in zip(trace.recording.sockets, trace.recording.targets, strict=True):
        if not target.startswith(f"engine.{sram}."):
            continue
        for one in trace.at(socket):
            if one.address < 0 or bank not in (None, one.address % banks):
                continue
            number = one.address % banks
            if one.refused:
                asked.append(one)
                continue
            served[one.begin_cycle, number] = one
            if socket == "engine.aligner.amem":
                step, earlier = last.get(number, ("", one))
                if step == one.what.partition(" for ")[2]:
                    yield one, earlier
                last[number] = one.what.partition(" for ")[2], one
    for one in asked:
        yield one, served.get((one.begin_cycle, one.address % banks))


def _explain_conflicts(
    run: Subject, found: Sequence[tuple[Transaction, Transaction | None]], banks: int
) -> Iterator[str]:
    by_socket: dict[str, int] = {}
    for one, _ in found:
        by_socket[one.socket] = by_socket.get(one.socket, 0) + 1
    counts = (f"{socket} {count:,} time{'' if count == 1 else 's'}" for socket, count in by_socket.items())
    yield f"who found it taken: {', '.join(counts)}"
    one, holder = found[0]
    yield f"the first, in cycle {one.begin_cycle:,} at bank {one.address % banks}:"
    yield f"  {one}"
    if holder is not None:
        yield f"  while the bank served {holder}"
    waited = _served_later(run, one)
    if waited is not None and waited.begin_cycle > one.asked_cycle:
        yield f"  {one.socket} waited {counted(waited.begin_cycle - one.asked_cycle)} for {one.target}"


def _served_later(run: Subject, refused: Transaction) -> Transaction | None:
    """The access that was served in the end."""
    later: Transaction
    for later in run.trace.at(refused.socket).between(refused.begin_cycle, run.result.cycles).served:
        if (later.asked_cycle, later.address) == (refused.asked_cycle, refused.address):
            return later
    return None
