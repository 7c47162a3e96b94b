"""From results to picture files: which figures there are, and writing them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tlm.core.errors import InputError
from tlm.core.files import whole_file
from tlm.plots import style
from tlm.plots.cause_bars import causes_of, causes_of_each
from tlm.plots.chart import Chart
from tlm.plots.drawing import draw
from tlm.plots.energy import energy_of
from tlm.plots.levels import levels_of_each
from tlm.plots.roofline import Roofline, roofline_of
from tlm.plots.sources import Source
from tlm.plots.timeline import timeline_of

OF_ONE: Mapping[str, Callable[[Source], Chart | Roofline]] = {
    "timeline": timeline_of, "causes": causes_of, "roofline": roofline_of, "energy": energy_of
}  # fmt: skip
"""Figures of one result: name -> what it shows."""

OF_SEVERAL: Mapping[str, Callable[[Sequence[Source]], Chart]] = {"levels": levels_of_each, "causes": causes_of_each}
"""Figures of several results together."""


def figures(sources: Sequence[Source], only: Sequence[str] = ()) -> dict[str, Chart | Roofline]:
    """Name -> figure.

    Args:
        sources: one result, or several.
        only: names of those that are wanted; empty: all that fit.

    Raises:
        InputError: a figure was asked for that does not fit the number of results; figures that contradict each other.
    """
    of_one = len(sources) == 1
    allowed, given = (OF_ONE, "one result is") if of_one else (OF_SEVERAL, f"{len(sources)} results are")
    for name in only:
        if name not in allowed:
            other = "several results together" if of_one else "one result at a time"
            raise InputError(
                f"--only {name}: is a picture of {other}, but {given} given; allowed here: {', '.join(allowed)}"
            )
    wanted = [name for name in allowed if not only or name in only]
    return {name: OF_ONE[name](sources[0]) if of_one else OF_SEVERAL[name](sources) for name in wanted}


def render(
    shown: Mapping[str, Chart | Roofline],
    directory: Path,
    formats: Sequence[str] = ("png",),
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[Path]:
    """Draw and write figures; gives each file when it is there.

    Args:
        shown: name -> figure.
        directory: an existing directory.
        formats: "png", "svg".
        progress: told what is drawn next.
    """
    for name, figure in shown.items():
        progress(f"drawing {name}")
        with style.style():
            drawn = draw(figure)
            for format_name in formats:
                path = directory / f"{name}.{format_name}"
                with whole_file(path) as temporary:
                    style.save(drawn, temporary, format_name)
                yield path
