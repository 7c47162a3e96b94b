"""``tlm disasm``: the instructions that a scenario compiles to."""

import argparse

import tlm
from tlm.scenario.catalog import find_scenario
from tlm.scenario.loading import load_scenario


def run(arguments: argparse.Namespace) -> int:
    """Compile and print."""
    job = load_scenario(find_scenario(arguments.scenario), arguments.overrides).build()
    print(tlm.compile(job.network, job.chip, job.batch).disassemble().rstrip("\n"))
    return 0
