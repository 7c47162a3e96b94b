"""What a finished INT4 stage leaves: the network for the engine, measured in the engine's arithmetic, with its card."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

import tlm
from tlm.core.files import whole_file
from tlm.exchange.onnx_writer import write_onnx
from tlm.networks.stored import StoredNetwork, save_network
from tlm.networks.weights import stored_weights
from tlm.training.datasets import LabelledImages
from tlm.training.export import export
from tlm.training.loop import predictions, read_checkpoint
from tlm.training.networks import INPUT_STEP, FloatNetwork, Int4Network
from tlm.training.recipe import Stage
from tlm.training.stages import Shown, Training, silent

GOLDEN_IMAGES = 100
"""So many images go through the golden model as well."""


@dataclass(frozen=True)
class Measured:
    """The same images through the quantised torch model and through the engine's arithmetic."""

    images: int
    torch_accuracy: float
    engine_accuracy: float
    agreement: float
    """Share of the images for which both give the same class."""
    golden_images: int
    golden_equal: bool
    """Whether the golden model gave the same scores for the first images."""


def measure(trained: Int4Network, network: tlm.Network, images: LabelledImages, shown: Shown = silent) -> Measured:
    """Compare the trained network with what the engine computes."""
    expected = predictions(trained, images).numpy()
    evaluator = tlm.Evaluator(network)
    found, equal = np.zeros(len(images), np.int64), True
    golden = min(GOLDEN_IMAGES, len(images))
    with shown("engine", len(images)) as count_one:
        for index, activations in enumerate(images.activations):
            scores = evaluator.output(activations)
            found[index] = int(scores.ravel().argmax())
            if index < golden:
                reference = tlm.reference.run(network, activations)
                equal &= bool(np.array_equal(reference[network.output.name], scores))
            count_one()
    return Measured(
        images=len(images),
        torch_accuracy=float((expected == images.labels).mean()),
        engine_accuracy=float((found == images.labels).mean()),
        agreement=float((expected == found).mean()),
        golden_images=golden,
        golden_equal=equal,
    )


def finish(training: Training, stage: Stage, command: str, shown: Shown = silent) -> Path:
    """Write ``<stage>.npz``, the network with its card, ``<stage>.json``, the card alone, and ``<stage>.onnx``.

    The last only where onnx is installed.

    Args:
        training: whose checkpoint of the stage is complete.
        stage: an INT4 stage.
        command: how it was trained, for the card.
        shown: progress bars.

    Returns:
        The network's path.
    """
    trained = training.network(stage.name)
    assert isinstance(trained, Int4Network)
    network = export(trained)
    card = model_card(training, stage, command, measure(trained, network, training.test, shown), network)
    path = training.directory / f"{stage.name}.npz"
    save_network(path, StoredNetwork(network, card))
    if find_spec("onnx") is not None:
        write_onnx(path.with_suffix(".onnx"), network, INPUT_STEP)
    with whole_file(path.with_suffix(".json")) as temporary:
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n")
    return path


def model_card(
    training: Training, stage: Stage, command: str, measured: Measured, network: tlm.Network
) -> dict[str, Any]:
    """Where a network comes from and what it can do, as plain values."""
    recipe, data = training.recipe, training.recipe.data
    chain = recipe.chain(stage)
    seconds = {one.name: round(_seconds(training, one)) for one in chain}
    return {
        "model": recipe.model,
        "stage": stage.name,
        "description": recipe.description,
        "data": {
            "kind": data.kind,
            "train_images": len(training.train),
            "test_images": len(training.test),
            "licence": "MIT" if data.kind == "fashion_mnist" else "see the data set",
        },
        "recipe": msgspec.to_builtins(msgspec.structs.replace(recipe, stages=tuple(chain))),
        "seed": recipe.seed,
        "command": command,
        "taps": recipe.taps(stage),
        "accuracy": {
            "engine": round(measured.engine_accuracy, 4),
            "torch_int4": round(measured.torch_accuracy, 4),
            "agreement": round(measured.agreement, 4),
            "images": measured.images,
            "golden_images": measured.golden_images,
            "golden_equal": measured.golden_equal,
        },
        "weights": stored_weights(network),
        "shifts": _shifts(training, stage),
        "training_seconds": seconds,
        "machine": f"torch {torch.__version__}, {recipe.threads} thread(s) of {os.cpu_count()} cores; wall times of a "
        "shared machine, pauses included",
    }


def _seconds(training: Training, stage: Stage) -> float:
    return float(read_checkpoint(training.checkpoint(stage.name), training.recipe)["seconds"])


def _shifts(training: Training, stage: Stage) -> dict[str, dict[str, int]]:
    source = training.network(stage.start or stage.name)
    assert isinstance(source, FloatNetwork)
    return {part.plan.name: part.shift.counts() for part in source.shifts()}
