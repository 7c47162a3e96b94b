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
    from tlm.testing.baseline import BaselineUpdates, TestBaseline
    from tlm.testing.fixtures import TestRuns, TestTrace
    from tlm.testing.run import Run
    from tlm.testing.session import Simulated, Simulator

_WAVES = ("never", "failed", "always")
_FIDELITY = "tlm_fidelity"
_STORED = "tlm_stored"
"""Attribute of a report: the test file, and the sections of its baseline that the test asked to store."""


class _Session:
    """What this process knows; made when the first test asks for a fixture."""

    def __init__(self, trace_limit: int) -> None:
        from tlm.testing.baseline import BaselineUpdates
        from tlm.testing.session import Simulator

        self.simulator: Simulator = Simulator(trace_limit)
        self.updates: BaselineUpdates = BaselineUpdates()


class _Test:
    """What a test has used."""

    def __init__(self, session: _Session, runs: TestRuns) -> None:
        self.session = session
        self.runs = runs
        self.baseline: TestBaseline | None = None


_SESSION = pytest.StashKey[_Session]()
_TEST = pytest.StashKey[_Test]()
_COLLECTED = pytest.StashKey[dict[str, set[str]]]()
_TOTALS = pytest.StashKey["list[tuple[Simulated, BaselineUpdates]]"]()
_ANNOUNCED = pytest.StashKey[dict[str, set[str]]]()
_WRITTEN = pytest.StashKey[list[str]]()


