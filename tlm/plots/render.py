"""From results to picture files: which figures there are, and writing them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tlm.core.errors import InputError
from tlm.core.files import whole_file
from tlm.plots import causes, energy, levels, roofline, roofline_drawing, style, timeline
from tlm.plots.sources import Source

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OF_ONE = ("timeline", "causes", "roofline", "energy")
"""Figures of one result."""
OF_SEVERAL = ("levels", "causes")
"""Figures of several results together."""
FIGURES = (*OF_ONE, "levels")


def figure_names(sources: Sequence[Source], only: Sequence[str]) -> tuple[str, ...]:
    """The figures that will be drawn.

    Args:
        sources: the results.
        only: those that were asked for; empty: all that fit.

    Raises:
        InputError: one was asked for that does not fit the number of results.
    """
    allowed, count = (OF_ONE, "one result") if len(sources) == 1 else (OF_SEVERAL, f"{len(sources)} results")
    for name in only:
        if name not in allowed:
            other = "several results together" if name in OF_SEVERAL else "one result at a time"
            raise InputError(
                f"--only {name}: is a picture of {other}, but {count} {'is' if len(sources) == 1 else 'are'} given; "
                f"allowed here: {', '.join(allowed)}"
            )
    return tuple(name for name in allowed if not only or name in only)


def render(
    sources: Sequence[Source],
    directory: Path,
    formats: Sequence[str] = ("png",),
    only: Sequence[str] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[Path]:
    """Draw and write the figures; gives each file when it is there.

    All that is drawn is worked out before the first file is written.

    Args:
        sources: one result, or several.
        directory: an existing directory.
        formats: "png", "svg".
        only: names of figures; empty: all.
        progress: told what is drawn next.

    Raises:
        InputError: a result lacks what a figure needs, or a name does not fit.
    """
    drawings = [(name, drawing(name, sources)) for name in figure_names(sources, only)]
    for name, draw in drawings:
        progress(f"drawing {name}")
        with style.style():
            figure = draw()
            for format_name in formats:
                path = directory / f"{name}.{format_name}"
                with whole_file(path) as temporary:
                    style.save(figure, temporary, format_name)
                yield path


def drawing(name: str, sources: Sequence[Source]) -> Callable[[], Figure]:
    """Works out what a figure shows; the call that draws it."""
    if name == "levels":
        return partial(levels.draw, levels.levels_of_each(sources))
    if name == "causes":
        return partial(
            causes.draw, causes.causes_of(sources[0]) if len(sources) == 1 else causes.causes_of_each(sources)
        )
    if name == "timeline":
        return partial(timeline.draw, timeline.timeline_of(sources[0]))
    if name == "roofline":
        return partial(roofline_drawing.draw, roofline.roofline_of(sources[0]))
    return partial(energy.draw, energy.energy_of(sources[0]))
