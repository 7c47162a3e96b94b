"""``tlm train``: a recipe, from data to networks that the engine runs."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from tlm.cli.progress import progress
from tlm.core.errors import InputError
from tlm.results.files import check_writable
from tlm.training.recipe import STAGE_SUFFIXES, Recipe, load_recipe, require_torch


def run(arguments: argparse.Namespace) -> int:
    """Train whatever is not trained yet, then write the networks."""
    recipe, command = load_recipe(arguments.recipe), f"tlm train {arguments.recipe}"
    names = [stage.name for stage in recipe.stages]
    for name in arguments.stage:
        if name not in names:
            raise InputError(f"--stage: {name!r} is not in the recipe; give one of {', '.join(names)}")
    require_torch()
    directory = arguments.output or Path("out") / Path(arguments.recipe).stem
    found = sorted(path.name for path in directory.glob("*.pt"))
    if found and not arguments.resume:
        raise InputError(f"{directory}: holds checkpoints ({found[0]}, ...); give --resume to go on, or another -o")
    if arguments.seed is not None:
        recipe, command = replace(recipe, seed=arguments.seed), f"{command} --seed {arguments.seed}"
    check_writable(directory, "-o", *(f"{name}{suffix}" for name in names for suffix in STAGE_SUFFIXES))
    print(f"checkpoints and networks go to {directory}; after an interruption --resume goes on", flush=True)
    _train(recipe, command, directory, arguments.data, arguments.stage)
    return 0


def _train(recipe: Recipe, command: str, directory: Path, data: str | None, only: list[str]) -> None:
    from tlm.training.finish import finish
    from tlm.training.stages import Training

    training = Training(recipe, directory, progress, partial(print, flush=True), data)
    training.run(only=only)
    for stage in training.stages(only):
        if stage.kind == "int4":
            path = finish(training, stage, command, progress)
            others = (path.with_suffix(suffix) for suffix in (".json", ".onnx"))
            print(f"wrote {', '.join([str(path), *(other.name for other in others if other.exists())])}")
