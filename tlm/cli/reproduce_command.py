"""``tlm reproduce``: every published figure beside the simulated one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tlm.cli.progress import show

if TYPE_CHECKING:
    from tlm.cli.arguments import Commands


def add_parser(commands: Commands) -> None:
    """The arguments of ``tlm reproduce``."""
    parser = commands.add_parser("reproduce", help="show every published figure beside the simulated one")
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="write the report there, as Markdown, instead of printing it"
    )
    parser.add_argument("--quick", action="store_true", help="only 9, 3 and 1 of 9 taps")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run everything; then print tables on a terminal, Markdown elsewhere, or write the file."""
    from tlm.core.files import whole_file
    from tlm.reproduction.measure import QUICK, Extent, measure
    from tlm.reproduction.page import page, print_page
    from tlm.results.files import check_writable_file

    path: Path | None = arguments.output
    if path is not None:
        check_writable_file(path, "-o")
    try:
        text = page(measure(QUICK if arguments.quick else Extent(), show))
    finally:
        show("")
    if path is not None:
        with whole_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        print(f"wrote {path}")
    elif sys.stdout.isatty():
        from tlm.results.console import Terminal

        print_page(text, Terminal(highlight=False, markup=False))
    else:
        sys.stdout.write(text)
    return 0
