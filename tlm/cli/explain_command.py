"""``tlm explain``: what bounds a run, and what changes would buy."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tlm.cli.progress import show

if TYPE_CHECKING:
    from tlm.cli.arguments import Commands


def add_parser(commands: Commands) -> None:
    """The arguments of ``tlm explain``."""
    parser = commands.add_parser("explain", help="say what bounds a run, and simulate what changes would buy")
    parser.add_argument("result", metavar="RESULT", type=Path, help="result.json, or the directory that holds it")
    parser.add_argument(
        "--files",
        metavar="DIR",
        type=Path,
        help="where the files lie that the scenario reads (else beside RESULT, here, or among the scenarios)",
    )
    parser.add_argument("--no-runs", action="store_true", help="only explain what the file says; simulate nothing")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the explanation."""
    from tlm.analysis.explain import explain
    from tlm.analysis.explain_text import explain_text
    from tlm.core.errors import CompileError, InputError, SimulationError
    from tlm.results.result_json import load_result, result_path

    if arguments.files is not None and arguments.no_runs:
        raise InputError("--files: given beside --no-runs, which reads none; leave one of them out")
    stored = load_result(arguments.result)
    path = result_path(arguments.result)
    directories = [directory for directory in (arguments.files, path.parent, Path()) if directory is not None]
    try:
        explanation = explain(stored, directories, runs=not arguments.no_runs, progress=show)
    except (InputError, CompileError, SimulationError) as error:
        raise type(error)(f"{path}: {error}") from None
    finally:
        show("")
    sys.stdout.write(explain_text(explanation))
    return 0
