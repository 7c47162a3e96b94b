"""Baselines: made, compared, rewritten, and what a difference says."""

from __future__ import annotations

from pathlib import Path

import pytest
from timing_project import CONFTEST, Project, body, errors

from tlm.core.errors import InputError
from tlm.testing.baseline import Row, Section, belongs_to, file_text, read_sections, write_baselines

TEST = body("assert small.matches(tlm_baseline)", fixtures="small, tlm_baseline")
FILE = """\
# Timing baseline of test_it.py: cycles of each run and layer, and where they went (docs/testing.md).
# `pytest --tlm-update` rewrites it; review the difference before you commit it.

[test_one]
chip = {}
run = { cycles = 2576, first = 0, last = 2575, causes = { computing = 148, pipeline = 39, parameters = 6, write_back = 7, drain = 16, weights = 885, activations = 307, instructions = 230, host = 938 } }
layers.c1 = { cycles = 25, first = 622, last = 646, causes = { computing = 4, pipeline = 13, drain = 8, before_weights = 46, before_activations = 46, before_instructions = 69, before_host = 461 } }
layers.c2 = { cycles = 191, first = 1977, last = 2167, causes = { computing = 144, pipeline = 26, parameters = 6, write_back = 7, drain = 8, before_weights = 839, before_instructions = 160, before_host = 331 } }
"""  # fmt: skip


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    return Project(pytester)


def baseline(project: Project) -> Path:
    return project.path / "test_it.tlm-baseline.toml"


def with_chip(pytester: pytest.Pytester, **keys: object) -> None:
    pytester.makeconftest(
        f"{CONFTEST}\n@pytest.fixture(scope='session')\ndef tlm_chip_overrides():\n    return {keys}\n"
    )


def test_without_a_baseline_the_lines_to_review_are_shown(project: Project) -> None:
    lines = project.fails(TEST).splitlines()
    assert lines[0] == (
        "AssertionError: test_it.tlm-baseline.toml is not there to hold [test_one]; review the lines below, then store them: "
        "pytest --tlm-update"
    )
    assert [line.strip() for line in lines[1:]] == [line.strip() for line in FILE.splitlines()[4:]]
    assert not baseline(project).exists()


def test_update_writes_it_and_then_it_passes(project: Project) -> None:
    assert "tlm: test_it.tlm-baseline.toml: 1 sections, 1 new\n" in project.passes(TEST, "--tlm-update")
    assert baseline(project).read_text() == FILE
    assert "sections" not in project.passes(TEST)
    assert "tlm: test_it.tlm-baseline.toml: 1 sections, nothing changed\n" in project.passes(TEST, "--tlm-update")
    assert baseline(project).read_text() == FILE


@pytest.mark.slow
def test_both_fidelities_and_several_processes_write_the_same_file(project: Project) -> None:
    project.passes("@pytest.mark.fidelity('cycle', 'pass')\n" + TEST, "--tlm-update", "-n2")
    assert baseline(project).read_text() == FILE


def test_a_difference_is_a_table_with_the_reason(project: Project, pytester: pytest.Pytester) -> None:
    """The chip of the baseline is in the file, so the run can be made again and compared transaction by transaction."""
    project.passes(TEST, "--tlm-update")
    with_chip(pytester, accumulate_cycles=2)
    assert project.fails(TEST) == (
        "AssertionError: cycles differ from test_it.tlm-baseline.toml, section [test_one]: the run, layer 'c1', layer 'c2'\n"
        "                                      stored         now    change\n"
        "  the run                              2,576       2,577   +0.04 %\n"
        "    pipeline                              39          42   +7.69 %\n"
        "    write_back                             7           6  -14.29 %\n"
        "    instructions                         230         229   -0.43 %\n"
        "  layer 'c1'                              25          26   +4.00 %\n"
        "    pipeline                              13          14   +7.69 %\n"
        "  layer 'c2'                             191         192   +0.52 %\n"
        "    pipeline                              26          28   +7.69 %\n"
        "    write_back                             7           6  -14.29 %\n"
        "    before_instructions                  160         159   -0.62 %\n"
        "  the first that is at another moment: layer 'c1' ends in cycle 647, stored was 646 (+1)\n"
        "  chip of the baseline: the default one\n"
        "  chip now:             accumulate_cycles = 2 (default 1)\n"
        "  on the chip of the baseline the run is the stored one; in comparison with it:\n"
        "    pipeline                  39 -> 42 (+3): engine.sequencer waits for aligner, mac_array and requantiser\n"
        "    write_back                 7 -> 6 (-1): engine.mac_array waits for engine.requantiser\n"
        "    instructions             230 -> 229 (-1): engine.mac_array waits for engine.sequencer or dma.load\n"
        "    the first transaction where they part, in cycle 635:\n"
        "      engine.mac_array.drain -> engine.requantiser.passes: drain for layer 0 > group 0 > pass 0\n"
        "      is made in cycle 636, 1 cycle later than there\n"
        "  if this is what you want: pytest --tlm-update"
    )


