"""The plugin as a guest: markers, fixtures, summary, several processes, and projects that do not use it."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from timing_project import CONFTEST, Project, body


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    return Project(pytester)


# -- somebody else's project ------------------------------------------------------------------------------------------


def test_a_project_that_does_not_use_it_sees_nothing(pytester: pytest.Pytester) -> None:
    """Its own fixtures, markers and options of similar names; nothing heavy is loaded, nothing is printed or written."""
    pytester.makeini("[pytest]\nmarkers =\n    fidelity(x): ours\n    max_cycles: ours\naddopts = --strict-markers\n")
    pytester.makepyfile(
        """
        import sys
        import pytest

        @pytest.fixture
        def simulate():
            return 1

        @pytest.fixture
        def chip():
            return 2

        @pytest.mark.fidelity("ours")
        @pytest.mark.max_cycles
        def test_one(simulate, chip, request):
            assert simulate + chip == 3
            assert request.node.get_closest_marker("fidelity").args == ("ours",)

        def test_nothing_is_loaded():
            heavy = ("numpy", "simpy", "tlm.runs.simulate", "tlm.core", "tlm.chip", "rich", "msgspec", "vcd")
            assert [name for name in heavy if name in sys.modules] == []
            assert sorted(name for name in sys.modules if name.startswith("tlm")) == [
                "tlm", "tlm.testing", "tlm.testing.plugin"
            ]
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=2)
    assert "tlm:" not in result.stdout.str()
    assert not list(pytester.path.glob("*tlm*"))
    assert not list(pytester.path.glob(".tlm*"))


def test_a_failure_that_has_nothing_to_do_with_it_is_left_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_one():\n    assert [1, 2] == [1, 3]")
    with_it = pytester.runpytest("-p", "no:cacheprovider", "--no-header").stdout.lines
    without = pytester.runpytest("-p", "no:cacheprovider", "--no-header", "-p", "no:tlm").stdout.lines
    assert [line for line in with_it if line.startswith("E")] == [line for line in without if line.startswith("E")]
    assert not (pytester.path / ".tlm-waves").exists()


def test_it_can_be_switched_off(project: Project) -> None:
    project.write(body("assert small"))
    result = project.run("-p", "no:tlm")
    assert "fixture 'tlm_simulate' not found" in result.stdout.str()


def test_importing_the_plugin_imports_nothing_but_pytest() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import tlm.testing.plugin\n"
        "print(sorted(set(sys.modules) - before))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "['tlm', 'tlm.testing', 'tlm.testing.plugin']"


# -- markers ----------------------------------------------------------------------------------------------------------


def test_markers_and_options_are_declared(pytester: pytest.Pytester) -> None:
    shown = pytester.runpytest("--markers").stdout.str()
    assert "@pytest.mark.max_cycles(n): no run of the test may take more than n cycles" in shown
    assert "@pytest.mark.fidelity(name, ..): run the test with each of these models" in shown
    shown = pytester.runpytest("--help").stdout.str()
    assert all(option in shown for option in ("--tlm-update", "--tlm-vcd=", "--tlm-vcd-dir", "--tlm-trace-limit"))
    shown = pytester.runpytest("--fixtures").stdout.str()
    assert all(f"tlm_{name}" in shown for name in ("simulate", "chip", "scenario", "trace", "baseline", "fidelity"))


def test_fidelity_makes_a_test_of_each_model(project: Project) -> None:
    test = "@pytest.mark.fidelity('cycle', 'pass')\n" + body(
        "assert small.result.fidelity == tlm_fidelity", "assert small.takes(2576)", fixtures="small, tlm_fidelity"
    )
    printed = project.passes(test, "-v")
    assert re.findall(r"test_it.py::(\S+) PASSED", printed) == ["test_one[cycle]", "test_one[pass]"]


