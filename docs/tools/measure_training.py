"""Ranges at run time against learned ones, as docs/training.md has them.

    python docs/tools/measure_training.py out/model2 int4_9of9 2000

reads the checkpoints that ``tlm train model2 -o out/model2`` left.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from tlm.training.networks import Int4Network
from tlm.training.recipe import load_recipe
from tlm.training.stages import Training


def main(directory: str, stage: str, count: str) -> None:
    """One image at a time, so that a range at run time is that of the image; the directory has its recipe's name."""
    torch.set_num_threads(1)
    training = Training(load_recipe(Path(directory).name), Path(directory))
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


if __name__ == "__main__":
    main(*sys.argv[1:])
