"""``tlm run``: a scenario from file to result."""

from __future__ import annotations

import argparse
import runpy
import sys
import traceback
from dataclasses import replace
from pathlib import Path

import tlm
from tlm.chip.config import ChipConfig
from tlm.cli.checks import options_given
from tlm.cli.progress import progress, simulation
from tlm.cli.streams import OutputError, plain_streams
from tlm.cli.trace_arguments import trace_messages, trace_options, traces_given
from tlm.core.errors import InputError, TlmError
from tlm.network.comparison import differing_layers
from tlm.results.console import report_console
from tlm.results.files import OUTPUTS_NAME, RESULT_NAME, check_writable, write_result
from tlm.results.report import print_report
from tlm.results.result_json import result_json
from tlm.scenario.catalog import find_scenario
from tlm.scenario.loading import load_scenario
from tlm.scenario.sources import Source, input_source
from tlm.traces.trace_options import DRAM_CLOCK_MHZ, WAVE_SUFFIXES, DramFormat, TraceOptions

_OK, _DIFFERS, _FAILED = 0, 1, 1


def run(arguments: argparse.Namespace) -> int:
    """Run it; 0 if no output differs from the golden model's, else 1."""
    path = find_scenario(arguments.scenario)
    if path.suffix == ".py":
        return _run_script(path, arguments)
    overrides: list[str | Source] = list(arguments.overrides)
    if arguments.fidelity is not None:
        overrides.append(Source(f"--fidelity {arguments.fidelity}", None, {"fidelity": arguments.fidelity}))
    if arguments.batch is not None:
        overrides.append(Source(f"--batch {arguments.batch}", None, {"batch": arguments.batch}))
    if arguments.input is not None:
        overrides.append(input_source(arguments.input, load_scenario(path, overrides).config.input.signed))
    job = load_scenario(path, overrides).build(golden=not arguments.no_check)
    given = traces_given(arguments)
    if arguments.output is not None:
        check_writable(arguments.output, "-o", RESULT_NAME, OUTPUTS_NAME)
    trace = trace_options(given, job.trace, arguments.output or Path())
    with progress(f"compiling {job.name}"):
        program = tlm.compile(job.network, job.chip, job.batch)
    with simulation(job.name, program) as progressed, trace_messages(given, trace.files()):
        result = tlm.simulate(
            program, job.activations, fidelity=job.fidelity, trace=trace, energy=job.energy, progressed=progressed
        )
    differing = None if job.golden is None else differing_layers(job.golden, result.tensors)
    matches = None if differing is None else not differing
    result = replace(result, scenario=job.name, settings=job.settings, matches_reference=matches)
    written = trace.files()
    text = result_json(result) if arguments.json or arguments.output is not None else ""
    if arguments.output is not None:
        written = [*write_result(arguments.output, text, result.tensors), *written]
    if arguments.json:
        sys.stdout.write(text)
    else:
        print_report(result, report_console(), job.name, job.description, differing)
        _print_written(written)
        if trace.dram is not None:
            print(_dram_times(trace, result.chip))
    if differing:
        print(f"tlm: {job.name}: the outputs of {', '.join(differing)} differ from the golden model", file=sys.stderr)
        return _DIFFERS
    return _OK


def _print_written(written: list[Path]) -> None:
    if written:
        print(f"wrote {', '.join(map(str, written))}")
    else:
        print("nothing was written; -o DIR keeps result.json and outputs.npz")
    if any(path.suffix in WAVE_SUFFIXES for path in written):
        print("`tlm wave FILE` opens a waveform")


def _dram_times(trace: TraceOptions, chip: ChipConfig) -> str:
    if trace.dram_format_of_file is DramFormat.RAMULATOR2:
        return "ramulator2's format holds no times: requests stand in order of arrival"
    own, label = (1e6 / chip.dram.tck_ps, "of DRAM") if chip.uses_dram else (DRAM_CLOCK_MHZ, "[A]")
    clock_mhz, label = (own, label) if trace.dram_clock_mhz is None else (trace.dram_clock_mhz, "as given")
    return f"arrivals count cycles of a clock of {clock_mhz:g} MHz {label} from the first host access"


def _run_script(path: Path, arguments: argparse.Namespace) -> int:
    if given := options_given(arguments):
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
