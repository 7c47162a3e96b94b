"""``tlm rtl``: the engine's circuit as files for other tools."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import tlm
from tlm.chip.config import ChipConfig
from tlm.chip.rtl.build import require
from tlm.cli.progress import progress, status_line
from tlm.core.errors import InputError
from tlm.core.files import whole_file
from tlm.hardware.recording import record
from tlm.hardware.synthesis import Synthesis, gates_record, sram_bits, synthesise
from tlm.hardware.testbench import testbench
from tlm.hardware.verilog import TOP, design
from tlm.reproduction.published import GATES_K, LOGIC_MM2, MEMORY_MBIT
from tlm.results.console import facts, report_console, table_of
from tlm.results.files import check_writable, json_text
from tlm.scenario.catalog import find_scenario
from tlm.scenario.checking import checked
from tlm.scenario.loading import Job, load_scenario
from tlm.scenario.sources import merged, override_source


def run(arguments: argparse.Namespace) -> int:
    """Do what the options ask for, with the scenario's chip."""
    _check_options(arguments)
    job = None if arguments.scenario is None else _job(arguments.scenario, arguments.overrides)
    chip = _chip(arguments.overrides) if job is None else job.chip
    if arguments.synth:
        _count(chip, arguments.liberty, arguments.json)
    else:
        _export(chip, job, arguments.output)
    return 0


def _check_options(arguments: argparse.Namespace) -> None:
    if arguments.synth:
        if arguments.output is not None:
            raise InputError("-o: is not allowed with --synth; do one after the other")
        return
    for option in ("liberty", "json"):
        if getattr(arguments, option):
            raise InputError(f"--{option}: needs --synth; add it, or leave --{option} out")
    if arguments.output is None:
        raise InputError("-o: is missing; give a directory, or a file that ends in .v")


def _count(chip: ChipConfig, liberty: Path | None, as_json: bool) -> None:
    with status_line() as show:
        found = synthesise(chip, liberty, show)
    if as_json:
        sys.stdout.write(json_text(gates_record(found, chip, liberty)))
    else:
        _print_gates(found, chip)


def _print_gates(found: Synthesis, chip: ChipConfig) -> None:
    """A table of the blocks, and the whole beside what is published."""
    console = report_console()
    rows = [
        (
            block.name,
            f"{block.gates:,.0f}",
            f"{block.gates / found.gates:.1%}",
            f"{block.flip_flops:,}",
            f"{block.path.delay:.1f}",
        )
        for block in found.blocks
    ]
    rows.append(("total", f"{found.gates:,.0f}", "", f"{found.flip_flops:,}", f"{found.path.delay:.1f}"))
    headings = (
        ("block", "left"),
        ("gates", "right"),
        ("share", "right"),
        ("flip-flops", "right"),
        ("path, NAND2s", "right"),
    )
    console.print(table_of(headings, rows))
    mbit = sram_bits(chip) / (1 << 20)
    console.print(
        facts(
            [
                ("gates", f"{found.gates / 1000:,.0f} k [S]; published chip: {GATES_K} k [P], in {LOGIC_MM2} mm2 [P]"),
                ("SRAM", f"{mbit:g} Mbit [S], not in the gates; published chip: {sum(MEMORY_MBIT.values())} Mbit [P]"),
                ("path", f"the longest: from {found.path.start} to {found.path.end}"),
                ("gate", f"the area of {found.library.nand2} of {found.library.name}: docs/rtl.md, Gates"),
            ]
        )
    )


def _job(scenario: str, overrides: list[str]) -> Job:
    path = find_scenario(scenario)
    if path.suffix == ".py":
        raise InputError(f"{path}: is a Python script; `tlm rtl` reads scenario files (.toml)")
    return load_scenario(path, overrides).build()


def _chip(overrides: list[str]) -> ChipConfig:
    sources = [override_source(text) for text in overrides]
    return checked(merged(sources), sources).chip


def _export(chip: ChipConfig, job: Job | None, output: Path) -> None:
    """Write the design and, with a job, its testbench; say how to simulate it."""
    directory, stem = (output.parent, output.stem) if output.suffix == ".v" else (output, TOP)
    design_names = [f"{stem}.v", f"{stem}_srams.v"]
    bench_names = [] if job is None else [f"{stem}_tb.v", f"{stem}_tb.hex"]
    require("`tlm rtl`")
    check_writable(directory, "-o", *design_names, *bench_names)
    with progress("writing Verilog"):
        texts = [*design(chip)]
    if job is not None:
        program = tlm.compile(job.network, chip, job.batch)
        with progress(f"recording {job.name}"):
            texts += testbench(record(program, job.activations), chip, bench_names[1])
    for name, text in zip(design_names + bench_names, texts, strict=True):
        with whole_file(directory / name) as file:
            file.write_text(text)
    print(f"wrote {', '.join(design_names + bench_names)} in {directory}")
    if job is None:
        print("with a scenario, `tlm rtl` also writes a testbench")
    else:
        print(f"check it in that directory, with any Verilog simulator; with Icarus:\n  {_icarus(stem)}")


def _icarus(stem: str) -> str:
    files = f"{stem}_tb.v {stem}.v {stem}_srams.v"
    return f"iverilog -g2005 -o {stem}_sim {files}\n  vvp -N {stem}_sim"
