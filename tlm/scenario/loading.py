"""A scenario file becomes something that can run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from tlm import reference
from tlm.chip.config import ChipConfig
from tlm.core.errors import InputError
from tlm.core.input_files import read_file
from tlm.inputs.integer_arrays import Int8Array
from tlm.network.golden import OutputArray
from tlm.network.network import Network
from tlm.networks.builder import NetworkBuilder
from tlm.observe.energy_table import EnergyConfig
from tlm.results.result import tensor_sha256
from tlm.scenario.batch_inputs import BatchInputs
from tlm.scenario.blame import blaming
from tlm.scenario.checking import checked, placed
from tlm.scenario.schema import PATH_KEYS, Scenario
from tlm.scenario.sources import Source, merged, override_source, read_sources
from tlm.traces.trace_options import TraceOptions


class Job(Struct, frozen=True, eq=False):
    """What a run needs: ``tlm.simulate(job.network, job.activations, job.chip, job.fidelity, energy=job.energy)``."""

    name: str
    description: str
    network: Network
    activations: Int8Array
    """(C, H, W), or (N, C, H, W) of a batch."""
    chip: ChipConfig
    fidelity: str | None
    trace: TraceOptions
    energy: EnergyConfig
    settings: dict[str, Any]
    """The resolved network and input sections for result.json; files by name and SHA-256."""
    golden: Mapping[str, OutputArray] | None = None
    """Every layer's output by the golden model, where they were asked for."""

    @property
    def batch(self) -> int:
        """Images that run as one program."""
        return len(self.activations) if self.activations.ndim == 4 else 1


class LoadedScenario(Struct, frozen=True):
    """A valid scenario file, not yet built."""

    name: str
    """The file's name without its suffix."""
    config: Scenario
    sources: tuple[Source, ...]

    def build(self, golden: bool = False) -> Job:
        """Make input and network.

        Args:
            golden: keep every layer's golden output, most of which calibration computes anyway.

        Raises:
            InputError: headed by the file to blame.
        """
        config = self.config
        try:
            own = config.input.activations(config.network.input_shape)
            builder = NetworkBuilder(own, config.input.signed)
            config.network.add_to(builder)
            network, activations = builder.network(), config.inputs(own)
            trace = config.trace.options()
        except InputError as error:
            raise placed(error, self.sources) from None
        return Job(
            name=self.name,
            description=config.description,
            network=network,
            activations=activations,
            chip=config.chip,
            fidelity=config.fidelity,
            trace=trace,
            energy=config.energy,
            settings=_settings(config, activations),
            golden=_golden(builder, network, activations) if golden else None,
        )

    def inputs(self, job: Job, count: int, key: str) -> BatchInputs:
        """The job's own input and count - 1 further ones of its kind.

        Args:
            job: from :meth:`build`, no batch.
            count: inputs in all, at least 1.
            key: the option that gave ``count``, for messages.

        Raises:
            InputError: more than there are; headed by ``key``.
        """
        with blaming(key):
            return self.config.input.batch(job.activations, count)


def load_scenario(path: str | Path, overrides: Sequence[str | Source] = ()) -> LoadedScenario:
    """Read and check a scenario file.

    Args:
        path: TOML file.
        overrides: ``"chip.voltage_v=0.8"`` as for ``--set``, or sources made by the caller; later ones win.

    Raises:
        InputError: anything wrong with the files or the overrides, with file, line, key, value and remedy.
    """
    path = Path(path)
    extra = [override_source(item) if isinstance(item, str) else item for item in overrides]
    sources = (*read_sources(path), *extra)
    return LoadedScenario(path.stem, checked(merged(sources), sources), sources)


def _golden(builder: NetworkBuilder, network: Network, activations: Int8Array) -> Mapping[str, OutputArray]:
    """Every layer's output for the input with which the network was built, or for each of a batch that it begins."""
    first = builder.tensors()
    if activations.ndim == 3:
        return first
    images = [first, *(reference.run(network, one) for one in activations[1:])]
    return {name: np.stack([tensors[name] for tensors in images]) for name in first}


def _settings(config: Scenario, activations: Int8Array) -> dict[str, Any]:
    sections = {"network": config.network, "input": config.input}
    settings: dict[str, Any] = {name: msgspec.to_builtins(section) for name, section in sections.items()}
    if config.batch > 1:
        settings["batch"] = config.batch
    settings["input"]["shape"] = list(activations.shape[-3:])
    settings["input"]["sha256"] = tensor_sha256(activations)
    for section, key in PATH_KEYS:
        file = settings[section].get(key)
        if file is not None:
            settings[section][key] = Path(file).name
            settings[section][f"{key}_sha256"] = hashlib.sha256(read_file(Path(file))).hexdigest()
    return settings
