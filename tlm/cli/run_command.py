"""``tlm run``: a scenario from file to result."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tlm.cli.arguments import add_scenario, load, naming
from tlm.cli.golden import differing_layers
from tlm.cli.progress import progress
from tlm.core.errors import InputError

if TYPE_CHECKING:
    from tlm.batch import BatchSummary
    from tlm.cli.arguments import Commands
    from tlm.compiler.program import Program
    from tlm.result import Result
    from tlm.scenario.batch_inputs import BatchInputs
    from tlm.scenario.loading import Job

_OK, _DIFFERS = 0, 1


def add_parser(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser("run", help="run a scenario and compare its outputs with the golden model")
    add_scenario(parser, scripts=True)
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, help="write result.json and outputs.npz there")
    parser.add_argument("--fidelity", metavar="NAME", help="model of the chip: burst (fast, default) or beat (clear)")
    parser.add_argument("--vcd", metavar="FILE", type=Path, help="write a value change dump (opens in GTKWave)")
    parser.add_argument(
        "--timeline", metavar="FILE", type=Path, help="write a trace for timeline viewers: .json, .json.gz (Perfetto)"
    )
    parser.add_argument("--json", action="store_true", help="print result.json, and nothing else, on stdout")
    parser.add_argument("--no-check", action="store_true", help="leave out the golden model; the result says so")
    parser.add_argument(
        "--batch", metavar="N", type=int, help="also evaluate N - 1 further inputs, untimed but exact (see tlm eval)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run it; 0 if no output differs from the golden model's, else 1."""
    from tlm.scenario.catalog import find_scenario

    path = find_scenario(arguments.scenario)
    if path.suffix == ".py":
        return _run_script(path, arguments)
    loaded = load(arguments)
    job = loaded.build(golden=not arguments.no_check)
    inputs = None if arguments.batch is None else loaded.inputs(job, arguments.batch, "--batch")
    vcd = _vcd_path(arguments, job)
    if arguments.output is not None:
        _check_directory(arguments.output, "-o")
    if vcd is not None:
        if vcd.is_dir():
            raise InputError(f"--vcd: {vcd} is a directory; give a file")
        _check_directory(vcd.parent, "--vcd")
    with naming(arguments.scenario):
        program = _compile(job)
        result, differing = _simulate(job, program, vcd)
        batch = None if inputs is None else _evaluate(program, inputs, result)
    _deliver(result, job, differing, batch, arguments)
    return _DIFFERS if differing else _OK


def _compile(job: Job) -> Program:
    import tlm

    with progress(f"compiling {job.name}"):
        return tlm.compile(job.network, job.chip)


def _simulate(job: Job, program: Program, vcd: Path | None) -> tuple[Result, list[str] | None]:
    """The result, and the layers whose outputs differ from the golden model's if the job has those."""
    import tlm

    with progress(f"simulating {job.name}"):
        result = tlm.simulate(program, job.activations, fidelity=job.fidelity, vcd=vcd, energy=job.energy)
    return result, None if job.golden is None else differing_layers(job.golden, result.tensors)


def _evaluate(program: Program, inputs: BatchInputs, result: Result) -> BatchSummary:
    import tlm
    from tlm.batch import Batch

    batch, evaluator = Batch(result, len(inputs)), tlm.Evaluator(program)
    with progress("evaluating the batch", len(inputs)) as count_one:
        for index in range(len(inputs)):
            batch.add(evaluator.output(inputs[index]))
            count_one()
    return batch.summary()


def _deliver(
    result: Result, job: Job, differing: list[str] | None, batch: BatchSummary | None, arguments: argparse.Namespace
) -> None:
    from tlm.result_files import json_text
    from tlm.result_json import result_record

    matches = None if differing is None else not differing
    record = result_record(result, scenario=job.name, settings=job.settings, matches_reference=matches)
    text = json_text(record if batch is None else record | {"batch": batch.record()})
    written: list[Path] = []
    if arguments.output is not None:
        from tlm.result_files import write_result

        written = write_result(arguments.output, text, result.tensors)
    if arguments.json:
        sys.stdout.write(text)
    else:
        _print(result, job, differing, batch, written)
    if differing:
        print(f"tlm: {job.name}: the outputs of {', '.join(differing)} differ from the golden model", file=sys.stderr)


def _print(
    result: Result, job: Job, differing: list[str] | None, batch: BatchSummary | None, written: list[Path]
) -> None:
    from rich.console import Console

    from tlm.report import MIN_COLUMNS, print_report

    console = Console(highlight=False)
    console = Console(highlight=False, width=max(console.width, MIN_COLUMNS))
    print_report(result, console, job.name, job.description, differing)
    if batch is not None:
        print(f"{'batch':12} {batch.line(result)}")
    if written:
        print(f"wrote {', '.join(map(str, written))}")
    else:
        print("nothing was written; -o DIR keeps result.json and outputs.npz")


def _vcd_path(arguments: argparse.Namespace, job: Job) -> Path | None:
    if arguments.vcd is not None:
        return Path(arguments.vcd)
    return None if job.vcd is None else (arguments.output or Path()) / job.vcd


def _check_directory(directory: Path, key: str) -> None:
    from tlm.result_files import check_writable

    check_writable(directory, key)


def _run_script(path: Path, arguments: argparse.Namespace) -> int:
    import runpy

    flags = {
        "output": "-o",
        "overrides": "--set",
        "fidelity": "--fidelity",
        "vcd": "--vcd",
        "timeline": "--timeline",
        "json": "--json",
        "batch": "--batch",
    }
    given = [
        flag
        for name, flag in {**flags, "no_check": "--no-check"}.items()
        if getattr(arguments, name) not in (None, False, [])
    ]
    if given:
        names = ", ".join(given)
        raise InputError(f"{path}: a Python script decides for itself; {names} applies to .toml scenarios only")
    sys.argv = [str(path)]
    sys.path.insert(0, str(path.parent))
    runpy.run_path(str(path), run_name="__main__")
    return _OK
