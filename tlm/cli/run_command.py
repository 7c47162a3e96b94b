"""``tlm run``: a scenario from file to result."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tlm.cli.arguments import add_scenario, load, naming
from tlm.cli.progress import progress
from tlm.cli.traces import TRACE_FLAGS, add_traces, check_trace_files, trace_messages, trace_options
from tlm.core.errors import InputError, TlmError
from tlm.network.comparison import differing_layers

if TYPE_CHECKING:
    from tlm.cli.arguments import Commands
    from tlm.compiler.program import Program
    from tlm.results.result import Result
    from tlm.runs.batch import BatchSummary
    from tlm.scenario.batch_inputs import BatchInputs
    from tlm.scenario.loading import Job
    from tlm.traces.trace_options import TraceOptions

_OK, _DIFFERS, _FAILED = 0, 1, 1


def add_parser(commands: Commands) -> None:
    """The arguments of ``tlm run``."""
    parser = commands.add_parser("run", help="run a scenario and compare its outputs with the golden model")
    add_scenario(parser, scripts=True)
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, help="write result.json and outputs.npz there")
    parser.add_argument("--fidelity", metavar="NAME", help="model of the chip: pass (fast, default) or cycle (clear)")
    add_traces(parser)
    parser.add_argument("--json", action="store_true", help="print result.json, and nothing else, on stdout")
    parser.add_argument("--no-check", action="store_true", help="leave out the golden model; the result says so")
    parser.add_argument(
        "--batch", metavar="N", type=int, help="also evaluate N - 1 further inputs, untimed but exact (see tlm eval)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run it; 0 if no output differs from the golden model's, else 1."""
    from tlm.results.files import OUTPUTS_NAME, RESULT_NAME, check_writable
    from tlm.scenario.catalog import find_scenario

    path = find_scenario(arguments.scenario)
    if path.suffix == ".py":
        return _run_script(path, arguments)
    loaded = load(arguments)
    job = loaded.build(golden=not arguments.no_check)
    inputs = None if arguments.batch is None else loaded.inputs(job, arguments.batch, "--batch")
    trace = trace_options(arguments, job.trace, arguments.output or Path())
    if arguments.output is not None:
        check_writable(arguments.output, "-o", RESULT_NAME, OUTPUTS_NAME)
    check_trace_files(trace)
    with naming(arguments.scenario):
        program = _compile(job)
        result, differing = _simulate(job, program, trace, arguments)
        batch = None if inputs is None else _evaluate(program, inputs, result)
    _deliver(result, job, differing, batch, arguments, trace.files())
    return _DIFFERS if differing else _OK


def _compile(job: Job) -> Program:
    import tlm

    with progress(f"compiling {job.name}"):
        return tlm.compile(job.network, job.chip)


def _simulate(
    job: Job, program: Program, trace: TraceOptions, arguments: argparse.Namespace
) -> tuple[Result, list[str] | None]:
    """The result, and the layers whose outputs differ from the golden model's if the job has those."""
    import tlm

    with progress(f"simulating {job.name}"), trace_messages(arguments, trace.files()):
        result = tlm.simulate(program, job.activations, fidelity=job.fidelity, trace=trace, energy=job.energy)
    return result, None if job.golden is None else differing_layers(job.golden, result.tensors)


def _evaluate(program: Program, inputs: BatchInputs, result: Result) -> BatchSummary:
    import tlm
    from tlm.runs.batch import Batch

    batch, evaluator = Batch(result, len(inputs)), tlm.Evaluator(program)
    with progress("evaluating the batch", len(inputs)) as count_one:
        for index in range(len(inputs)):
            batch.add(evaluator.output(inputs[index]))
            count_one()
    return batch.summary()


def _deliver(
    result: Result,
    job: Job,
    differing: list[str] | None,
    batch: BatchSummary | None,
    arguments: argparse.Namespace,
    traces: list[Path],
) -> None:
    from tlm.results.files import json_text
    from tlm.results.result_json import result_record

    matches = None if differing is None else not differing
    record = result_record(result, scenario=job.name, settings=job.settings, matches_reference=matches)
    text = json_text(record if batch is None else record | {"batch": batch.record()})
    written = traces
    if arguments.output is not None:
        from tlm.results.files import write_result

        written = [*write_result(arguments.output, text, result.tensors), *traces]
    if arguments.json:
        sys.stdout.write(text)
    else:
        _print(result, job, differing, batch, written)
    if differing:
        print(f"tlm: {job.name}: the outputs of {', '.join(differing)} differ from the golden model", file=sys.stderr)


def _print(
    result: Result, job: Job, differing: list[str] | None, batch: BatchSummary | None, written: list[Path]
) -> None:
    from tlm.results.console import report_console
    from tlm.results.report import print_report
    from tlm.traces.trace_options import WAVE_SUFFIXES

    print_report(result, report_console(), job.name, job.description, differing)
    if batch is not None:
        print(f"{'batch':12} {batch.line(result)}")
    if written:
        print(f"wrote {', '.join(map(str, written))}")
    else:
        print("nothing was written; -o DIR keeps result.json and outputs.npz")
    if any(path.suffix in WAVE_SUFFIXES for path in written):
        print("`tlm wave FILE` opens a waveform")


def _run_script(path: Path, arguments: argparse.Namespace) -> int:
    import runpy
    import traceback

    from tlm.cli.streams import OutputError, plain_streams

    flags = {
        "output": "-o",
        "overrides": "--set",
        "fidelity": "--fidelity",
        **TRACE_FLAGS,
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
    try:
        with plain_streams():
            runpy.run_path(str(path), run_name="__main__")
    except TlmError:
        raise
    except BrokenPipeError as error:
        raise OutputError(error) from None
    except Exception as error:  # the script's own: its traceback, without our frames
        frames = error.__traceback__
        while frames is not None and frames.tb_next is not None and frames.tb_frame.f_code.co_filename != str(path):
            frames = frames.tb_next
        traceback.print_exception(error.with_traceback(frames))
        print(f"tlm: {path}: the script ended with {type(error).__name__}, see above", file=sys.stderr)
        return _FAILED
    return _OK