@pytest.mark.slow
def test_the_circuit_is_one_of_them(project: Project) -> None:
    overrides = "@pytest.fixture(scope='session')\ndef tlm_chip_overrides():\n    return dict(lanes=8, columns=8)\n\n"
    test = "@pytest.mark.fidelity('pass', 'rtl')\n" + body(
        "assert small.result.fidelity == tlm_fidelity",
        "assert small.takes(3536)",
        "assert small.layer('c1').no_stall('bank_conflict')",
        "assert len(small.at('engine.requantiser.writes')) == 282",
        fixtures="small, tlm_fidelity",
    )
    printed = project.passes(overrides + test, "-v")
    assert re.findall(r"test_it.py::(\S+) PASSED", printed) == ["test_one[pass]", "test_one[rtl]"]


def test_a_fidelity_named_twice_is_one_test(project: Project) -> None:
    printed = project.passes("@pytest.mark.fidelity('cycle', 'cycle')\n" + body("assert small"), "-v")
    assert re.findall(r"test_it.py::(\S+) PASSED", printed) == ["test_one[cycle]"]


def test_a_fidelity_that_pytest_could_not_see_is_refused(project: Project) -> None:
    """The test would run once, with the default model."""
    test = "@pytest.mark.fidelity('cycle')\n" + body("request.getfixturevalue('small')", fixtures="request")
    message = (
        "tlm.core.errors.InputError: marker fidelity: pytest has not seen that this test simulates, since it gets a "
        'fixture only while it runs; add @pytest.mark.usefixtures("tlm_simulate")'
    )
    assert project.fails(test).strip() == message
    assert "test_one[cycle] PASSED" in project.passes(f"@pytest.mark.usefixtures('tlm_simulate')\n{test}", "-v")


def test_fidelity_for_a_class_and_beside_other_parameters(project: Project) -> None:
    printed = project.passes(
        """
@pytest.mark.fidelity("cycle", "pass")
class TestAll:
    @pytest.mark.parametrize("name", ["c1", "c2"])
    def test_a(self, small, name):
        assert small.layer(name).cycles > 0

    def test_no_run(self):
        pass

@pytest.mark.parametrize("tlm_fidelity", ["cycle"])
def test_own(small):
    assert small.result.fidelity == "cycle"

def test_argument_wins(tlm_simulate):
    assert tlm_simulate(SMALL, THREES, fidelity="cycle").result.fidelity == "cycle"
    assert tlm_simulate(SMALL, THREES).result.fidelity == "pass"
""",
        "-v",
    )
    names = re.findall(r"test_it.py::(\S+) PASSED", printed)
    assert len(names) == 7
    assert {"TestAll::test_no_run", "test_own[cycle]", "test_argument_wins"} < set(names)


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("fidelity('fast')", "test_it.py::test_one: marker fidelity: 'fast' is not one of cycle, pass, rtl"),
        (
            "fidelity(['cycle', 'pass'])",
            "test_it.py::test_one: marker fidelity: ['cycle', 'pass'] is not one of cycle, pass, rtl",
        ),
        ("fidelity()", "test_it.py::test_one: marker fidelity: it needs names, such as fidelity('cycle', 'pass')"),
    ],
)
def test_an_unknown_fidelity_is_refused(project: Project, marker: str, message: str) -> None:
    project.write(f"@pytest.mark.{marker}\n" + body("pass"))
    result = project.run()
    assert result.ret != 0
    assert message in result.stdout.str()
    assert "_hookexec" not in result.stdout.str()


def test_max_cycles(project: Project) -> None:
    project.passes("@pytest.mark.max_cycles(2576)\n" + body("assert small"))
    text = project.fails("@pytest.mark.max_cycles(2575)\n" + body("assert small"))
    lines = text.splitlines()
    assert lines[0].endswith(
        "CycleLimitError: marker max_cycles(2575): the run takes 2,576 cycles, expected at most 2,575: 1 too many"
    )
    assert "  who waited for whom:" in lines
    text = project.fails("@pytest.mark.max_cycles(0)\n" + body("assert small"))
    assert "InputError: max_cycles: 0 is no limit; give one number of cycles, 1 or more" in text
    text = project.fails("@pytest.mark.max_cycles(9000, n=5)\n" + body("assert small"))
    assert "InputError: max_cycles: 9000, n=5 is no limit; give one number of cycles, 1 or more, such as" in text


