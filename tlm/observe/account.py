"""The account: what every cycle of a run was spent on, so that the sums are exact (docs/account.md).

All figures are counts of core clock cycles [S]. The causes of the array's cycles are engine.md's ("The account of the
array's cycles"); they follow in closed form from each pass's s, e, h and last write, so every fidelity has the same.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import NamedTuple, TypeVar

from tlm.chip.config import ChipConfig
from tlm.core.errors import SimulationError
from tlm.observe.array_spans import drain_causes, fetch_causes, pass_edges
from tlm.observe.passes import PartRecord, PassRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class _Causes:
    """Base of the accounts: a field per cause, in cycles; accounts of the same kind can be added."""

    @property
    def total(self) -> int:
        """Sum of all causes, cycles."""
        return sum(self.by_cause().values())

    def by_cause(self) -> dict[str, int]:
        """Cause -> cycles, in the order of the fields."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayAccount(_Causes):
    """What the array did from a layer's s_0 to its last write; parts of a split layer added up."""

    computing: int = 0
    """Last cycles of steps' fetches: one step enters the pipeline."""
    bank_conflict: int = 0
    """Earlier cycles of fetches: AMem words of one step share a bank."""
    instruction: int = 0
    """Cycles on pattern words without a valid tap."""
    pipeline: int = 0
    """Emptying the pipeline behind a pass, the handover, the gap; behind the last pass the requantiser's depth."""
    parameters: int = 0
    """Parameter reads of a new group beyond the gap."""
    write_back: int = 0
    """Waiting for the previous pass's write-back to end, and refused writes behind the last pass."""
    drain: int = 0
    """Behind the last pass, from its first write to its last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitAccount(_Causes):
    """Cycles in which no layer computed."""

    weights: int = 0
    """The host slept until a load into WMem was done."""
    activations: int = 0
    """The host slept until a load into AMem, or a store, was done."""
    instructions: int = 0
    """The sequencer read headers and first parameters or END, or the host slept until a load into IMem was done."""
    host: int = 0
    """Register accesses, and what lies between an interrupt and the driver's next instruction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelAccount(_Causes):
    """What a DMA channel did during the whole run."""

    moving: int = 0
    """Cycles with an SRAM word access."""
    bank_conflict: int = 0
    """Cycles in which its access was refused because the bank was taken."""
    memory: int = 0
    """A transfer was under way, but waited for off-chip memory or interconnect."""
    idle: int = 0
    """No transfer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SramAccount:
    """Who used an SRAM's banks during the whole run."""

    busy: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Initiator -> cycles in which it had each bank, bank 0 first."""
    idle: tuple[int, ...] = ()
    """Cycles in which each bank served nobody."""
    refused: Mapping[str, int] = field(default_factory=dict)
    """Initiator -> accesses that were refused; not in the sum: the bank served somebody else then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAccount:
    """The account of a whole run. ``array.total + waits.total == cycles``."""

    array: ArrayAccount = field(default_factory=ArrayAccount)
    """All layers together."""
    waits: WaitAccount = field(default_factory=WaitAccount)
    """All cycles outside layers."""
    waits_at_end: WaitAccount = field(default_factory=WaitAccount)
    """Those of ``waits`` behind the last layer: storing the output. The others belong to the layer that follows."""
    dma: Mapping[str, ChannelAccount] = field(default_factory=dict)
    """"load" and "store"; each sums to the run's cycles."""
    sram: Mapping[str, SramAccount] = field(default_factory=dict)
    """"amem", "wmem", "imem"; each bank sums to the run's cycles."""

    def by_cause(self) -> dict[str, int]:
        """Cause -> cycles, array first; sums to the run's cycles."""
        return {**self.array.by_cause(), **self.waits.by_cause()}


Causes = TypeVar("Causes", ArrayAccount, WaitAccount, ChannelAccount)


def added(kind: type[Causes], accounts: Sequence[Causes]) -> Causes:
    """Sum of accounts, cause by cause."""
    return kind(**{item.name: sum(getattr(one, item.name) for one in accounts) for item in fields(kind)})


def array_account(part: PartRecord, config: ChipConfig) -> ArrayAccount:
    """The account of one part of a layer, from its passes.

    Raises:
        SimulationError: the records contradict the rules of a pass, or the sum is not ``part.compute_cycles``.
    """
    inner = pipeline = waits = rest = last_rest = shortest = 0
    for fetch, emptying, write_back, handover, rest_cycle, end in pass_edges(part.passes, config):
        inner += emptying - fetch
        pipeline += write_back - emptying + rest_cycle - handover
        waits += handover - write_back
        last_rest = end - rest_cycle
        rest += last_rest
        shortest = min(shortest, handover - write_back, last_rest)
    drain = drain_causes(last_rest, part.passes[-1].refused_writes)
    account = ArrayAccount(
        pipeline=pipeline,
        parameters=rest - last_rest,
        write_back=waits + drain["write_back"],
        drain=drain["drain"],
        **fetch_causes(inner, part.steps, part.fetch_cycles),
    )
    if min(shortest, *account.by_cause().values()) < 0 or account.total != part.compute_cycles:
        raise SimulationError(
            f"account: the causes of part {part.tag} give {account.by_cause()}, in sum {account.total}, but it took "
            f"{part.compute_cycles} cycles from {part.first_cycle}; the model breaks a rule of engine.md's passes"
        )
    return account


