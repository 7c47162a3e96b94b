"""Gradual pruning in the course of a stage: which weights are dropped when.

What remains is worked out from the share of the stage that is done and from the masks, which are part of the
checkpoint, so a stage that was interrupted prunes on as if it had not been.
"""

from __future__ import annotations

from math import ceil, floor

from torch import nn
from torch.nn.utils import prune

from tlm.training.networks import FloatNetwork, LayeredNetwork
from tlm.training.pruning import live_words, mask_of, prune_taps, prune_weights, prune_words
from tlm.training.recipe import FULL_TAPS, Recipe, Schedule, Stage

_FALLS = 100
"""A cubic density falls in at most this many steps, so that masks are not recomputed with every batch."""
_SHARE_FALLS = 10
"""How often a stepwise density falls."""
_ROUNDING = 1e-9  # a share that should be whole may come out a bit above it


def cubic(start: float, end: float, progress: float) -> float:
    """What remains: ``end + (start - end) * (1 - progress)^3`` (Zhu and Gupta 2017, equation 1, for what remains)."""
    left = 1.0 - min(max(progress, 0.0), 1.0)
    return end + (start - end) * left**3


def stepwise(start: float, end: float, progress: float, falls: int) -> float:
    """What remains if it falls ``falls`` times by the same amount at equal distances.

    The first fall is at progress 0 and the last at ``1 - 1 / falls``, so each is followed by the same retraining.
    """
    done = min(max(int(progress * falls + _ROUNDING) + 1, 0), falls)
    return start + (end - start) * done / falls


def taps_left(schedule: Schedule, start: int, end: int, progress: float) -> int:
    """Taps that each channel keeps: a whole number, never below ``end``; stepwise one goes at a time."""
    stepwise_left = schedule == "stepwise"
    left = stepwise(start, end, progress, max(1, start - end)) if stepwise_left else cubic(start, end, progress)
    return ceil(left - _ROUNDING)


def share_left(schedule: Schedule, start: float, end: float, progress: float) -> float:
    """Share of the weights that remains."""
    return stepwise(start, end, progress, _SHARE_FALLS) if schedule == "stepwise" else cubic(start, end, progress)


class GradualPruning:
    """Called before each step of a stage with the share of it that is done.

    Args:
        recipe, stage: what to prune, and what its start has left.
        network: whose masks change; only an FP32 network is ever pruned.
    """

    def __init__(self, recipe: Recipe, stage: Stage, network: LayeredNetwork) -> None:
        self._stage, self._network = stage, network if isinstance(network, FloatNetwork) else None
        start = None if stage.start is None else recipe.stage(stage.start)
        self._taps = recipe.left(start, "taps", FULL_TAPS)
        self._words, self._weights = (recipe.left(start, key, 1.0) for key in ("word_density", "density"))

    def __call__(self, done: float) -> None:
        """Drop what is due."""
        stage, network, progress = self._stage, self._network, done / self._stage.prune_until
        if network is None:
            return
        fallen = floor(min(max(progress, 0.0), 1.0) * _FALLS) / _FALLS
        if stage.taps is not None:
            taps = taps_left(stage.schedule, self._taps, stage.taps, progress)
            for layer in network.depthwise():
                if taps < int(mask_of(layer)[0].sum()):
                    prune_taps(layer, taps)
        if stage.word_density is not None:
            share = share_left(stage.schedule, self._words, stage.word_density, fallen)
            for layer in network.convolutions():
                kept, words = live_words(layer)
                if round(share * words) < kept:
                    prune_words(layer, share)
        if stage.density is not None:
            share = share_left(stage.schedule, self._weights, stage.density, fallen)
            for layer in network.convolutions():
                if round(share * layer.weight.numel()) < int(mask_of(layer).sum()):
                    prune_weights(layer, share)
        if stage.shifts is not None:
            for shift in network.shifts().values():
                shift.keep(1.0 + (stage.shifts - 1.0) * min(1.0, progress))


def make_masks(recipe: Recipe, stage: Stage, network: FloatNetwork) -> None:
    """Give all that is pruned in a stage or before it a mask of ones, where there is none yet."""
    masked: list[nn.Conv2d] = network.depthwise() if recipe.left(stage, "taps", FULL_TAPS) < FULL_TAPS else []
    if recipe.has_densities(stage):
        masked = masked + network.convolutions()
    for layer in masked:
        if not prune.is_pruned(layer):
            prune.identity(layer, "weight")  # type: ignore[no-untyped-call]
