"""Waveforms of tests, and runs that come to no end."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from gtkwave import MISSING, look, virtual_display
from layouts import declared, read_layout
from timing_project import Project, body

import tlm
from tlm.core.errors import InputError
from tlm.testing.reporting import directory_name
from tlm.traces.trace_options import TraceOptions
from tlm.traces.waves.signal_kinds import start_ps

FAILS = body("assert small.layer('c1').takes(cycles=24)")
PS_PER_CYCLE = 1e9 / tlm.ChipConfig().clock_khz


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    return Project(pytester)


def failed(project: Project, test: str, *arguments: str) -> str:
    project.write(test)
    result = project.run(*arguments)
    assert result.ret == 1
    return result.stdout.str()


def seen_cycles(layout: Path) -> tuple[int, int]:
    """Where GTKWave begins to draw, and where its cursor stands, in cycles."""
    text = layout.read_text()
    start, cursor = re.search(r"^\[timestart\] (\d+)$", text, re.M), re.search(r"^\*\S+ (-?\d+)", text, re.M)
    assert start is not None
    assert cursor is not None
    return round(int(start[1]) / PS_PER_CYCLE), round(int(cursor[1]) / PS_PER_CYCLE)


def test_a_failed_test_leaves_a_waveform_that_opens_at_the_moment(project: Project) -> None:
    printed = failed(project, FAILS)
    assert re.search(r"^-+ tlm: waveform -+$", printed, re.MULTILINE)
    line = (
        ".tlm-waves/test_it.py-test_one/run.vcd opens at cycle 646; `tlm wave .tlm-waves/test_it.py-test_one/run.vcd` or: "
        "gtkwave .tlm-waves/test_it.py-test_one/run.gtkw"
    )
    assert line in printed.splitlines()
    place = project.path / ".tlm-waves" / "test_it.py-test_one"
    assert sorted(path.name for path in place.iterdir()) == ["run.gtkw", "run.labels.txt", "run.sucl", "run.vcd"]
    first, cursor = seen_cycles(place / "run.gtkw")
    assert cursor == 646
    assert first < 646 < first + 40
    layout = (place / "run.gtkw").read_text()
    assert '[dumpfile] "run.vcd"' in layout
    assert (project.path / ".tlm-waves" / ".gitignore").read_text() == "*\n"


def test_every_name_of_the_layout_is_in_the_dump(project: Project) -> None:
    failed(project, FAILS)
    place = project.path / ".tlm-waves" / "test_it.py-test_one"
    shown = [line.signal for line in read_layout(place / "run.gtkw").lines]
    assert len(shown) > 10
    assert set(shown) <= declared(place / "run.vcd")


def test_the_waveform_holds_the_cycles_around_the_moment(project: Project) -> None:
    failed(project, body("assert small.layer('c2').no_stall('write_back')"))
    place = project.path / ".tlm-waves" / "test_it.py-test_one"
    times = [int(line[1:]) for line in (place / "run.vcd").read_text().splitlines() if line.startswith("#")]
    assert seen_cycles(place / "run.gtkw")[1] == 2149
    assert (2149 - 401) * PS_PER_CYCLE < times[1] < 2149 * PS_PER_CYCLE < times[-1]


@pytest.mark.parametrize(
    ("mode", "passing", "failing"),
    [("never", [], []), ("failed", [], ["run"]), ("always", ["run1", "run2"], ["run"])],
)
def test_modes(project: Project, mode: str, passing: list[str], failing: list[str]) -> None:
    project.write(
        FAILS.replace("test_one", "test_bad")
        + "\n"
        + body(
            "assert small and conflicts and tlm_simulate(SMALL, THREES) is small",
            fixtures="small, conflicts, tlm_simulate",
        )
    )
    project.run(f"--tlm-vcd={mode}", "--tlm-vcd-dir=waves/here")
    for test, names in (("test_one", passing), ("test_bad", failing)):
        place = project.path / "waves" / "here" / f"test_it.py-{test}"
        assert sorted(path.stem for path in place.glob("*.vcd")) == names
        assert sorted(path.stem for path in place.glob("*.gtkw")) == names


@pytest.mark.slow
def test_two_failures_write_the_same_bytes(project: Project) -> None:
    place = project.path / ".tlm-waves" / "test_it.py-test_one"
    found = []
    for _ in range(2):
        failed(project, FAILS)
        found.append({path.name: path.read_bytes() for path in place.iterdir()})
    assert found[0] == found[1]
    assert str(project.path).encode() not in b"".join(found[0].values())


def test_any_failure_of_a_test_with_a_run_leaves_a_waveform(project: Project) -> None:
    printed = failed(project, body("assert small.result.cycles == 1"))
    assert ".tlm-waves/test_it.py-test_one/run.vcd; `tlm wave" in printed


def test_the_marker_opens_where_the_limit_was_passed(project: Project) -> None:
    printed = failed(project, "@pytest.mark.max_cycles(2000)\n" + body("assert small"))
    assert ".tlm-waves/test_it.py-test_one/run.vcd opens at cycle 2,000;" in printed


def test_a_directory_that_cannot_be_made_hides_no_failure(project: Project) -> None:
    (project.path / "taken").write_text("")
    printed = failed(project, FAILS, "--tlm-vcd-dir=taken")
    assert "layer 'c1' takes 25 cycles, expected exactly 24: 1 too many" in printed
    assert "no waveform was written: " in printed


def test_a_failure_of_a_teardown_explains_itself(project: Project) -> None:
    fixture = "@pytest.fixture\ndef checked(small):\n    yield small\n    assert small.layer('c1').takes(24)\n"
    project.write(fixture + body("assert checked", fixtures="checked"))
    printed = project.run().stdout.str()
    assert "E       AssertionError: layer 'c1' takes 25 cycles, expected exactly 24: 1 too many\n" in printed
    assert "test_one/run.vcd opens at cycle 646; " in printed


def test_expected_failures_leave_none(project: Project) -> None:
    project.passes("@pytest.mark.xfail\n" + FAILS)
    assert not (project.path / ".tlm-waves").exists()


# -- runs that come to no end -----------------------------------------------------------------------------------------

DEADLOCK = """
from dataclasses import replace
from tlm.chip.format.driver import StartTransfer, Unit, Wait

