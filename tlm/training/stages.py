"""Runs a recipe: stage after stage, each from the checkpoint of the one that it starts from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from tlm.training.batches import Batches
from tlm.training.gradual import make_masks
from tlm.training.loop import Shown, StageLoop, accuracy, read_checkpoint, silent
from tlm.training.networks import FloatNetwork, Int4Network, LayeredNetwork
from tlm.training.recipe import Recipe, Stage
from tlm.training.weights_file import read_weights

_CALIBRATION_IMAGES = 512


class Training:
    """A recipe under way in a directory.

    Args:
        recipe: what to do.
        directory: of the checkpoints ``<stage>.pt``.
        shown: progress bars.
        say: called with a line of text when a stage is done.
        data: directory of the data set, instead of the recipe's.

    Raises:
        InputError: the data set or a file of weights cannot be read.
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
        self._given = {
            stage.name: read_weights(Path(stage.weights_file), FloatNetwork(recipe.architecture()))
            for stage in recipe.stages
            if stage.weights_file is not None
        }
        self.train, self.test = (recipe.data.load(part, data) for part in ("train", "test"))

    def stages(self, only: Sequence[str] = ()) -> list[Stage]:
        """The stages of these names and those that lead to them; without names all of them."""
        wanted = {one.name for name in only for one in self.recipe.chain(self.recipe.stage(name))}
        return [stage for stage in self.recipe.stages if not only or stage.name in wanted]

    def run(self, stop_after: int | None = None, only: Sequence[str] = ()) -> None:
        """Every stage that is not done yet; what a checkpoint holds is not done again.

        Args:
            stop_after: leave a stage after this many steps, as an interruption would (for tests).
            only: as of :meth:`stages`.
        """
        torch.set_num_threads(self.recipe.threads)
        torch.use_deterministic_algorithms(True)
        self.directory.mkdir(parents=True, exist_ok=True)
        for stage in self.stages(only):
            loop = self.loop(stage)
            if loop.done:
                continue
            if not loop.run(stop_after, self._shown):
                return
            self._say(self._described(loop))

    def loop(self, stage: Stage) -> StageLoop:
        """A stage where its checkpoint left it, or at its start."""
        batches = Batches(self.train, self.recipe.batch, self.recipe.seed, stage.name)
        torch.manual_seed(self.recipe.seed)
        path = self.checkpoint(stage.name)
        network = self._blank(stage) if path.exists() else self._started(stage, batches)
        return StageLoop(self.recipe, stage, network, batches, path)

    def network(self, name: str) -> LayeredNetwork:
        """The network of a stage's checkpoint."""
        stage = self.recipe.stage(name)
        network = self._blank(stage)
        network.load_state_dict(read_checkpoint(self.checkpoint(name), self.recipe)["network"])
        return network

    def checkpoint(self, name: str) -> Path:
        """Path of a stage's checkpoint."""
        return self.directory / f"{name}.pt"

    def _described(self, loop: StageLoop) -> str:
        share = accuracy(loop.network, self.test)
        text = f"{loop.stage.name}: {share:.2%} of {len(self.test):,} test images (measured), {loop.seconds:.0f} s"
        for name, shift in loop.network.shifts().items() if isinstance(loop.network, FloatNetwork) else ():
            counts = shift.counts()
            text += f"; {name} {counts['moved']} of {counts['channels']} shifts moved, {counts['shifted']} are not zero"
        return text

    def _blank(self, stage: Stage) -> LayeredNetwork:
        """A network that a checkpoint of this stage can be loaded into."""
        if stage.kind == "int4":
            quantised = Int4Network(self.recipe.architecture())
            if self.recipe.has_densities(stage):
                quantised.make_masks()
            return quantised
        network = FloatNetwork(self.recipe.architecture())
        make_masks(self.recipe, stage, network)
        return network

    def _started(self, stage: Stage, batches: Batches) -> LayeredNetwork:
        network: LayeredNetwork = (
            FloatNetwork(self.recipe.architecture()) if stage.start is None else self.network(stage.start)
        )
        assert isinstance(network, FloatNetwork)
        if stage.weights_file is not None:
            network.load_state_dict(self._given[stage.name])
        if stage.kind == "int4":
            quantised = Int4Network(self.recipe.architecture())
            quantised.start_from(network, batches.plain(_CALIBRATION_IMAGES))
            return quantised
        make_masks(self.recipe, stage, network)
        return network