def test_a_changed_network_is_told_from_a_changed_chip(project: Project) -> None:
    project.passes(TEST, "--tlm-update")
    baseline(project).write_text(
        FILE.replace("cycles = 191", "cycles = 190").replace("computing = 148", "computing = 147")
    )
    text = project.fails(TEST)
    assert text.startswith(
        "AssertionError: cycles differ from test_it.tlm-baseline.toml, section [test_one]: layer 'c2'\n"
    )
    assert "  layer 'c2'                             190         191   +0.53 %\n" in text
    assert (
        "  the chip is the one of the baseline, so the network, the compiler or the simulator has changed:\n"
        "    computing                147 -> 148 (+1)\n"
    ) in text


def test_moments_alone_can_differ(project: Project) -> None:
    project.passes(TEST, "--tlm-update")
    baseline(project).write_text(FILE.replace("first = 622, last = 646", "first = 620, last = 644"))
    text = project.fails(TEST)
    assert text.startswith(
        "AssertionError: moments or causes differ from test_it.tlm-baseline.toml, section [test_one]: layer 'c1'\n"
    )
    assert "  the first that is at another moment: layer 'c1' begins in cycle 622, stored was 620 (+2)\n" in text


def test_layers_come_and_go(project: Project) -> None:
    project.passes(TEST, "--tlm-update")
    baseline(project).write_text(FILE.replace("layers.c2", "layers.c3"))
    text = project.fails(TEST)
    assert "  layer 'c3' is gone\n" in text
    assert "  layer 'c2' is new\n" in text


@pytest.mark.slow
def test_several_runs_of_a_test_have_names(project: Project) -> None:
    test = body(
        "assert small.matches(tlm_baseline)",
        "assert tlm_simulate(SMALL, THREES, tlm.ChipConfig.at(0.8)).matches(tlm_baseline, 'at 0.8 V')",
        fixtures="small, tlm_simulate, tlm_baseline",
    )
    project.passes(test, "--tlm-update")
    sections = read_sections(baseline(project))
    assert list(sections) == ["test_one", "test_one at 0.8 V"]
    assert sections["test_one at 0.8 V"].chip == {"voltage_v": 0.8}
    project.passes(test)
    text = project.fails(test.replace(", 'at 0.8 V'", ""), "--tlm-update")
    assert "InputError: baseline: two runs of [test_one] differ; give each run of a test a name of its own" in text


def test_only_passing_tests_are_stored(project: Project) -> None:
    project.fails(TEST + "\n    assert False", "--tlm-update")
    assert not baseline(project).exists()


def test_an_update_keeps_what_was_not_run_and_drops_what_is_gone(project: Project) -> None:
    both = TEST + "\n" + TEST.replace("test_one", "test_two")
    project.passes(both, "--tlm-update")
    both_text = baseline(project).read_text()
    project.passes(both, "--tlm-update", "-k", "test_two")
    assert baseline(project).read_text() == both_text
    project.write(TEST)
    printed = project.run("--tlm-update", "test_it.py::test_one").stdout.str()
    assert "2 sections, nothing changed" in printed
    printed = project.run("--tlm-update").stdout.str()
    assert "test_it.tlm-baseline.toml: 1 sections, 1 removed" in printed
    assert baseline(project).read_text() == FILE


