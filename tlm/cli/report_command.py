"""``tlm report``: a run or a sweep as one HTML file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tlm.cli.arguments import Commands

_NAME = "report.html"


def add_parser(commands: Commands) -> None:
    """The arguments of ``tlm report``."""
    parser = commands.add_parser(
        "report",
        help="a run or a sweep as one HTML file with figures and tables",
        description="Writes one self-contained HTML file, for any browser, without network. "
        "Needs plotly: pip install 'cartesian-tlm[explore]'",
    )
    parser.add_argument(
        "path", metavar="PATH", type=Path, help="directory of a run or a sweep, or its result.json or sweep.sqlite"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help=f"the file to write (default: {_NAME} beside what it shows)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write it."""
    from tlm.core.errors import InputError
    from tlm.core.files import whole_file
    from tlm.report.page import require_plotly
    from tlm.report.run_page import run_page
    from tlm.report.sweep_page import sweep_page
    from tlm.results.files import RESULT_NAME, check_writable_file
    from tlm.sweeps.store import DATABASE_NAME

    require_plotly()
    path: Path = arguments.path
    if path.name == DATABASE_NAME:
        path = path.parent
    is_sweep = (path / DATABASE_NAME).is_file()
    if path.is_dir() and not is_sweep and not (path / RESULT_NAME).is_file():
        raise InputError(
            f"{path}: holds neither {RESULT_NAME} nor {DATABASE_NAME}; give a directory that `tlm run -o` or "
            "`tlm sweep` wrote"
        )
    text = sweep_page(path) if is_sweep else run_page(path)
    file: Path = arguments.output or (path if path.is_dir() else path.parent) / _NAME
    check_writable_file(file, "-o")
    with whole_file(file) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(f"wrote {file}")
    return 0
