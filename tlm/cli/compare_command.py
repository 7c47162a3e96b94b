"""``tlm compare``: two results side by side; differences are no failure."""

import argparse
import sys

from tlm.analysis.compare_text import compare_text
from tlm.results.result_json import load_pair


def run(arguments: argparse.Namespace) -> int:
    """Print the comparison."""
    sys.stdout.write(compare_text(*load_pair(arguments.a, arguments.b)))
    return 0
