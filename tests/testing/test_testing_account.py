"""What the plugin finds in recorded transactions is what the result counts, for generated networks and chips."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from chip_cases import NetworkCase, chips, networks
from examples import examples
from hypothesis import HealthCheck, assume, given

from tlm.chip.config import ChipConfig
from tlm.core.errors import CompileError
from tlm.network.network import Conv2d, MaxPool2d, Network
from tlm.testing import Run
from tlm.testing.stalls import cause_cycles

Simulate = Callable[..., Run]
INITIATORS = {
    "engine.requantiser.writes": "write_back",
    "engine.requantiser.residuals": "residual",
    "dma.load.amem": "dma_load",
    "dma.store.amem": "dma_store",
}


def run_of(tlm_simulate: Simulate, case: NetworkCase, chip: ChipConfig) -> Run:
    try:
        return tlm_simulate(case.network, case.activations, chip)
    except CompileError:
        assume(False)
        raise


@examples(24, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=networks(), chip=chips())
def test_stalls_told_apart_cycle_by_cycle_are_the_account(
    tlm_simulate: Simulate, case: NetworkCase, chip: ChipConfig
) -> None:
    run = run_of(tlm_simulate, case, chip)
    counts: Counter[str] = Counter()
    spans = cause_cycles(run.simulated)
    for span in spans:
        counts[span.cause] += span.end_cycle - span.first_cycle
    assert {cause: counts[cause] for cause in run.account()} == run.account()
    spans = [span for span in spans if span.first_cycle < span.end_cycle]
    assert all(before.end_cycle == after.first_cycle for before, after in pairwise(spans))
    for cause, cycles in run.account().items():
        if cause != "computing":
            assert bool(run.no_stall(cause)) == (not cycles)
    for layer in run.layers.values():
        for cause, cycles in layer.account().items():
            if cause != "computing":
                assert bool(layer.no_stall(cause)) == (not cycles)


@pytest.mark.slow
def test_a_layer_in_bands_has_its_own_stalls_alone(tlm_simulate: Simulate) -> None:
    """Bands of two layers take turns, so from the first to the last cycle of one the other stalls, too."""
    rng = np.random.default_rng(0)
    weights = rng.integers(-8, 8, (16, 16, 3, 3))
    network = Network(
        (16, 30, 30), [Conv2d("a", weights, padding=1, multiplier=3, shift=9), MaxPool2d("p", 2, stride=2)]
    )
    run = tlm_simulate(network, rng.integers(0, 16, (16, 30, 30)), ChipConfig(amem_words=512))
    convolution, pooling = run.layer("a"), run.layer("p")
    assert len(convolution.spans()) > 1
    assert convolution.begin < pooling.begin < convolution.end
    assert pooling.account()["bank_conflict"]
    assert not convolution.account()["bank_conflict"]
    assert convolution.no_stall("bank_conflict")
    for layer in (convolution, pooling):
        places = [line for line in layer.takes(1).explanation.splitlines() if "longest" in line]
        assert places
        assert all(f"of {layer.name}" in place for place in places)
        for cause, cycles in layer.account().items():
            if cause != "computing":
                assert layer.no_stall(cause).explanation.startswith(f"{cycles:,} cycle")
        for cause, cycles in layer.figures.waits.by_cause().items():  # those before its first part lie before it
            assert int(layer.no_stall(cause).explanation.split()[0].replace(",", "")) <= cycles


@examples(24, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=networks(), chip=chips())
def test_refused_and_moved_is_what_the_result_counts(
    tlm_simulate: Simulate, case: NetworkCase, chip: ChipConfig
) -> None:
    run = run_of(tlm_simulate, case, chip)
    counted = run.result.account.sram["amem"]
    for socket, initiator in INITIATORS.items():
        assert len(run.at(socket).refused) == counted.refused.get(initiator, 0)
    assert sum(len(run.at(socket).served) for socket in INITIATORS) + len(run.at("engine.aligner.amem")) == sum(
        map(sum, counted.busy.values())
    )
    same_bank = sum(layer.figures.fetch_cycles - layer.figures.steps for layer in run.layers.values())
    assert bool(run.bank_never_conflicted("amem")) == (not same_bank and not counted.refused)
    moved = sum(one.size_bytes for one in run.at("memory.port"))
    assert moved == run.result.traffic.total_bytes
