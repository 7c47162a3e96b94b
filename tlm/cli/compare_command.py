"""``tlm compare``: two results side by side."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tlm.cli.arguments import Commands


def add_parser(commands: Commands) -> None:
    """The arguments of ``tlm compare``."""
    parser = commands.add_parser("compare", help="show two results side by side, with differences")
    for name in ("A", "B"):
        parser.add_argument(name.lower(), metavar=name, type=Path, help="result.json, or the directory that holds it")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the comparison; differences are no failure."""
    from tlm.analysis.compare_text import compare_text
    from tlm.results.result_json import load_result

    sys.stdout.write(compare_text(load_result(arguments.a), load_result(arguments.b)))
    return 0
