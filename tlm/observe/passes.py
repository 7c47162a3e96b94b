"""Records of passes and of the parts of layers."""

from __future__ import annotations

from msgspec import Struct, field


class PassRecord(Struct):
    """One pass as it happened; cycles since the first host access."""

    group: int
    tile: int
    first_cycle: int
    """s, its first sequencer cycle."""
    last_fetch_cycle: int = -1
    """e, its last sequencer cycle."""
    handover_cycle: int = -1
    """h, when the requantiser takes its accumulators."""
    last_write_cycle: int = -1
    """Of the last write until now."""
    written: bool = False
    """No further write will come."""
    steps: int = 0
    fetch_cycles: int = 0
    refused_writes: int = 0
    refused_residual_reads: int = 0
    pixels: int = 0
    """Real output pixels of the tile."""
    channels: int = 0
    """Real output channels of the group."""
    pooling: bool = False
    """A pass of max pooling: a step works on one channel, and nothing is multiplied."""

    @property
    def macs(self) -> int:
        """Real multiply-accumulates of its steps."""
        return 0 if self.pooling else self.steps * self.pixels * self.channels

    @property
    def conflicts(self) -> dict[str, int]:
        """Initiator -> cycles that it lost because a bank was taken."""
        return {
            "aligner": self.fetch_cycles - self.steps,
            "residual": self.refused_residual_reads,
            "write_back": self.refused_writes,
        }

    @property
    def busy_columns(self) -> int:
        """Columns that a step works on."""
        return 1 if self.pooling else self.channels


class PartRecord(Struct):
    """One part of a layer, by the tag in its header."""

    tag: int
    passes: list[PassRecord] = field(default_factory=list)
    pooling: bool = False
    flushed: bool = False
    """Its last write is done."""
    under_way_cycle: int | None = None
    """s of a pass that has begun and whose last fetch has not been seen."""

    @property
    def steps(self) -> int:
        """Steps of all passes."""
        return sum(one.steps for one in self.passes)

    @property
    def fetch_cycles(self) -> int:
        """Cycles that the steps' fetches took."""
        return sum(one.fetch_cycles for one in self.passes)

    @property
    def conflicts(self) -> dict[str, int]:
        """Initiator -> cycles that it lost because a bank was taken."""
        return {
            "aligner": self.fetch_cycles - self.steps,
            "residual": sum(one.refused_residual_reads for one in self.passes),
            "write_back": sum(one.refused_writes for one in self.passes),
        }

    @property
    def first_cycle(self) -> int:
        """s_0."""
        return self.passes[0].first_cycle

    @property
    def last_write_cycle(self) -> int:
        """Cycle of the last write of the last pass."""
        return self.passes[-1].last_write_cycle

    @property
    def end_cycle(self) -> int:
        """The one after the last write."""
        return self.last_write_cycle + 1

    @property
    def compute_cycles(self) -> int:
        """s_0 to the last write, inclusive."""
        return self.end_cycle - self.first_cycle

    @property
    def last_seen_cycle(self) -> int:
        """Of whatever was seen last: the last write, if the part has ended."""
        last = self.passes[-1]
        return max(last.last_fetch_cycle, last.handover_cycle, *(one.last_write_cycle for one in self.passes))