# -- fixtures ---------------------------------------------------------------------------------------------------------


def test_the_chip_of_the_project(project: Project, pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        CONFTEST + "\n@pytest.fixture(scope='session')\ndef tlm_chip_overrides():\n    return {'amem_banks': 8}\n"
    )
    project.passes(
        body(
            "assert tlm_chip().amem_banks == 8 == small.result.chip.amem_banks",
            "assert tlm_chip(amem_banks=2, voltage_v=0.8).amem_banks == 2",
            "assert tlm_chip(voltage_v=0.8) == tlm.ChipConfig.at(0.8, amem_banks=8)",
            "program = tlm.compile(SMALL)",
            "assert tlm_simulate(program, THREES).result.chip == program.config == tlm.ChipConfig()",
            fixtures="small, tlm_chip, tlm_simulate",
        )
    )
    text = project.fails(body("tlm_chip(amem_bank=3)", fixtures="tlm_chip"))
    assert (
        text
        == "tlm.core.errors.InputError: chip: there is no 'amem_bank'; did you mean 'amem_banks' or 'wmem_banks' or 'imem_banks'?"
    )
    assert project.fails(body("tlm_chip(amem_banks=3)", fixtures="tlm_chip")) == (
        "tlm.core.errors.InputError: chip.amem_banks: 3 is not one of 1, 2, 4, 8"
    )


@pytest.mark.parametrize(
    ("value", "kind"),
    [("None", "NoneType"), ("tlm.ChipConfig(amem_banks=8)", "ChipConfig"), ("['amem_banks']", "list")],
)
def test_overrides_that_are_no_dict(project: Project, pytester: pytest.Pytester, value: str, kind: str) -> None:
    fixture = f"@pytest.fixture(scope='session')\ndef tlm_chip_overrides():\n    return {value}\n"
    pytester.makeconftest(f"{CONFTEST}\n{fixture}")
    assert project.fails(body("assert small")) == (
        f"tlm.core.errors.InputError: tlm_chip_overrides: it gives a {kind}; "
        "let it return what differs from the default chip, such as {'amem_banks': 8}"
    )


def test_an_overridden_tlm_chip_is_what_runs_are_made_on(project: Project) -> None:
    project.passes(
        "@pytest.fixture\ndef tlm_chip(tlm_chip):\n    return lambda **keys: tlm_chip(**{'amem_banks': 2} | keys)\n"
        + body("assert small.result.chip == tlm.ChipConfig(amem_banks=2)")
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("THREES, SMALL", "network: a ndarray is none; give a network or a program, then the activations"),
        ("SMALL, THREES, {'amem_banks': 8}", "chip: a dict is none; give tlm_chip(amem_banks=8) or a tlm.ChipConfig"),
        ("SMALL, THREES, 'cycle'", "chip: a str is none; give tlm_chip(amem_banks=8) or a tlm.ChipConfig"),
    ],
)
def test_wrong_arguments_are_one_clear_line(project: Project, arguments: str, message: str) -> None:
    text = project.fails(body(f"tlm_simulate({arguments})", fixtures="tlm_simulate"))
    assert text == f"tlm.core.errors.InputError: {message}"


