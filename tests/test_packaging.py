"""What is built and installed: one abi3 wheel that works outside the checkout, and messages that name what lacks."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tlm.core.version import __version__

ROOT = Path(__file__).resolve().parents[1]


def run(*command: str, **keys: str | Path) -> subprocess.CompletedProcess[str]:
    """A command with another working directory (``cwd``); its output is captured."""
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=keys.get("cwd", ROOT))


@pytest.mark.slow
def test_the_wheel_fits_every_python_from_3_11(wheel: Path) -> None:
    name, version, python, abi, platform = wheel.stem.split("-")
    assert (name, python, abi) == ("cartesian_tlm", "cp311", "abi3")
    assert version == __version__
    assert platform.endswith(sysconfig.get_platform().rpartition("-")[2])


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        entry_points = next(name for name in names if name.endswith("entry_points.txt"))
        declared = archive.read(entry_points).decode().splitlines()
        assert "tlm = tlm.__main__:main" in declared
        assert "tlm = tlm.testing.plugin" in declared[declared.index("[pytest11]") :]
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"tlm", "cartesian_tlm"}
    assert "tlm/_kernels.abi3.so" in names
    assert "tlm/py.typed" in names
    assert "tlm/data/scenarios/images/astronaut.png" in names
    assert {"tlm/data/networks/model2_3of9.npz", "tlm/data/samples/fashion_mnist_test.npz"} <= set(names)
    assert "tlm/training/recipes/model2.toml" in names
    assert [name for name in names if name.endswith("LICENSE")]
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tlm").rglob("*.py")}
    assert sources <= set(names)
    assert not [name for name in names if "__pycache__" in name]


@pytest.mark.slow
def test_an_installed_copy_runs_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    code = (
        f"import sys; sys.path[:0] = [{str(target)!r}, {sysconfig.get_paths()['platlib']!r}]\n"
        "import numpy as np, tlm\n"
        "from tlm.chip import kernels\n"
        "network = tlm.Network((3, 5, 5), [tlm.Conv2d('c', np.ones((2, 3, 3, 3), np.int8), padding=1, shift=4)])\n"
        "activations = np.arange(75).reshape(3, 5, 5) % 16\n"
        "expected = tlm.reference.run(network, activations)['c']\n"
        "result = tlm.simulate(network, activations)\n"
        "assert (result.outputs == expected).all()\n"
        "print(kernels.host_simds()[-1].name, kernels.__file__, result.cycles)\n"
    )
    # -S: no .pth file, so the checkout's editable install is out of reach
    ran = run(sys.executable, "-S", "-c", code, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split()[1].startswith(str(target))


def pythons() -> list[str]:
    """The Pythons at hand that the wheel is for, the oldest first; pyenv's, too."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [
        path
        for minor in range(11, 20)
        for path in (shutil.which(f"python3.{minor}"), *map(str, sorted(pyenv.glob(f"3.{minor}.*/bin/python3"))))
        if path
    ]
    return [path for path in found if run(path, "-c", "import venv, ensurepip").returncode == 0] or [sys.executable]


@pytest.mark.slow
@pytest.mark.parametrize("newest", [False, True])
def test_the_wheel_is_installed_in_a_fresh_environment(wheel: Path, tmp_path: Path, newest: bool) -> None:
    """With two of its extras."""
    found = pythons()
    if newest and len(found) == 1:
        pytest.skip("there is one Python alone")
    python, here = found[-1 if newest else 0], tmp_path / "bin"
    assert run(python, "-m", "venv", str(tmp_path)).returncode == 0
    pip = (str(here / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile")
    made = run(*pip, f"{wheel}[plot,pytest]", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    for command in ("run resnet18_conv5_2_1of9 -o out", "plot out --only causes", "explain out --no-runs", "list"):
        done = run(str(here / "tlm"), *command.split(), cwd=tmp_path)
        assert done.returncode == 0, done.stderr


def test_the_version_is_told_once() -> None:
    import tlm

    assert tlm.__version__ == importlib.metadata.version("cartesian-tlm")


def test_make_names_everything_that_is_missing(tmp_path: Path) -> None:
    asked = run("make", "--no-print-directory", "check-tools", "PYTHON=no-such-python", "CC=no-such-cc")
    assert asked.returncode != 0
    for lacking in ("no-such-python (Debian: python3)", "a C compiler, no-such-cc (Debian: gcc libc6-dev)"):
        assert lacking in asked.stderr


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("sys.version_info < (3, 11)", "Python 3.11 or newer"),
        ("import venv, ensurepip", "Python's venv (Debian: python3-venv)"),
        ("Python.h", "Python's C headers (Debian: python3-dev)"),
    ],
)
def test_make_names_what_a_python_lacks(tmp_path: Path, condition: str, message: str) -> None:
    python = tmp_path / "python3"
    python.write_text(f"#!/bin/sh\ncase \"$2\" in *'{condition}'*) exit 1;; esac\nexit 0\n")
    python.chmod(0o755)
    asked = run("make", "--no-print-directory", "check-tools", f"PYTHON={python}")
    assert asked.returncode != 0
    assert message in asked.stderr
    assert asked.stderr.count("\n  ") == 1, "only what is missing"


def test_make_finds_nothing_missing_here() -> None:
    asked = run("make", "--no-print-directory", "check-tools", f"PYTHON={sys.executable}")
    assert (asked.returncode, asked.stderr) == (0, "")


def test_every_kernel_has_its_header() -> None:
    assert {path.stem for path in (ROOT / "kernels").glob("*.c")} == {
        path.stem for path in (ROOT / "kernels").glob("*.h")
    }


def test_a_marker_without_its_partner_is_refused(tmp_path: Path) -> None:
    (tmp_path / "geometry.h").write_text("/* cdef begin */\nint twice(int x);\n")
    outputs = [str(tmp_path / name) for name in ("cdef", "prelude")]
    collect = (sys.executable, str(ROOT / "kernels" / "collect_cdef.py"), str(tmp_path), *outputs)
    asked = run(*collect)
    assert asked.returncode != 0
    assert asked.stderr.startswith("geometry.h: needs one line '/* cdef begin */'")
    (tmp_path / "geometry.h").write_text("/* cdef begin */\nint twice(int x);\n/* cdef end */\nint hidden(void);\n")
    (tmp_path / "another.h").write_text("/* cdef begin */\nint thrice(int x);\n/* cdef end */\n")
    (tmp_path / "private.h").write_text("int private(void);\n")
    assert run(*collect).returncode == 0
    assert Path(outputs[0]).read_text().split() == ["int", "twice(int", "x);", "int", "thrice(int", "x);"]
    assert Path(outputs[1]).read_text() == '#include "geometry.h"\n#include "another.h"\n'


def test_continuous_integration_is_a_program() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert run("bash", "-n", str(script)).returncode == 0