# -- options and markers ----------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("tlm", "timing of simulated chips (cartesian-tlm)")
    group.addoption("--tlm-update", action="store_true", help="store what tlm_baseline compares, instead of comparing")
    group.addoption(
        "--tlm-vcd", choices=_WAVES, default="failed", help="which tests leave a waveform (default: %(default)s)"
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
    """Register the markers."""
    config.addinivalue_line("markers", "max_cycles(n): no run of the test may take more than n cycles (cartesian-tlm)")
    config.addinivalue_line(
        "markers", "fidelity(name, ..): run the test with each of these models, 'cycle' and 'pass' (cartesian-tlm)"
    )


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Pytest would take the baseline of ``test_x.py`` for a text with doctests."""
    return True if collection_path.name.endswith(".tlm-baseline.txt") else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each fidelity of the marker, if the test simulates."""
    marker = metafunc.definition.get_closest_marker("fidelity")
    if marker is None or _FIDELITY not in metafunc.fixturenames:
        return
    if any(_FIDELITY in str(one.args[:1]) for one in metafunc.definition.iter_markers("parametrize")):
        return
    from tlm.core.errors import InputError
    from tlm.testing.recipe import check_fidelity

    if not marker.args or marker.kwargs:
        pytest.fail(
            f"{metafunc.definition.nodeid}: marker fidelity needs names, such as fidelity('cycle', 'pass')",
            pytrace=False,
        )
    for name in marker.args:
        try:
            check_fidelity(name, "marker fidelity")
        except InputError as error:
            pytest.fail(f"{metafunc.definition.nodeid}: {error}", pytrace=False)
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
    from tlm.testing.expectation import ASKED
    from tlm.testing.fixtures import TestRuns, limit_of

    if tlm_fidelity is None and request.node.get_closest_marker("fidelity") is not None:
        from tlm.core.errors import InputError

        raise InputError(
            "marker fidelity: pytest has not seen that this test simulates, since it gets a fixture only while it "
            'runs; add @pytest.mark.usefixtures("tlm_simulate")'
        )
    session = _session(request.config)
    marker = request.node.get_closest_marker("max_cycles")
    limit = None if marker is None else limit_of(marker.args, marker.kwargs)
    ASKED.clear()
    runs = TestRuns(session.simulator, tlm_fidelity, tlm_chip_overrides, limit)
    request.node.stash[_TEST] = _Test(session, runs)
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
    from tlm.testing.baseline import TestBaseline, section_of

    baseline = TestBaseline(request.path, section_of(request.node), request.config.option.tlm_update)
    request.node.stash[_TEST].baseline = baseline
    return baseline


def _session(config: pytest.Config) -> _Session:
    if _SESSION not in config.stash:
        config.stash[_SESSION] = _Session(config.option.tlm_trace_limit)
    return config.stash[_SESSION]


# -- reports ----------------------------------------------------------------------------------------------------------


@pytest.hookimpl(trylast=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Warn of sentences that stand there without assert: they demand nothing. Called after a test that passed."""
    if _TEST in item.stash:
        from tlm.testing.expectation import ASKED

        for claim in ASKED.forgotten():
            text = f"nobody asked whether this holds, write assert before it: {claim} ({item.nodeid})"
            warnings.warn(text, pytest.PytestWarning, stacklevel=1)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say why an expectation failed, and write waveforms."""
    test = item.stash.get(_TEST, None)
    if test is None:
        return (yield)
    if call.when == "teardown":
        del item.stash[_TEST]  # items live as long as the session
    from tlm.testing.reporting import all_waves, explain_assertion, failure_sections, hide_internals, wave_section

    error = None if call.excinfo is None else call.excinfo.value
    expectation = None if error is None else explain_assertion(error)
    if error is not None and not item.config.option.fulltrace:
        hide_internals(error)
    report = yield
    root, waves = item.config.rootpath, item.config.option.tlm_vcd
    where = item.nodeid, root / item.config.option.tlm_vcd_dir, root
    if error is not None and report.failed:
        report.sections += failure_sections(test.runs, error)
        section = None if waves == "never" else wave_section(test.runs, expectation, *where)
        report.sections += [] if section is None else [section]
    elif report.passed and call.when == "call":
        if waves == "always":
            section = all_waves(test.runs, *where)
            report.sections += [] if section is None else [section]
        if test.baseline is not None:
            message = test.session.updates.add(test.baseline)
            if message is not None:
                report.outcome, report.longrepr = "failed", message
            elif test.baseline.stored:  # pytest-xdist carries it to whoever writes the baselines
                setattr(report, _STORED, [str(test.baseline.test_file), sorted(test.baseline.stored)])
    return report


# -- the session as a whole -------------------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Note which tests there are, so that baselines of tests that are gone can go, too."""
    if not config.option.tlm_update or any("::" in str(argument) for argument in config.args):
        return
    if config.getoption("lf", False):  # pytest then collects no more of a file than what failed
        return
    from tlm.testing.baseline import section_of

    collected: dict[str, set[str]] = {}
    for item in items:
        collected.setdefault(str(item.path), set()).add(section_of(item))
    config.stash[_COLLECTED] = collected


def _own_totals(config: pytest.Config) -> tuple[Simulated, BaselineUpdates] | None:
    session = config.stash.get(_SESSION, None)
    if session is None:
        return None
    collected = config.stash.get(_COLLECTED, {})
    session.updates.tests = {file: collected[file] for file in session.updates.sections if file in collected}
    return session.simulator.simulated, session.updates


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker hands over what it knows; whoever has no workers writes the baselines."""
    config = session.config
    own = _own_totals(config)
    worker = getattr(config, "workeroutput", None)
    if worker is not None:
        if own is not None:
            import base64
            import pickle

            worker["tlm"] = base64.b64encode(pickle.dumps(own)).decode("ascii")
        return
    totals = [*config.stash.get(_TOTALS, []), *([own] if own is not None else [])]
    announced = config.stash.get(_ANNOUNCED, {})
    if not totals and not announced:
        return
    from tlm.testing.baseline import BaselineUpdates
    from tlm.testing.session import Simulated

    simulated, updates = Simulated(), BaselineUpdates()
    for more, others in totals:
        simulated.add(more)
        updates.merge(others)
    updates.miss(announced)
    config.stash[_WRITTEN] = [f"tlm: {line}" for line in updates.write()]
    if updates.problems and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    if simulated.runs:
        config.stash[_WRITTEN].append(f"tlm: {simulated.text()}")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note what a worker of pytest-xdist is to hand over; one that dies does not."""
    node = getattr(report, "node", None)
    if node is not None and hasattr(report, _STORED):
        file, names = getattr(report, _STORED)
        node.config.stash.setdefault(_ANNOUNCED, {}).setdefault(file, set()).update(names)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a worker of pytest-xdist hands over."""
    sent = getattr(node, "workeroutput", {}).get("tlm")
    if sent is not None:
        import base64
        import pickle

        node.config.stash.setdefault(_TOTALS, []).append(pickle.loads(base64.b64decode(sent)))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """How much was simulated, and which baselines were written."""
    for line in config.stash.get(_WRITTEN, []):
        terminalreporter.write_line(line)
