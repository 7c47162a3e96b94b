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
    """The arguments of ``tlm train``."""
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
    parser.add_argument("--seed", metavar="N", type=int, help="another seed than the recipe's")
    parser.add_argument(
        "--stage", metavar="NAME", action="append", default=[],
        help="train only this stage and those that lead to it; may be given several times",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train whatever is not trained yet, then write the networks."""
    from msgspec.structs import replace

    from tlm.training.recipe import load_recipe, require_torch

    recipe = load_recipe(arguments.recipe)
    _check_stages(recipe, arguments.stage)
    require_torch()
    directory = arguments.output or Path("out") / Path(arguments.recipe).stem
    _check_directory(directory, arguments.resume)
    command = f"tlm train {arguments.recipe}"
    if arguments.seed is not None:
        if arguments.seed < 0:
            raise InputError(f"--seed: {arguments.seed} is not allowed; give 0 or more")
        recipe = replace(recipe, seed=arguments.seed)
        command += f" --seed {arguments.seed}"
    _train(recipe, command, directory, arguments.data, arguments.stage)
    return 0


def _train(recipe: Recipe, command: str, directory: Path, data: str | None, only: list[str]) -> None:
    from tlm.results.files import check_writable
    from tlm.training.finish import finish
    from tlm.training.stages import Training

    check_writable(directory, "-o")
    training = Training(recipe, directory, progress, _say, data)
    training.run(only=only)
    for stage in training.stages(only):
        if stage.kind == "int4":
            path = finish(training, stage, command, progress)
            print(f"wrote {path}, {path.with_suffix('.json').name}")


def _check_stages(recipe: Recipe, wanted: list[str]) -> None:
    names = [stage.name for stage in recipe.stages]
    for name in wanted:
        if name not in names:
            raise InputError(f"--stage: {name!r} is not in the recipe; give one of {', '.join(names)}")


def _check_directory(directory: Path, resume: bool) -> None:
    found = sorted(path.name for path in directory.glob("*.pt")) if directory.is_dir() else []
    if found and not resume:
        raise InputError(f"{directory}: holds checkpoints ({found[0]}, ...); give --resume to go on, or another -o")


def _say(line: str) -> None:
    print(line, flush=True)
