"""What a tensor of an ONNX graph is, in terms of the engine, while the graph is read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tlm.exchange.onnx_constants import FloatArray
from tlm.layers import BIAS_BITS


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

    def with_fitting_biases(self) -> tuple[Sum, int]:
        """The same sums in units so coarse that each bias fits its register, and how many channels that changed.

        A channel with a bias of more than 2^23 units hardly depends on its input: exporters give such tiny weights a
        scale of their own all the same. Its unit is doubled until the bias fits, and its weights rounded to it.
        """
        largest = (1 << (BIAS_BITS - 1)) - 1
        excess = np.maximum(np.abs(self.bias) / self.scale / largest, 1.0)
        factor = np.exp2(np.ceil(np.log2(excess)))
        if not np.any(factor > 1.0):
            return self, 0
        weights = np.rint(self.weights / factor[:, None, None, None]).astype(np.int64)
        return replace(self, weights=weights, scale=self.scale * factor), int(np.count_nonzero(factor > 1.0))


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
