"""The plugin's sentences about cycles: each passes, and fails for the right reason and with the right words."""

from __future__ import annotations

import re

import pytest
from timing_project import Project, body


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    return Project(pytester)


TRUE = (
    "assert small.layer('c1').takes(cycles=25)",
    "assert small.layer('c1').takes(30, within=5)",
    "assert small.takes(cycles=2600, within_percent=1)",
    "assert small.takes(at_most=2576)",
    "assert small.takes(at_least=2576)",
    "assert not small.takes(cycles=2575)",
    "assert small.layer('c2').cycles == 191",
    "assert 25 == small.layer('c1').cycles < small.layer('c2').cycles",
    "assert small.layer('c1').begin == 622",
    "assert small.layer('c1').end + 1 == 647",
    "assert small.layer('c2').passes[1].takes(100)",
    "assert small.transfer('weights of c2').takes(839)",
    "assert small.layer('c1').energy_at_most(nj=37)",
    "assert small.energy_at_most(uj=1, off_chip=True)",
)


def test_what_is_true_passes(project: Project) -> None:
    project.passes(body(*TRUE))


FOUND = (
    ("small.layer('c1').takes(cycles=24)", "layer 'c1' takes 25 cycles, expected exactly 24: 1 too many"),
    ("small.layer('c1').takes(cycles=26)", "layer 'c1' takes 25 cycles, expected exactly 26: 1 too few"),
    ("small.layer('c1').takes(20, within=4)", "layer 'c1' takes 25 cycles, expected about 20 within 4 (16 .. 24): 1 too many"),
    ("small.takes(2600, within_percent=0.5)", "the run takes 2,576 cycles, expected about 2,600 within 13 (2,587 .. 2,613): 11 too few"),
    ("small.takes(at_most=2000)", "the run takes 2,576 cycles, expected at most 2,000: 576 too many"),
    ("small.takes(at_least=3000)", "the run takes 2,576 cycles, expected at least 3,000: 424 too few"),
    ("small.layer('c2').passes[1].takes(99)", "pass 1 of layer 'c2' takes 100 cycles, expected exactly 99: 1 too many"),
    ("small.transfer('input').takes(at_most=40)", "transfer 'input' takes 46 cycles, expected at most 40: 6 too many"),
    ("small.layer('c1').energy_at_most(nj=5)", "layer 'c1' takes 36.209 nJ in the core, expected at most 5 nJ: 624.2 % too much"),
)  # fmt: skip


def test_the_first_line_says_what_was_found_and_expected(project: Project) -> None:
    texts = project.fail_each([body(f"assert {statement}") for statement, _ in FOUND])
    assert [text.splitlines()[0] for text in texts] == [f"AssertionError: {message}" for _, message in FOUND]


def test_a_layer_that_takes_too_long_says_where_its_cycles_went(project: Project) -> None:
    assert project.fails(body("assert small.layer('c2').takes(cycles=184)")) == (
        "AssertionError: layer 'c2' takes 191 cycles, expected exactly 184: 7 too many\n"
        "  from cycle 1,977 to cycle 2,167\n"
        "  the first cycle beyond what is expected:\n"
        "    in cycle 2,161: engine.sequencer waits for engine.requantiser since cycle 2,160: "
        "it writes the last pass of the layer to engine.amem (drain), pass 1 of layer 'c2' (group 1, tile 0)\n"
        "      host waits for engine (cycles 1,939 .. 2,222)\n"
        "  its cycles:\n"
        "    computing                144   75.4 %\n"
        "    pipeline                  26   13.6 %\n"
        "    parameters                 6    3.1 %\n"
        "    write_back                 7    3.7 %\n"
        "    drain                      8    4.2 %\n"
        "  who waited for whom:\n"
        "    engine.sequencer for aligner, mac_array and requantiser, 26 cycles: the pipeline empties after a pass (pipeline)\n"
        "      longest 9 cycles, 2,049 .. 2,057, pass 0 of layer 'c2' (group 0, tile 0)\n"
        "    engine.sequencer for engine.requantiser, 8 cycles: it writes the last pass of the layer to engine.amem (drain)\n"
        "      longest 8 cycles, 2,160 .. 2,167, pass 1 of layer 'c2' (group 1, tile 0)\n"
        "    engine.mac_array for engine.requantiser, 7 cycles: outputs are not yet written back to engine.amem (write_back)\n"
        "      longest 7 cycles, 2,149 .. 2,155, pass 1 of layer 'c2' (group 1, tile 0)"
    )


