"""What docs/training.md says beside the cards: ranges at run time against learned ones, the spread over seeds.

    python docs/measure_training.py dynamic out/model2 int4_9of9 2000
    python docs/measure_training.py seeds out/model2 int4_3of9 2 3

Both read the checkpoints that ``tlm train model2 -o out/model2`` left. The second trains the INT4 stage again, from the
same FP32 network, with other orders and augmentations.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import torch

from tlm.training.batches import Batches
from tlm.training.export import export
from tlm.training.finish import measure
from tlm.training.loop import StageLoop
from tlm.training.networks import FloatNetwork, Int4Network, fast
from tlm.training.recipe import load_recipe
from tlm.training.stages import Training

CALIBRATION_IMAGES = 512


def opened(directory: str) -> Training:
    """The training whose recipe has the directory's name."""
    torch.set_num_threads(1)
    return Training(load_recipe(Path(directory).name), Path(directory))


def dynamic(directory: str, stage: str, count: str) -> None:
    """One image at a time, so that a range at run time is that of the image."""
    training = opened(directory)
    network = training.network(stage)
    assert isinstance(network, Int4Network)
    images = training.test.first(int(count))
    network.eval()
    for at_run_time in (False, True):
        network.set_dynamic(at_run_time)
        right = 0
        with torch.no_grad():
            for activations, label in zip(torch.from_numpy(images.activations), images.labels, strict=True):
                right += int(network(activations[None].float()).argmax()) == label
        name = "at run time" if at_run_time else "learned"
        print(f"{name}: {right / len(images):.2%} of {len(images):,}", flush=True)


def seeds(directory: str, name: str, *numbers: str) -> None:
    """The INT4 stage again with other seeds."""
    training = opened(directory)
    stage = training.recipe.stage(name)
    assert stage.start is not None
    for number in numbers:
        recipe = msgspec.structs.replace(training.recipe, seed=int(number))
        batches = Batches(training.train, recipe.batch, recipe.seed, stage.name)
        trained = training.network(stage.start)
        assert isinstance(trained, FloatNetwork)
        network = fast(Int4Network(recipe.architecture()))
        network.start_from(trained, batches.plain(CALIBRATION_IMAGES))
        loop = StageLoop(recipe, stage, network, batches, Path("unused.pt"), lambda done: None)
        while not loop.done:
            loop.step()
        print(f"{name} seed {number}: {measure(network, export(network), training.test)}", flush=True)


if __name__ == "__main__":
    {"dynamic": dynamic, "seeds": seeds}[sys.argv[1]](*sys.argv[2:])
