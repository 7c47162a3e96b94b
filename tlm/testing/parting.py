"""The first transaction in which two runs part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tlm.testing.cycles import counted
from tlm.testing.expectation import MomentLine, indented
from tlm.testing.recording import Column, Recording
from tlm.testing.subject import Piece
from tlm.testing.transaction import Transaction, transaction

_MOST_CYCLES = 150_000
"""Of longer runs the transactions are not compared: recording them takes long."""

_MOMENTS = ("begin_cycle", "accept_cycle", "end_cycle")


@dataclass(frozen=True, slots=True)
class Scope:
    """Which transactions of a run are compared: from a moment on, in cycles since then."""

    recording: Recording
    first_cycle: int
    last_cycle: int
    engine_only: bool

    def rows(self, socket: int) -> Column:
        """Those of a socket, in the order in which they began."""
        r = self.recording
        begin = r.begin_cycle
        inside = (r.socket == socket) & (begin >= self.first_cycle) & (begin <= self.last_cycle)
        return np.flatnonzero(inside).astype(np.int64)

    def moments(self, rows: Column) -> Column:
        """(transactions, moments), -1 for what did not happen."""
        columns = np.stack([getattr(self.recording, name)[rows] for name in _MOMENTS], axis=1)
        return np.where(columns < 0, -1, columns - self.first_cycle)


@dataclass(frozen=True, slots=True)
class Parting:
    """The first difference. Moments count from where the comparison begins."""

    cycle: int
    own: Transaction | None
    other: Transaction | None


def parting_lines(stretch: Piece, other: Piece) -> Iterator[str]:
    """Where two runs part: the first transaction, or the reason why it is not looked for.

    Args:
        stretch: of this run.
        other: the same of the run that it is compared with.
    """
    if max(stretch.run.result.cycles, other.run.result.cycles) > _MOST_CYCLES:
        yield f"transactions are compared in runs of up to {_MOST_CYCLES:,} cycles only"
        return
    own_scope, other_scope = _scope(stretch), _scope(other)
    found = first_parting(own_scope, other_scope)
    if found is None:
        yield "every transaction is the same"
        return
    since = f" ({found.cycle:,} since {stretch.name} began)" if own_scope.first_cycle else ""
    cycle = found.cycle + own_scope.first_cycle
    yield MomentLine(f"the first transaction where they part, in cycle {cycle:,}{since}:", cycle)
    yield from indented(_parting_text(found, own_scope.first_cycle, other_scope.first_cycle))


def _scope(stretch: Piece) -> Scope:
    recording = stretch.run.trace.recording
    if stretch.engine_only:
        return Scope(recording, stretch.first_cycle, stretch.last_cycle, engine_only=True)
    return Scope(recording, 0, stretch.run.last_cycle, engine_only=False)


def first_parting(own: Scope, other: Scope) -> Parting | None:
    """The transaction that differs first.

    Transactions of a socket are compared one by one in the order in which they began. Of several that differ in the
    same cycle the one that began last and was over first is taken: it is what the others wait for.
    """
    found: list[tuple[int, int, int, Parting]] = []
    for socket, path in enumerate(own.recording.sockets):
        if not own.engine_only or path.startswith("engine."):
            parting = _parting_of_socket(own, other, socket)
            if parting is not None:
                either = parting.own or parting.other
                assert either is not None
                found.append((parting.cycle, -either.begin_cycle, either.end_cycle, parting))
    return min(found, key=lambda one: one[:3])[3] if found else None


def _parting_of_socket(own: Scope, other: Scope, socket: int) -> Parting | None:
    own_rows, other_rows = own.rows(socket), other.rows(socket)
    count = min(len(own_rows), len(other_rows))
    own_moments, other_moments = own.moments(own_rows), other.moments(other_rows)
    different = (own_moments[:count] != other_moments[:count]).any(axis=1)
    for column in ("kind", "status", "address"):
        own_column, other_column = getattr(own.recording, column), getattr(other.recording, column)
        different |= own_column[own_rows[:count]] != other_column[other_rows[:count]]
    if different.any():
        index = int(np.argmax(different))
        pairs = zip(own_moments[index].tolist(), other_moments[index].tolist(), strict=True)
        moments = [min(a, b) if min(a, b) >= 0 else max(a, b) for a, b in pairs if a != b]
        cycle = min(moments) if moments else int(own_moments[index][0])
        pair = transaction(own.recording, int(own_rows[index])), transaction(other.recording, int(other_rows[index]))
        return Parting(cycle, *pair)
    if len(own_rows) == len(other_rows):
        return None
    if len(own_rows) > count:
        return Parting(int(own_moments[count][0]), transaction(own.recording, int(own_rows[count])), None)
    return Parting(int(other_moments[count][0]), None, transaction(other.recording, int(other_rows[count])))


def _parting_text(found: Parting, own_first: int, other_first: int) -> Iterator[str]:
    own, other = found.own, found.other
    if own is None or other is None:
        only = own or other
        yield f"{only}"
        yield "which only this run has" if own is not None else "which this run does not have"
        return
    yield f"{own.socket} -> {own.target}: {own.what}"
    if own.what != other.what:
        yield f"instead of: {other.what}"
    moments = {verb: (getattr(own, name), getattr(other, name)) for verb, name in _VERBS.items()}
    if len(set(moments.values())) == 1:
        moments = {"is made": moments["begins"]}
    for verb, (cycle, other_cycle) in moments.items():
        yield _moment_text(verb, cycle, cycle - own_first, other_cycle - other_first)
    if own.status != other.status:
        yield f"the answer is {own.status!r} instead of {other.status!r}"


_VERBS = {"begins": "begin_cycle", "is accepted": "accept_cycle", "is answered": "end_cycle"}


def _moment_text(verb: str, cycle: int, own: int, other: int) -> str:
    if own == other:
        return f"{verb} in cycle {cycle:,}, as there"
    return f"{verb} in cycle {cycle:,}, {counted(abs(own - other))} {'later' if own > other else 'earlier'} than there"
