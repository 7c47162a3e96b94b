"""The timing of our design, sentence by sentence."""

import pytest

from tlm.testing import never_together


@pytest.fixture
def run(tlm_simulate, network, image):
    return tlm_simulate(network, image)


def test_cycles(run):
    assert run.layer("c1").takes(cycles=1588)
    assert run.takes(cycles=8500, within_percent=2)


def test_plain_comparisons(run):
    assert run.layer("c2").cycles < run.layer("c1").cycles
    assert run.layer("c2").begin - run.layer("c1").end == 318


def test_latency(run):
    memory = run.at("interconnect.to_memory")
    assert memory.latency.at_most(43)
    assert memory.latency.percentile(50) <= 2


def test_throughput(run):
    loads = run.at("dma.load.memory").between(run.transfer("input").begin, run.transfer("input").end)
    assert loads.throughput().at_least(gb_per_s=0.7)
    assert run.bandwidth_below("interconnect.to_memory", gb_per_s=3.2, window_cycles=64)


def test_order(run):
    assert run.transfer("weights of c1").before(run.layer("c1"))
    assert never_together(run.layer("c1"), run.layer("c2"))
    assert run.at("dma.store.amem").never_two_at_once()


def test_stalls(run):
    c1, c2 = run.layer("c1"), run.layer("c2")
    assert c1.no_stall("bank_conflict")
    assert run.no_stall("weights", between=(c1.begin, c1.end))
    assert c2.no_stall("write_back")
    assert run.bank_never_conflicted("imem")


def test_energy(run):
    assert run.energy_at_most(uj=2)
    assert run.layer("c1").energy_at_most(nj=1_400)


@pytest.mark.fidelity("cycle", "pass")
@pytest.mark.max_cycles(10_000)
def test_both_models_agree(tlm_simulate, network, image):
    run = tlm_simulate(network, image)
    assert run.layer("c1").takes(cycles=1588)


def test_a_slower_memory_costs_the_loads_alone(tlm_simulate, tlm_chip, network, image):
    slow = tlm_simulate(network, image, tlm_chip(memory_latency_ns=120))
    fast = tlm_simulate(network, image)
    assert slow.cycles > fast.cycles
    assert slow.layer("c1").cycles == fast.layer("c1").cycles


def test_every_step_reads_one_weight_word(tlm_simulate, tlm_trace, network, image):
    run = tlm_simulate(network, image)
    words = tlm_trace.at("engine.sequencer.wmem").of_layer("c1")
    assert len(words) == run.layer("c1").figures.steps
    assert len(words.of_pass(0)) == run.layer("c1").passes[0].record.steps


@pytest.mark.fidelity("cycle", "pass")
def test_nothing_has_moved(tlm_simulate, tlm_baseline, network, image):
    assert tlm_simulate(network, image).matches(tlm_baseline)
