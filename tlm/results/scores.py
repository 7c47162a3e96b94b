"""Outputs that are class scores, and the best classes among them."""

from __future__ import annotations

import numpy as np

from tlm.results.result import Tensor


def are_scores(output: Tensor) -> bool:
    """Whether an output is a score for each of several classes: accumulator output of shape (O, 1, 1)."""
    return output.dtype == np.int32 and output.shape[1:] == (1, 1) and len(output) > 1


def best_classes(scores: Tensor, count: int) -> tuple[tuple[int, int], ...]:
    """(class, score) of the highest scores, best first; of equal ones the lower class first.

    Args:
        scores: int32 (O, 1, 1).
        count: how many; at most O are given.
    """
    flat = scores.ravel().astype(np.int64)
    order = np.argsort(-flat, kind="stable")[:count]
    return tuple((int(index), int(flat[index])) for index in order)
