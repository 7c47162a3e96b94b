"""``tlm disasm``: the instructions that a scenario compiles to."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from tlm.cli.arguments import add_scenario, load, naming

if TYPE_CHECKING:
    from tlm.cli.arguments import Commands


def add_parser(commands: Commands) -> None:
    """The arguments of ``tlm disasm``."""
    parser = commands.add_parser("disasm", help="print a scenario's compiled IMem words in readable form")
    add_scenario(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Compile and print."""
    import tlm

    job = load(arguments).build()
    with naming(arguments.scenario):
        program = tlm.compile(job.network, job.chip)
    print(program.disassemble().rstrip("\n"))
    return 0
