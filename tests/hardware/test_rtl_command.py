"""``tlm rtl``: its files, what it says, and its errors."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command import SMALL, files, tlm
from icarus import needs_icarus

CHIP = """
[chip]
lanes = 8
columns = 8
amem_words = 1024
wmem_words = 512
imem_words = 512
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The directory where the command ran, and what it said."""
    directory = tmp_path_factory.mktemp("command")
    (directory / "small.toml").write_text(SMALL + CHIP)
    done = tlm("rtl", "small.toml", "-o", "out/chip.v", cwd=directory)
    assert (done.returncode, done.stderr) == (0, "")
    return directory, done.stdout


def test_files_and_what_to_do_with_them(written: tuple[Path, str]) -> None:
    directory, said = written
    names = ["chip.v", "chip_srams.v", "chip_tb.hex", "chip_tb.v"]
    assert files(directory / "out") == names
    assert all(len(line) <= 80 for line in said.splitlines())
    assert said.splitlines()[0] == "wrote chip.v, chip_srams.v, chip_tb.v, chip_tb.hex in out"


@needs_icarus
def test_the_commands_that_it_prints(written: tuple[Path, str]) -> None:
    directory, said = written
    for line in said.splitlines()[-2:]:
        command = line.split()
        assert shutil.which(command[0]) is not None
        done = subprocess.run(command, cwd=directory / "out", capture_output=True, text=True, timeout=300, check=False)
        assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("PASS: ")


def complaint(*arguments: object, cwd: Path, **environment: str) -> str:
    """The one line on stderr."""
    done = tlm("rtl", *arguments, cwd=cwd, **environment)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    return line


def test_errors_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "script.py").touch()
    (tmp_path / "big.toml").write_text(SMALL + CHIP + "imem_banks = 3\n")
    assert complaint(cwd=tmp_path) == "tlm: -o: is missing; give a directory, or a file that ends in .v"
    assert "-o: file is a file; give a directory" in complaint("-o", "file", cwd=tmp_path)
    assert "chip.lanes: 12 is not one of 8" in complaint("-o", "out", "--set", "chip.lanes=12", cwd=tmp_path)
    assert "chip.imem_banks: 3 is not one of" in complaint("big.toml", "-o", "out", cwd=tmp_path)
    assert "script.py: is a Python script" in complaint("script.py", "-o", "out", cwd=tmp_path)
    assert "none.toml: no such scenario" in complaint("none.toml", "-o", "out", cwd=tmp_path)
    assert files(tmp_path) == ["big.toml", "file", "script.py"]


def test_without_amaranth(tmp_path: Path) -> None:
    code = (
        "import sys, importlib.util; find = importlib.util.find_spec; importlib.util.find_spec = lambda name, *rest: "
        "None if name == 'amaranth' else find(name, *rest); "
        "from tlm.cli import main; sys.exit(main(['rtl', '-o', 'out']))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    wanted = "tlm: `tlm rtl` needs the Python packages amaranth: python -m pip install 'cartesian-tlm[rtl]'\n"
    assert done.stderr == wanted
    assert files(tmp_path) == []
