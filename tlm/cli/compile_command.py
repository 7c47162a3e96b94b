"""``tlm compile``: the plan of a scenario's program on the terminal, the program in a file."""

import argparse

import tlm
from tlm.results.console import report_console
from tlm.results.files import check_writable_file
from tlm.results.plan_report import print_plan
from tlm.scenario.catalog import find_scenario
from tlm.scenario.loading import load_scenario


def run(arguments: argparse.Namespace) -> int:
    """Compile, save the program if asked to, print the plan."""
    loaded = load_scenario(find_scenario(arguments.scenario), arguments.overrides)
    if arguments.output is not None:
        check_writable_file(arguments.output, "-o")
    job = loaded.build()
    program = tlm.compile(job.network, job.chip, job.batch)
    if arguments.output is not None:
        tlm.save_program(program, arguments.output)
    print_plan(program, report_console(), job.name)
    if arguments.output is not None:
        print(f"wrote {arguments.output}")
    return 0
