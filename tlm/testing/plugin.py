"""The pytest plugin (entry point ``pytest11``): options, markers, fixtures, reports. docs/testing.md explains it.

Every pytest with this package installed imports this file, so it imports nothing but pytest: the simulator is loaded
when a test asks for a fixture.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tlm.chip.config import ChipConfig
    from tlm.testing.baseline import TestBaseline
    from tlm.testing.fixtures import Session, TestRuns, TestTrace
    from tlm.testing.run import Run

_FIDELITY = "tlm_fidelity"
_CARRIED = "tlm_carried"
"""Attribute of a report, in plain types, since pytest-xdist sends it: what was simulated and is to be stored."""

_SESSION: pytest.StashKey[Session] = pytest.StashKey()
_RUNS: pytest.StashKey[TestRuns] = pytest.StashKey()
_BASELINE: pytest.StashKey[TestBaseline] = pytest.StashKey()
_COLLECTED = pytest.StashKey[dict[Path, list[str]]]()
"""Test file -> names of its tests, where all were collected."""


# -- options and markers ----------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("tlm", "timing of simulated chips (cartesian-tlm)")
    group.addoption("--tlm-update", action="store_true", help="store what tlm_baseline compares, instead of comparing")
    group.addoption(
        "--tlm-vcd",
        choices=("never", "failed", "always"),
        default="failed",
        help="which tests leave a waveform (default: %(default)s)",
    )
    group.addoption("--tlm-vcd-dir", metavar="DIR", default=".tlm-waves", help="where (default: %(default)s)")
    group.addoption(
        "--tlm-trace-limit",
        metavar="N",
        type=int,
        default=1_000_000,
        help="transactions that are recorded of a run at most (default: %(default)s)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and the summary in the process that has the reports of all tests."""
    config.addinivalue_line("markers", "max_cycles(n): no run of the test may take more than n cycles (cartesian-tlm)")
    config.addinivalue_line(
        "markers", "fidelity(name, ..): run the test with each of these models: 'cycle', 'pass', 'rtl' (cartesian-tlm)"
    )
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Summary(), "tlm-summary")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each fidelity of the marker, if the test simulates."""
    marker = metafunc.definition.get_closest_marker("fidelity")
    if marker is None or _FIDELITY not in metafunc.fixturenames:
        return
    if any(_FIDELITY in str(one.args[:1]) for one in metafunc.definition.iter_markers("parametrize")):
        return
    from tlm.runs.simulate import FIDELITIES

    problems = [f"{name!r} is not one of {', '.join(FIDELITIES)}" for name in marker.args if name not in FIDELITIES]
    if not marker.args or marker.kwargs:
        problems = ["it needs names, such as fidelity('cycle', 'pass')"]
    if problems:
        pytest.fail(f"{metafunc.definition.nodeid}: marker fidelity: {problems[0]}", pytrace=False)
    metafunc.parametrize(_FIDELITY, list(dict.fromkeys(marker.args)))


# -- fixtures ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def tlm_fidelity() -> str | None:
    """The model that the test's runs use: the parameter that the marker ``fidelity`` makes; None for the default."""
    return None


@pytest.fixture(scope="session")
def tlm_chip_overrides() -> Mapping[str, Any]:
    """What the project's chip differs in from the default one; override it in conftest.py."""
    return {}


@pytest.fixture
def tlm_runs(
    request: pytest.FixtureRequest, tlm_fidelity: str | None, tlm_chip_overrides: Mapping[str, Any]
) -> TestRuns:
    """The runs of the test; what the other fixtures work on."""
    from tlm.core.errors import InputError
    from tlm.testing.checks import cycle_limit
    from tlm.testing.expectation import MADE
    from tlm.testing.fixtures import Session, TestRuns

    if tlm_fidelity is None and request.node.get_closest_marker("fidelity") is not None:
        raise InputError(
            "marker fidelity: pytest has not seen that this test simulates, since it gets a fixture only while it "
            'runs; add @pytest.mark.usefixtures("tlm_simulate")'
        )
    if _SESSION not in request.config.stash:
        request.config.stash[_SESSION] = Session(request.config.option.tlm_trace_limit)
    marker = request.node.get_closest_marker("max_cycles")
    limit = None if marker is None else cycle_limit(*marker.args, **marker.kwargs)
    MADE.clear()
    runs = TestRuns(request.config.stash[_SESSION], tlm_fidelity, tlm_chip_overrides, limit)
    request.node.stash[_RUNS] = runs
    return runs


@pytest.fixture
def tlm_chip(tlm_runs: TestRuns) -> Callable[..., ChipConfig]:
    """``tlm_chip(amem_banks=8)``: the project's chip with other values of some keys."""
    return tlm_runs.chip


@pytest.fixture
def tlm_simulate(tlm_runs: TestRuns, tlm_chip: Callable[..., ChipConfig]) -> Callable[..., Run]:
    """``tlm_simulate(network, activations, chip)``: a run, with the arguments of ``tlm.simulate``."""
    tlm_runs.own_chip = tlm_chip
    return tlm_runs.simulate


