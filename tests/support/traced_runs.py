"""Traced runs that the tests of the timeline trace share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from trace_reader import Trace
from waves import CHIP, small_network

import tlm
from tlm.chip.fidelity import Fidelity
from tlm.chip.system import System
from tlm.observe.energy import EnergyObserver
from tlm.observe.energy_table import EnergyConfig
from tlm.observe.recorder import Recorder
from tlm.observe.watched import Watched
from tlm.results.result_json import result_json

FIDELITIES = ("pass", "cycle")


def stalling_network() -> tuple[tlm.Network, Any]:
    """The stalls that the small network lacks: empty pattern words, and handovers that wait for write-back."""
    weights = np.ones((12, 130, 1, 1), np.int8)
    weights[:, 60:120] = 0
    layers = [
        tlm.Conv2d("holes", weights, multiplier=9, shift=12),
        tlm.Conv2d("scores", np.ones((8, 12, 1, 1), np.int8), accumulator_output=True),
    ]
    return tlm.Network((130, 4, 4), layers), np.ones((130, 4, 4), np.int8)


class Run:
    """One traced run in a fidelity, and its trace."""

    def __init__(self, directory: Path, fidelity: str, stalls: bool = False) -> None:
        network, self.activations = stalling_network() if stalls else small_network()
        self.fidelity = fidelity
        self.program = tlm.compile(network, CHIP)
        self.path = directory / "run.json"
        options = tlm.TraceOptions(timeline=self.path)
        self.result = tlm.simulate(self.program, self.activations, fidelity=fidelity, trace=options)
        self.record: dict[str, Any] = json.loads(result_json(self.result))
        self.trace = Trace(self.path)

    def watched(self) -> Watched:
        """A new system that runs the same."""
        system = System(self.program.config, Fidelity(self.fidelity))
        recorder = Recorder(system)
        system.preload(self.program.image(self.program.network.check_activations(self.activations)))
        return Watched(system, self.program, recorder, EnergyObserver(system, recorder, EnergyConfig()))
