"""``tlm rtl``: the engine's circuit as files for other tools."""

from __future__ import annotations

import argparse
from pathlib import Path

from tlm.chip.config import ChipConfig
from tlm.cli.progress import progress
from tlm.core.errors import InputError
from tlm.core.files import whole_file
from tlm.hardware.verilog import design
from tlm.results.files import check_writable
from tlm.scenario.catalog import find_scenario
from tlm.scenario.checking import checked
from tlm.scenario.loading import Job, load_scenario
from tlm.scenario.sources import merged, override_source


def run(arguments: argparse.Namespace) -> int:
    """Do what the options ask for, with the scenario's chip."""
    if arguments.output is None:
        raise InputError("tlm rtl: -o is missing; give a directory, or a file that ends in .v")
    job = None if arguments.scenario is None else _job(arguments.scenario, arguments.overrides)
    chip = _chip(arguments.overrides) if job is None else job.chip
    _export(chip, job, arguments.output)
    return 0


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
    directory, stem = (output.parent, output.stem) if output.suffix == ".v" else (output, "engine")
    names = [f"{stem}.v", f"{stem}_srams.v"]
    check_writable(directory, "-o", *names)
    with progress("writing Verilog"):
        texts = dict(zip(names, design(chip), strict=True))
    for name, text in texts.items():
        with whole_file(directory / name) as file:
            file.write_text(text)
    print(f"wrote {', '.join(str(directory / name) for name in names)}")
