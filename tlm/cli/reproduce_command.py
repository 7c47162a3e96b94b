"""``tlm reproduce``: every published figure beside the simulated one."""

import argparse
import sys

from tlm.cli.progress import status_line
from tlm.core.files import whole_file
from tlm.reproduction.measure import QUICK, Extent, measure
from tlm.reproduction.page import page, print_page
from tlm.results.console import ReportTerminal
from tlm.results.files import check_writable_file
from tlm.sweeps.executors import workers

_WIDE_COLUMNS = 400


def run(arguments: argparse.Namespace) -> int:
    """Run everything; then print tables on a terminal, Markdown elsewhere, or write the file."""
    if arguments.output is not None:
        check_writable_file(arguments.output, "-o")
    with workers(arguments.processes) as ready, status_line() as show:
        text = page(measure(QUICK if arguments.quick else Extent(), show, ready=ready))
    if arguments.output is not None:
        with whole_file(arguments.output) as temporary:
            temporary.write_text(text, encoding="utf-8")
        print(f"wrote {arguments.output}")
    elif sys.stdout.isatty():
        print_page(text, ReportTerminal(highlight=False, markup=False, width=_WIDE_COLUMNS if arguments.wide else None))
    else:
        sys.stdout.write(text)
    return 0
