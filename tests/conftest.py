"""What all tests share: repeatable random examples, a small scenario, pytest's tools for plugins, the wheel."""

import fcntl
import gc
import subprocess
import sys
from pathlib import Path

import pytest
from command import SMALL
from examples import register_profiles

pytest_plugins = "pytester"

register_profiles()
gc.disable()  # until all tests are collected

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
EXTRA = ("training/", "chip/rtl/", "hardware/")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need more to be installed, and begin with whole commands: they take longest.

    At the end of the list they would keep one process busy while the others have nothing left.
    """
    for item in items:
        if item.nodeid.removeprefix("tests/").startswith(EXTRA):
            item.add_marker(pytest.mark.extra)
    items.sort(key=lambda item: item.path.parent != TESTS)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """Collect garbage again, also in the process of pytest-xdist that collects no tests."""
    gc.enable()


def pytest_collection_finish() -> None:
    """Leave modules and collected tests out of garbage collection, which would look through them again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A scenario file of two small layers."""
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The wheel, built from the source distribution of this checkout; once for all processes of pytest-xdist."""
    base = tmp_path_factory.getbasetemp()
    directory = (base if worker_id == "master" else base.parent) / "wheel"
    directory.mkdir(exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / "built").exists():
            build_wheel(directory)
            (directory / "built").touch()
    (path,) = directory.glob("*.whl")
    return path


def build_wheel(directory: Path) -> None:
    code = f"from scikit_build_core.build import build_sdist; build_sdist({str(directory)!r})"
    made = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=False, cwd=ROOT)
    assert made.returncode == 0, made.stderr
    (sources,) = directory.glob("*.tar.gz")
    command = [
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"),
        *("--no-build-isolation", "--no-index", "--wheel-dir", str(directory), "--config-settings"),
        *(f"build-dir={directory / 'build'}", str(sources)),
    ]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