def test_a_file_that_is_no_baseline_is_refused_and_made_anew(project: Project) -> None:
    baseline(project).write_text("[test_one]\nchip = {}\nrun = 'lots of cycles'\n")
    text = project.fails(TEST)
    assert text == (
        "tlm.core.errors.InputError: test_it.tlm-baseline.toml: Expected `object`, got `str` - at `$[...].run`; "
        "restore the file, or rewrite it with --tlm-update"
    )
    assert "test_it.tlm-baseline.toml: could not be read and is made anew" in project.passes(TEST, "--tlm-update")
    assert baseline(project).read_text() == FILE


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    run, layers, parts = (
        Row(9, 0, 8, {"host": 9}),
        {'a "b" [x]': Row(3, 1, 3), "ü": Row(1, 4, 4)},
        {"a[0]": Row(1, 1, 1)},
    )
    chip = {"voltage_v": 0.8, "frequency_mhz": 200.0}
    sections = {"test_b[2]": Section(chip, run, layers, parts), "test_b[10]": Section({}, run, layers)}
    path = tmp_path / "test_x.tlm-baseline.toml"
    path.write_text(file_text(tmp_path / "test_x.py", sections), encoding="utf-8")
    assert read_sections(path) == sections
    assert list(read_sections(path)) == ["test_b[2]", "test_b[10]"]


RUN = "chip = {}\nrun = { cycles = 3, first = 0, last = 2 }\nlayers = {}\n"


@pytest.mark.parametrize(
    "text",
    [
        RUN,  # in no section
        f"[t]\n{RUN}[u]\n{RUN}[t]\n{RUN}",  # twice: both come of merging by hand
        f"[t]\n{RUN}<<<<<<< HEAD\n",
        f"[t]\n{RUN}layers.a = {{ cycles = 3, first = 0 }}\n",
        f"[t]\n{RUN}more = 1\n",
    ],
)
def test_a_file_that_makes_no_sense_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.tlm-baseline.toml"
    path.write_text(text)
    with pytest.raises(
        InputError, match=r"^x.tlm-baseline.toml: .*; restore the file, or rewrite it with --tlm-update$"
    ):
        read_sections(path)


@pytest.mark.parametrize("name", ["'a\\nb'", "5", "small"])
def test_a_name_of_a_run_is_a_line_of_text(project: Project, name: str) -> None:
    test = TEST.replace("matches(tlm_baseline", f"matches(tlm_baseline, {name}")
    assert " is no name of a run; give one line of text, such as 'at 0.8 V'" in project.fails(test, "--tlm-update")
    assert not baseline(project).exists()


def test_names_of_sections() -> None:
    tests = {"test_a", "T.test_a[x y]", "test_a[b[0]]"}
    own = ("test_a", "test_a at [0.8] V", "T.test_a[x y]", "T.test_a[x y] slow", "test_a[b[0]]", "test_a[b[0]] 2")
    assert all(belongs_to(name, tests) for name in own)
    assert not any(belongs_to(name, tests) for name in ("test_ab", "test_a[b]", "T.test_a[x] y", "test"))


def test_processes_that_disagree_are_told(tmp_path: Path) -> None:
    rows = {cycles: {"cycles": cycles, "first": 0, "last": cycles - 1} for cycles in (3, 4, 5)}
    runs = [("test_a", 3), ("test_a", 4), ("test_b", 5), ("test_b", 5)]
    stored = [
        {"file": str(tmp_path / "test_x.py"), "tests": None, "sections": {name: {"chip": {}, "run": rows[cycles]}}}
        for name, cycles in runs
    ]
    assert write_baselines(stored) == (
        ["test_x.tlm-baseline.toml: 1 sections, 1 new"],
        [
            "test_x.tlm-baseline.toml: not stored: two runs of [test_a] differ, at two fidelities perhaps; "
            "they must agree"
        ],
    )
    assert list(read_sections(tmp_path / "test_x.tlm-baseline.toml")) == ["test_b"]


@pytest.mark.parametrize("processes", [(), pytest.param(("-n2", "--dist=each"), marks=pytest.mark.slow)])
def test_fidelities_that_disagree_are_not_stored(project: Project, processes: tuple[str, ...]) -> None:
    """Whichever of two processes ends first."""
    chips = "chip = tlm.ChipConfig(memory_latency_ns=50 if (tlm_fidelity == 'cycle') else 60)"
    test = body(
        chips,
        "assert tlm_simulate(SMALL, THREES, chip).matches(tlm_baseline)",
        fixtures="tlm_simulate, tlm_fidelity, tlm_baseline",
    )
    project.write("@pytest.mark.fidelity('cycle', 'pass')\n" + test)
    result = project.run("--tlm-update", *processes)
    assert result.ret == 1
    printed = result.stdout.str()
    assert (
        "tlm: test_it.tlm-baseline.toml: not stored: two runs of [test_one] differ, at two fidelities perhaps; "
        "they must agree"
    ) in printed
    assert not baseline(project).exists()


