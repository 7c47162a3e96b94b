"""``tlm report``: a run or a sweep as one HTML file."""

import argparse
from pathlib import Path

from tlm.core.errors import InputError
from tlm.core.files import whole_file
from tlm.report.page import require_plotly
from tlm.report.run_page import run_page
from tlm.report.sweep_page import sweep_page
from tlm.results.files import RESULT_NAME, check_writable_file
from tlm.sweeps.store import DATABASE_NAME


def run(arguments: argparse.Namespace) -> int:
    """Write it."""
    require_plotly()
    path: Path = arguments.path.parent if arguments.path.name == DATABASE_NAME else arguments.path
    is_sweep = (path / DATABASE_NAME).is_file()
    if path.is_dir() and not is_sweep and not (path / RESULT_NAME).is_file():
        raise InputError(
            f"{path}: holds neither {RESULT_NAME} nor {DATABASE_NAME}; give a directory that `tlm run -o` or "
            "`tlm sweep` wrote"
        )
    text = sweep_page(path) if is_sweep else run_page(path)
    file: Path = arguments.output or (path if path.is_dir() else path.parent) / "report.html"
    check_writable_file(file, "-o")
    with whole_file(file) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(f"wrote {file}")
    return 0