class Spans:
    """Half-open intervals of cycles, disjoint and ascending."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._open: int | None = None

    def open(self, start: int) -> None:
        """An interval begins whose end is not known yet; nothing if one is open already."""
        if self._open is None:
            self._open = start

    def close(self, end: int) -> None:
        """The open interval ends."""
        assert self._open is not None
        self.add(self._open, end)
        self._open = None

    def until(self, cycles: int) -> Iterator[tuple[int, int]]:
        """(first cycle, last cycle) of each in a run of so many cycles; the open one lasts to its end."""
        still_open = [] if self._open is None else [(self._open, cycles)]
        for start, end in (*self, *still_open):
            if start < cycles:
                yield start, min(end, cycles) - 1

    def add(self, start: int, end: int) -> None:
        """``start`` to ``end - 1``, behind all that were added before; nothing if that is empty."""
        if start < end:
            assert not self._ends or self._ends[-1] <= start
            self._starts.append(start)
            self._ends.append(end)

    def __contains__(self, cycle: int) -> bool:
        index = bisect_right(self._starts, cycle) - 1
        return index >= 0 and cycle < self._ends[index]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self._starts, self._ends, strict=True))

    def common_cycles(self, other: Spans) -> int:
        """How many both cover."""
        common, theirs = 0, iter(other)
        start, end = next(theirs, (0, 0))
        for first, stop in self:
            while start < end and start < stop:
                common += max(0, min(stop, end) - max(first, start))
                if end > stop:
                    break
                start, end = next(theirs, (0, 0))
        return common

    @property
    def cycles(self) -> int:
        """How many they cover."""
        return sum(self._ends) - sum(self._starts)


def wait_accounts(
    cycles: int, parts: Sequence[PartRecord], running: Spans, waiting: Mapping[str, Spans]
) -> list[WaitAccount]:
    """Cycles outside layers, by the part that follows; the last account is for those behind the last part.

    Args:
        cycles: of the run, from cycle 0 on.
        parts: in the order of execution.
        running: when the engine ran a program.
        waiting: "weights", "activations", "instructions" -> when the host slept until such a load or store was done.
    """
    counts = [dict.fromkeys((item.name for item in fields(WaitAccount)), 0) for _ in range(len(parts) + 1)]
    spans = [(part.first_cycle, part.last_write_cycle + 1) for part in parts]
    for wait in wait_spans(cycles, spans, running, waiting):
        counts[wait.before][wait.cause] += wait.end_cycle - wait.first_cycle
    return [WaitAccount(**count) for count in counts]


class WaitSpan(NamedTuple):
    """Cycles outside layers."""

    cause: str
    first_cycle: int
    end_cycle: int
    """The one behind it."""
    before: int
    """Which part follows, counted in the order of execution; the number of parts if none does."""


def wait_spans(
    cycles: int, parts: Sequence[tuple[int, int]], running: Spans, waiting: Mapping[str, Spans]
) -> Iterator[WaitSpan]:
    """Cycles outside layers, in the order of time, as long as a cause lasts; arguments as above, but of each part its
    (s_0, end).
    """
    computing = Spans()
    for start, end in parts:
        computing.add(start, end)
    starts = [start for start, _ in parts]
    edges = {0, cycles, *(edge for spans in (computing, running, *waiting.values()) for span in spans for edge in span)}
    last: WaitSpan | None = None
    for start, end in pairwise(sorted(edge for edge in edges if edge <= cycles)):
        if start not in computing:
            cause = "instructions" if start in running else next((c for c in waiting if start in waiting[c]), "host")
            span = WaitSpan(cause, start, end, bisect_right(starts, start))
            if last is not None and (last.cause, last.end_cycle, last.before) == (cause, start, span.before):
                last = last._replace(end_cycle=end)
                continue
            if last is not None:
                yield last
            last = span
    if last is not None:
        yield last


def check_sums(account: RunAccount, cycles: int) -> None:
    """Every sum of a run's account is its number of cycles, and nothing is negative.

    Raises:
        SimulationError: which is not.
    """
    sums: dict[str, list[int]] = {"causes": list(account.by_cause().values())}
    sums |= {f"dma.{name}": list(channel.by_cause().values()) for name, channel in account.dma.items()}
    for name, sram in account.sram.items():
        for bank, idle in enumerate(sram.idle):
            sums[f"{name} bank {bank}"] = [idle, *(busy[bank] for busy in sram.busy.values())]
    for name, counts in sums.items():
        if sum(counts) != cycles or min(counts) < 0:
            raise SimulationError(
                f"account: {name}: {counts} sum to {sum(counts)}, but the run took {cycles} cycles; "
                "somebody was counted twice or not at all"
            )


def lane_steps(passes: Sequence[PassRecord]) -> int:
    """Real output pixels, summed over the steps: lanes that did useful work."""
    return sum(one.steps * one.pixels for one in passes)


def column_steps(passes: Sequence[PassRecord]) -> int:
    """Columns that did useful work, summed over the steps: real output channels, or one in max pooling."""
    return sum(one.steps * one.busy_columns for one in passes)
