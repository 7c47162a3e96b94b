"""``tlm explain``: what bounds a run, and what changes would buy."""

import argparse
from dataclasses import replace
from pathlib import Path

from tlm.analysis.explain import explain
from tlm.analysis.rebuild import NetworkRerun, Recipe
from tlm.cli.formats import print_as
from tlm.cli.progress import progress, status_line
from tlm.core.errors import CompileError, InputError, SimulationError
from tlm.network.comparison import check_golden
from tlm.results.result_json import RunRecord, as_stored, load_result, result_path
from tlm.scenario.catalog import find_scenario
from tlm.sweeps.executors import workers

_LONG_CYCLES = 300_000
"""Shorter runs take less time than to start processes for them."""


def run(arguments: argparse.Namespace) -> int:
    """Print the explanation."""
    if arguments.no_runs:
        for option, value, verb in (
            ("--files", arguments.files, "reads"), ("--processes", arguments.processes, "starts")
        ):  # fmt: skip
            if value is not None:
                raise InputError(f"{option}: given beside --no-runs, which {verb} none; leave one of them out")
    stored, rerun = _stored(arguments.result)
    path = result_path(arguments.result)
    directories = [directory for directory in (arguments.files, path.parent, Path()) if directory is not None]
    processes = 1 if arguments.processes is None and stored.cycles < _LONG_CYCLES else arguments.processes
    with workers(processes) as ready, status_line() as show:
        try:
            explanation = explain(stored, directories, not arguments.no_runs, show, rerun, ready)
        except (InputError, CompileError, SimulationError) as error:
            raise type(error)(f"{path}: {error}") from None
    if not print_as(arguments, explanation.record, explanation.rows):
        print(explanation.text(arguments.wide))
    return 0


def _stored(given: Path) -> tuple[RunRecord, NetworkRerun | None]:
    """A result; or what a run of a scenario or model gives, and how to run it again on other chips."""
    if given.is_dir() or given.suffix == ".json":
        return load_result(given), None
    try:
        path = find_scenario(str(given))
    except InputError:
        remedy = "`tlm run SCENARIO -o DIR` writes DIR/result.json, and `tlm list` shows scenarios"
        raise InputError(f"{given}: no such result or scenario; {remedy}") from None
    with progress(f"running {given.name}"):
        return _run(path)


def _run(path: Path) -> tuple[RunRecord, NetworkRerun]:
    from tlm.compiler.compile import compile_network
    from tlm.runs.values_once import ValuesOnce
    from tlm.scenario.loading import load_scenario

    loaded, values = load_scenario(path), ValuesOnce()
    job = loaded.build(golden=True)
    program = compile_network(job.network, job.chip, job.batch)
    result = values.simulate(program, job.activations, fidelity=job.fidelity, energy=job.energy)
    check_golden(job.name, job.golden or {}, result.tensors)
    stored = as_stored(replace(result, scenario=job.name, settings=job.settings, matches_reference=True))
    return stored, NetworkRerun(Recipe(loaded.config), job.network, job.activations, values)
