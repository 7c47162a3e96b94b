"""How a run is made, so that it can be made again: the same, recorded, with a waveform, or on another chip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy.typing as npt

from tlm.chip.config import ChipConfig
from tlm.compiler.compile import compile_network
from tlm.compiler.program import Program
from tlm.core.errors import InputError
from tlm.network.network import Network
from tlm.observe.energy_table import EnergyConfig
from tlm.observe.faults import BitFlip
from tlm.results.result import Result
from tlm.runs.simulate import Observer, simulate
from tlm.testing.names import known_name
from tlm.traces.trace_options import TraceOptions


@dataclass(frozen=True, eq=False, kw_only=True)
class Recipe:
    """The arguments of :func:`tlm.simulate`; a run is a function of them."""

    source: Network | Program
    """What the test gave."""
    program: Program
    """The same, compiled."""
    identity: object
    """Equal for equal networks and inputs."""
    activations: npt.NDArray[Any]
    chip: ChipConfig
    fidelity: str | None
    faults: tuple[BitFlip, ...] = ()
    energy: EnergyConfig | None = None
    title: str = ""
    """Where it came from, if not from arrays: a scenario's name."""

    @property
    def key(self) -> object:
        """Equal for recipes whose runs are equal, at whatever fidelity."""
        return self.identity, self.program.config, self.chip, self.faults, self.energy

    def simulate(
        self, fidelity: str | None = None, trace: TraceOptions | None = None, observers: Sequence[Observer] = ()
    ) -> Result:
        """Run it.

        Args:
            fidelity: another than its own.
            trace: what to record in files.
            observers: who else watches.

        Raises:
            TlmError: as of :func:`tlm.simulate`.
        """
        return simulate(
            self.program,
            self.activations,
            chip=self.chip,
            fidelity=fidelity or self.fidelity,
            trace=trace,
            faults=self.faults,
            energy=self.energy,
            observers=observers,
        )

    def on(self, chip: ChipConfig) -> Recipe:
        """The same on another chip; a network is compiled for it, a program is not compiled again.

        Raises:
            InputError, CompileError: it does not fit that chip.
        """
        if isinstance(self.source, Program):
            self.program.check_chip(chip)
            return replace(self, chip=chip)
        return replace(self, chip=chip, program=compile_network(self.source, chip))


def chip_of(defaults: dict[str, Any], overrides: dict[str, Any]) -> ChipConfig:
    """A chip from keys of ChipConfig.

    Args:
        defaults: of the project (fixture ``tlm_chip_overrides``).
        overrides: of the test; they win.

    Raises:
        InputError: an unknown key, with the nearest one, or a value that is not allowed.
    """
    keys = [item.name for item in fields(ChipConfig)]
    for key in (*defaults, *overrides):
        known_name("chip", key, keys)
    return ChipConfig(**(defaults | overrides))


def chip_changes(chip: ChipConfig) -> dict[str, Any]:
    """Key -> value of what differs from the default chip; a clock that follows from the voltage is left out."""
    default, derived = ChipConfig(), ChipConfig(voltage_v=chip.voltage_v).frequency_mhz
    changes = {
        item.name: getattr(chip, item.name)
        for item in fields(ChipConfig)
        if getattr(chip, item.name) != getattr(default, item.name)
    }
    if chip.frequency_mhz == derived:
        changes.pop("frequency_mhz", None)
    elif "frequency_mhz" not in changes:
        changes["frequency_mhz"] = chip.frequency_mhz
    return changes


def changed_text(changes: dict[str, Any]) -> str:
    """Such changes in words."""
    default = ChipConfig()
    return ", ".join(f"{key} = {value} (default {getattr(default, key)})" for key, value in changes.items())


def check_fidelity(name: object, where: str) -> None:
    """Nothing if there is such a model.

    Raises:
        InputError: there is none.
    """
    from tlm.runs.simulate import FIDELITIES

    if name not in FIDELITIES:
        raise InputError(f"{where}: {name!r} is not one of {', '.join(FIDELITIES)}")
