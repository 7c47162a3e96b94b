"""Which points of the axes are run: all of them, or a sample."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any

from tlm.core.arguments import shown
from tlm.core.errors import InputError
from tlm.sweeps.axes import Axis

METHODS = ("lhs", "random")
"""Latin hypercube (each axis is covered evenly), or independent draws."""

MAX_POINTS = 1_000_000

Values = tuple[Any, ...]


def grid(axes: Sequence[Axis]) -> list[Values]:
    """Every combination; the last axis changes fastest.

    Raises:
        InputError: a range of real numbers, or too many points.
    """
    for axis in axes:
        if not axis.values:
            ends = f"{axis.low:g}..{axis.high:g}"
            raise InputError(f"--over {axis.key}={ends}: a grid needs a list of values; or take --sample N")
    count = prod(len(axis.values) for axis in axes)
    if count > MAX_POINTS:
        raise InputError(f"--over: {count:,} points are more than {MAX_POINTS:,}; take --sample N")
    return list(product(*(axis.values for axis in axes)))


def sample(axes: Sequence[Axis], count: int, method: str, seed: int) -> list[Values]:
    """So many draws, the same for the same seed.

    Raises:
        InputError: fewer than 1, too many, a negative seed, or an unknown method.
    """
    if not 1 <= count <= MAX_POINTS:
        raise InputError(f"--sample: {shown(count)} is not allowed; give 1..{MAX_POINTS}")
    if seed < 0:
        raise InputError(f"--seed: {shown(seed)} is not allowed; give 0 or more")
    if method not in METHODS:
        raise InputError(f"--method: {method!r} is not one of {', '.join(METHODS)}")
    import numpy as np

    random = np.random.default_rng(seed)
    if method == "random":
        shares = random.random((count, len(axes)))
    else:
        random = random.spawn(1)[0]  # as scipy's LatinHypercube does, so the draws are the same
        within = random.random((count, len(axes)))
        strips = [random.permutation(count) + 1 for _ in axes]
        shares = (np.stack(strips, axis=1) - within) / count
    return [tuple(axis.at(float(share)) for axis, share in zip(axes, row, strict=True)) for row in shares]
