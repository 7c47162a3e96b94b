"""`tlm run` on everything in scenarios/."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command import SCENARIOS, tlm

STEPS = {"conv3_2": 12_800, "conv4_2": 14_336, "conv5_2": 16_384}
"""Of the point-wise layer, and of each tap of the fused one [S]."""


WMEM_WORDS = 16_384  # [P]

WHOLE = [path for path in sorted(SCENARIOS.glob("resnet*.toml")) if "conv" not in path.stem]
WHOLE += [SCENARIOS / "mobilenet_v2.toml"]
"""Whole networks, which take seconds each."""
QUICK = [SCENARIOS / "resnet18_3of9.toml"]
"""That of the quick tests."""
BLOCKS = sorted(SCENARIOS.glob("resnet18_conv?_?_?of9.toml"))
OTHERS = [path for path in sorted(SCENARIOS.glob("*.toml")) if path not in WHOLE + BLOCKS]


def check_run(path: Path, tmp_path: Path) -> tuple[str, dict[str, Any]]:
    """What it printed, and its result."""
    done = tlm("run", path, "-o", tmp_path)
    assert done.returncode == 0, done.stderr
    record: dict[str, Any] = json.loads((tmp_path / "result.json").read_text())
    assert record["matches_reference"] is True
    assert record["predicted_cycles"] == record["cycles"]
    assert 0 < record["utilization"] < record["compute_utilization"] < 1
    moved = sum(layer["load_bytes"] + layer["store_bytes"] for layer in record["layers"])
    assert moved == record["traffic_bytes"]["total"]
    return done.stdout, record


@pytest.mark.parametrize("path", OTHERS + QUICK, ids=lambda path: path.stem)
def test_scenario(path: Path, tmp_path: Path) -> None:
    check_run(path, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("path", [path for path in WHOLE if path not in QUICK], ids=lambda path: path.stem)
def test_whole_network(path: Path, tmp_path: Path) -> None:
    check_run(path, tmp_path)


def test_a_whole_network_is_quick() -> None:
    assert set(QUICK) < set(WHOLE)
    assert len(WHOLE) > 10


@pytest.mark.parametrize("path", BLOCKS, ids=lambda path: path.stem)
def test_block(path: Path, tmp_path: Path) -> None:
    printed, record = check_run(path, tmp_path)
    _, stage, number, taps = path.stem.replace("of9", "").split("_")
    pw1, dwpw2 = record["layers"]
    assert pw1["unsplit_steps"] == STEPS[f"{stage}_{number}"]
    assert dwpw2["unsplit_steps"] == int(taps) * STEPS[f"{stage}_{number}"]
    assert (dwpw2["weight_words"] > WMEM_WORDS) == ("split" in printed.splitlines()[0])
    for layer in (pw1, dwpw2):
        assert layer["parts"] > 1 or layer["weight_words"] <= WMEM_WORDS
        overlap = 1 if layer["bands"] == 1 else 1.1  # rows that two bands share
        assert layer["unsplit_steps"] <= layer["steps"] <= overlap * layer["unsplit_steps"]
        assert layer["weight_load_bytes"] == 16 * layer["weight_words"]  # each word once, however the layer is split


SCRIPTS = sorted(SCENARIOS.glob("*.py"))


@pytest.mark.parametrize(
    "path",
    [SCRIPTS[0], *(pytest.param(path, marks=pytest.mark.slow) for path in SCRIPTS[1:])],
    ids=lambda path: path.stem,
)
def test_script_runs_by_python_and_by_tlm(path: Path) -> None:
    plain = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=300, check=False)
    assert (plain.returncode, plain.stderr) == (0, "")
    assert len(plain.stdout.splitlines()) > 5
    assert "DIFFER" not in plain.stdout
    command = tlm("run", path)
    assert (command.returncode, command.stdout) == (0, plain.stdout)
