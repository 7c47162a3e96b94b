"""``tlm compare``: results side by side; differences are no failure."""

import argparse
import sys

from tlm.analysis.compare_text import compare_csv, compare_record, compare_text
from tlm.analysis.comparison import MOST, compare
from tlm.core.errors import InputError
from tlm.results.files import json_text
from tlm.results.result_json import load_result


def run(arguments: argparse.Namespace) -> int:
    """Print the comparison."""
    paths = [arguments.a, *arguments.others]
    if len(paths) > MOST:
        raise InputError(f"tlm compare: {len(paths)} results, but {MOST} are the most")
    if arguments.json and arguments.csv:
        raise InputError("--csv: given beside --json; leave one of them out")
    comparison = compare([load_result(path) for path in paths])
    if arguments.json:
        text = json_text(compare_record(comparison))
    elif arguments.csv:
        text = compare_csv(comparison)
    else:
        text = compare_text(comparison, arguments.all)
    sys.stdout.write(text)
    return 0