def test_on_another_chip_the_change_at_fault_and_the_first_other_transaction_are_named(project: Project) -> None:
    """Two keys differ from the default chip; one of them is the reason."""
    text = project.fails(
        body(
            "run = tlm_simulate(tlm.compile(SMALL), THREES, tlm_chip(wmem_banks=8, memory_latency_ns=90))",
            "assert run.takes(cycles=2576)",
            fixtures="tlm_simulate, tlm_chip",
        )
    )
    assert text.startswith(
        "AssertionError: the run takes 3,056 cycles, expected exactly 2,576: 480 too many\n"
        "  this chip is not the default one: wmem_banks = 8 (default 4), memory_latency_ns = 90.0 (default 60.0)\n"
        "  with memory_latency_ns = 60.0 the run takes 2,576 cycles, as expected; in comparison with that run:\n"
        "    weights                  885 -> 1,189 (+304): engine waits for dma.load\n"
    ), text
    assert (
        "    the first transaction where they part, in cycle 99:\n"
        "      interconnect.to_memory -> memory.port: read of 8 bytes at 0x100 for transfer 0 > burst 0 > beat 0\n"
        "      begins in cycle 66, as there\n"
        "      is accepted in cycle 115, 16 cycles later than there\n"
        "      is answered in cycle 115, 16 cycles later than there\n"
    ) in text


def test_a_change_that_explains_nothing_is_not_blamed(project: Project) -> None:
    text = project.fails(
        body(
            "run = tlm_simulate(SMALL, THREES, tlm_chip(wmem_banks=8))",
            "assert run.layer('c1').takes(cycles=20)",
            fixtures="tlm_simulate, tlm_chip",
        )
    )
    assert "  taking back these changes, each or all, does not give what is expected\n" in text
    assert "first transaction" not in text


def test_only_cycles_of_the_engine_count_for_a_layer(project: Project) -> None:
    """The layer begins later, too; what is named is what makes it longer."""
    text = project.fails(
        body(
            "chip = tlm_chip(sram_read_cycles=3, memory_latency_ns=600)",
            "run = tlm_simulate(SMALL, THREES, chip)",
            "assert run.layer('c1').takes(25)",
            fixtures="tlm_simulate, tlm_chip",
        )
    )
    assert "  with sram_read_cycles = 1 layer 'c1' takes 25 cycles, as expected; in comparison with that run:\n" in text
    assert (
        "    pipeline                  13 -> 15 (+2): engine.sequencer waits for aligner, mac_array and requantiser\n"
        in text
    )
    assert (
        "(8 since layer 'c1' began):\n      engine.aligner.vectors -> engine.mac_array.vectors: vector for layer 0"
        in text
    )
    assert re.search(r"^      is made in cycle 1,\d{3}, 2 cycles later than there$", text, re.MULTILINE)


def test_energy_names_the_largest_shares(project: Project) -> None:
    lines = project.fails(body("assert small.energy_at_most(nj=100, off_chip=True)")).splitlines()
    assert lines[0].startswith(
        "AssertionError: the run takes 843.387 nJ in core and off-chip memory, expected at most 100 nJ"
    )
    assert lines[2] == "    off-chip memory        583.700 nJ   69.2 %"


def test_what_the_author_wrote_comes_first(project: Project) -> None:
    lines = project.fails(body("assert small.takes(cycles=1), 'the sum must fit a frame'")).splitlines()
    assert lines[:2] == [
        "AssertionError: the sum must fit a frame",
        "the run takes 2,576 cycles, expected exactly 1: 2,575 too many",
    ]


@pytest.mark.parametrize(
    ("condition", "lines"),
    [
        ("small.takes(1) or small.layer('c1').takes(2)", ["the run takes 2,576", "layer 'c1' takes 25"]),
        ("small.takes(2576) and small.layer('c1').takes(2)", ["layer 'c1' takes 25"]),
    ],
)
def test_the_expectations_of_the_statement_are_explained(project: Project, condition: str, lines: list[str]) -> None:
    """An expectation that was only asked before is none of it."""
    text = project.fails(body("if small.takes(cycles=7):", "    pass", f"assert {condition}"))
    found = [line.strip().removeprefix("AssertionError: ") for line in text.splitlines() if ", expected" in line]
    assert len(found) == len(lines)
    assert all(one.startswith(line) for one, line in zip(found, lines, strict=True))


@pytest.mark.slow
def test_an_assert_that_pytest_does_not_rewrite_names_the_last_false_sentence(project: Project) -> None:
    text = project.fails(body("assert small.layer('c1').takes(cycles=2)"), "--assert=plain")
    assert text.startswith(
        "AssertionError: the last sentence that was false in this test:\n"
        "layer 'c1' takes 25 cycles, expected exactly 2: 23 too many\n"
    )


@pytest.mark.parametrize("earlier", ["assert small.takes(2576)", "if not small.takes(7): pass", "good(small)"])
def test_other_failures_are_left_alone(project: Project, earlier: str) -> None:
    """An expectation that an earlier statement found to be false is not blamed."""
    helper = "def good(run):\n    return bool(run.takes(7))\n"
    assert project.fails(helper + body(earlier, "assert 1 == 2")) == "assert 1 == 2"
    assert project.fails(helper + body(earlier, "raise AssertionError('mine')")) == "AssertionError: mine"


