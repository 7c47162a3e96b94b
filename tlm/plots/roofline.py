"""The roofline: what each layer does with a byte from off-chip memory, and how fast, below what the chip allows.

A layer's cycles are here all those in which it computes, is waited for, or has a transfer under way, since only these
carry all its bytes: a layer whose weights came early would pass the roof of the bandwidth otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from tlm.chip.config import ChipConfig
from tlm.observe.causes import words
from tlm.plots.colours import CAUSES
from tlm.plots.labels import Spot, cut, place_labels
from tlm.plots.moments import Moments, layer_moments
from tlm.plots.sources import Source

MACS_PER_BYTE = "executed MACs per byte moved by DMA [S]"
MACS_PER_CYCLE = "executed MACs per cycle with transfers under way [S]"
LEGEND = "What takes most of a layer's cycles, the waits before it included [S]"

_SAME_PT = 2.0
"""Points as near as this share a label."""


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
    chip: ChipConfig
    points: Sequence[RooflinePoint]
    """One for each layer."""
    run: RooflinePoint

    @property
    def bytes_per_cycle(self) -> float:
        """Of off-chip memory and bus, whichever has less."""
        return float(self.chip.bus_bytes / self.chip.memory_beat_cycles)

    @property
    def roof_names(self) -> tuple[str, str]:
        """Of the memory's roof and of the array's, which is the published one or a chosen one."""
        peak = self.chip.peak_macs_per_cycle
        label = "[P]" if peak == ChipConfig().peak_macs_per_cycle else "(chosen)"
        return (
            f"off-chip memory: {self.bytes_per_cycle:.2f} bytes/cycle [A]",
            f"array: {peak:,} MACs/cycle {label}",
        )

    @property
    def ridge_macs_per_byte(self) -> float:
        """From which intensity on the array is what bounds."""
        return self.chip.peak_macs_per_cycle / self.bytes_per_cycle

    def bound(self, macs_per_byte: float) -> float:
        """MACs per cycle that can be had at an intensity."""
        return min(self.chip.peak_macs_per_cycle, macs_per_byte * self.bytes_per_cycle)

    def share(self, point: RooflinePoint) -> str:
        """How much of its bound a point has."""
        if not point.drawable:
            return "no transfers" if point.macs else "no MACs"
        return f"{100 * point.macs_per_cycle / self.bound(point.macs_per_byte):.1f} %"

    def tops(self, macs_per_cycle: float) -> float:
        """A multiply-accumulate is two operations."""
        return 2 * macs_per_cycle * self.chip.clock_khz * 1000 / 1e12

    @property
    def drawn(self) -> list[RooflinePoint]:
        """The points that have a place, the run's the last."""
        return [point for point in (*self.points, self.run) if point.drawable]

    @property
    def limits(self) -> tuple[Spot, Spot]:
        """Ends of both axes."""
        peak, ridge = self.chip.peak_macs_per_cycle, self.ridge_macs_per_byte
        intensities = [ridge, *(point.macs_per_byte for point in self.drawn)]
        speeds = [peak, *(point.macs_per_cycle for point in self.drawn)]
        return (min(*intensities, ridge / 4) / 2, max(intensities) * 2), (min(min(speeds) / 2, peak / 20), peak * 1.8)

    @property
    def corners(self) -> list[Spot]:
        """Ends and bend of the line of both roofs."""
        (low, high), _ = self.limits
        return [(at, self.bound(at)) for at in (low, self.ridge_macs_per_byte, high)]

    @property
    def colours(self) -> Mapping[str, str]:
        """What the legend shows: cause in words -> colour."""
        present = {point.cause for point in self.drawn}
        return {words(cause): colour for cause, colour in CAUSES.items() if cause in present}

    def labels(self, place: Callable[[Spot], Spot]) -> Iterator[tuple[Spot, str, Spot]]:
        """Numbers of the points, below the array's roof; points that cover each other share a label.

        Args:
            place: where a spot of the axes lies in the picture, in points of 1/72 inch.

        Yields:
            A spot of the axes, the text, and the offset of the text's centre.
        """
        groups: dict[Spot, list[RooflinePoint]] = {}
        for point in self.drawn:
            x, y = place((point.macs_per_byte, point.macs_per_cycle))
            near = (at for at in groups if max(abs(at[0] - x), abs(at[1] - y)) < _SAME_PT)
            groups.setdefault(next(near, (x, y)), []).append(point)
        (low, high), (bottom, _) = self.limits
        right, top = place((high, self.chip.peak_macs_per_cycle))
        texts = [_numbers(group) for group in groups.values()]
        offsets = place_labels(list(groups), texts, (*place((low, bottom)), right, top - _SAME_PT))
        for (first, *_), text, offset in zip(groups.values(), texts, offsets, strict=True):
            yield (first.macs_per_byte, first.macs_per_cycle), text, offset


def roofline_of(source: Source) -> Roofline:
    """What the figure shows of a result.

    Raises:
        InputError: its timeline contradicts its account.
    """
    stored = source.stored
    moments = [one for kind in layer_moments(source) for one in kind]
    points = []
    for number, layer in enumerate(stored.layers, 1):
        cycles = _covered_cycles([one for one in moments if one.layer == layer.name])
        moved_bytes = layer.load_bytes + layer.store_bytes
        points.append(RooflinePoint(number, cut(layer.name), layer.macs, moved_bytes, cycles, layer.main_cause))
    causes = stored.account.causes
    main_cause = max(causes, key=causes.__getitem__)
    run = RooflinePoint(0, "whole run", stored.macs, stored.traffic_bytes.total, stored.cycles, main_cause)
    return Roofline(source.title, stored.chip, points, run)


def _covered_cycles(spans: Sequence[Moments]) -> int:
    """How many cycles lie in at least one of the spans."""
    covered, until = 0, 0
    for one in sorted(spans, key=lambda one: one.first_cycle):
        covered += max(0, one.end_cycle - max(one.first_cycle, until))
        until = max(until, one.end_cycle)
    return covered


def _numbers(points: Sequence[RooflinePoint]) -> str:
    """Numbers of points that share a label, neighbours together: ``3..6, 9``."""
    texts = []
    numbers = sorted(point.number for point in points if point.number)
    for _, own in groupby(enumerate(numbers), lambda item: item[1] - item[0]):
        run = [number for _, number in own]
        texts.append(f"{run[0]}..{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)))
    return ", ".join([*texts, *("run" for point in points if not point.number)])
