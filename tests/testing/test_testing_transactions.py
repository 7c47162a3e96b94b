"""The plugin's sentences about sockets, order, stalls, banks: each passes, and fails for the right reason."""

from __future__ import annotations

import pytest
from timing_project import Project, body


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    return Project(pytester)


WRITES = "conflicts.at('engine.requantiser.writes')"


TRUE = (
    "small.at('interconnect.to_memory').latency.at_most(43)",
    "small.at('interconnect.to_memory').latency.percentile(50) == 1",
    "small.at('memory.port').latency.min == 0 < small.at('memory.port').latency.max <= 43",
    "small.at('host.bus').latency.exactly(2)",
    "small.at('host.bus').latency.at_least(2)",
    "small.at('engine.sequencer.wmem').throughput().at_most(16)",
    "small.at('dma.load.memory').throughput(64).at_least(0)",
    "small.at('dma.load.memory').between(600, 699).throughput(50).min_bytes_per_cycle == 0",
    "small.at('dma.load.memory').between(600, 1200).between(0, 699).throughput().window_cycles == 120",
    "small.at('dma.load.memory').throughput(64).max_bytes_per_cycle == 3.625",
    "small.bandwidth_below('interconnect.to_memory', gb_per_s=3.3, window_cycles=16)",
    "small.transfer('weights of c1').before(small.layer('c1'))",
    "small.layer('c1').passes[0].before(small.layer('c2').passes)",
    "before([small.layer('c1'), small.transfer('input')], small.transfer('output from channel 0'))",
    "never_together(small.layer('c1'), small.layer('c2'))",
    "never_together(small.at('dma.load.amem'), small.at('dma.store.amem'), small.layers['c2'])",
    "never_two_at_once(small.layers) and never_two_at_once(small.layers.values())",
    "before(small.layer('c1'), tlm_simulate(SMALL, THREES, fidelity='cycle').layer('c2'))",
    "small.at('engine.sequencer.passes').of_layer('c1').never_two_at_once()",
    "small.no_stall('bank_conflict')",
    "small.layer('c1').no_stall('write_back')",
    "small.no_stall('weights', between=(small.layer('c1').begin, small.layer('c1').end))",
    "conflicts.no_stall('bank_conflict', between=(749, 749))",
    "small.bank_never_conflicted('wmem', 3)",
    "small.bank_never_conflicted('imem')",
)


def test_what_is_true_passes(project: Project) -> None:
    imports = "from tlm.testing import before, never_together, never_two_at_once\n"
    statements = [f"assert {statement}" for statement in TRUE]
    project.passes(imports + body(*statements, fixtures="small, conflicts, tlm_simulate"))


FOUND = (
    ("small.at('interconnect.to_memory').latency.at_most(42)", "longest latency at interconnect.to_memory is 43 cycles, expected at most 42: 1 too many"),
    ("small.trace.latency.at_most(42)", "longest latency of the run is 45 cycles, expected at most 42: 3 too many"),
    ("small.at('host.bus').latency.exactly(3)", "longest latency at host.bus is 2 cycles, expected exactly 3: 1 too few"),
    ("small.at('dma.load.memory').throughput().at_least(gb_per_s=2)", "throughput at dma.load.memory is 1.670 bytes a cycle (0.892 GB/s) in the emptiest window of 1,768 cycles, expected at least 3.745 bytes a cycle (2.000 GB/s)"),
    ("small.at('dma.load.memory').between(0, 10**9).throughput().at_least(1.5)", "throughput at dma.load.memory, in cycles 0 .. 1,000,000,000 is 1.146 bytes a cycle (0.612 GB/s) in the emptiest window of 2,576 cycles, expected at least 1.500"),
    ("small.bandwidth_below('memory.port', 5, window_cycles=16)", "throughput at interconnect.to_memory is 6.000 bytes a cycle (3.204 GB/s) in the fullest window of 16 cycles, expected at most 5.000 bytes a cycle (2.670 GB/s)"),
    ("small.layer('c2').before(small.layer('c1'))", "layer 'c2' ends in cycle 2,167, expected before layer 'c1' begins in cycle 622"),
    ("small.at('dma.load.memory').never_two_at_once()", "dma.load.memory: read of 8 bytes at 0x80000100 for transfer 0 > burst 0 > beat 0 and dma.load.memory: read of 8 bytes at 0x80000140 for transfer 0 > burst 1 > beat 0 are under way together in cycle 66, expected that they are never two at once"),
    ("never_together(small.at('host.bus'), small.transfers)", "host.bus: write of 8 bytes at 0x40 and transfer 'instructions of c1' are under way together in cycle 65"),
    ("small.no_stall('write_back')", "7 cycles are stalls of kind 'write_back' in the run, expected none"),
    ("small.layer('c2').no_stall('parameters')", "6 cycles are stalls of kind 'parameters' in layer 'c2', expected none"),
    ("conflicts.no_stall('bank_conflict', between=(748, 749))", "1 cycle is a stall of kind 'bank_conflict' between cycles 748 and 749, expected none"),
    ("small.no_stall('weights', between=(1000, 1009))", "10 cycles are stalls of kind 'weights' between cycles 1,000 and 1,009, expected none"),
    ("small.bank_never_conflicted('amem', 0)", "14 accesses found amem bank 0 taken, expected none"),
    ("conflicts.bank_never_conflicted('amem')", "12 accesses found amem taken, expected none"),
)  # fmt: skip


