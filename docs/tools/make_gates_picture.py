"""Draws the gates of each block for docs/rtl.md: ``python docs/tools/make_gates_picture.py [FILE.png]``.

Reads what ``tlm reproduce`` reads, the stored count of the default chip. Needs matplotlib
(``pip install 'cartesian-tlm[plot]'``).
"""

from __future__ import annotations

import sys
from pathlib import Path

from tlm.plots.style import new_figure, save, style
from tlm.reproduction.circuit import counted_gates
from tlm.reproduction.published import GATES_K

IMAGE = Path(__file__).resolve().parents[1] / "images" / "gates.png"


def draw(target: Path) -> None:
    """A bar for each block, in the order of the engine's blocks."""
    record = counted_gates()
    names = [block["name"].replace("_", " ") for block in record["blocks"]]
    gates_k = [block["gates"] / 1000 for block in record["blocks"]]
    with style():
        title = f"{record['total']['gates'] / 1000:,.0f} k gates [S]; published: {GATES_K} k [P]"
        figure = new_figure(7.5, 3.6, title)
        axes = figure.subplots()
        axes.bar_label(axes.barh(names, gates_k), [f"{value:,.1f}" for value in gates_k], padding=3)
        axes.invert_yaxis()
        axes.margins(x=0.12)
        axes.set_xlabel("NAND2 equivalents [S], thousands")
        save(figure, target, "png")


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if sys.argv[1:] else IMAGE)
