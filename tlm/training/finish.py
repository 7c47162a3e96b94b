"""What a finished INT4 stage leaves: the network for the engine, measured in the engine's arithmetic, with its card."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

import tlm
from tlm.core.files import whole_file
from tlm.exchange.onnx_writer import write_onnx
from tlm.inputs.labelled import LabelledImages
from tlm.networks.stored import StoredNetwork, save_network
from tlm.networks.weights import stored_weights
from tlm.training.export import export
from tlm.training.loop import Shown, predictions, read_checkpoint, silent
from tlm.training.networks import INPUT_STEP, FloatNetwork, Int4Network
from tlm.training.recipe import FULL_TAPS, Stage
from tlm.training.stages import Training

GOLDEN_IMAGES = 100
"""So many images go through the golden model as well."""


def measure(
    trained: Int4Network, network: tlm.Network, images: LabelledImages, shown: Shown = silent
) -> dict[str, float]:
    """The same images through the quantised torch model and through the engine's arithmetic.

    Returns:
        ``engine`` and ``torch_int4``, their accuracies; ``agreement``, the share of the images for which both give the
        same class; ``images``; ``golden_images``, how many went through the golden model, and ``golden_equal``, whether
        it gave the same scores.
    """
    expected = predictions(trained, images).numpy()
    evaluator = tlm.Evaluator(network)
    found, equal = np.zeros(len(images), np.int64), True
    golden = min(GOLDEN_IMAGES, len(images))
    with shown("engine", len(images)) as count_one:
        for index, activations in enumerate(images.activations):
            scores = evaluator.output(activations)
            found[index] = int(scores.ravel().argmax())
            if index < golden:
                equal &= bool(np.array_equal(tlm.reference.run(network, activations)[network.output.name], scores))
            count_one()
    return {
        "engine": round(float((found == images.labels).mean()), 4),
        "torch_int4": round(float((expected == images.labels).mean()), 4),
        "agreement": round(float((expected == found).mean()), 4),
        "images": len(images),
        "golden_images": golden,
        "golden_equal": equal,
    }


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
    training: Training, stage: Stage, command: str, accuracy: dict[str, float], network: tlm.Network
) -> dict[str, Any]:
    """Where a network comes from and what it can do, as plain values; ``accuracy`` as of :func:`measure`."""
    recipe, data = training.recipe, training.recipe.data
    chain = recipe.chain(stage)
    source = training.network(stage.start or stage.name)
    assert isinstance(source, FloatNetwork)
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
        "taps": recipe.left(stage, "taps", FULL_TAPS),
        "accuracy": accuracy,
        "weights": stored_weights(network),
        "shifts": {name: shift.counts() for name, shift in source.shifts().items()},
        "training_seconds": {
            one.name: round(read_checkpoint(training.checkpoint(one.name), recipe)["seconds"]) for one in chain
        },
        "machine": f"torch {torch.__version__}, {recipe.threads} thread(s) of {os.cpu_count()} cores; wall times of a "
        "shared machine, pauses included",
    }
