"""``tlm report``: a run, several of them, or a sweep as one HTML file."""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tlm.core.errors import InputError
from tlm.plots.sources import load_sources
from tlm.report.page import require_plotly, write_page
from tlm.report.run_page import run_page
from tlm.report.sweep_page import sweep_page
from tlm.results.files import RESULT_NAME
from tlm.sweeps.store import DATABASE_NAME


def run(arguments: argparse.Namespace) -> int:
    """Write it."""
    require_plotly()
    path: Path = arguments.path.parent if arguments.path.name == DATABASE_NAME else arguments.path
    text = _text(path, arguments.others)
    if str(arguments.output) == "-":
        getattr(sys.stdout, "rich_proxied_file", sys.stdout).write(text())  # as the file would be, nothing escaped
        return 0
    file = arguments.output or (path if path.is_dir() else path.parent) / "report.html"
    print(f"wrote {write_page(file, text, '-o')}")
    return 0


def _text(path: Path, others: list[Path]) -> Callable[[], str]:
    is_sweep = (path / DATABASE_NAME).is_file()
    if path.is_dir() and not is_sweep and not (path / RESULT_NAME).is_file():
        raise InputError(
            f"{path}: holds neither {RESULT_NAME} nor {DATABASE_NAME}; give a directory that `tlm run -o` or "
            "`tlm sweep` wrote"
        )
    if not is_sweep:
        return partial(run_page, load_sources([path, *others]))
    if others:
        raise InputError(f"{path}: is a sweep, which has a page of its own; `tlm compare` shows two side by side")
    return partial(sweep_page, path)
