"""``tlm init``: a directory with a commented scenario and a first test that passes."""

import argparse
import re
from pathlib import Path
from string import Template

from tlm.core.errors import InputError
from tlm.core.files import whole_file
from tlm.results.files import check_writable
from tlm.scenario.api import run as run_scenario

_SCENARIO = """\
# `tlm run $name.toml` runs it; `tlm show $name.toml` prints every key that there is, with its value.
description = "two layers on the chip at 0.8 V"

[chip]
voltage_v = 0.8          # the clock follows: 234 MHz; 1.1 V is the default
amem_banks = 4           # try 1, 2 and 8, or `tlm sweep $name.toml --over chip.amem_banks=1,2,4,8`

[network]
kind = "layers"          # seeded weights; others are "resnet18", "imagenet", "pw_dw_pw_block" and "trained"
seed = 1

[[network.layers]]
name = "conv1"
out_channels = 64
kernel = 3
taps = 3                 # of 9; the others are pruned: neither stored nor computed

[[network.layers]]
name = "conv2"           # 1x1, the default kernel
out_channels = 32

[input]
kind = "random"          # or "image" or "npy", with file = "..."
seed = 2
shape = [32, 14, 14]     # channels, height, width
"""

_TEST = """\
\"\"\"First tests of $name; `pytest` runs them.\"\"\"

from pathlib import Path

import tlm


def test_the_outputs_equal_the_golden_model():
    assert tlm.run(Path(__file__).with_name("$name.toml")).matches_reference


def test_conv1_keeps_its_time(tlm_scenario):
    run = tlm_scenario("$name.toml")
    assert run.layer("conv1").takes(cycles=$cycles)  # simulated when `tlm init` wrote this; change it on purpose
"""


def run(arguments: argparse.Namespace) -> int:
    """Make the directory; the test pins what the scenario takes now."""
    directory: Path = arguments.directory
    name = directory.name
    if not re.fullmatch(r"[A-Za-z]\w*", name):
        raise InputError(f"NAME: {name!r} is no name of a scenario; give letters, digits and underscores")
    if directory.exists():
        raise InputError(f"NAME: {directory} exists; give another name")
    check_writable(directory, "NAME")
    scenario, test = directory / f"{name}.toml", directory / f"test_{name}.py"
    _write(scenario, Template(_SCENARIO).substitute(name=name))
    cycles = run_scenario(scenario).layers["conv1"].compute_cycles
    _write(test, Template(_TEST).substitute(name=name, cycles=cycles))
    print(f"wrote {scenario}, {test}")
    print(f"next: cd {directory}; tlm run {name}.toml; pytest")
    print("pytest needs the extra: pip install 'cartesian-tlm[pytest]'")
    return 0


def _write(path: Path, text: str) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
