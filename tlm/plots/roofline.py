"""The roofline: what each layer does with a byte from off-chip memory, and how fast, below what the chip allows.

A layer's cycles are here all those in which it computes, is waited for, or has a transfer under way, since only these
carry all its bytes: a layer whose weights came early would pass the roof of the bandwidth otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from tlm.chip.config import ChipConfig
from tlm.core.labels import Label
from tlm.observe.causes import words
from tlm.plots.colours import CAUSES
from tlm.plots.labels import Spot, place_labels
from tlm.plots.moments import layer_moments
from tlm.plots.sources import Source

MACS_PER_BYTE = "executed MACs per byte moved by DMA [S]"
MACS_PER_CYCLE = "executed MACs per cycle with transfers under way [S]"
LEGEND = "What takes most of a layer's cycles, the waits before it included [S]"

_SAME_PT = 2.0
"""Points as near as this share a label."""


@dataclass(frozen=True)
class Roofs:
    """What bounds every layer."""

    peak_macs_per_cycle: int
    """Of the array."""
    bytes_per_cycle: float
    """Of off-chip memory and bus, whichever has less."""
    clock_khz: int

    @property
    def names(self) -> tuple[str, str]:
        """Of the memory's roof and of the array's, which is the published one or a chosen one."""
        published = self.peak_macs_per_cycle == ChipConfig().peak_macs_per_cycle
        label = Label.PUBLISHED.value if published else "(chosen)"
        return (
            f"off-chip memory: {self.bytes_per_cycle:.2f} bytes/cycle [A]",
            f"array: {self.peak_macs_per_cycle:,} MACs/cycle {label}",
        )

    def bound(self, macs_per_byte: float) -> float:
        """MACs per cycle that can be had at an intensity."""
        return min(self.peak_macs_per_cycle, macs_per_byte * self.bytes_per_cycle)

    def share(self, point: RooflinePoint) -> str:
        """How much of its bound a point has."""
        if not point.drawable:
            return "no transfers" if point.macs else "no MACs"
        return f"{100 * point.macs_per_cycle / self.bound(point.macs_per_byte):.1f} %"

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

    @property
    def drawn(self) -> list[RooflinePoint]:
        """The points that have a place, the run's the last."""
        return [point for point in (*self.points, self.run) if point.drawable]

    @property
    def limits(self) -> tuple[Spot, Spot]:
        """Ends of both axes."""
        peak, ridge = self.roofs.peak_macs_per_cycle, self.roofs.ridge_macs_per_byte
        intensities = [ridge, *(point.macs_per_byte for point in self.drawn)]
        speeds = [peak, *(point.macs_per_cycle for point in self.drawn)]
        return (min(*intensities, ridge / 4) / 2, max(intensities) * 2), (min(min(speeds) / 2, peak / 20), peak * 1.8)

    @property
    def corners(self) -> list[Spot]:
        """Ends and bend of the line of both roofs."""
        (low, high), _ = self.limits
        return [(at, self.roofs.bound(at)) for at in (low, self.roofs.ridge_macs_per_byte, high)]

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
        groups: list[tuple[Spot, Spot, list[RooflinePoint]]] = []
        for point in self.drawn:
            spot = point.macs_per_byte, point.macs_per_cycle
            at = place(spot)
            same = (group for _, own, group in groups if max(abs(own[0] - at[0]), abs(own[1] - at[1])) < _SAME_PT)
            if (group := next(same, None)) is not None:
                group.append(point)
            else:
                groups.append((spot, at, [point]))
        (low, high), (bottom, _) = self.limits
        frame = (*place((low, bottom)), *place((high, self.roofs.peak_macs_per_cycle)))
        texts = [_numbers(group) for *_, group in groups]
        offsets = place_labels([at for _, at, _ in groups], texts, (*frame[:3], frame[3] - _SAME_PT))
        for (spot, *_), text, offset in zip(groups, texts, offsets, strict=True):
            yield spot, text, offset


def roofline_of(source: Source) -> Roofline:
    """What the figure shows of a result.

    Raises:
        InputError: it has no timeline, or one that contradicts its account.
    """
    stored, moments, chip = source.stored, layer_moments(source), source.stored.chip
    points = [
        RooflinePoint(
            number=index + 1,
            name=layer.name,
            macs=layer.macs,
            moved_bytes=layer.load_bytes + layer.store_bytes,
            cycles=_covered_cycles((one.first_cycle, one.end_cycle) for one in moments.of_layer(layer.name)),
            cause=_largest(layer.by_cause()),
        )
        for index, layer in enumerate(stored.layers)
    ]
    moved_bytes = stored.traffic_bytes["load"] + stored.traffic_bytes["store"]
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


def _numbers(points: Sequence[RooflinePoint]) -> str:
    """Numbers of points that share a label, neighbours together: ``3..6, 9``."""
    texts = []
    numbers = sorted(point.number for point in points if point.number)
    for _, own in groupby(enumerate(numbers), lambda item: item[1] - item[0]):
        run = [number for _, number in own]
        texts.append(f"{run[0]}..{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)))
    return ", ".join([*texts, *("run" for point in points if not point.number)])
