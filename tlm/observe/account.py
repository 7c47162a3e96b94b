"""The account: what every cycle of a run was spent on, so that the sums are exact (docs/account.md).

All figures are counts of core clock cycles [S]. The causes of the array's cycles are engine.md's ("The account of the
array's cycles"); they follow in closed form from each pass's s, e, h and last write, so every fidelity has the same.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

from msgspec import UNSET, Struct, UnsetType, field

from tlm.chip.config import ChipConfig
from tlm.core.errors import SimulationError
from tlm.observe.passes import PartRecord, PassRecord
from tlm.observe.spans import Spans, part_causes, split_causes, wait_spans


class _Causes(Struct, frozen=True, kw_only=True):
    """Base of the accounts: a field per cause, in cycles; accounts of the same kind can be added."""

    @property
    def total(self) -> int:
        """Sum of all causes, cycles."""
        return sum(self.by_cause().values())

    def by_cause(self) -> dict[str, int]:
        """Cause -> cycles, in the order of the fields."""
        values = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: value for name, value in values.items() if value is not UNSET}


class ArrayAccount(_Causes, frozen=True, kw_only=True):
    """The array's cycles from a layer's s_0 to its last write, by cause; parts of a split layer are added up."""

    computing: int = 0
    """Last cycles of steps' fetches: one step enters the pipeline."""
    bank_conflict: int = 0
    """Earlier cycles of fetches: AMem words of one step share a bank."""
    instruction: int = 0
    """Cycles on pattern words without a valid tap."""
    pipeline: int = 0
    """Emptying the pipeline after a pass, the handover, the gap; after the last pass the requantiser's depth."""
    parameters: int = 0
    """Parameter reads of a new group beyond the gap."""
    write_back: int = 0
    """Waiting for the previous pass's write-back to end, and refused writes after the last pass."""
    drain: int = 0
    """After the last pass, from its first write to its last."""


class WaitAccount(_Causes, frozen=True, kw_only=True):
    """Cycles in which no layer computed."""

    weights: int = 0
    """The host slept until a load into WMem was done."""
    activations: int = 0
    """The host slept until a load into AMem, or a store, was done."""
    instructions: int = 0
    """The sequencer read headers and first parameters or END, or the host slept until a load into IMem was done."""
    refresh: int | UnsetType = UNSET
    """The host slept until a load or store was done, which a refresh of the DRAM held up; unset without DRAM."""
    row: int | UnsetType = UNSET
    """The host slept until a load or store was done, which waited for a row of the DRAM; unset without DRAM."""
    host: int = 0
    """Register accesses, and the time from an interrupt to the driver's next instruction."""


class ChannelAccount(_Causes, frozen=True, kw_only=True):
    """A DMA channel's cycles during the whole run, by state."""

    moving: int = 0
    """Cycles with an SRAM word access."""
    bank_conflict: int = 0
    """Cycles in which its access was refused because the bank was taken."""
    memory: int = 0
    """A transfer was under way, but waited for off-chip memory or interconnect."""
    idle: int = 0
    """No transfer."""


class SramAccount(Struct, frozen=True, kw_only=True):
    """The use of an SRAM's banks by initiator, during the whole run."""

    busy: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Initiator -> cycles in which it had each bank, bank 0 first."""
    idle: tuple[int, ...] = ()
    """Cycles in which each bank served no access."""
    refused: Mapping[str, int] = field(default_factory=dict)
    """Initiator -> refused accesses; not in the sum, because the bank served another initiator then."""


class RunAccount(Struct, frozen=True, kw_only=True):
    """The account of a whole run. ``array.total + waits.total == cycles``."""

    array: ArrayAccount = field(default_factory=ArrayAccount)
    """All layers together."""
    waits: WaitAccount = field(default_factory=WaitAccount)
    """All cycles outside layers."""
    waits_at_end: WaitAccount = field(default_factory=WaitAccount)
    """The part of ``waits`` after the last layer: storing the output. The others belong to the layer that follows."""
    dma: Mapping[str, ChannelAccount] = field(default_factory=dict)
    """"load" and "store"; each sums to the run's cycles."""
    sram: Mapping[str, SramAccount] = field(default_factory=dict)
    """"amem", "wmem", "imem"; each bank sums to the run's cycles."""

    def by_cause(self) -> dict[str, int]:
        """Cause -> cycles, array first; sums to the run's cycles."""
        return {**self.array.by_cause(), **self.waits.by_cause()}


Account = TypeVar("Account", bound=Any)


def added(kind: type[Account], accounts: Iterable[Account]) -> Account:
    """Sum of accounts of one kind, field by field."""
    found = list(accounts)
    values = {name: [getattr(one, name) for one in found] for name in kind.__struct_fields__}
    return cast("Account", kind(**{name: sum(own) for name, own in values.items() if UNSET not in own}))


def array_account(part: PartRecord, config: ChipConfig) -> ArrayAccount:
    """The account of one part of a layer, from its passes.

    Raises:
        SimulationError: the records contradict the rules of a pass, or the sum is not ``part.compute_cycles``.
    """
    counts: dict[str, int] = defaultdict(int)
    for cause, first, end, _ in part_causes(part.passes, config):
        if first < end:
            counts[cause] += end - first
    split_causes(counts, part.steps, part.fetch_cycles, part.passes[-1].refused_writes)
    account = ArrayAccount(**counts)
    if min(counts.values()) < 0 or account.total != part.compute_cycles:
        raise SimulationError(
            f"account: the causes of part {part.tag} give {account.by_cause()}, in sum {account.total}, but it took "
            f"{part.compute_cycles} cycles from {part.first_cycle}; the model breaks a rule of engine.md's passes"
        )
    return account


def wait_accounts(
    cycles: int, parts: Sequence[PartRecord], running: Spans, waiting: Mapping[str, Spans]
) -> list[WaitAccount]:
    """Cycles outside parts, by the part that follows; the last account is for those after the last part.

    Arguments as those of :func:`tlm.observe.spans.wait_spans`.
    """
    counts = [Counter(dict.fromkeys(waiting, 0)) for _ in range(len(parts) + 1)]
    for wait in wait_spans(cycles, [(part.first_cycle, part.end_cycle) for part in parts], running, waiting):
        counts[wait.before][wait.cause] += wait.end_cycle - wait.first_cycle
    return [WaitAccount(**count) for count in counts]


def check_sums(account: RunAccount, cycles: int) -> None:
    """Check that every sum of a run's account equals its cycles, and that no figure is negative.

    Raises:
        SimulationError: names the sum or figure that is wrong.
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