def test_the_first_line_says_what_was_found_and_expected(project: Project) -> None:
    imports = "from tlm.testing import before, never_together\n"
    bodies = [body(f"assert {statement}", fixtures="small, conflicts") for statement, _ in FOUND]
    for text, (_, message) in zip(project.fail_each(bodies, imports), FOUND, strict=True):
        assert text.splitlines()[0].startswith(f"AssertionError: {message}"), text


def test_a_latency_names_the_first_transaction_outside_and_who_waited(project: Project) -> None:
    assert project.fails(
        body("assert conflicts.at('engine.requantiser.writes').latency.at_most(0)", fixtures="conflicts")
    ) == (
        "AssertionError: longest latency at engine.requantiser.writes is 1 cycle, expected at most 0: 1 too many\n"
        "  6 of 24 transactions are outside\n"
        "  least 0, 50% 0, 90% 1, 99% 1, most 1 cycles\n"
        "  the first of them:\n"
        "    engine.requantiser.writes -> engine.amem.write_back: write of 16 bytes at word 18 for layer 0 > group 0 > pass 0; "
        "cycle 749, asked for since cycle 748\n"
        "    refused by an arbiter for 1 cycle\n"
        "    it waited 1 cycle for engine.amem.write_back\n"
        "  in cycle 749: the array computes, pass 1 of layer 'a' (group 0, tile 1)\n"
        "    host waits for engine (cycles 723 .. 899)"
    )


def test_an_order_names_the_two_and_how_far_they_are_off(project: Project) -> None:
    assert project.fails(body("assert small.at('engine.mac_array.drain').before(small.layer('c1').passes)")) == (
        "AssertionError: engine.mac_array.drain: drain for layer 1 > group 1 > pass 1 ends in cycle 2,156, expected before "
        "pass 0 of layer 'c1' begins in cycle 622\n"
        "  first   engine.mac_array.drain: drain for layer 1 > group 1 > pass 1 (cycles 2,149 .. 2,156)\n"
        "  second  pass 0 of layer 'c1' (cycles 622 .. 646)\n"
        "  they are in the opposite order, 1,502 cycles apart\n"
        "  in cycle 622: the array computes, pass 0 of layer 'c1' (group 0, tile 0)\n"
        "    host accesses registers (cycles 556 .. 672)"
    )
    text = project.fails(body("assert small.layer('c2').passes[0].before(small.layer('c2').passes[1])"))
    assert "  the second begins 88 cycles too early\n" in text


def test_an_overlap_names_both_and_their_common_cycles(project: Project) -> None:
    lines = project.fails(body("assert small.at('dma.load.memory').never_two_at_once()")).splitlines()
    assert lines[1:4] == [
        "  first   dma.load.memory: read of 8 bytes at 0x80000100 for transfer 0 > burst 0 > beat 0 (cycles 65 .. 100)",
        "  second  dma.load.memory: read of 8 bytes at 0x80000140 for transfer 0 > burst 1 > beat 0 (cycles 66 .. 111)",
        "  they have 35 cycles in common; 364 such pairs in all",
    ]


