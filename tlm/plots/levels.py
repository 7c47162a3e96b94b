"""Several results side by side: cycles (time, where clocks differ) and energy by pruning level, or by scenario."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tlm.plots import style
from tlm.plots.energy import energy_unit
from tlm.plots.sources import Source, kernel_taps, names, operating_point, tap_levels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COMPUTING, STALLED, WAITING = "layers: a step starts", "layers: stalled", "between layers: waits"
CORE, OFF_CHIP = "core", "off-chip memory"
COLOURS = {
    COMPUTING: style.CAUSES["computing"],
    STALLED: style.CAUSES["bank_conflict"],
    WAITING: style.CAUSES["weights"],
    CORE: "#1f7f8f",
    OFF_CHIP: style.OFF_CHIP,
}

_HEIGHT_INCHES, _REST_INCHES, _BAR_INCHES = 4.0, 1.6, 0.42
_BAR_SHARE = 0.72
_LETTERS_IN_A_LINE = 46
_LETTER_INCHES = 0.055
_ROOM_FOR_TEXT = 0.06
_WIDEST_TAPS = 12


@dataclass(frozen=True)
class LevelBar:
    """A result."""

    name: str
    taps: int | None
    """Where the axis is the pruning level."""
    computing_cycles: int
    stalled_cycles: int
    waiting_cycles: int
    clock_khz: int
    core_pj: float
    off_chip_pj: float

    @property
    def cycles(self) -> int:
        """The whole run."""
        return self.computing_cycles + self.stalled_cycles + self.waiting_cycles


@dataclass(frozen=True)
class Levels:
    """All that the figure shows."""

    title: str
    axis: str
    bars: tuple[LevelBar, ...]

    @property
    def clocks_differ(self) -> bool:
        """Whether equal cycles take different times."""
        return len({bar.clock_khz for bar in self.bars}) > 1


def levels_of_each(sources: Sequence[Source]) -> Levels:
    """By pruning level if the results differ in it alone, else by name in the order given.

    Raises:
        InputError: a result says nothing of energy.
    """
    taps = tap_levels(sources)
    bars = [
        _bar(source, name, None if taps is None else taps[index])
        for index, (source, name) in enumerate(zip(sources, names(sources), strict=True))
    ]
    if taps is None:
        shown = Levels(f"Cycles and energy of {len(bars)} results", "scenario", tuple(bars))
        if not shown.clocks_differ:
            return shown
        return replace(shown, title=f"Time and energy of {len(bars)} results, whose clocks differ")
    stored = sources[0].stored
    return Levels(
        f"Cycles and energy by pruning level at {operating_point(stored)}",
        f"valid taps of each depth-wise kernel, of {kernel_taps(sources[0])}",
        tuple(sorted(bars, key=lambda bar: bar.taps or 0)),
    )


def draw(shown: Levels) -> Figure:
    """The figure; to be called within :func:`tlm.plots.style.style`."""
    longest = max(len(bar.name) for bar in shown.bars)
    slanted = shown.bars[0].taps is None and longest * len(shown.bars) > _LETTERS_IN_A_LINE
    figure = style.new_figure(_HEIGHT_INCHES + (longest * _LETTER_INCHES if slanted else 0))
    figure.set_figwidth(max(style.WIDTH_INCHES, _REST_INCHES + 2 * _BAR_INCHES * len(shown.bars)))
    figure.suptitle(shown.title, x=0.01, ha="left")
    left, right = figure.subplots(1, 2)
    _draw_cycles(left, shown)
    _draw_energy(right, shown.bars)
    for axes in (left, right):
        axes.grid(axis="y")
        axes.margins(y=0.08)
        style.plain_numbers(axes.yaxis)
        _name_bars(axes, shown, slanted)
    style.legend(figure, COLOURS, 5)
    return figure


def _bar(source: Source, name: str, taps: int | None) -> LevelBar:
    stored, energy = source.stored, source.energy
    computing = stored.account.causes.get("computing", 0)
    return LevelBar(
        name=name,
        taps=taps,
        computing_cycles=computing,
        stalled_cycles=stored.compute_cycles - computing,
        waiting_cycles=stored.cycles - stored.compute_cycles,
        clock_khz=stored.chip.clock_khz,
        core_pj=energy.total_pj,
        off_chip_pj=energy.off_chip_pj,
    )


def cycles_unit(shown: Levels) -> tuple[str, list[float]]:
    """What the axis counts, and how many cycles that is in each bar: of clocks that differ, a time."""
    bars = shown.bars
    if shown.clocks_differ:
        longest_us = max(bar.cycles * 1000 / bar.clock_khz for bar in bars)
        unit, unit_us = ("ms", 1000) if longest_us >= 1000 else ("µs", 1)
        return f"time, {unit}", [bar.clock_khz * unit_us / 1000 for bar in bars]
    sizes = (("million cycles", 10**6), ("thousand cycles", 10**3))
    most = max(bar.cycles for bar in bars)
    count, size = next(((name, size) for name, size in sizes if most >= size), ("cycles", 1))
    return count, [size] * len(bars)


def _draw_cycles(axes: Axes, shown: Levels) -> None:
    bars = shown.bars
    count, sizes = cycles_unit(shown)
    parts = {
        COMPUTING: [bar.computing_cycles / size for bar, size in zip(bars, sizes, strict=True)],
        STALLED: [bar.stalled_cycles / size for bar, size in zip(bars, sizes, strict=True)],
        WAITING: [bar.waiting_cycles / size for bar, size in zip(bars, sizes, strict=True)],
    }
    for part, starts in _stack(axes, bars, parts):
        if part == WAITING:
            for bar, size, place, start in zip(bars, sizes, _places(bars), starts, strict=True):
                style.value(axes, _number(bar.cycles / size), (place, start + bar.waiting_cycles / size), upright=True)
    axes.set_ylabel(f"{count} [S]")


def _draw_energy(axes: Axes, bars: Sequence[LevelBar]) -> None:
    """The two have no sum (docs/energy.md), so each has its own number, where its bar has room for it."""
    highest_pj = max(bar.core_pj + bar.off_chip_pj for bar in bars)
    unit, unit_pj = energy_unit(highest_pj)
    parts = {CORE: [bar.core_pj / unit_pj for bar in bars], OFF_CHIP: [bar.off_chip_pj / unit_pj for bar in bars]}
    for part, starts in _stack(axes, bars, parts):
        for value, place, start in zip(parts[part], _places(bars), starts, strict=True):
            if value * unit_pj > _ROOM_FOR_TEXT * highest_pj:
                style.note(axes, _number(value), (place, start + value / 2), color="white")
    axes.set_ylabel(f"energy, {unit} [A]")


def _places(bars: Sequence[LevelBar]) -> list[int]:
    """Where bars stand: at their pruning level, unless levels lie so far apart that bars would be thin."""
    taps = [bar.taps for bar in bars if bar.taps is not None]
    return taps if taps and max(taps) - min(taps) <= _WIDEST_TAPS else list(range(len(bars)))


def _stack(
    axes: Axes, bars: Sequence[LevelBar], parts: Mapping[str, Sequence[float]]
) -> Iterator[tuple[str, list[float]]]:
    """Draw the parts on top of each other; gives each with the heights at which it starts."""
    starts = [0.0] * len(bars)
    for part, values in parts.items():
        axes.bar(_places(bars), values, bottom=starts, width=_BAR_SHARE, color=COLOURS[part])
        yield part, starts
        starts = [start + value for start, value in zip(starts, values, strict=True)]


def _number(value: float) -> str:
    return f"{value:,.{2 if value < 10 else 1 if value < 100 else 0}f}"


def _name_bars(axes: Axes, shown: Levels, slanted: bool) -> None:
    names_ = [bar.name if bar.taps is None else str(bar.taps) for bar in shown.bars]
    axes.set_xticks(_places(shown.bars), names_)
    if slanted:
        for label in axes.get_xticklabels():
            label.set(rotation=40, ha="right", rotation_mode="anchor")
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel(shown.axis)
