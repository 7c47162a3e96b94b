"""What a tensor of an ONNX graph is, in terms of the engine, while the graph is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tlm.exchange.onnx_constants import FloatArray


@dataclass(frozen=True)
class Quantised:
    """A tensor that the engine holds: whole numbers of 4 bits, worth ``scale`` each."""

    name: str
    scale: float
    signed: bool
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    """(top, left, bottom, right) of a Pad that the next layer takes in."""


@dataclass(frozen=True, eq=False)
class Sum:
    """Sums that are not requantised yet: those of a convolution, with what has been added to them."""

    node: str
    source: Quantised
    weights: npt.NDArray[np.int64]
    """(O, C // groups, kh, kw)."""
    scale: FloatArray
    """What a unit of each output channel's sums is worth, (O,)."""
    bias: FloatArray
    """(O,), as a real number."""
    geometry: dict[str, Any]
    """stride, padding, dilation, groups, as Conv2d takes them."""
    residual: Quantised | None = None
    relu: bool = False


@dataclass(frozen=True, eq=False)
class Levels:
    """What a QuantizeLinear gives: sums (or the graph's input, None) cut off to whole numbers in ``low..high``."""

    node: str
    of: Sum | None
    scale: float
    low: int
    high: int


Value = Quantised | Sum | Levels | None
"""None: the graph's input, not quantised yet."""
