"""The colours of pictures can be told apart, also by readers who see no red or no green."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from tlm.plots import colours as palette

VISION = {
    "all": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "no red": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "no green": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
}
"""What readers see of linear RGB: Machado, Oliveira and Fernandes, 2009, at full severity."""


def lab(colour: str, vision: tuple[tuple[float, ...], ...]) -> np.ndarray[Any, Any]:
    """CIE L*a*b* of an sRGB colour."""
    rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    seen = np.clip(np.array(vision) @ np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4), 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ seen
    root = np.cbrt(xyz / np.array([0.9505, 1, 1.089]))
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize(("colours", "least"), [(palette.CAUSES, 19), (palette.COMPONENTS, 13), (palette.SRAMS, 20)])
def test_colours_differ_for_every_reader(vision: str, colours: dict[str, str], least: float) -> None:
    """Whole units of CIE L*a*b*; 2.3 can just be told apart side by side."""
    seen = {key: lab(colour, VISION[vision]) for key, colour in colours.items()}
    distances = {pair: np.linalg.norm(seen[pair[0]] - seen[pair[1]]) for pair in itertools.combinations(seen, 2)}
    assert min(distances.values()) > least, min(distances, key=lambda pair: distances[pair])
