"""Shipped scenarios on the published array: the circuit equals fidelity "pass" in outputs and every figure.

docs/tools/compare_rtl.py does the same for all scenarios.
"""

from __future__ import annotations

import pytest
from command import REPOSITORY
from fidelities import assert_equal

import tlm
from tlm.scenario.loading import load_scenario

pytestmark = pytest.mark.slow

SCENARIOS = ("model1", "model2_3of9", "photograph_conv1", "resnet18_conv3_2_3of9")
"""Two models at two levels of pruning, a photograph, and the main job."""


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_shipped_scenario(name: str) -> None:
    job = load_scenario(REPOSITORY / "scenarios" / f"{name}.toml").build()
    program = tlm.compile(job.network, job.chip)
    clear, circuit = (
        tlm.simulate(program, job.activations, fidelity=fidelity, energy=job.energy) for fidelity in ("pass", "rtl")
    )
    assert (clear.fidelity, circuit.fidelity) == ("pass", "rtl")
    assert_equal(clear, circuit)
