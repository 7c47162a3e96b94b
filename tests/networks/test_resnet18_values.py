"""Whole ResNet-18 from photograph to class scores: every layer equals onnxruntime's integers and the golden model."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from chip_cases import check_values
from command import SCENARIOS

import tlm
from tlm.results.result import Result
from tlm.scenario.loading import Job, load_scenario

NAMES = ["resnet18_3of9", *(pytest.param(f"resnet18_{k}of9", marks=pytest.mark.slow) for k in (1, 9))]
NAMES += [pytest.param(name, marks=pytest.mark.slow) for name in ("resnet18_dense", "resnet18_random_12")]


@lru_cache(maxsize=1)
def simulated(name: str) -> tuple[Job, Result]:
    job = load_scenario(SCENARIOS / f"{name}.toml").build()
    return job, tlm.simulate(job.network, job.activations, job.chip)


def test_activations_use_their_four_bits() -> None:
    """No layer saturates or dies: the histogram in the result says so."""
    _, result = simulated("resnet18_3of9")
    for layer in list(result.layers.values())[:-1]:
        levels = layer.histogram
        assert levels is not None
        assert sum(levels) == np.prod(layer.output_shape)
        assert sum(count > 0 for count in levels) >= 15
        assert max(levels) < 0.6 * sum(levels)
        assert levels[-1] < 0.15 * sum(levels)
    assert result.layers["fc"].histogram is None


@pytest.mark.parametrize("name", NAMES)
def test_every_layer_equals_onnxruntime(name: str) -> None:
    job, result = simulated(name)
    check_values(job.network, job.activations, result)
    scores = result.outputs[:, 0, 0]
    assert scores.shape == (1000,)
    assert len(set(scores.tolist())) > 500  # 24-bit sums do not tie as 16 levels would
