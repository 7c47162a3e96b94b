"""Real scales as the requantiser's multiplier and shift (engine.md, Values)."""

from __future__ import annotations

from math import frexp
from typing import Any

import numpy as np
import numpy.typing as npt

from tlm.core.errors import InputError
from tlm.inputs.integer_arrays import IntArray
from tlm.network.layers import MAX_SHIFT, MULTIPLIER_BITS

FloatArray = npt.NDArray[np.float64]


def fixed_point(ratio: float) -> tuple[int, int]:
    """(multiplier, shift) with ``multiplier / 2^shift`` nearest to a ratio: 16 significant bits, a shift of 0..40.

    Raises:
        InputError: a ratio that is negative or too large.
    """
    if not 0.0 <= ratio < 1 << MULTIPLIER_BITS:
        raise InputError(f"scale {ratio:g} is not allowed; must be in 0 .. {(1 << MULTIPLIER_BITS) - 1}")
    shift = min(MAX_SHIFT, max(0, MULTIPLIER_BITS - frexp(ratio)[1]))
    multiplier = round(ratio * (1 << shift))
    if multiplier >= 1 << MULTIPLIER_BITS:  # rounded up to a 17th bit
        shift -= 1
        multiplier = round(ratio * (1 << shift))
    return multiplier, shift


def fixed_points(ratios: FloatArray) -> tuple[IntArray, IntArray]:
    """:func:`fixed_point` of several ratios: multipliers (n,) and shifts (n,).

    Raises:
        InputError: as of :func:`fixed_point`.
    """
    pairs = np.array([fixed_point(ratio) for ratio in ratios.tolist()], np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def shared_shift(ratios: FloatArray) -> tuple[IntArray, int]:
    """Multipliers (n,) and the one shift with which the largest of several ratios has 16 significant bits.

    Raises:
        InputError: as of :func:`fixed_point`.
    """
    _, shift = fixed_point(float(ratios.max()))
    return np.rint(ratios * (1 << shift)).astype(np.int64), shift


def requantisation(ratios: FloatArray, residual: str | None = None) -> dict[str, Any]:
    """The arguments of :class:`tlm.Conv2d` that scale its sums.

    Args:
        ratios: of each output channel (O,), and behind them that of the residual, if there is one: what a unit is worth
            in levels of the output.
        residual: name of the tensor that is added.

    Raises:
        InputError: as of :func:`fixed_point`.
    """
    if residual is None:
        multipliers, shifts = fixed_points(ratios)
        return {"multiplier": multipliers, "shift": shifts}
    multipliers, shift = shared_shift(ratios)
    return {
        "multiplier": multipliers[:-1],
        "shift": shift,
        "residual": residual,
        "residual_multiplier": int(multipliers[-1]),
    }