def test_one(tlm_simulate):
    program = tlm.compile(SMALL)
    steps = [Wait(Unit.ENGINE)]
    tlm_simulate(replace(program, steps=tuple(steps)), THREES)
"""


def test_a_deadlock_says_who_waits_for_what(project: Project) -> None:
    """The driver waits for an interrupt that never comes."""
    printed = failed(project, DEADLOCK)
    assert (
        "E       tlm.core.errors.DeadlockError: deadlock in cycle 0: nothing can happen any more, but the work is not finished"
        in printed
    )
    assert re.search(
        r"^-+ tlm: deadlock -+\ncycle 0; no open transaction\nwho was doing what:\n  host +sleep, waits for engine\n",
        printed,
        re.MULTILINE,
    )
    assert ".tlm-waves/test_it.py-test_one/failed-run.vcd opens at cycle 0;" in printed
    assert "tlm/core" not in printed, "the traceback ends where the test called"


MEMORY_THAT_STOPS = """
from simpy import Event
from tlm.chip.around.off_chip_memory import OffChipMemory

serve = OffChipMemory.serve

def stops(self, payload):
    if self.clock.now > 900:
        yield Event(self.clock.env)
    yield from serve(self, payload)

def test_one(tlm_simulate, monkeypatch):
    monkeypatch.setattr(OffChipMemory, "serve", stops)
    tlm_simulate(SMALL, THREES, fidelity="cycle")
