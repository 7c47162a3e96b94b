"""All shipped scenarios on the published array: the circuit equals fidelity "pass" in outputs and every figure.

Blocks and whole networks of every level of pruning, dense, random, and trained models.
"""

from __future__ import annotations

import pytest
from command import REPOSITORY
from fidelities import assert_equal

import tlm
from tlm.scenario.loading import load_scenario

pytestmark = pytest.mark.slow

SCENARIOS = sorted(path.stem for path in (REPOSITORY / "scenarios").glob("*.toml"))


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_shipped_scenario(name: str) -> None:
    job = load_scenario(REPOSITORY / "scenarios" / f"{name}.toml").build()
    program = tlm.compile(job.network, job.chip)
    clear, circuit = (
        tlm.simulate(program, job.activations, fidelity=fidelity, energy=job.energy) for fidelity in ("pass", "rtl")
    )
    assert (clear.fidelity, circuit.fidelity) == ("pass", "rtl")
    assert_equal(clear, circuit)
