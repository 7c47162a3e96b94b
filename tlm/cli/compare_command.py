"""``tlm compare``: two results side by side; differences are no failure."""

import argparse
import sys

from tlm.analysis.compare_text import compare_text
from tlm.results.result_json import load_result


def run(arguments: argparse.Namespace) -> int:
    """Print the comparison."""
    sys.stdout.write(compare_text(load_result(arguments.a), load_result(arguments.b)))
    return 0
