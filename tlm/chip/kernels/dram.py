"""Off-chip DRAM and its controller in C: which command in which DRAM clock, and when beats reach the bus.

The rules stand in kernels/dram.h and docs/memory.md; fidelities "cycle", "pass" and "rtl" share this one derivation.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

from msgspec import Meta, Struct, field

from tlm._kernels import ffi, lib
from tlm.chip.config import MAX_BURST_ACCESSES, ChipConfig
from tlm.chip.kernels.buffers import in_range

CYCLE_LIMIT = 1 << 48
"""Products of cycles and clocks stay below 2^63."""
DURATIONS = (
    "trcd", "trp", "tras", "cl", "cwl", "tccd", "tccd_l", "trrd", "trrd_l", "tfaw", "twr", "twtr", "twtr_l", "trtp",
    "trtw", "trtrs", "trfc", "trefi",
)  # fmt: skip
"""Keys of DramConfig, without _clocks, and fields of kernels/dram.h."""
_MOST_BURSTS = 64
"""Of a direction, under way at once, in kernels/dram.h."""
_FIELDS = {"row": 0, "bank": 1, "column": 2}


class DramCommand(enum.IntEnum):
    """A command on a channel's command bus; the number is C's."""

    ACT = 0
    """Open a row."""
    PRE = 1
    """Close a bank's row."""
    RD = 2
    WR = 3
    REF = 4
    """Refresh a rank, whose rows are all closed."""


class IssuedCommand(NamedTuple):
    """A command and where it goes."""

    kind: DramCommand
    clock: int
    """DRAM clock, from 0."""
    cycle: int
    """Core cycle in which that clock begins."""
    channel: int
    rank: int
    bank: int | None
    """Of the rank; None: all."""
    row: int | None
    """That is opened, closed, read or written; None of REF."""
    column: int | None
    """First column of RD and WR."""
    burst: int | None
    """Which of the bursts that are read (or written) asked for it, from 0; None: no burst did."""
    is_write: bool
    """Whether that burst writes."""


class RowCounts(Struct, frozen=True):
    """How accesses found their banks."""

    hits: Annotated[int, Meta(ge=0)]
    """Their row was open."""
    misses: Annotated[int, Meta(ge=0)]
    """The bank was closed."""
    conflicts: Annotated[int, Meta(ge=0)]
    """Another row had to be closed."""

    def __add__(self, other: RowCounts) -> RowCounts:
        return RowCounts(self.hits + other.hits, self.misses + other.misses, self.conflicts + other.conflicts)

    def __sub__(self, other: RowCounts) -> RowCounts:
        return RowCounts(self.hits - other.hits, self.misses - other.misses, self.conflicts - other.conflicts)


class Losses(Struct, frozen=True):
    """Cycles in which reads, or writes, stood still, and why: (first, behind the last), disjoint and ascending."""

    refresh: Sequence[tuple[int, int]] = field(default_factory=list)
    """A refresh was due or under way."""
    row: Sequence[tuple[int, int]] = field(default_factory=list)
    """The row had to be opened, mostly after another one was closed."""


class DramCounts(Struct, frozen=True):
    """What a DRAM did from cycle 0 to some cycle, summed over channels and ranks."""

    activates: int
    precharges: int
    """PRE commands, of one bank each."""
    reads: int
    """RD commands: a whole DRAM burst each."""
    writes: int
    refreshes: int
    row_hits: int
    """Reads and writes that found their row open."""
    row_misses: int
    """Reads and writes that found their bank closed."""
    row_conflicts: int
    """Reads and writes for which another row was closed."""
    clocks: int
    """DRAM clocks."""
    active_clocks: int
    """Clocks of a rank with a row open, summed over ranks."""
    precharged_clocks: int
    """Clocks of a rank without, summed over ranks; refreshes included."""
    refresh_clocks: int
    """Those of ``precharged_clocks`` that lie within tRFC after a REF."""


