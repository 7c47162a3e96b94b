"""`tlm init` and completion: how a newcomer begins."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from command import files, refused, tlm


def test_a_new_project_runs_and_its_test_passes(pytester: pytest.Pytester) -> None:
    assert tlm("init", "first", cwd=pytester.path).returncode == 0
    project = pytester.path / "first"
    assert files(project) == ["first.toml", "test_first.py"]
    takes = re.search(r"takes\(cycles=(\d+)\)", (project / "test_first.py").read_text())
    assert takes
    assert re.search(rf"conv1 .* {int(takes[1]):,} ", tlm("run", "first.toml", cwd=project).stdout)
    pytester.runpytest_inprocess(project, "-p", "no:cacheprovider").assert_outcomes(passed=2)
    assert refused("init", "first", cwd=pytester.path) == "NAME: first exists; give another name"
    assert refused("init", "2nd-try", cwd=pytester.path).startswith("NAME: '2nd-try' is no name of a scenario")


def completed(line: str, directory: Path) -> list[str]:
    """What a shell would offer behind a line."""
    out = directory / "offered"
    tlm(cwd=directory, COMP_LINE=line, COMP_POINT=str(len(line)), COMP_TYPE="9", _ARGCOMPLETE="1",
        _ARGCOMPLETE_STDOUT_FILENAME=str(out), _ARGCOMPLETE_IFS="\n")  # fmt: skip
    return [one.strip() for one in out.read_text().split("\n")] if out.exists() else []


def test_shells_complete_commands_options_scenarios_and_keys(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").touch()
    assert completed("tlm ru", tmp_path) == ["run"]
    assert completed("tlm run resnet18_3of9_", tmp_path) == ["resnet18_3of9_0v8"]
    assert completed("tlm run mi", tmp_path) == ["mine.toml"]
    assert completed("tlm run x --fid", tmp_path) == ["--fidelity"]
    assert completed("tlm run x --fidelity ", tmp_path) == ["cycle", "pass", "rtl"]
    assert completed("tlm sweep x --over chip.amem_b", tmp_path) == ["chip.amem_banks="]
    assert completed("tlm run x --set chip.amem_banks=", tmp_path) == [f"chip.amem_banks={n}" for n in (1, 2, 4, 8)]
    assert "network.layers.kernel=" not in completed("tlm run x --set network.", tmp_path)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_for_shells(shell: str) -> None:
    done = tlm("completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert "tlm" in done.stdout
    assert "_ARGCOMPLETE" in done.stdout
