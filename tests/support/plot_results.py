"""Results on disk that pictures are drawn from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import tlm
from tlm.plots.sources import Source, load_sources
from tlm.scenario.catalog import find_scenario
from tlm.scenario.loading import load_scenario

POOLED = """\
[network]
kind = "resnet18"
size = 32
classes = 10
taps = 3

[input]
kind = "random"
seed = 3
"""
"""All kinds of layers, max pooling among them, in little time."""


def write(directory: Path, scenario: str | Path, *overrides: str) -> Path:
    """Run a scenario and write its result to a new directory."""
    path = scenario if isinstance(scenario, Path) else find_scenario(scenario)
    job = load_scenario(path, list(overrides)).build(golden=False)
    result = tlm.simulate(job.network, job.activations, job.chip, fidelity=job.fidelity, energy=job.energy)
    replace(result, scenario=job.name, settings=job.settings).save(directory)
    return directory


def write_network(directory: Path, network: tlm.Network, name: str | None = None) -> Path:
    """Run a network from Python, with an input of ones, and write its result to a new directory."""
    import numpy as np

    result = tlm.simulate(network, np.ones(network.input_shape, np.int8))
    replace(result, scenario=name).save(directory)
    return directory


def source(directory: Path) -> Source:
    """One result, read back."""
    (one,) = load_sources([directory])
    return one
