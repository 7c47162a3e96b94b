"""``tlm schema``: the JSON Schema of scenario files."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tlm.cli.arguments import Commands


def add_parser(commands: Commands) -> None:
    """The arguments of ``tlm schema``."""
    parser = commands.add_parser("schema", help="print the JSON Schema of scenario files, for editors")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    from tlm.scenario.json_schema import scenario_schema

    print(json.dumps(scenario_schema(), indent=2))
    return 0
