"""What the off-chip DRAM did in a run (docs/memory.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from tlm.chip.config import ChipConfig
from tlm.chip.kernels.dram import DramCounts, RowCounts

Count: TypeAlias = Annotated[int, Meta(ge=0)]


@dataclass(frozen=True)
class DramFigures:
    """Commands and clocks of the whole run, rows by layer [S]."""

    counts: DramCounts
    layers: Mapping[str, RowCounts]
    """Layer -> rows that its transfers found; one for several layers counts for that with most of its bytes."""
    cycles: int
    """Of the run."""
    chip: ChipConfig

    @property
    def peak_gb_per_s(self) -> float:
        """Of all data buses, 1e9 bytes per second."""
        return float(self.chip.dram.peak_bytes_per_s / 10**9)

    @property
    def gb_per_s(self) -> float:
        """What all accesses moved, whole DRAM bursts, over the time of the run."""
        moved_bytes = (self.counts.reads + self.counts.writes) * self.chip.dram.access_bytes
        return moved_bytes / self.chip.time_us(self.cycles) / 1000

    @property
    def refresh_share(self) -> float:
        """Share of the time in which a rank is refreshed, mean over the ranks: 0..1."""
        return self.counts.refresh_clocks / (self.counts.active_clocks + self.counts.precharged_clocks)


class DramRecord(Struct, frozen=True, kw_only=True):
    """What the off-chip DRAM did; counts over all channels and ranks."""

    commands: dict[str, Count]
    rows: RowCounts
    layer_rows: dict[str, RowCounts]
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
        layer_rows=dict(dram.layers),
        clocks=counts.clocks,
        active_clocks=counts.active_clocks,
        precharged_clocks=counts.precharged_clocks,
        refresh_clocks=counts.refresh_clocks,
        refresh_share=dram.refresh_share,
        gb_per_s=dram.gb_per_s,
        peak_gb_per_s=dram.peak_gb_per_s,
    )
