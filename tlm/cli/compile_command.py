"""``tlm compile``: a scenario's program: its plan on the terminal, itself in a file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tlm.cli.arguments import add_scenario, load, naming

if TYPE_CHECKING:
    from tlm.cli.arguments import Commands


def add_parser(commands: Commands) -> None:
    """The arguments of ``tlm compile``."""
    parser = commands.add_parser("compile", help="show how a scenario is cut and placed, and save the program")
    add_scenario(parser)
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="write the program (tlm.load_program)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Compile, print the plan, save the program if asked to."""
    import tlm
    from tlm.results.console import report_console
    from tlm.results.files import check_writable_file
    from tlm.results.plan_report import print_plan

    loaded = load(arguments)
    if arguments.output is not None:
        check_writable_file(arguments.output, "-o")
    job = loaded.build()
    with naming(arguments.scenario):
        program = tlm.compile(job.network, job.chip)
    if arguments.output is not None:
        tlm.save_program(program, arguments.output)
    print_plan(program, report_console(), job.name)
    if arguments.output is not None:
        print(f"wrote {arguments.output}")
    return 0
