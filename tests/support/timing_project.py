"""A small project of somebody else's, made with pytester, whose timing tests run with the plugin."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Sequence

import pytest

import tlm.testing
import tlm.traces.waves

# pytester forgets what was imported while it ran, and numpy cannot be loaded twice: all of it is here before
for package in (tlm.testing, tlm.traces.waves):
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
for name in (
    "chip.rtl.coupling",
    "chip.rtl.dma",
    "objects",
    "scenario.loading",
    "scenario.catalog",
    "networks.builder",
    "inputs.images",
):
    importlib.import_module(f"tlm.{name}")

CONFTEST = """
import numpy as np
import pytest
import tlm

THREES = np.full((4, 4, 8), 3)
ONES = np.ones((8, 4, 1, 1), np.int8)
SMALL = tlm.Network((4, 4, 8), [
    tlm.Conv2d("c1", ONES, shift=2),
    tlm.Conv2d("c2", np.ones((40, 8, 3, 3), np.int8), padding=1, shift=6),
])
HALF = np.ones((4, 2, 1, 1), np.int8)
CONFLICTS = tlm.Network((2, 24, 12), [
    tlm.Conv2d("a", HALF, stride=2, shift=2),
    tlm.Conv2d("b", HALF, stride=2, input="input", residual="a", residual_multiplier=1, shift=2),
])


@pytest.fixture(autouse=True)
def two_jobs(monkeypatch):
    \"\"\"Layers that load many weights are jobs of their own, so that host and loads do something between them.\"\"\"
    monkeypatch.setattr("tlm.compiler.estimate._FEW_WORDS", 60)


@pytest.fixture
def small(tlm_simulate):
    return tlm_simulate(SMALL, THREES)


@pytest.fixture
def conflicts(tlm_simulate):
    return tlm_simulate(CONFLICTS, np.arange(576).reshape(2, 24, 12) % 16)
"""


class Project:
    """A directory with a conftest and one test file."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self._pytester = pytester
        self.path = pytester.path
        pytester.makeconftest(CONFTEST)

    def write(self, test: str, name: str = "test_it") -> None:
        self._pytester.makepyfile(
            **{name: f"import pytest\nimport tlm\nfrom conftest import CONFLICTS, SMALL, THREES\n{test}"}
        )

    def run(self, *arguments: str) -> pytest.RunResult:
        # within this process the pytest that runs it rewrites assertions, whatever the inner one is told
        plain = "--assert=plain" in arguments
        run = self._pytester.runpytest_subprocess if plain else self._pytester.runpytest
        return run("-p", "no:cacheprovider", *arguments)

    def passes(self, test: str, *arguments: str) -> str:
        """Runs a test, which passes; what was printed."""
        self.write(test)
        result = self.run(*arguments)
        assert result.ret == 0, result.stdout.str()
        return result.stdout.str()

    def fails(self, test: str, *arguments: str) -> str:
        """Runs a test, which fails; the lines of the error, without pytest's "E"."""
        self.write(test)
        result = self.run("--tlm-vcd=never", *arguments)
        assert result.ret == 1, result.stdout.str()
        return errors(result.stdout.str())

    def fail_each(self, tests: Sequence[str], imports: str = "") -> list[str]:
        """Runs tests in one session, which all fail; the lines of each one's error."""
        named = [test.replace("def test_one(", f"def test_{number}(") for number, test in enumerate(tests)]
        self.write(imports + "\n".join(named))
        result = self.run("--tlm-vcd=never")
        assert result.ret == 1, result.stdout.str()
        sections = re.split(r"^_+ test_(\d+) _+$", result.stdout.str(), flags=re.MULTILINE)[1:]
        assert list(map(int, sections[::2])) == list(range(len(tests))), result.stdout.str()
        return [errors(section) for section in sections[1::2]]


def errors(printed: str) -> str:
    """The lines of errors."""
    return "\n".join(line[8:] for line in printed.splitlines() if line.startswith("E       "))


def body(*statements: str, fixtures: str = "small") -> str:
    """A test function."""
    return f"def test_one({fixtures}):\n" + "\n".join(f"    {statement}" for statement in statements)
