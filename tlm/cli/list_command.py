"""``tlm list``: the scenarios that there are."""

import argparse
from textwrap import fill

from tlm.cli.formats import print_as
from tlm.core.errors import InputError
from tlm.scenario import catalog


def run(arguments: argparse.Namespace) -> int:
    """Print the name and the description of each."""
    entries = catalog.catalog()
    if not entries:
        raise InputError("no scenarios found: there is no directory ./scenarios here and the package has none")
    rows = [{"name": entry.name, "description": entry.description()} for entry in entries]
    if print_as(arguments, lambda: {"scenarios": rows}, lambda: rows):
        return 0
    width = max(len(entry.name) for entry in entries) + 2
    for entry in entries:
        print(fill(entry.description(), 80, initial_indent=f"{entry.name:{width}}", subsequent_indent=" " * width))
    return 0
