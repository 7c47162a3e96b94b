"""What the off-chip DRAM did in a run (docs/memory.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, NamedTuple, TypeAlias

from msgspec import Meta, Struct

from tlm.chip.config import ChipConfig
from tlm.chip.kernels.dram import DramCounts, RowCounts

Count: TypeAlias = Annotated[int, Meta(ge=0)]
NO_ROWS = RowCounts(0, 0, 0)


class MovedTensor(NamedTuple):
    """What transfers move for a layer, and the channel that does."""

    layer: str
    """Of a transfer for several layers the one with most of its bytes."""
    tensor: str
    """"weights", "instructions", or the name of an activation tensor."""
    channel: str
    """"load" or "store"."""


class TensorFigures(Struct, frozen=True):
    """What its transfers came to [S]."""

    rows: RowCounts = NO_ROWS
    moved_bytes: int = 0
    cycles: int = 0
    """From START to the interrupt of each."""

    def __add__(self, other: TensorFigures) -> TensorFigures:
        return TensorFigures(self.rows + other.rows, self.moved_bytes + other.moved_bytes, self.cycles + other.cycles)


class DramFigures(Struct, frozen=True):
    """Commands and clocks of the whole run, rows by layer and tensor [S]."""

    counts: DramCounts
    tensors: Mapping[MovedTensor, TensorFigures]
    """In the order of the layers, and for each in the order of its first transfers."""
    layer_names: Sequence[str]
    cycles: int
    """Of the run."""
    chip: ChipConfig

    @property
    def peak_gb_per_s(self) -> float:
        """Of all data buses, 1e9 bytes per second."""
        return float(self.chip.dram.peak_bytes_per_s / 10**9)

    @property
    def layers(self) -> dict[str, RowCounts]:
        """Layer -> rows that its transfers found."""
        found = dict.fromkeys(self.layer_names, NO_ROWS)
        for moved, one in self.tensors.items():
            found[moved.layer] += one.rows
        return found

    @property
    def gb_per_s(self) -> float:
        """What all accesses moved, whole DRAM bursts, over the time of the run."""
        moved_bytes = (self.counts.reads + self.counts.writes) * self.chip.dram.access_bytes
        return moved_bytes / self.chip.time_us(self.cycles) / 1000

    @property
    def refresh_share(self) -> float:
        """Share of the time in which a rank is refreshed, mean over the ranks: 0..1."""
        return self.counts.refresh_clocks / (self.counts.active_clocks + self.counts.precharged_clocks)


class DramTensorRecord(Struct, frozen=True, kw_only=True):
    """What the transfers of a tensor for a layer came to."""

    layer: str
    tensor: str
    channel: Literal["load", "store"]
    rows: RowCounts
    moved_bytes: Count
    transfer_cycles: Count
    gb_per_s: float


class DramRecord(Struct, frozen=True, kw_only=True):
    """What the off-chip DRAM did; counts over all channels and ranks."""

    commands: dict[str, Count]
    rows: RowCounts
    layer_rows: dict[str, RowCounts]
    tensors: list[DramTensorRecord]
    clocks: Count
    active_clocks: Count
    precharged_clocks: Count
    refresh_clocks: Count
    refresh_share: Annotated[float, Meta(ge=0.0, le=1.0)]
    gb_per_s: float
    peak_gb_per_s: float


def dram_record(dram: DramFigures) -> DramRecord:
    """The same as result.json holds it."""
    counts = dram.counts
    return DramRecord(
        commands={
            "activate": counts.activates,
            "precharge": counts.precharges,
            "read": counts.reads,
            "write": counts.writes,
            "refresh": counts.refreshes,
        },
        rows=RowCounts(counts.row_hits, counts.row_misses, counts.row_conflicts),
        layer_rows=dram.layers,
        tensors=[
            DramTensorRecord(
                **moved._asdict(),
                rows=one.rows,
                moved_bytes=one.moved_bytes,
                transfer_cycles=one.cycles,
                gb_per_s=one.moved_bytes / dram.chip.time_us(one.cycles) / 1000 if one.cycles else 0.0,
            )
            for moved, one in dram.tensors.items()
        ],
        clocks=counts.clocks,
        active_clocks=counts.active_clocks,
        precharged_clocks=counts.precharged_clocks,
        refresh_clocks=counts.refresh_clocks,
        refresh_share=dram.refresh_share,
        gb_per_s=dram.gb_per_s,
        peak_gb_per_s=dram.peak_gb_per_s,
    )
