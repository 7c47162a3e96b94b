"""`tlm run` on everything in scenarios/."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command import SCENARIOS, tlm

STEPS = {"conv3_2": 12_800, "conv4_2": 14_336, "conv5_2": 16_384}
"""Of the point-wise layer, and of each tap of the fused one [D]."""


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.toml")), ids=lambda path: path.stem)
def test_scenario(path: Path, tmp_path: Path) -> None:
    done = tlm("run", path, "-o", tmp_path)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "result.json").read_text())
    assert record["matches_reference"] is True
    assert 0 < record["utilization"] < record["compute_utilization"] < 1
    moved = sum(layer["load_bytes"] + layer["store_bytes"] for layer in record["layers"])
    assert moved == record["traffic_bytes"]["total"]


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("resnet18_conv?_?_?of9.toml")), ids=lambda path: path.stem)
def test_steps_of_the_blocks(path: Path, tmp_path: Path) -> None:
    done = tlm("run", path, "-o", tmp_path)
    record = json.loads((tmp_path / "result.json").read_text())
    _, stage, number, taps = path.stem.replace("of9", "").split("_")
    pw1, dwpw2 = record["layers"]
    assert pw1["steps"] == STEPS[f"{stage}_{number}"]
    assert dwpw2["steps"] == int(taps) * STEPS[f"{stage}_{number}"]
    assert (dwpw2["parts"] > 1) == ("split" in done.stdout.splitlines()[0])


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.py")), ids=lambda path: path.stem)
def test_script_runs_by_python_and_by_tlm(path: Path) -> None:
    plain = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=300, check=False)
    assert (plain.returncode, plain.stderr) == (0, "")
    assert len(plain.stdout.splitlines()) > 5
    assert "DIFFER" not in plain.stdout
    command = tlm("run", path)
    assert (command.returncode, command.stdout) == (0, plain.stdout)
