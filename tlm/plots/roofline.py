"""The roofline: what each layer does with a byte from off-chip memory, and how fast, below what the chip allows.

A layer's cycles are here all those in which it computes, is waited for, or has a transfer under way, since only these
carry all its bytes: a layer whose weights came early would pass the roof of the bandwidth otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tlm.chip.config import ChipConfig
from tlm.core.labels import Label
from tlm.plots import moments
from tlm.plots.sources import Source


@dataclass(frozen=True)
class Roofs:
    """What bounds every layer."""

    peak_macs_per_cycle: int
    """Of the array."""
    bytes_per_cycle: float
    """Of off-chip memory and bus, whichever has less."""
    clock_khz: int

    @property
    def array_label(self) -> str:
        """Of the peak: the published array's, or what was chosen."""
        published = self.peak_macs_per_cycle == ChipConfig().peak_macs_per_cycle
        return Label.PUBLISHED.value if published else "(chosen)"

    def bound(self, macs_per_byte: float) -> float:
        """MACs per cycle that can be had at an intensity."""
        return min(self.peak_macs_per_cycle, macs_per_byte * self.bytes_per_cycle)

    @property
    def ridge_macs_per_byte(self) -> float:
        """From which intensity on the array is what bounds."""
        return self.peak_macs_per_cycle / self.bytes_per_cycle

    def tops(self, macs_per_cycle: float) -> float:
        """A multiply-accumulate is two operations."""
        return 2 * macs_per_cycle * self.clock_khz * 1000 / 1e12


@dataclass(frozen=True)
class RooflinePoint:
    """A layer, or the whole run."""

    number: int
    """From 1 on in the order of execution; 0 is the run."""
    name: str
    macs: int
    """Executed."""
    moved_bytes: int
    cycles: int
    """See above."""
    cause: str
    """What took most of its computing and waiting."""

    @property
    def drawable(self) -> bool:
        """Whether it has a place in the picture: max pooling has no MACs, and logarithms know no 0."""
        return bool(self.macs and self.moved_bytes and self.cycles)

    @property
    def macs_per_byte(self) -> float:
        """Arithmetic intensity."""
        return self.macs / self.moved_bytes

    @property
    def macs_per_cycle(self) -> float:
        """Speed."""
        return self.macs / self.cycles


@dataclass(frozen=True)
class Roofline:
    """All that the figure shows."""

    title: str
    roofs: Roofs
    points: tuple[RooflinePoint, ...]
    """One for each layer."""
    run: RooflinePoint


def roofline_of(source: Source) -> Roofline:
    """What the figure shows of a result.

    Raises:
        InputError: it has no timeline, or one that contradicts its account.
    """
    stored, spans = source.stored, source.timeline
    waits = moments.wait_bars(spans, stored.cycles)
    moments.check(source, waits)
    bars = moments.layer_bars(spans, waits)
    points = [
        RooflinePoint(
            number=index + 1,
            name=layer.name,
            macs=layer.macs,
            moved_bytes=layer.load_bytes + layer.store_bytes,
            cycles=_covered_cycles((bar.first_cycle, bar.end_cycle) for bar in bars if bar.row == layer.name),
            cause=_largest(layer.by_cause()),
        )
        for index, layer in enumerate(stored.layers)
    ]
    moved_bytes = stored.traffic_bytes.get("load", 0) + stored.traffic_bytes.get("store", 0)
    chip = stored.chip
    return Roofline(
        title=source.title,
        roofs=Roofs(chip.peak_macs_per_cycle, float(chip.bus_bytes / chip.memory_beat_cycles), chip.clock_khz),
        points=tuple(points),
        run=RooflinePoint(0, "whole run", stored.macs, moved_bytes, stored.cycles, _largest(stored.account.causes)),
    )


def _covered_cycles(spans: Iterable[tuple[int, int]]) -> int:
    """How many cycles lie in at least one of the spans, each from a first cycle to the one behind it."""
    covered, until = 0, 0
    for first, end in sorted(spans):
        covered += max(0, end - max(first, until))
        until = max(until, end)
    return covered


def _largest(by_cause: dict[str, int]) -> str:
    return max(by_cause, key=lambda cause: by_cause[cause])