def test_a_stall_says_who_waited_for_whom_when_and_how_long(project: Project) -> None:
    assert project.fails(body("assert conflicts.layer('a').no_stall('bank_conflict')", fixtures="conflicts")) == (
        "AssertionError: 2 cycles are stalls of kind 'bank_conflict' in layer 'a', expected none\n"
        "  engine.aligner waited for engine.amem: words of one step lie in the same bank\n"
        "  2 times, at most 1 cycle, from cycle 748 on; the first:\n"
        "    cycles 748 .. 748 (1), pass 1 of layer 'a' (group 0, tile 1)\n"
        "    cycles 750 .. 750 (1), pass 1 of layer 'a' (group 0, tile 1)"
    )


def test_a_bank_conflict_names_both_accesses(project: Project) -> None:
    assert project.fails(body("assert small.bank_never_conflicted('amem')")) == (
        "AssertionError: 62 accesses found amem taken, expected none\n"
        "  who found it taken: engine.requantiser.writes 62 times\n"
        "  the first, in cycle 2,071 at bank 0:\n"
        "    engine.requantiser.writes -> engine.amem.write_back: write of 16 bytes at word 24 for layer 1 > group 0 > pass 0; "
        "cycle 2,071, refused\n"
        "    while the bank served engine.aligner.amem -> engine.amem.aligner: read of 16 bytes at word 4 for "
        "layer 1 > group 1 > pass 1 > beat 3; cycle 2,071\n"
        "    engine.requantiser.writes waited 6 cycles for engine.amem.write_back"
    )


def test_bandwidth_names_the_first_window_and_the_worst(project: Project) -> None:
    lines = project.fails(body("assert small.bandwidth_below('memory.port', 2, window_cycles=16)")).splitlines()
    assert lines[1:6] == [
        "  717 of 2,493 windows are outside",
        "  the first is cycles 90 .. 105 with 40 bytes",
        "  the worst begins in cycle 99 with 96 bytes",
        "  in the first window 4 transactions begin, the first of them:",
        "    interconnect.to_memory -> memory.port: read of 8 bytes at 0x108 for transfer 0 > burst 0 > beat 1; cycles 100 .. 101",
    ]


MISTAKES = (
    ("small.no_stall('bank_conflicts')", "kind of stall: there is no 'bank_conflicts'; did you mean 'bank_conflict'?"),
    ("small.no_stall('computing')", "kind of stall: there is no 'computing'; "),
    ("small.no_stall('host', between=(7, 3))", "between: cycle 3 lies before 7; give the earlier moment first"),
    ("small.no_stall('host', between=(2576, 9999))", "between: cycles 2,576 .. 9,999 lie outside of the run, which is cycles 0 .. 2,575; give moments of it"),
    ("small.no_stall('host', between=(-9, -1))", "between: cycles -9 .. -1 lie outside of the run, which is cycles 0 .. 2,575; "),
    ("small.no_stall('host', between=(float('nan'), 3))", "between: (nan, 3) is not two moments; give the first and the last cycle, such as "),
    ("small.no_stall('host', between=7)", "between: 7 is not two moments; "),
    ("small.no_stall('host', between=(1, 2, 3))", "between: (1, 2, 3) is not two moments; "),
    ("small.no_stall('host', between=(small.layer('c1'), small.layer('c2')))", "between: (<layer 'c1': cycles 622 .. 646>, "),
    ("small.at('host.bus').between(7, 3)", "between: cycle 3 lies before 7; give the earlier moment first"),
    ("small.at('host.bus').between('a', 3)", "between: ('a', 3) is not two moments; "),
    ("small.bank_never_conflicted('amem', 4)", "bank: amem has no bank 4; it has 4, from 0 on"),
    ("small.bank_never_conflicted('amem', '2')", "bank: amem has no bank '2'; it has 4, from 0 on"),
    ("small.bank_never_conflicted('sram')", "memory: there is no 'sram'; there are: amem, wmem, imem"),
    ("small.at('engine.requantiser.residuals').latency", "latency: there is no transaction at engine.requantiser.residuals; choose others"),
    ("small.at('host.bus').latency.percentile(101)", "percentile: 101 is not allowed; give 0..100"),
    ("small.at('host.bus').throughput(0)", "window_cycles: 0 is not allowed; "),
    ("small.at('host.bus').throughput().at_most()", "throughput: give one of bytes_per_cycle and gb_per_s"),
    ("small.layer('c1').before('c2')", 'second: a str has no place in time; give a layer, a pass, a transfer or transactions of a run, such as run.layer("c1")'),
    ("small.layer('c1').before([])", "second: it is empty ([]); choose something that happens"),
    ("never_together([small])", "never_together: 1 things were given; give two or more, or a list to never_two_at_once"),
    ("small.layer('c1').before(small.at('host.bus')[0])", "second: a single transaction cannot be ordered; give a slice, such as run.at(..)[3:4]"),
    ("small.layer('c2').before(other.layer('c1'))", "second: it is of another run, whose moments come neither before nor after those of the first; compare numbers"),
    ("never_together(small.layer('c2'), other.layer('c1'))", "thing 2: it is of another run, "),
    ("small.layer('c1').before([small.layer('c2'), other.layer('c1')])", "second: it is of another run, "),
    ("small.trace.of_pass(3)", "pass: there is no pass 3 of the run; there are 3, from 0 on"),
    ("small.trace.of_layer('c2').of_pass('1')", "pass: there is no pass '1' of layer 'c2'; there are 2, from 0 on"),
    ("small.at('host.bus').of_pass(0)", "pass: there is no pass 0 at host.bus; passes have transactions of the engine alone"),
    ("small.at('engine.sequencer.steps').throughput().at_most(5)", "throughput: no transaction at engine.sequencer.steps moves bytes; choose others"),
    ("small.trace.of_layer('c9')", "layer: there is no 'c9'; there are: c1, c2"),
)  # fmt: skip