@pytest.fixture
def tlm_scenario(tlm_runs: TestRuns, request: pytest.FixtureRequest) -> Callable[..., Run]:
    """``tlm_scenario("small.toml", "chip.voltage_v=0.8")``: a run of a scenario file beside the test."""

    def run(file: str | Path, *overrides: str, fidelity: str | None = None) -> Run:
        return tlm_runs.scenario(request.path.parent, file, *overrides, fidelity=fidelity)

    return run


@pytest.fixture
def tlm_trace(tlm_runs: TestRuns) -> TestTrace:
    """The recorded transactions of the test's last run."""
    from tlm.testing.fixtures import TestTrace

    return TestTrace(tlm_runs)


@pytest.fixture
def tlm_baseline(tlm_runs: TestRuns, request: pytest.FixtureRequest) -> TestBaseline:
    """The baseline of the test: ``assert run.matches(tlm_baseline)``."""
    from tlm.testing.baseline import TestBaseline

    baseline = TestBaseline(request.path, _section_of(request.node), request.config.option.tlm_update)
    request.node.stash[_BASELINE] = baseline
    return baseline


def _section_of(item: pytest.Item) -> str:
    """Name of a test in its baseline file: both fidelities have the same, since they must agree."""
    # the file and what is in it; the test's id may have more behind it, such as a group of pytest-xdist
    _, *inside = [node.name for node in item.listchain() if node.path == item.path]
    name = ".".join(inside)
    callspec = getattr(item, "callspec", None)
    if callspec is None or _FIDELITY not in callspec.params:
        return name
    head, _, parameters = name.partition("[")
    words = parameters[:-1].split("-")
    if callspec.params[_FIDELITY] in words:
        words.remove(callspec.params[_FIDELITY])
    return f"{head}[{'-'.join(words)}]" if words else head


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Note which tests there are, so that baselines of tests that are gone can go, too."""
    # pytest --lf collects no more of a file than what failed
    if config.option.tlm_update and not config.getoption("lf", False) and not any("::" in arg for arg in config.args):
        collected: dict[Path, list[str]] = {}
        for item in items:
            collected.setdefault(item.path, []).append(_section_of(item))
        config.stash[_COLLECTED] = collected


# -- reports ----------------------------------------------------------------------------------------------------------


@pytest.hookimpl(trylast=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Warn of sentences that stand there without assert: they demand nothing. Called after a test that passed."""
    if _RUNS in item.stash:
        from tlm.testing.expectation import forgotten

        for claim in forgotten():
            text = f"nobody asked whether this holds, write assert before it: {claim} ({item.nodeid})"
            warnings.warn(text, pytest.PytestWarning, stacklevel=1)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say why an expectation failed, write waveforms, and hand over what was simulated."""
    runs = item.stash.get(_RUNS, None)
    if runs is None:
        return (yield)
    from tlm.testing.reporting import all_waves, directory_name, explain_assertion, failure_sections, hide_internals

    options, root = item.config.option, item.config.rootpath
    directory = root / options.tlm_vcd_dir / directory_name(item.nodeid)
    error = None if call.excinfo is None else call.excinfo.value
    expectation = None if error is None else explain_assertion(error)
    if error is not None and not options.fulltrace:
        hide_internals(error)
    report = yield
    done = report.passed and call.when == "call"
    if error is not None and report.failed:
        wave = None if options.tlm_vcd == "never" else directory
        report.sections += failure_sections(runs, error, expectation, wave, root)
    elif done and options.tlm_vcd == "always":
        report.sections += all_waves(runs, directory, root)
    setattr(report, _CARRIED, _carried(item, done))
    if call.when == "teardown":
        del item.stash[_RUNS]  # items live as long as the session
    return report


def _carried(item: pytest.Item, done: bool) -> dict[str, Any]:
    """What was simulated since the last report, and what a test that is done asked to store."""
    counts = item.config.stash[_SESSION].counts
    carried: dict[str, Any] = {"counts": dict(counts)}
    counts.clear()
    baseline = item.stash.get(_BASELINE, None)
    if done and baseline is not None and baseline.stored:
        tests = item.config.stash.get(_COLLECTED, {}).get(item.path)
        carried["stored"] = {"file": str(item.path), "tests": tests, "sections": baseline.plain()}
    return carried


class _Summary:
    """Takes what reports carry, writes baselines, and says how much was simulated."""

    def __init__(self) -> None:
        self._carried: list[dict[str, Any]] = []
        self._lines: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called with the reports of all processes."""
        self._carried += [getattr(report, _CARRIED)] if hasattr(report, _CARRIED) else []

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the baselines; what cannot be stored fails the session."""
        if not self._carried:
            return
        from collections import Counter

        from tlm.testing.baseline import write_baselines

        lines, problems = write_baselines([one["stored"] for one in self._carried if "stored" in one])
        if problems and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        counts: Counter[str] = Counter()
        for one in self._carried:
            counts.update(one["counts"])
        self._lines = [f"tlm: {line}" for line in (*lines, *problems)]
        if counts["runs"]:
            again = f", {counts['reused']} more used again" if counts["reused"] else ""
            speed = f"{1e3 * counts['cycles'] / counts['ns']:.1f} M cycles/s"  # of one process
            runs = f"{counts['runs']} run{'s' if counts['runs'] > 1 else ''}"
            self._lines.append(f"tlm: {counts['cycles']:,} cycles simulated in {runs}{again}, {speed}")

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print it."""
        for line in self._lines:
            terminalreporter.write_line(line)
