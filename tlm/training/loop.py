"""One stage's training loop: steps, checkpoints, going on after an interruption to the same result."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tlm.core.errors import InputError
from tlm.core.files import whole_file
from tlm.inputs.labelled import LabelledImages
from tlm.training.batches import Batches
from tlm.training.gradual import GradualPruning
from tlm.training.networks import FloatNetwork, Int4Network, LayeredNetwork
from tlm.training.quantiser import SMALLEST_STEP
from tlm.training.recipe import Recipe, Stage
from tlm.training.weights_file import load_file

_MOMENTUM = 0.9
_WARM_UP = 0.2  # share of a stage in which the learning rate rises
_CLIP = 5.0  # largest norm of the gradient, against the jumps of the first steps after pruning or quantisation
_KEYS = {"recipe", "step", "seconds", "network", "optimiser", "schedule"}  # of a checkpoint
_AT_ONCE = 500  # test images in one forward pass


Shown = Callable[[str, int], AbstractContextManager[Callable[[], None]]]
"""(text, total) -> a bar, as :func:`tlm.cli.progress.progress` gives it."""


def silent(text: str, total: int) -> AbstractContextManager[Callable[[], None]]:
    """No bar."""
    return nullcontext(lambda: None)


class StageLoop:
    """Trains one network through one stage, on from its checkpoint if there is one.

    Args:
        recipe, stage: what to do.
        network: trained in place.
        batches: the training set.
        path: of the checkpoint.

    Raises:
        InputError: the checkpoint belongs to another recipe.
    """

    def __init__(self, recipe: Recipe, stage: Stage, network: LayeredNetwork, batches: Batches, path: Path) -> None:
        self.recipe, self.stage, self.network, self.batches, self.path = recipe, stage, network, batches, path
        self._prune = GradualPruning(recipe, stage, network)
        self._steps = max(1, round(stage.epochs * batches.per_epoch)) if stage.epochs else 0
        self._made, self.seconds = 0, 0.0
        """Steps and wall time of training so far, all sessions together."""
        self._optimiser = torch.optim.SGD(
            _groups(network, stage.weight_decay), lr=stage.rate, momentum=_MOMENTUM, nesterov=True
        )
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimiser, stage.rate, total_steps=self._steps + 1, pct_start=_WARM_UP, cycle_momentum=False
        )
        if path.exists():
            state = read_checkpoint(path, recipe)
            network.load_state_dict(state["network"])
            self._optimiser.load_state_dict(state["optimiser"])
            self._schedule.load_state_dict(state["schedule"])
            self._made, self.seconds = state["step"], state["seconds"]

    @property
    def done(self) -> bool:
        """Whether all steps have been made, and saved."""
        return self._made >= self._steps and self.path.exists()

    def run(self, stop_after: int | None = None, shown: Shown = silent) -> bool:
        """Make the steps that are left, or ``stop_after`` of them, with checkpoints; whether the stage is done."""
        started = time.perf_counter() - self.seconds
        end = self._steps if stop_after is None else min(self._steps, self._made + stop_after)
        with shown(self.stage.name, self._steps) as count_one:
            for _ in range(self._made):
                count_one()
            while self._made < end:
                self._step()
                count_one()
                if self._made % self.recipe.checkpoint_steps == 0 and self._made < self._steps:
                    self._save(time.perf_counter() - started)
        if self._made >= self._steps:
            self._prune(1.0)  # what a stage of few steps, or of none, has not come to
            self._save(time.perf_counter() - started)
        return self.done

    def _step(self) -> None:
        self._prune(self._made / self._steps)
        self.network.train()
        activations, labels = self.batches.batch(self._made)
        loss = functional.cross_entropy(self.network(activations), labels, label_smoothing=self.recipe.label_smoothing)
        if isinstance(self.network, FloatNetwork) and self.stage.shift_penalty:
            loss = loss + self.stage.shift_penalty * self.network.penalty()
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), _CLIP)
        self._optimiser.step()
        with torch.no_grad():
            for name, one in self.network.named_parameters():
                if name.endswith("step"):
                    one.clamp_(min=SMALLEST_STEP)
        self._schedule.step()
        self._made += 1

    def _save(self, seconds: float) -> None:
        """Write the checkpoint, whole or not at all."""
        self.seconds = seconds
        state = {
            "recipe": self.recipe.digest(),
            "step": self._made,
            "seconds": self.seconds,
            "network": self.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict(),
        }
        with whole_file(self.path) as temporary, temporary.open("wb") as file:  # by name torch hides the system's error
            torch.save(state, file)


def read_checkpoint(path: Path, recipe: Recipe) -> dict[str, Any]:
    """The content of a checkpoint.

    Raises:
        InputError: it belongs to another recipe.
    """
    state = load_file(path)
    if not isinstance(state, dict) or not state.keys() >= _KEYS:
        raise InputError(f"{path}: is no checkpoint; give another directory with -o, or remove it")
    if state["recipe"] != recipe.digest():
        raise InputError(f"{path}: belongs to another recipe; give another directory with -o, or remove it")
    return state


def accuracy(network: LayeredNetwork, images: LabelledImages) -> float:
    """Share of the images whose class has the highest score."""
    labels = torch.from_numpy(images.labels)
    return float((predictions(network, images) == labels).float().mean())


def predictions(network: LayeredNetwork, images: LabelledImages) -> Tensor:
    """The class with the highest score of each image, (N,)."""
    network.eval()
    pixels = torch.from_numpy(images.activations)
    scores = network.whole_scores if isinstance(network, Int4Network) else network
    with torch.no_grad():
        return torch.cat([scores(part.float()).argmax(1) for part in torch.split(pixels, _AT_ONCE)])


def _groups(network: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Kernels decay towards zero; steps, biases, norms and shifts do not."""
    trained = [(name, one) for name, one in network.named_parameters() if one.requires_grad]
    kernels = [one for name, one in trained if one.dim() == 4]
    others = [one for name, one in trained if one.dim() != 4]
    groups = [{"params": kernels, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
