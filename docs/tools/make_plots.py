"""Runs scenarios and draws the pictures of the documentation: ``python docs/tools/make_plots.py``, 15 s.

Needs matplotlib (``pip install 'cartesian-tlm[plot]'``). The pictures are those of ``tlm plot``, with 256 colours so
that the files are small; another version of matplotlib may draw them a little differently.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image

import tlm
from tlm.plots.render import figures, render
from tlm.plots.sources import load_sources
from tlm.results.files import whole_file
from tlm.scenario.catalog import find_scenario
from tlm.scenario.loading import load_scenario

IMAGES = Path(__file__).resolve().parents[1] / "images"
PICTURES: dict[str, tuple[str, Sequence[str]]] = {
    "network": ("network", ["resnet18_3of9"]),
    "timeline": ("timeline", ["resnet18_3of9"]),
    "roofline": ("roofline", ["resnet18_3of9"]),
    "levels": ("levels", [f"resnet18_{taps}of9" for taps in range(1, 10)]),
}
"""Name of the file -> figure, scenarios."""
FAITHFUL, NO_DITHER = Image.Quantize.MAXCOVERAGE, Image.Dither.NONE


def run(scenario: str, directory: Path) -> Path:
    """A scenario's result, in a directory of its name."""
    target = directory / scenario
    if not target.exists():
        job = load_scenario(find_scenario(scenario)).build(golden=False)
        result = tlm.simulate(job.network, job.activations, job.chip, fidelity=job.fidelity, energy=job.energy)
        replace(result, scenario=job.name, settings=job.settings).save(target)
    return target


def main() -> None:
    """Draw all pictures."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        for name, (figure, scenarios) in PICTURES.items():
            sources = load_sources([run(scenario, directory) for scenario in scenarios])
            (picture,) = render(figures(sources, [figure]), directory)
            with Image.open(picture) as image, whole_file(IMAGES / f"{name}.png") as target:
                image.convert("RGB").quantize(256, FAITHFUL, dither=NO_DITHER).save(target, "PNG", optimize=True)


if __name__ == "__main__":
    main()