def test_mistakes_are_one_clear_line(project: Project) -> None:
    other = "other = tlm_simulate(SMALL, THREES, tlm.ChipConfig(memory_latency_ns=1200))"
    bodies = [
        body(*([other] if "other." in statement else []), statement, fixtures="small, tlm_simulate")
        for statement, _ in MISTAKES
    ]
    texts = project.fail_each(bodies, "from tlm.testing import never_together\n")
    for text, (_, message) in zip(texts, MISTAKES, strict=True):
        assert text.startswith(f"tlm.core.errors.InputError: {message}"), text


@pytest.mark.parametrize("fidelity", ["cycle", "pass"])
def test_recorded_transactions(project: Project, fidelity: str) -> None:
    """Whatever the fidelity of the run, its transactions are those of fidelity "cycle"."""
    project.passes(
        f"@pytest.mark.fidelity({fidelity!r})\n"
        + body(
            "steps = tlm_trace.at('engine.sequencer.steps')",
            "assert len(steps) == 148 == small.layer('c1').figures.steps + small.layer('c2').figures.steps",
            "assert len(steps.of_layer('c1')) == 4",
            "assert len(steps.of_layer('c2').of_pass(1)) == len(tlm_trace.of_pass(2).at('engine.sequencer.steps')) == 72",
            "assert steps[0].begin_cycle == small.layer('c1').begin == steps.first_cycle",
            "assert [one.begin_cycle for one in steps[:4]] == [622, 623, 624, 625]",
            "assert len(tlm_trace.between(622, 625).at('engine.sequencer.steps')) == 4",
            "loads = tlm_trace.of_layer('c2').at('dma.load.wmem')",
            "assert len(loads.served) * 16 == small.layer('c2').figures.weight_load_bytes",
            "beats = tlm_trace.of_layer('c2').at('interconnect.to_memory')",
            "moved = small.layer('c2').figures",
            "assert sum(one.size_bytes for one in beats) == moved.load_bytes + moved.store_bytes",
            "refused = small.at('engine.requantiser.writes').refused",
            "assert len(refused) == 62 and all(one.refused for one in refused)",
            "assert str(steps[0]) == 'engine.sequencer.steps -> engine.aligner.steps: step for layer 0 > group 0 > pass 0 > beat 0; cycle 622'",
            "assert 'dma.load.memory' in small.trace.sockets",
            fixtures="small, tlm_trace",
        )
    )


def test_a_trace_without_a_run_is_refused(project: Project) -> None:
    text = project.fails(body("tlm_trace.at('host.bus')", fixtures="tlm_trace"))
    assert (
        text
        == "tlm.core.errors.InputError: tlm_trace: this test has made no run yet; call tlm_simulate or tlm_scenario first"
    )


def test_a_trace_that_was_cut_is_refused(project: Project) -> None:
    """Half of the transactions would let every sentence pass."""
    text = project.fails(body("assert small.at('host.bus').latency.at_most(2)"), "--tlm-trace-limit=1000")
    assert text == (
        "tlm.core.errors.InputError: trace: cycle 1,733 of 2,576 brings more than 1,000 transactions, which are all that are "
        "recorded; test a smaller network, or raise --tlm-trace-limit"
    )
