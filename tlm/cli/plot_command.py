"""``tlm plot``: pictures of results, without any viewer."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tlm.cli.progress import show

if TYPE_CHECKING:
    from tlm.cli.arguments import Commands

_FORMATS = {"png": ("png",), "svg": ("svg",), "both": ("png", "svg")}
_FIGURES = ("timeline", "causes", "roofline", "energy", "levels")


def add_parser(commands: Commands) -> None:
    """The arguments of ``tlm plot``."""
    parser = commands.add_parser(
        "plot",
        help="draw pictures of a result, or of several together",
        description="Draws timeline, causes, roofline and energy of one result; levels and causes of several. "
        "Needs matplotlib: pip install 'cartesian-tlm[plot]'",
    )
    parser.add_argument(
        "results", metavar="RESULT", type=Path, nargs="+", help="result.json, or the directory that holds it"
    )
    parser.add_argument(
        "-o", "--output", metavar="DIR", type=Path, default=Path(), help="write the pictures there (default: here)"
    )
    parser.add_argument("--format", choices=_FORMATS, default="png", help="of the files (default: png)")
    parser.add_argument(
        "--only", choices=_FIGURES, action="append", default=[], help="draw this picture only (may be repeated)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Draw and write the pictures."""
    from tlm.plots.style import require_matplotlib

    require_matplotlib()
    from tlm.plots.render import figures, render
    from tlm.plots.sources import load_sources
    from tlm.results.files import check_writable

    shown = figures(load_sources(arguments.results), arguments.only)
    formats = _FORMATS[arguments.format]
    check_writable(arguments.output, "-o", *(f"{name}.{suffix}" for name in shown for suffix in formats))
    written: list[Path] = []
    try:
        written.extend(render(shown, arguments.output, formats, show))
    finally:
        show("")
    print(f"wrote {', '.join(map(str, written))}")
    return 0
