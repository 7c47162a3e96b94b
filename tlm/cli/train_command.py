"""``tlm train``: a recipe, from data to networks that the engine runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tlm.cli.progress import progress
from tlm.core.errors import InputError

if TYPE_CHECKING:
    from tlm.cli.arguments import Commands
    from tlm.training.recipe import Recipe


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "train",
        help="train and prune a network for the engine (needs torch)",
        description="Runs the stages of a recipe: FP32 training, gradual pruning, INT4 training. Each INT4 stage "
        "leaves a network that scenarios can name. Needs torch: pip install 'cartesian-tlm[train]'",
    )
    parser.add_argument("recipe", metavar="RECIPE", help="recipe file (.toml), or the name of one of the package's")
    parser.add_argument(
        "-o", "--output", metavar="DIR", type=Path, help="checkpoints and networks (default: out/RECIPE)"
    )
    parser.add_argument("--resume", action="store_true", help="go on where an interrupted training stopped")
    parser.add_argument("--data", metavar="DIR", help="directory of the data set, instead of the recipe's")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train whatever is not trained yet, then write the networks."""
    from tlm.training.recipe import load_recipe
    from tlm.training.requirements import require_torch

    recipe = load_recipe(arguments.recipe)
    require_torch()
    directory = arguments.output or Path("out") / Path(arguments.recipe).stem
    _check_directory(directory, arguments.resume)
    _train(recipe, arguments.recipe, directory, arguments.data)
    return 0


def _train(recipe: Recipe, name: str, directory: Path, data: str | None) -> None:
    from tlm.result_files import check_writable
    from tlm.training.finish import finish
    from tlm.training.stages import Training

    check_writable(directory, "-o")
    training = Training(recipe, directory, progress, _say, data)
    training.run()
    for stage in recipe.stages:
        if stage.kind == "int4":
            path = finish(training, stage, f"tlm train {name}", progress)
            print(f"wrote {path}, {path.with_suffix('.json').name}")


def _check_directory(directory: Path, resume: bool) -> None:
    found = sorted(path.name for path in directory.glob("*.pt")) if directory.is_dir() else []
    if found and not resume:
        raise InputError(f"{directory}: holds checkpoints ({found[0]}, ...); give --resume to go on, or another -o")


def _say(line: str) -> None:
    print(line, flush=True)
