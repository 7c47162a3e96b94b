"""``tlm list``: the scenarios that there are."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tlm.cli.arguments import Commands


def add_parser(commands: Commands) -> None:
    """The arguments of ``tlm list``."""
    parser = commands.add_parser("list", help="list scenarios in ./scenarios and in the package")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print a line per scenario."""
    from tlm.core.errors import InputError
    from tlm.scenario.catalog import catalog

    entries = catalog()
    if not entries:
        raise InputError("no scenarios found: there is no directory ./scenarios here and the package has none")
    width = max(len(entry.name) for entry in entries)
    for entry in entries:
        print(f"{entry.name:{width}}  {entry.description}".rstrip())
    return 0