def test_a_scenario_beside_the_test(project: Project) -> None:
    (project.path / "sub").mkdir()
    (project.path / "sub" / "small.toml").write_text(
        'description = "x"\n[network]\nkind = "layers"\n[[network.layers]]\nname = "c"\nout_channels = 8\nkernel = [3, 3]\n'
        "padding = 1\n[input]\nshape = [4, 8, 8]\n"
    )
    project.passes(
        body(
            "run = tlm_scenario('sub/small.toml')",
            "assert list(run.layers) == ['c']",
            "assert tlm_scenario('sub/small.toml') is run",
            "other = tlm_scenario('sub/small.toml', 'chip.voltage_v=0.8', fidelity='cycle')",
            "assert other.result.chip.voltage_v == 0.8 and other.result.fidelity == 'cycle'",
            fixtures="tlm_scenario",
        )
    )
    text = project.fails(body("tlm_scenario('resnet18_conv3_2_3of')", fixtures="tlm_scenario"))
    assert "InputError: resnet18_conv3_2_3of: no such scenario; did you mean resnet18_conv3_2_3of9?" in text


def test_a_run_is_made_once_and_cannot_be_spoilt(project: Project) -> None:
    printed = project.passes(
        """
def test_first(small, tlm_simulate):
    assert tlm_simulate(SMALL, THREES) is small
    assert tlm_simulate(SMALL, THREES + 1) is not small
    with pytest.raises(ValueError, match="read-only"):
        small.outputs[:] = 0

def test_second(small):
    assert small.takes(2576)
"""
    )
    assert re.search(
        r"^tlm: 5,152 cycles simulated in 2 runs, 2 more used again, \d+\.\d M cycles/s$", printed, re.MULTILINE
    )


def test_a_waveform_can_be_asked_for_as_with_tlm_simulate(project: Project) -> None:
    project.passes(
        body(
            "run = tlm_simulate(SMALL, THREES, trace=tlm.TraceOptions(wave=tmp_path / 'all.vcd', level='pass'))",
            "assert (tmp_path / 'all.gtkw').exists()",
            "assert run.takes(2576)",
            fixtures="tlm_simulate, tmp_path",
        )
    )


# -- several processes ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_workers_add_up(project: Project) -> None:
    printed = project.passes(
        "@pytest.mark.parametrize('add', range(6))\n"
        + body("assert tlm_simulate(SMALL, THREES + add).cycles", fixtures="tlm_simulate, add"),
        "-n2",
    )
    assert re.search(r"^tlm: 15,456 cycles simulated in 6 runs, \d+\.\d M cycles/s$", printed, re.MULTILINE)


@pytest.mark.slow
def test_a_worker_explains_itself(project: Project) -> None:
    project.write(body("assert small.layer('c1').takes(cycles=24)"))
    printed = project.run("-n1").stdout.str()
    assert "layer 'c1' takes 25 cycles, expected exactly 24: 1 too many" in printed
    assert ".tlm-waves/test_it.py-test_one/run.vcd opens at cycle 646" in printed


# -- names ------------------------------------------------------------------------------------------------------------


def test_the_public_names_are_there() -> None:
    import tlm.testing

    for name in tlm.testing.__all__:
        assert getattr(tlm.testing, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'bevor'"):
        _ = tlm.testing.bevor


def test_equal_networks_are_the_same_network_and_share_their_recording(project: Project) -> None:
    """Fixtures make networks anew for each test; the transactions are those of fidelity "cycle" for both fidelities."""
    printed = project.passes(
        """
from tlm.testing.fixtures import Session
import numpy as np
MADE = []
record = Session._record
Session._record = lambda self, *arguments: MADE.append(1) or record(self, *arguments)

def network(value):
    return tlm.Network((4, 4, 8), [tlm.Conv2d("c1", np.full((8, 4, 1, 1), value), shift=2)])

@pytest.mark.fidelity("cycle", "pass")
@pytest.mark.parametrize("again", range(2))
def test_equal(tlm_simulate, again):
    assert tlm_simulate(network(1), THREES).at("host.bus").latency.at_most(2)
    assert len(MADE) == 1

def test_other(tlm_simulate):
    assert len(tlm_simulate(network(2), THREES).at("host.bus"))
    assert len(MADE) == 2
    Session._record = record
"""
    )
    assert "cycles simulated in 3 runs, 2 more used again" in printed
