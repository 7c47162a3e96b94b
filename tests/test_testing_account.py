"""What the plugin finds in recorded transactions is what the result counts, for generated networks and chips."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise

from chip_cases import NetworkCase, chips, networks
from hypothesis import HealthCheck, assume, given, settings

from tlm.chip.config import ChipConfig
from tlm.core.errors import CompileError
from tlm.testing import Run

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


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=networks(), chip=chips())
def test_stalls_told_apart_cycle_by_cycle_are_the_account(
    tlm_simulate: Simulate, case: NetworkCase, chip: ChipConfig
) -> None:
    run = run_of(tlm_simulate, case, chip)
    counts: Counter[str] = Counter()
    for span in run.cause_cycles:
        counts[span.cause] += span.end_cycle - span.first_cycle
    assert {cause: counts[cause] for cause in run.account()} == run.account()
    spans = [span for span in run.cause_cycles if span.first_cycle < span.end_cycle]
    assert all(before.end_cycle == after.first_cycle for before, after in pairwise(spans))
    for cause, cycles in run.account().items():
        if cause != "computing":
            assert bool(run.no_stall(cause)) == (not cycles)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