"""


def test_after_an_expected_deadlock_the_waveform_is_that_of_the_run_that_came_to_its_end(project: Project) -> None:
    """Also where that run had been made by another test."""
    caught = DEADLOCK.replace(
        "    tlm_simulate(", "    with pytest.raises(tlm.core.errors.DeadlockError):\n        tlm_simulate("
    )
    again = "    assert tlm_simulate(SMALL, THREES).outputs.sum() == -1\n"
    project.write(body("pass", fixtures="small").replace("test_one", "test_first") + caught + again)
    printed = project.run().stdout.str()
    assert "test_one/run.vcd; " in printed
    assert "failed-run.vcd" not in printed


def test_a_deadlock_lists_open_transactions_with_their_ages(project: Project) -> None:
    printed = failed(project, MEMORY_THAT_STOPS)
    report = printed.partition("tlm: deadlock")[2].partition("tlm: waveform")[0]
    ages = re.findall(r"^ +([\d,]+) cycles  (\S+) -> (\S+): (.*)$", report, re.MULTILINE)
    assert ages[0][1:] == (
        "dma.load.memory",
        "interconnect.dma_load",
        "read of 8 bytes at 0x200 for transfer 4 > burst 0 > beat 0, not accepted",
    )
    numbers = [int(age.replace(",", "")) for age, *_ in ages]
    assert numbers == sorted(numbers, reverse=True)
    assert ("interconnect.to_memory", "memory.port") in [one[1:3] for one in ages]
    assert re.search(r"^  dma.load +busy$", report, re.MULTILINE)
    assert (project.path / ".tlm-waves" / "test_it.py-test_one" / "failed-run.vcd").exists()


# -- what it is made of -----------------------------------------------------------------------------------------------


def test_names_of_directories() -> None:
    plain = directory_name("tests/test_a.py::TestX::test_y[beat-3]")
    assert plain == "tests-test_a.py-TestX-test_y.beat-3"
    odd = [
        directory_name(name) for name in ("t.py::test[a/b c]", "t.py::test[a b/c]", "t.py::test[ü]", "t.py::test[ö]")
    ]
    assert len(set(odd)) == 4
    alike = ["a/b.py::t", "a-b.py::t", "a/b.py::t_x", "a/b.py::t[x]", "a/b.py::t[_x]", "a/b.py::t[x_]", "a/b.py::t[x]]"]
    assert len({directory_name(name) for name in alike}) == 7
    assert all(re.fullmatch(r"[\w.\-]+", name, re.ASCII) for name in odd)
    assert len(directory_name("t.py::test[" + "x" * 500 + "]")) < 120


@pytest.mark.parametrize("level", ["pass", "cycle"])
def test_a_waveform_opens_at_a_moment(tmp_path: Path, level: str) -> None:
    network = tlm.Network((4, 4, 8), [tlm.Conv2d("c1", [[[[1]]] * 4] * 8)])
    tlm.simulate(
        network, [[[1] * 8] * 4] * 4, trace=TraceOptions(wave=tmp_path / "w.vcd", level=level, moment_cycle=640)
    )
    first, cursor = seen_cycles(tmp_path / "w.gtkw")
    assert cursor == 640
    assert first <= 640
    tlm.simulate(network, [[[1] * 8] * 4] * 4, trace=TraceOptions(wave=tmp_path / "w.vcd", level=level))
    # the start of the longest wait, where the level finds one
    cursor_ps = re.findall(r"^\*\S+ (\S+)", (tmp_path / "w.gtkw").read_text(), re.MULTILINE)
    assert cursor_ps == [{"pass": "0", "cycle": "-1"}[level]]


def test_a_moment_before_the_run_is_refused() -> None:
    with pytest.raises(InputError, match=r"trace.moment_cycle: -1 is not allowed; give 0 or more"):
        TraceOptions(wave="w.vcd", moment_cycle=-1)


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
def test_gtkwave_opens_it_at_the_moment(project: Project) -> None:
    failed(project, FAILS)
    with virtual_display() as display:
        seen = look(project.path / ".tlm-waves" / "test_it.py-test_one" / "run.vcd", display)
    assert seen.cursor_ps == start_ps(646, tlm.ChipConfig().clock_khz)
    assert seen.from_ps < seen.cursor_ps < seen.until_ps
    assert len(seen.shown) > 10
