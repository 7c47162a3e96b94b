"""Runs a recipe: stage after stage, each from the checkpoint of the one that it starts from."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import torch

from tlm.training.batches import Batches
from tlm.training.loop import StageLoop, accuracy, read_checkpoint
from tlm.training.networks import FloatNetwork, Int4Network, PlannedNetwork, fast
from tlm.training.pruning import mask_of, prune_taps
from tlm.training.recipe import Recipe, Stage
from tlm.training.schedule import taps_left

_CALIBRATION_IMAGES = 512
_FULL_TAPS = 9

Shown = Callable[[str, int], AbstractContextManager[Callable[[], None]]]
"""(text, total) -> a bar, as :func:`tlm.cli.progress.progress` gives it."""


@contextmanager
def silent(text: str, total: int) -> Iterator[Callable[[], None]]:
    """No bar."""
    yield lambda: None


class Training:
    """A recipe under way in a directory.

    Args:
        recipe: what to do.
        directory: of the checkpoints ``<stage>.pt``.
        shown: progress bars.
        say: called with a line of text when a stage is done.
        data: directory of the data set, instead of the recipe's.

    Raises:
        InputError: the data set cannot be read.
    """

    def __init__(
        self,
        recipe: Recipe,
        directory: Path,
        shown: Shown = silent,
        say: Callable[[str], None] = lambda line: None,
        data: str | None = None,
    ) -> None:
        self.recipe, self.directory = recipe, directory
        self._shown, self._say = shown, say
        self.train, self.test = (recipe.data.load(part, data) for part in ("train", "test"))

    def run(self, stop_after: int | None = None) -> None:
        """Every stage that is not done yet; what a checkpoint holds is not done again.

        Args:
            stop_after: leave a stage after so many steps, as an interruption would (for tests).
        """
        torch.set_num_threads(self.recipe.threads)
        torch.use_deterministic_algorithms(True)
        self.directory.mkdir(parents=True, exist_ok=True)
        for stage in self.recipe.stages:
            loop = self.loop(stage)
            if loop.done:
                continue
            if not self._train(loop, stop_after):
                return
            self._say(self.describe(stage, loop))

    def loop(self, stage: Stage) -> StageLoop:
        """A stage where its checkpoint left it, or at its start."""
        batches = Batches(self.train, self.recipe.batch, self.recipe.seed, stage.name)
        torch.manual_seed(self.recipe.seed)
        path = self.checkpoint(stage.name)
        if path.exists():
            network = self._blank(stage)
            loop = StageLoop(self.recipe, stage, network, batches, path, self._pruner(stage, network))
            loop.load()
            return loop
        network = self._started(stage, batches)
        return StageLoop(self.recipe, stage, network, batches, path, self._pruner(stage, network))

    def network(self, name: str) -> PlannedNetwork:
        """The network of a stage's checkpoint."""
        stage = self.recipe.stage(name)
        network = self._blank(stage)
        network.load_state_dict(read_checkpoint(self.checkpoint(name), self.recipe)["network"])
        return network

    def checkpoint(self, name: str) -> Path:
        """Path of a stage's checkpoint."""
        return self.directory / f"{name}.pt"

    def chain(self, stage: Stage) -> list[Stage]:
        """The stages that lead to one, itself the last."""
        found = [stage]
        while found[0].start is not None:
            found.insert(0, self.recipe.stage(found[0].start))
        return found

    def taps(self, stage: Stage | None) -> int:
        """Taps that the depth-wise kernels have when a stage is done (9 before anything is pruned)."""
        while stage is not None:
            if stage.taps is not None:
                return stage.taps
            stage = None if stage.start is None else self.recipe.stage(stage.start)
        return _FULL_TAPS

    def describe(self, stage: Stage, loop: StageLoop) -> str:
        """A line about a finished stage."""
        share = accuracy(loop.network, self.test)
        text = f"{stage.name}: {share:.2%} of {len(self.test):,} test images [D], {loop.progress.seconds:.0f} s"
        if isinstance(loop.network, FloatNetwork):
            for part in loop.network.shifts():
                counts = part.shift.counts()
                text += (
                    f"; {part.plan.name} {counts['moved']} of {counts['channels']} shifts moved, "
                    f"{counts['shifted']} are not zero"
                )
        return text

    def _train(self, loop: StageLoop, stop_after: int | None) -> bool:
        """Whether the stage is done."""
        started, before = time.perf_counter(), loop.progress.seconds
        end = loop.steps if stop_after is None else min(loop.steps, loop.progress.step + stop_after)
        with self._shown(loop.stage.name, loop.steps) as count_one:
            for _ in range(loop.progress.step):
                count_one()
            while loop.progress.step < end:
                loop.step()
                count_one()
                if loop.progress.step % self.recipe.checkpoint_steps == 0 or loop.done:
                    loop.progress.seconds = before + time.perf_counter() - started
                    loop.save()
        return loop.done

    def _blank(self, stage: Stage) -> PlannedNetwork:
        """A network that a checkpoint of this stage can be loaded into."""
        architecture = self.recipe.architecture()
        if stage.kind == "int4":
            return fast(Int4Network(architecture))
        network = fast(FloatNetwork(architecture))
        if self._is_pruned(stage):
            for layer in network.depthwise():
                prune_taps(layer, _FULL_TAPS)  # makes the mask that the checkpoint fills
        return network

    def _started(self, stage: Stage, batches: Batches) -> PlannedNetwork:
        if stage.start is None:
            return self._blank(stage)
        source = self.recipe.stage(stage.start)
        trained = self.network(stage.start)
        assert isinstance(trained, FloatNetwork)
        if stage.kind == "int4":
            network = fast(Int4Network(self.recipe.architecture()))
            network.start_from(trained, batches.plain(_CALIBRATION_IMAGES))
            return network
        if self._is_pruned(stage) and not self._is_pruned(source):
            for layer in trained.depthwise():
                prune_taps(layer, _FULL_TAPS)
        return trained

    def _is_pruned(self, stage: Stage) -> bool:
        return self.taps(stage) < _FULL_TAPS

    def _pruner(self, stage: Stage, network: PlannedNetwork) -> Callable[[float], None]:
        """What prunes as the stage goes on; nothing if it does not."""
        if not isinstance(network, FloatNetwork) or (stage.taps is None and stage.shifts is None):
            return lambda done: None
        start = self.taps(None if stage.start is None else self.recipe.stage(stage.start))

        def prune(done: float) -> None:
            progress = done / stage.prune_until
            if stage.taps is not None:
                taps = taps_left(stage.schedule, start, stage.taps, progress)
                for layer in network.depthwise():
                    if taps < int(mask_of(layer)[0].sum()):
                        prune_taps(layer, taps)
            if stage.shifts is not None:
                for part in network.shifts():
                    part.shift.keep(1.0 + (stage.shifts - 1.0) * min(1.0, progress))

        return prune
