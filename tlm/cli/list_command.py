"""``tlm list``: the scenarios that there are."""

import argparse

from tlm.core.errors import InputError
from tlm.scenario import catalog


def run(arguments: argparse.Namespace) -> int:
    """Print a line per scenario."""
    entries = catalog.catalog()
    if not entries:
        raise InputError("no scenarios found: there is no directory ./scenarios here and the package has none")
    width = max(len(entry.name) for entry in entries)
    for entry in entries:
        print(f"{entry.name:{width}}  {entry.description}".rstrip())
    return 0
