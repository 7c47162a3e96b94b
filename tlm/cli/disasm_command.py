"""``tlm disasm``: the instructions that a scenario compiles to."""

import argparse
import sys
from textwrap import fill

import tlm
from tlm.scenario.catalog import find_scenario
from tlm.scenario.loading import load_scenario


def run(arguments: argparse.Namespace) -> int:
    """Compile and print a line for each word, which goes on below where a terminal is too narrow for it."""
    job = load_scenario(find_scenario(arguments.scenario), arguments.overrides).build()
    for line in tlm.compile(job.network, job.chip, job.batch).disassemble().splitlines():
        print(fill(line, 80, subsequent_indent=" " * 35) if sys.stdout.isatty() else line)
    return 0
