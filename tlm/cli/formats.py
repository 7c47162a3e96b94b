"""``--json`` and ``--csv``: what a command found, for other programs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tlm.results.files import csv_text, json_text


def print_as(
    arguments: argparse.Namespace,
    record: Callable[[], Mapping[str, Any]],
    rows: Callable[[], Sequence[Mapping[str, Any]]],
) -> bool:
    """Print the format that was asked for; False if none was.

    Args:
        arguments: of a command with both options.
        record: the whole, for ``--json``.
        rows: with the same keys each, for ``--csv``.
    """
    if arguments.json:
        sys.stdout.write(json_text(record()))
    elif arguments.csv:
        sys.stdout.write(csv_text(rows()))
    return bool(arguments.json or arguments.csv)
