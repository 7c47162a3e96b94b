"""From results to picture files: which figures there are, and writing them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from tlm.core.arguments import shown as shown_value
from tlm.core.errors import InputError
from tlm.core.files import whole_file
from tlm.plots import style
from tlm.plots.cause_bars import causes_of, causes_of_each
from tlm.plots.chart import Chart
from tlm.plots.drawing import draw
from tlm.plots.energy import energy_of
from tlm.plots.levels import levels_of_each
from tlm.plots.network_graph import NetworkGraph, network_graph_of
from tlm.plots.roofline import Roofline, roofline_of
from tlm.plots.sources import Source
from tlm.plots.timeline import timeline_of
from tlm.results.files import check_writable_file
from tlm.results.result_json import RunRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Shown: TypeAlias = Chart | Roofline | NetworkGraph
"""A figure as plain values."""

OF_ONE: Mapping[str, Callable[[Source], Shown]] = {
    "network": network_graph_of, "timeline": timeline_of, "causes": causes_of, "roofline": roofline_of,
    "energy": energy_of,
}  # fmt: skip
"""Figures of one result: name -> what it shows."""

OF_SEVERAL: Mapping[str, Callable[[Sequence[Source]], Chart]] = {"levels": levels_of_each, "causes": causes_of_each}
"""Figures of several results together."""


def figures(sources: Sequence[Source], only: Sequence[str] = ()) -> dict[str, Shown]:
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


@dataclass(frozen=True)
class Picture:
    """A drawn figure, which notebooks show."""

    figure: Figure
    """Of matplotlib, to be changed at will."""

    def _repr_png_(self) -> bytes:
        with style.style():
            return style.content(self.figure, "png")

    def save(self, file: str | Path) -> Path:
        """Write it, as .png or .svg; gives the path.

        Raises:
            InputError: another suffix, or the file cannot be written.
        """
        path = Path(file)
        if path.suffix not in (".png", ".svg"):
            raise InputError(f"save: {path} ends with none of .png, .svg; give such a name")
        check_writable_file(path, "save")
        with style.style(), whole_file(path) as temporary:
            style.save(self.figure, temporary, path.suffix[1:])
        return path


def picture(stored: RunRecord, kind: str) -> Picture:
    """One figure of one result.

    Raises:
        InputError: there is no figure of this kind; matplotlib is missing.
    """
    style.require_matplotlib()
    if kind not in OF_ONE:
        raise InputError(f"plot: {shown_value(kind)} is not one of {', '.join(OF_ONE)}")
    with style.style():
        return Picture(draw(OF_ONE[kind](Source(Path("result"), stored))))


def render(
    shown: Mapping[str, Shown],
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