@pytest.mark.parametrize(
    ("condition", "first_line"),
    [
        ("not small.takes(2576)", "assert not <holds: the run takes 2,576 cycles, expected exactly 2,576>"),
        ("small.takes(2576) and 1 == 2", "assert (<holds: the run takes 2,576 cycles, expected exactly 2,576> and 1 == 2)"),
        ("small.takes(2576) and 1 == 2, 'mine'", "AssertionError: mine"),
    ],
)  # fmt: skip
def test_what_holds_is_not_blamed(project: Project, condition: str, first_line: str) -> None:
    text = project.fails(body(f"assert {condition}"))
    assert text.startswith(f"{first_line}\n")
    assert "this holds" not in text


def test_a_false_sentence_without_assert_is_a_warning(project: Project) -> None:
    used = ("print(small.takes(4))", "small.cycles + 1", "small.takes(2576)")
    forgotten = ("small.takes(5)",)
    printed = project.passes(body(*used, *forgotten), "-W", "always:nobody asked")
    assert re.findall(r"PytestWarning: nobody asked whether this holds, write assert before it: (.*)", printed) == [
        "the run takes 2,576 cycles, expected exactly 5: 2,571 too many (test_it.py::test_one)",
    ]
    project.write(body("small.takes(2575)"))
    result = project.run("-W", "error:nobody asked")
    assert result.ret == 1
    assert "nobody asked whether this holds" in result.stdout.str()


def test_plain_numbers_are_left_alone(project: Project) -> None:
    assert project.fails(body("assert small.result.cycles == 3")).startswith(
        "assert 2576 == 3\n +  where 2576 = <Result"
    )
    assert "!=" in project.fails(body("assert small.cycles != 2576"))


MISTAKES = (
    ("small.layer('c3')", "layer: there is no 'c3'; there are: c1, c2"),
    ("small.layer('weights')", "layer: there is no 'weights'; there are: c1, c2"),
    ("small.transfer('weight of c2')", "transfer: there is no 'weight of c2'; did you mean 'weights of c2' or 'weights of c1'?"),
    ("small.at('dma.load.memmory')", "socket: there is no 'dma.load.memmory'; did you mean 'dma.load.memory' or"),
    ("small.takes()", "give one of cycles, at_most and at_least; here: none"),
    ("small.takes(cycles=3, at_most=4)", "give one of cycles, at_most and at_least; here: cycles and at_most"),
    ("small.takes(at_most=3, within=1)", "within: a tolerance belongs to cycles, but at_most was given; leave one of them out"),
    ("small.takes(3, within=-1)", "within: -1 is not allowed; give a number, 0 or more"),
    ("small.matches('at 0.8 V')", "matches: 'at 0.8 V' is no baseline; give the fixture tlm_baseline, then a name"),
    ("small.energy_at_most()", "energy: give one of pj, nj, uj; here: none"),
    ("small.energy_at_most(pj=1, uj=1)", "energy: give one of pj, nj, uj; here: pj and uj"),
)  # fmt: skip


def test_mistakes_are_one_clear_line(project: Project) -> None:
    texts = project.fail_each([body(statement) for statement, _ in MISTAKES])
    for text, (_, message) in zip(texts, MISTAKES, strict=True):
        assert text.splitlines()[0].startswith(f"tlm.core.errors.InputError: {message}")


def test_an_explanation_that_fails_hides_no_failure(project: Project) -> None:
    """Here the transactions are more than may be recorded."""
    text = project.fails(
        body(
            "run = tlm_simulate(tlm.compile(SMALL), THREES, tlm_chip(memory_latency_ns=90))",
            "assert run.takes(cycles=2576)",
            fixtures="tlm_simulate, tlm_chip",
        ),
        "--tlm-trace-limit=100",
    )
    assert text.startswith("AssertionError: the run takes 3,056 cycles, expected exactly 2,576: 480 too many\n")
    assert "  (no further explanation: InputError: trace: cycle " in text


def test_a_run_that_fails_in_any_way_is_reported(project: Project) -> None:
    project.write(
        """
from tlm.chip.around.off_chip_memory import OffChipMemory

def test_one(tlm_simulate, monkeypatch):
    def broken(self, payload):
        raise ZeroDivisionError("a fault in somebody's block")
        yield
    monkeypatch.setattr(OffChipMemory, "serve", broken)
    tlm_simulate(SMALL, THREES, fidelity="cycle")
"""
    )
    result = project.run()
    assert result.ret == 1
    printed = result.stdout.str()
    assert "ZeroDivisionError: a fault in somebody's block" in printed
    assert "failed-run.vcd opens at cycle 66" in printed