class Dram:
    """The state of all channels: queues, banks, and everything that was issued.

    Args:
        config: with ``memory_model = "dram"``.
    """

    def __init__(self, config: ChipConfig) -> None:
        self._config = _c_config(config)
        self.columns_per_access = config.dram.burst_length
        self._ranks = config.dram.channels * config.dram.ranks
        self.state: Any = ffi.new("tlm_dram *")
        """C's state, for kernels/dma.c."""
        self._command = ffi.new("tlm_dram_command *")
        self._copy: Any = ffi.new("tlm_dram *")
        self._counts = ffi.new("tlm_dram_counts *")
        lib.tlm_dram_reset(self.state, self._config)
        self._most_accesses = 0
        """Of a burst until now."""
        self._losses = [ffi.new("tlm_dram_loss[]", 0) for _ in range(2)]  # what the state points to must live

    def request(self, cycle: int, address: int, beats: int, is_write: bool) -> int:
        """A burst arrives.

        Args:
            cycle: which has not been played.
            address: of its first beat, from the start of the memory.
            beats: of the bus.
            is_write: whether it writes.

        Returns:
            The cycle in which a write's first beat is taken; the others follow, one a cycle.

        Raises:
            KernelError: a cycle or an address out of range, or more accesses or bursts than C has room for.
        """
        in_range("dram: cycle", cycle, 0, CYCLE_LIMIT)
        in_range("dram: address", address, 0, CYCLE_LIMIT)
        room_bytes = MAX_BURST_ACCESSES * self._config.access_bytes - address % self._config.access_bytes
        in_range("dram: beats", beats, 1, room_bytes // self._config.bus_bytes)
        in_range("dram: bursts already under way", self.state.bursts[is_write].count, 0, _MOST_BURSTS - 1)
        end_bytes = address % self._config.access_bytes + beats * self._config.bus_bytes
        self._most_accesses = max(self._most_accesses, -(-end_bytes // self._config.access_bytes))
        self.make_room(is_write, _MOST_BURSTS * self._most_accesses)
        return int(lib.tlm_dram_request(self.state, cycle, address, beats, is_write))

    def next_cycle(self) -> int:
        """The next cycle in which a command is issued, a beat is read or a write is answered, as far as known."""
        return int(lib.tlm_dram_next_cycle(self.state))

    def step(self, cycle: int) -> IssuedCommand | None:
        """Issue the next command; None: it belongs to a later cycle."""
        command = self._command
        if not lib.tlm_dram_step(self.state, cycle, command):
            return None
        return IssuedCommand(
            kind=DramCommand(command.kind),
            clock=command.clock,
            cycle=command.cycle,
            channel=command.channel,
            rank=command.rank,
            bank=None if command.bank < 0 else command.bank,
            row=None if command.row < 0 else command.row,
            column=None if command.column < 0 else command.column * self.columns_per_access,
            burst=None if command.burst < 0 else command.burst,
            is_write=bool(command.is_write),
        )

    def serve(self, cycle: int, is_write: bool) -> int:
        """End what ends in this cycle.

        Returns:
            Beats of the direction's oldest burst: one that is read, all of one whose write is answered; 0: nothing.
        """
        return int(lib.tlm_dram_serve(self.state, cycle, is_write))

    def rows(self, is_write: bool) -> RowCounts:
        """Of all accesses of a direction so far."""
        return _rows(self.state, is_write)

    def make_room(self, is_write: bool, accesses: int) -> None:
        """Room for the losses of so many accesses of a direction, those under way included."""
        state, held = self.state.bursts[is_write], self._losses[is_write]
        if state.loss_count + 2 * accesses > len(held):
            self._losses[is_write] = ffi.new("tlm_dram_loss[]", 2 * (state.loss_count + accesses))
            ffi.memmove(self._losses[is_write], held, state.loss_count * ffi.sizeof("tlm_dram_loss"))
            state.losses = self._losses[is_write]

    def losses(self, is_write: bool) -> Losses:
        """What a direction has lost until its last beat or answer."""
        spans: tuple[list[tuple[int, int]], list[tuple[int, int]]] = [], []
        for one in self._losses[is_write][0 : self.state.bursts[is_write].loss_count]:
            spans[one.is_row].append((one.first_cycle, one.end_cycle))
        return Losses(*spans)

    def counts(self, cycle: int) -> DramCounts:
        """What happened before a cycle; no command may have been of a later one.

        Counted on a copy: commands until then that nobody has asked for yet are still to come from :meth:`step`.
        """
        ffi.memmove(self._copy, self.state, ffi.sizeof("tlm_dram"))
        lib.tlm_dram_play(self._copy, cycle - 1)
        lib.tlm_dram_counts_at(self._copy, cycle, self._counts)
        counts, clocks = self._counts, int(lib.tlm_dram_clocks(self._copy, cycle))
        rows = _rows(self._copy, False) + _rows(self._copy, True)
        activates, precharges, read, written, refreshes = counts.commands
        return DramCounts(
            activates=activates,
            precharges=precharges,
            reads=read,
            writes=written,
            refreshes=refreshes,
            row_hits=rows.hits,
            row_misses=rows.misses,
            row_conflicts=rows.conflicts,
            clocks=clocks,
            active_clocks=counts.active_clocks,
            precharged_clocks=clocks * self._ranks - counts.active_clocks,
            refresh_clocks=counts.refresh_clocks,
        )


def _rows(state: Any, is_write: bool) -> RowCounts:
    bursts = state.bursts[is_write]
    return RowCounts(bursts.hits, bursts.misses, bursts.conflicts)


def _c_config(config: ChipConfig) -> Any:
    dram = config.dram
    ratio = config.dram_clock_cycles
    fields = dram.address_order.split("_")
    return ffi.new(
        "tlm_dram_config *",
        {
            "cycle_numerator": ratio.numerator,
            "cycle_denominator": ratio.denominator,
            "rows": dram.rows,
            "channels": dram.channels,
            "ranks": dram.ranks,
            "banks": dram.banks,
            "bank_groups": dram.bank_groups,
            "row_accesses": dram.row_accesses,
            "access_bytes": dram.access_bytes,
            "bus_bytes": config.bus_bytes,
            "order": [_FIELDS[field] for field in reversed(fields)],
            "queue_accesses": dram.queue_accesses,
            "max_bypasses": dram.max_bypasses,
            "in_order": dram.scheduler == "in_order",
            "closed_page": dram.page_policy == "closed",
            "burst": dram.burst_clocks,
            **{name: getattr(dram, f"{name}_clocks") for name in DURATIONS},
        },
    )
