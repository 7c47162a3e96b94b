"""The page's example as a new user has it: an empty directory, the wheel installed by pip, the files as they are printed."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "testing.md"
FILE = re.compile(r"<!-- file (\S+) -->\n```\w*\n(.*?)```\n<!-- end -->", re.DOTALL)


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an environment with the wheel; what it depends on comes from this one, without its editable install."""
    place = tmp_path_factory.mktemp("outside") / "venv"
    venv.create(place, symlinks=True)
    found = place / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(found), "install", "--quiet"]
    subprocess.run([*pip, "--no-index", "--no-deps", str(wheel)], check=True)
    (packages,) = place.glob("lib/python*/site-packages")
    # a path from a .pth file is searched, but .pth files in it are not read
    (packages / "dependencies.pth").write_text(sysconfig.get_paths()["platlib"] + "\n")
    return found


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = dict(FILE.findall(PAGE.read_text(encoding="utf-8")))
    assert set(files) == {"conftest.py", "test_timing.py", "test_timing.tlm-baseline.toml"}
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def run(python: Path, project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(python), "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_wheel_is_what_is_tested(python: Path, project: Path) -> None:
    code = "import tlm, tlm.testing.plugin as plugin; print(tlm.__file__, plugin.__file__)"
    printed = subprocess.run([python, "-c", code], cwd=project, capture_output=True, text=True, check=True).stdout
    assert all(path.startswith(str(python.parent.parent)) for path in printed.split())


@pytest.mark.slow
@pytest.mark.parametrize("processes", [(), ("-n2",)])
def test_the_example_passes_as_it_is_printed(python: Path, project: Path, processes: tuple[str, ...]) -> None:
    done = run(python, project, *processes)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "13 passed" in done.stdout
    assert "13 passed" in PAGE.read_text(encoding="utf-8")
    assert re.search(r"^tlm: [\d,]+ cycles simulated in \d runs, \d+ more used again", done.stdout, re.MULTILINE)


@pytest.mark.slow
def test_an_update_changes_no_byte(python: Path, project: Path) -> None:
    baseline = project / "test_timing.tlm-baseline.toml"
    before = baseline.read_bytes()
    assert run(python, project, "--tlm-update", "-n2").returncode == 0
    assert baseline.read_bytes() == before


@pytest.mark.slow
def test_a_changed_latency_explains_itself(python: Path, project: Path) -> None:
    """What was changed, what it costs where, who waits for whom, the first transaction, and the waveform."""
    conftest = project / "conftest.py"
    changed = '"host_access_ns": 100, "memory_latency_ns": 90}'
    conftest.write_text(conftest.read_text().replace('"host_access_ns": 100}', changed))
    done = run(python, project, "-k", "test_cycles or test_nothing_has_moved")
    assert done.returncode == 1
    for line in (
        "E       AssertionError: the run takes 9,881 cycles, expected about 8,500 within 170 (8,330 .. 8,670): 1,211 too many",
        "E         this chip is not the default one: amem_banks = 8 (default 4), memory_latency_ns = 90.0 (default 60.0), "
        "host_access_ns = 100.0 (default 20.0)",
        "E         with memory_latency_ns = 60.0 the run takes 8,505 cycles, as expected; in comparison with that run:",
        "E           weights                1,115 -> 1,499 (+384): engine waits for dma.load",
        "E             interconnect.to_memory -> memory.port: read of 8 bytes at 0xc00 for transfer 0 > burst 0 > beat 0",
        "E             is answered in cycle 330, 16 cycles later than there",
        "E         chip now:             amem_banks = 8 (default 4), memory_latency_ns = 90.0 (default 60.0), "
        "host_access_ns = 100.0 (default 20.0)",
        "E         on the chip of the baseline the run is the stored one; in comparison with it:",
    ):
        assert line in done.stdout.splitlines(), done.stdout
    place = project / ".tlm-waves" / "test_timing.py-test_cycles"
    assert f"{place.relative_to(project)}/run.vcd opens at cycle 314; `tlm wave" in done.stdout
    assert {path.name for path in place.iterdir()} == {"run.vcd", "run.gtkw", "run.labels.txt", "run.sucl"}
