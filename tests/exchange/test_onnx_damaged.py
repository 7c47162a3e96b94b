"""Damaged and hostile ONNX files end in one line and exit status 2, or are imported rightly."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import onnx_mutations
import pytest

DATA = Path(__file__).parent / "data"
SOURCES = [*sorted((DATA / "onnx").glob("*.onnx")), DATA / "brevitas_plain.onnx"]


def check_mutants(directory: Path, count: int, seed: int) -> None:
    """Import them all in one process; each must have its line there, and its right outcome."""
    onnx_mutations.write_mutants(SOURCES, directory, count, seed)
    done = subprocess.run(
        [sys.executable, onnx_mutations.__file__, directory], capture_output=True, text=True, check=False
    )
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"killed or hung after {outcomes[-1:]}: {done.stderr}"
    assert len(outcomes) == count
    assert done.stderr == ""
    for one in outcomes:
        assert not one["fault"], one
        assert one["status"] in (0, 1, 2), one
        if one["status"] == 0:
            assert one["compared"], one
            assert one["written"], one
            assert not one["err"], one
        else:
            assert one["err"].startswith("tlm: "), one
            assert one["err"].count("\n") == 1, one
            assert not one["written"], one
    statuses = [one["status"] for one in outcomes]
    assert statuses.count(2) > count // 2
    assert statuses.count(0) > count // 50  # some changes change nothing that counts


def test_mutants(tmp_path: Path) -> None:
    check_mutants(tmp_path, 25, seed=1)


@pytest.mark.slow
def test_many_mutants(tmp_path: Path) -> None:
    check_mutants(tmp_path, 600, seed=2)
