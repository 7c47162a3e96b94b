"""``tlm explain``: what bounds a run, and what changes would buy."""

import argparse
from pathlib import Path

import tlm
from tlm.analysis.explain import explain
from tlm.cli.formats import print_as
from tlm.cli.progress import progress, status_line
from tlm.core.errors import CompileError, InputError, SimulationError
from tlm.results.result_json import RunRecord, as_stored, load_result, result_path
from tlm.scenario.catalog import find_scenario


def run(arguments: argparse.Namespace) -> int:
    """Print the explanation."""
    if arguments.files is not None and arguments.no_runs:
        raise InputError("--files: given beside --no-runs, which reads none; leave one of them out")
    stored = _stored(arguments.result)
    path = result_path(arguments.result)
    directories = [directory for directory in (arguments.files, path.parent, Path()) if directory is not None]
    try:
        with status_line() as show:
            explanation = explain(stored, directories, runs=not arguments.no_runs, progress=show)
    except (InputError, CompileError, SimulationError) as error:
        raise type(error)(f"{path}: {error}") from None
    if not print_as(arguments, explanation.record, explanation.rows):
        print(explanation.text(arguments.wide))
    return 0


def _stored(given: Path) -> RunRecord:
    """A result, or what a run of a scenario or model gives."""
    if given.is_dir() or given.suffix == ".json":
        return load_result(given)
    try:
        path = find_scenario(str(given))
    except InputError:
        remedy = "`tlm run SCENARIO -o DIR` writes DIR/result.json, and `tlm list` shows scenarios"
        raise InputError(f"{given}: no such result or scenario; {remedy}") from None
    with progress(f"running {given.name}"):
        return as_stored(tlm.run(path))
