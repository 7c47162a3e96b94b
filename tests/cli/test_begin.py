"""`tlm init` and completion: how a newcomer begins."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
import timing_project  # noqa: F401 (pytester forgets what is imported while it runs)
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
    """What a shell would offer after a line."""
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


SHELLS = {
    "bash": (["--norc", "-i"], 'eval "$(tlm completion bash)"'),
    "zsh": (["-f", "-i"], 'autoload -U compinit; compinit -u; eval "$(tlm completion zsh)"'),
    "fish": (["--no-config", "-i"], "tlm completion fish | source"),
}
"""Shell -> how it starts without a user's own settings, and the line that `tlm completion --help` gives for it."""


class Terminal:
    """A shell of 80 columns in a pseudo-terminal."""

    def __init__(self, command: list[str], home: Path) -> None:
        self._own, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 80))
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        surroundings = {**os.environ, "PATH": path, "HOME": str(home), "TERM": "dumb", "PS1": "> "}
        self._shell = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=home, env=surroundings, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(theirs)

    def type(self, keys: str, answer: str) -> bool:
        """Type keys; whether an answer appears within a minute."""
        os.write(self._own, keys.encode())
        seen, end = b"", time.monotonic() + 60
        while answer.encode() not in seen:
            if not select.select([self._own], [], [], max(end - time.monotonic(), 0))[0]:
                return False
            seen += os.read(self._own, 4096)
        return True

    def close(self) -> None:
        """End the shell."""
        self._shell.kill()
        self._shell.wait()
        os.close(self._own)


@pytest.mark.parametrize("shell", ["bash", *(pytest.param(name, marks=pytest.mark.slow) for name in ("zsh", "fish"))])
def test_the_tab_key_completes_in_a_terminal(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    options, begin = SHELLS[shell]
    terminal = Terminal([shell, *options], tmp_path)
    try:
        assert terminal.type(f"{begin}; echo rea''dy\n", "ready")
        assert terminal.type("tlm run resnet18_3of9_\t", "resnet18_3of9_0v8")
    finally:
        terminal.close()
