"""What a tensor of an ONNX graph is, in terms of the engine, while the graph is read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tlm.exchange.onnx_constants import FloatArray, Shape
from tlm.exchange.onnx_windows import NO_PADS, UNIT, Geometry, Pads
from tlm.network.layers import BIAS_BITS, WEIGHT_MAX, WEIGHT_MIN

_WHOLE = 1e-3
"""How near to a whole unit a bias must be to be one."""

Order = npt.NDArray[np.int64]
"""For each value of an image, in the graph's shape, its place in the engine's (C, H, W). Only tensors that the graph
holds in another order, such as channels last, have one."""


def same_order(one: Order | None, other: Order | None) -> bool:
    """Whether two tensors have their values at the same places."""
    return np.array_equal(one, other) if one is not None and other is not None else one is other


class Tensor(NamedTuple):
    """Where a graph holds a layer's output as real numbers."""

    name: str
    scale: float
    shape: Shape
    """The batch first."""
    order: Order | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Value:
    """What the graph computes from its input; its kind is the class."""

    shape: Shape = ()
    """In the graph, the batch first; the reader fills it in."""
    order: Order | None = None


@dataclass(frozen=True, eq=False)
class Unquantised(Value):
    """The graph's input."""

    relu: bool = False
    factor: float = 1.0
    """What it has been multiplied by."""


@dataclass(frozen=True, eq=False)
class Quantised(Value):
    """A tensor that the engine holds: whole numbers of 4 bits, worth ``scale`` each."""

    name: str
    scale: float
    signed: bool
    pads: Pads = NO_PADS
    """Zeros that the next layer takes in; ``shape`` counts them."""


@dataclass(frozen=True, eq=False)
class Sum(Value):
    """Sums that are not requantised yet: those of a convolution, with what has been added to them."""

    node: str
    source: Quantised
    weights: npt.NDArray[np.int64]
    """(O, C // groups, kh, kw)."""
    scale: FloatArray
    """What a unit of each output channel's sums is worth, (O,)."""
    bias: FloatArray
    """(O,), as a real number."""
    geometry: Geometry
    residual: Quantised | None = None
    relu: bool = False
    offset: FloatArray | None = None
    """(O,), a real number that is added behind the ReLU."""
    lowest: float = -np.inf
    highest: float = np.inf
    """Where a Clip cuts them off, as real numbers."""

    @property
    def plain(self) -> bool:
        """Still what the weights make of the source, but for scale and bias."""
        return self.residual is None and not self.relu and not self.clipped

    @property
    def clipped(self) -> bool:
        """A Clip has cut them off."""
        return bool(np.isfinite([self.lowest, self.highest]).any())

    def is_copy(self, scale: float, signed: bool) -> bool:
        """Whether requantising them with a scale gives the source again."""
        same = self.source.signed == signed and np.allclose(self.scale, scale, rtol=1e-6, atol=0.0)
        unchanged = self.plain and self.offset is None and not self.bias.any()
        whole = self.geometry == {**UNIT, "groups": len(self.bias)} and self.weights.shape[1:] == (1, 1, 1)
        return bool(same and unchanged and whole and (self.weights == 1).all())

    def with_finer_units(self) -> Sum:
        """The same sums in the finest units that 4-bit weights allow, in channels whose bias is no whole unit.

        Weights of 1 to 3 bits leave room: as multiples of themselves they make the engine's whole biases more exact.
        """
        units = self.bias / self.scale
        rough = np.abs(units - np.rint(units)) > _WHOLE
        rows = self.weights.reshape(len(self.weights), -1)
        most, least = np.maximum(rows.max(axis=1), 1), np.maximum(-rows.min(axis=1), 1)
        factor = np.where(rough, np.maximum(np.minimum(WEIGHT_MAX // most, -WEIGHT_MIN // least), 1), 1)
        return replace(self, weights=self.weights * factor[:, None, None, None], scale=self.scale / factor)

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
class Levels(Value):
    """What a QuantizeLinear gives: sums (or the graph's input) cut off to whole numbers in ``low..high``."""

    node: str
    of: Sum | Unquantised
    scale: float
    zero: int
    """Zero point; ``low`` and ``high`` are what is left once it is taken away."""
    low: int
    high: int
