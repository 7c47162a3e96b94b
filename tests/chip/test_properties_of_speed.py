"""What more banks, more bandwidth, less latency and more bursts in flight can do to one compiled program.

Where nothing runs side by side they never make it slower; the anomalies are in test_anomalies.py and docs/anomalies.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from chip_cases import NetworkCase, chips, networks
from examples import examples
from hypothesis import HealthCheck, assume, given
from hypothesis import strategies as st

import tlm
from tlm.chip.config import ChipConfig
from tlm.compiler.program import Program
from tlm.core.errors import CompileError
from tlm.results.result import Result
from tlm.testing import Run

Simulate = Callable[..., Run]
PURE = [HealthCheck.function_scoped_fixture]
"""The fixture is one for all examples of a test; its runs are functions of their arguments."""
SMALL_WMEM = st.sampled_from((16, 32, 64, 128))
BANKS = ("amem_banks", "wmem_banks", "imem_banks")


def better_chips(chip: ChipConfig) -> Iterator[tuple[str, ChipConfig]]:
    """(changed key, chip): one thing better, all else equal."""
    changes: dict[str, Any] = {key: 2 * getattr(chip, key) for key in BANKS if getattr(chip, key) < 8}
    changes |= {
        "memory_gb_per_s": 2 * chip.memory_gb_per_s,
        "memory_latency_ns": chip.memory_latency_ns / 2,
        "dma_bursts_in_flight": chip.dma_bursts_in_flight + 1,
    }
    for key, value in changes.items():
        yield key, replace(chip, **{key: value})


def run(program: Program, case: NetworkCase) -> Result:
    return tlm.simulate(program, case.activations, fidelity="pass")


def compiled(case: NetworkCase, chip: ChipConfig) -> Program:
    try:
        return tlm.compile(case.network, chip)
    except CompileError:
        assume(False)
        raise


def has_residual(case: NetworkCase) -> bool:
    return any(layer.residual is not None for layer in case.network.layers)


@given(case=networks(), chip=chips())
@examples(60, suppress_health_check=PURE)
def test_a_program_of_one_job_never_gets_slower(tlm_simulate: Simulate, case: NetworkCase, chip: ChipConfig) -> None:
    """Loads, engine and store follow each other, so nothing can come into another's way."""
    program = compiled(case, chip)
    assume(len(program.jobs) == 1)
    cycles = tlm_simulate(program, case.activations).cycles
    for key, better in better_chips(chip):
        if key == "amem_banks" and has_residual(case):
            continue  # test_anomalies.py: a residual read may fall out of step with the writes
        assert tlm_simulate(program, case.activations, better).takes(at_most=cycles), key


@given(case=networks(), chip=chips(columns=8), words=SMALL_WMEM)
@examples(60, suppress_health_check=PURE)
def test_what_the_engine_computes_with_resident_data_depends_on_amem_banks_alone(
    tlm_simulate: Simulate, case: NetworkCase, chip: ChipConfig, words: int
) -> None:
    """With loads beside the computation as well: the DMA has the lowest priority at every bank."""
    chip = replace(chip, wmem_words=words)
    program = compiled(case, chip)
    base = tlm_simulate(program, case.activations)
    for key, better in better_chips(chip):
        run = tlm_simulate(program, case.activations, better)
        assert run.result.outputs_sha256 == base.result.outputs_sha256
        for name, layer in run.layers.items():
            if key != "amem_banks":
                assert layer.takes(cycles=base.layer(name).cycles), key
            elif not has_residual(case):
                assert layer.takes(at_most=base.layer(name).cycles), key


@given(case=networks(), chip=chips(), words=st.none() | SMALL_WMEM)
@examples(100)
def test_sums_close_and_nothing_is_used_more_than_fully(case: NetworkCase, chip: ChipConfig, words: int | None) -> None:
    if words is not None:
        chip = replace(chip, wmem_words=words)
    result = run(compiled(case, chip), case)
    account = result.account
    assert account.array.total + account.waits.total == result.cycles
    assert sum(account.by_cause().values()) == result.cycles
    layers = result.layers.values()
    assert account.array.total == sum(layer.compute_cycles for layer in layers)
    assert account.waits.total == sum(layer.waits.total for layer in layers) + account.waits_at_end.total
    for channel in account.dma.values():
        assert channel.total == result.cycles
    for name, sram in account.sram.items():
        assert len(sram.idle) == getattr(chip, f"{name}_banks")
        busy = np.array(list(sram.busy.values())).sum(axis=0)
        assert (busy + sram.idle == result.cycles).all()
        assert min(sram.idle) >= 0
    for layer in layers:
        assert layer.account.total == layer.compute_cycles
        assert layer.account.computing == layer.steps
        for share in ("utilization", "step_utilization", "lane_utilization", "column_utilization"):
            assert 0 <= getattr(layer, share) <= 1, share
    assert 0 <= result.utilization <= result.compute_utilization <= 1
