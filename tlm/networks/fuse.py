"""A depth-wise layer and the point-wise layer after it as one kernel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tlm.core.errors import InputError
from tlm.inputs.integer_arrays import Int8Array, integers
from tlm.network.layers import WEIGHT_MAX, WEIGHT_MIN


def fuse_depthwise_pointwise(depthwise: npt.ArrayLike, pointwise: npt.ArrayLike) -> Int8Array:
    """Weights (O, C, kh, kw) of a depth-wise layer (C, 1, kh, kw) followed by a point-wise one (O, C, 1, 1).

    ``W[o, c, s] = pointwise[o, c] * depthwise[c, s]``: the sum over valid taps of PW(Shift(.)) (chip.md,
    principle [P]). Taps that are zero in the depth-wise kernel are zero for every output channel, so the engine
    neither stores nor executes them.

    Raises:
        InputError: shapes that do not fit, or a product outside -8..7 (requantise the fused kernel instead).
    """
    dw, pw = integers("depthwise", depthwise), integers("pointwise", pointwise)
    if dw.ndim != 4 or dw.shape[1] != 1 or pw.ndim != 4 or pw.shape[2:] != (1, 1) or pw.shape[1] != dw.shape[0]:
        raise InputError(
            f"fuse: shapes {dw.shape} and {pw.shape}, but must be (C, 1, kh, kw) and (O, C, 1, 1) with the same C"
        )
    if not dw.size or not pw.size:
        raise InputError(f"fuse: shapes {dw.shape} and {pw.shape}, but no size may be 0")
    bound = 1 << 31  # keeps products in 64 bits; those of larger weights are out of range as well
    dw, pw = (np.clip(array, -bound, bound).astype(np.int64) for array in (dw, pw))
    fused = pw[:, :, :, 0][:, :, :, None] * dw[:, 0][None]
    if fused.min() < WEIGHT_MIN or fused.max() > WEIGHT_MAX:
        raise InputError(
            f"fuse: products reach {int(fused.min())}..{int(fused.max())}, but weights are {WEIGHT_MIN}..{WEIGHT_MAX}; "
            "fuse in floating point and quantise the fused kernel"
        )
    narrow: Int8Array = fused.astype(np.int8)
    return narrow
