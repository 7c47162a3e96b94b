"""Where the cycles go: a bar for each layer of a result, or for each of several results, stacked by cause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlm.plots import style
from tlm.plots.moments import AT_END
from tlm.plots.sources import Source, names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW_INCHES, _REST_INCHES = 0.2, 1.75
_ROOM_FOR_TEXT, _ROOM_FOR_COUNT = 1.42, 1.25
_READABLE_SHARE = 0.14


@dataclass(frozen=True)
class CauseBar:
    """A bar and what it consists of."""

    name: str
    causes: tuple[tuple[str, int], ...]
    """Cause and cycles, in the order of the stack; causes without any are left out."""

    @property
    def cycles(self) -> int:
        """The whole bar."""
        return sum(count for _, count in self.causes)


@dataclass(frozen=True)
class Causes:
    """All that the figure shows."""

    title: str
    what: str
    """What a bar stands for."""
    bars: tuple[CauseBar, ...]
    whole_cycles: int | None
    """What the bars' shares are of; None where they are not parts of a whole."""


def causes_of(source: Source) -> Causes:
    """The layers of one result, waits included; together they are the run."""
    stored = source.stored
    bars = [_bar(layer.name, layer.by_cause()) for layer in stored.layers]
    if any(stored.account.waits_at_end.values()):
        bars.append(_bar(AT_END, stored.account.waits_at_end))
    if sum(bar.cycles for bar in bars) != stored.cycles:
        raise source.edited("layers: their causes and account.waits_at_end are not the run's cycles in sum")
    return Causes(source.title, "layer, with the waits before it", tuple(bars), stored.cycles)


def causes_of_each(sources: Sequence[Source]) -> Causes:
    """One bar for each result."""
    bars = [_bar(name, source.stored.account.causes) for name, source in zip(names(sources), sources, strict=True)]
    return Causes(f"Cycles by cause, {len(bars)} results", "run", tuple(bars), None)


def draw(shown: Causes) -> Figure:
    """The figure; to be called within :func:`tlm.plots.style.style`."""
    labels = [bar.name for bar in shown.bars]
    figure = style.new_figure(_ROW_INCHES * len(labels) + _REST_INCHES, labels)
    figure.suptitle(shown.title, x=0.01, ha="left")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[3, 2])
    for axes in (left, right):
        style.rows(axes, labels)
    _draw_cycles(left, shown)
    _draw_shares(right, shown)
    present = {cause for bar in shown.bars for cause, _ in bar.causes}
    style.legend(figure, {style.words(c): colour for c, colour in style.CAUSES.items() if c in present}, 6)
    return figure


def _bar(name: str, by_cause: dict[str, int]) -> CauseBar:
    order = [*style.CAUSES, *(cause for cause in by_cause if cause not in style.CAUSES)]
    return CauseBar(name, tuple((cause, by_cause[cause]) for cause in order if by_cause.get(cause)))


def _draw_cycles(axes: Axes, shown: Causes) -> None:
    for index, bar in enumerate(shown.bars):
        _stack(axes, index, bar, 1)
        share = f"  {100 * bar.cycles / shown.whole_cycles:.1f} %" if shown.whole_cycles else ""
        style.value(axes, f"{bar.cycles:,}{share}", (bar.cycles, index))
    room = _ROOM_FOR_TEXT if shown.whole_cycles else _ROOM_FOR_COUNT
    axes.set_xlim(0, max(bar.cycles for bar in shown.bars) * room)
    style.plain_numbers(axes.xaxis, integer=True)
    axes.set_xlabel(f"cycles of a {shown.what} [S]" + ("; share of the run" if shown.whole_cycles else ""))


def _draw_shares(axes: Axes, shown: Causes) -> None:
    for index, bar in enumerate(shown.bars):
        _stack(axes, index, bar, bar.cycles / 100)
        computing = dict(bar.causes).get("computing", 0) / bar.cycles if bar.cycles else 0
        if computing > _READABLE_SHARE:
            style.note(axes, f"{100 * computing:.1f} %", (0, index), (4, 0), ha="left", color="white")
    axes.set_xlim(0, 100)
    axes.set_xlabel("share of its cycles, % [S]")
    axes.tick_params(labelleft=False)


def _stack(axes: Axes, index: int, bar: CauseBar, unit: float) -> None:
    start = 0.0
    for cause, cycles in bar.causes:
        axes.barh(index, cycles / unit, left=start, height=0.74, color=style.CAUSES.get(cause, "#000000"))
        start += cycles / unit