def test_a_file_that_cannot_be_written_fails_the_session(project: Project) -> None:
    baseline(project).mkdir()
    project.write(TEST)
    result = project.run("--tlm-update")
    assert result.ret == 1
    assert "test_it.tlm-baseline.toml: is not a regular file" in result.stdout.str()
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()


def test_a_section_is_named_by_classes_and_test_alone(project: Project, pytester: pytest.Pytester) -> None:
    """Not by what other plugins add to the id of a test, as pytest-xdist does with its groups."""
    pytester.makeconftest(
        CONFTEST
        + "\ndef pytest_collection_modifyitems(items):\n    for item in items:\n        item._nodeid = item.nodeid + '@group'\n"
    )
    test = body("assert small.matches(tlm_baseline)", fixtures="self, small, tlm_baseline, one")
    lines = ["class TestAll:", "    @pytest.mark.parametrize('one', [1], ids=['x::y'])", *test.splitlines()]
    project.passes("\n    ".join([lines[0], lines[1].strip(), *lines[2:]]), "--tlm-update")
    assert list(read_sections(baseline(project))) == ["TestAll.test_one[x::y]"]


def test_an_update_keeps_names_with_blanks_and_brackets(project: Project) -> None:
    named = TEST.replace("matches(tlm_baseline)", "matches(tlm_baseline, 'at [0.8]')")
    parameters = "@pytest.mark.parametrize('one', [1], ids=['a[0]'])\n" + TEST.replace("test_one(", "test_two(one, ")
    test = "\n".join([named, parameters, TEST.replace("test_one", "test_three")])
    project.passes(test, "--tlm-update")
    stored = baseline(project).read_text()
    assert '["test_one at [0.8]"]' in stored
    assert '["test_two[a[0]]"]' in stored
    assert "3 sections, nothing changed" in project.passes(test, "--tlm-update", "-k", "test_three")
    assert baseline(project).read_text() == stored


@pytest.mark.slow
def test_an_update_of_the_last_failures_keeps_the_others(project: Project, pytester: pytest.Pytester) -> None:
    """``pytest --lf`` leaves tests that had passed out when it collects, not only when it runs."""
    both = TEST + "\n" + TEST.replace("test_one", "test_two")
    project.passes(both, "--tlm-update")
    text = baseline(project).read_text()
    baseline(project).write_text(text.replace("cycles = 2576", "cycles = 2577", 1))
    assert pytester.runpytest("--tlm-vcd=never").ret == 1
    printed = pytester.runpytest("--lf", "--tlm-update").stdout.str()
    assert "test_it.tlm-baseline.toml: 2 sections, 1 changed" in printed
    assert baseline(project).read_text() == text


@pytest.mark.slow
def test_parts_of_a_split_layer_are_stored(project: Project, pytester: pytest.Pytester) -> None:
    """A difference then names the part."""
    with_chip(pytester, wmem_words=80)
    project.passes(TEST, "--tlm-update")
    text = baseline(project).read_text()
    assert 'parts."c2[0]" = ' in text
    assert 'parts."c2[1]" = ' in text
    with_chip(pytester, wmem_words=80, memory_latency_ns=70)
    project.write(TEST)
    printed = errors(project.run("--tlm-vcd=never").stdout.str())
    assert "chip of the baseline: wmem_words = 80 (default 16384)" in printed
    assert "the first transaction where they part" in printed


@pytest.mark.slow
def test_sections_of_a_worker_that_died_are_stored(project: Project) -> None:
    """The first test passes in its worker, which the second one then ends."""
    project.write(TEST + "\n\n\ndef test_end():\n    import os\n    os._exit(1)\n")
    printed = project.run("--tlm-update", "-n1").stdout.str()
    assert "test_it.tlm-baseline.toml: 1 sections, 1 new" in printed
    assert baseline(project).read_text() == FILE
