"""``tlm compare``: results or sweeps side by side; differences are no failure."""

import argparse
import sys

from tlm.analysis.comparison import compare
from tlm.analysis.sweep_comparison import compare_sweeps
from tlm.cli.formats import print_as
from tlm.results.result_json import load_result
from tlm.sweeps.store import DATABASE_NAME


def run(arguments: argparse.Namespace) -> int:
    """Print the comparison."""
    paths = [arguments.a, *arguments.others]
    are_sweeps = any((path / DATABASE_NAME).is_file() for path in paths)
    found = compare_sweeps(paths) if are_sweeps else compare([load_result(path) for path in paths])
    if not print_as(arguments, found.record, found.rows):
        sys.stdout.write(found.text(arguments.all))
    return 0
