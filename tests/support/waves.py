"""Waveforms as an independent reader (pywellen) sees them, and the network that most of their tests run."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pywellen

import tlm
from tlm.chip.fidelity import Fidelity
from tlm.chip.system import System
from tlm.core.kernel import Activity
from tlm.observe.energy import EnergyObserver
from tlm.observe.energy_table import EnergyConfig
from tlm.observe.recorder import Recorder
from tlm.observe.watched import Watched
from tlm.traces.tracing import traced

CHIP = tlm.ChipConfig(
    lanes=8, columns=8, amem_banks=2, amem_words=1024, wmem_words=128, imem_words=512, memory_bytes=1 << 16
)


def small_network() -> tuple[tlm.Network, Any]:
    """Every kind of event on an 8x8 array: conflicts (stride 2), a residual, a split layer, accumulator output."""
    rng = np.random.default_rng(5)

    def weights(*shape: int, density: float = 1.0) -> Any:
        return (rng.integers(-8, 8, shape) * (rng.random((1, *shape[1:])) < density)).astype(np.int8)

    scale: dict[str, Any] = {"multiplier": 300, "shift": 12}
    pruned = weights(12, 12, 3, 3, density=0.3)
    layers = [
        tlm.Conv2d("pw1", weights(12, 6, 1, 1), **scale),
        tlm.Conv2d("res", pruned, padding=1, residual="pw1", residual_multiplier=9, **scale),
        tlm.Conv2d("down", weights(20, 12, 3, 3, density=0.9), padding=1, stride=2, **scale),
        tlm.Conv2d("scores", weights(3, 20, 1, 1), accumulator_output=True),
    ]  # fmt: skip
    return tlm.Network((6, 7, 8), layers), rng.integers(0, 16, (6, 7, 8))


class Waves:
    """A dump as pywellen reads it; nothing but times, values and the legend of the states in its head."""

    def __init__(self, path: Path) -> None:
        self._waveform = pywellen.Waveform(str(path))
        self._vars = {v.full_name: v for v in self._waveform.all_vars()}
        self.names = set(self._vars)
        counter = self.raw("clock.cycle")
        self._cycle_of_ps = {time: value for time, value in counter if isinstance(value, int)}
        self.last_cycle = max(self._cycle_of_ps.values())
        self.legend: dict[int, str] = {}
        if path.suffix == ".vcd":
            head = path.read_text().partition("$enddefinitions")[0]
            line = re.search(r"^\tstates: (.*)$", head, re.MULTILINE)
            assert line is not None
            self.legend = {int(code, 16): name for code, name in (item.split(" ") for item in line[1].split(", "))}

    def raw(self, name: str) -> list[tuple[int, Any]]:
        """(time in ps, value) of every change."""
        return list(self._vars[name].signal)

    def changes(self, name: str) -> list[tuple[int, Any]]:
        """(cycle, value) of every change, by the dump's own cycle counter; not where a window ends."""
        known = self._cycle_of_ps
        return [(known[time], value) for time, value in self.raw(name) if time in known]

    def states(self, name: str) -> list[tuple[int, str]]:
        """The same of a signal that shows states, by name."""
        return [(cycle, self.legend[value]) for cycle, value in self.changes(name)]

    def cycles(self, name: str) -> list[int]:
        """The cycles in which an event happens."""
        return [cycle for cycle, _ in self.changes(name)]

    def each_cycle(self, name: str) -> list[Any]:
        """The value in every cycle from 0 on."""
        return _each(self.changes(name), self.last_cycle + 1)

    def each_state(self, name: str) -> list[str]:
        """The state's name in every cycle."""
        return _each(self.states(name), self.last_cycle + 1)

    def final(self, name: str) -> Any:
        """The last value."""
        return self.raw(name)[-1][1]

    def layer_scopes(self) -> dict[str, str]:
        """Layer -> its scope."""
        scopes = sorted({name.rpartition(".")[0] for name in self.names if name.startswith("layers.")})
        return {self.final(f"{scope}.name"): scope for scope in scopes}

    def integral(self, name: str, cycles: int) -> float:
        """Sum of a quantity over the cycles of a run, times their length in ps."""
        changes = [*self.changes(name), (cycles, None)]
        return sum(value * (b - a) for (a, value), (b, _) in pairwise(changes))


def _each(changes: list[tuple[int, Any]], end: int) -> list[Any]:
    return [value for (a, value), (b, _) in pairwise([*changes, (end, None)]) for _ in range(a, b)]


def layers_from(waves: Waves) -> dict[str, dict[str, int]]:
    """Per layer: start, end, cycles, passes, steps, conflicts, bytes; from the dump alone."""
    found = {}
    for name, scope in waves.layer_scopes().items():
        active = waves.changes(f"{scope}.active")
        rises = [cycle for cycle, value in active if value]
        falls = [cycle for cycle, value in active if not value and cycle]
        found[name] = {
            "start_cycle": rises[0],
            "end_cycle": falls[-1] - 1,
            "compute_cycles": sum(falls) - sum(rises),
            "passes": waves.final(f"{scope}.passes"),
            "steps": waves.final(f"{scope}.steps"),
            "bank_conflict_cycles": waves.final(f"{scope}.bank_conflict_cycles"),
            "load_bytes": waves.final(f"{scope}.load_bytes"),
            "store_bytes": waves.final(f"{scope}.store_bytes"),
        }
    return found


def layers_of(result: tlm.Result) -> dict[str, dict[str, int]]:
    """The same from a result."""
    keys = ("start_cycle", "end_cycle", "compute_cycles", "passes", "steps", "load_bytes", "store_bytes")
    return {
        name: {key: getattr(layer, key) for key in keys}
        | {"bank_conflict_cycles": layer.account.bank_conflict}
        for name, layer in result.layers.items()
    }  # fmt: skip


def causes_from(waves: Waves, cycles: int) -> Counter[str]:
    """Cause -> cycles of a run, from the dump alone."""
    return Counter(waves.each_state("engine.cause")[:cycles])


def stop_in(program: tlm.Program, activations: Any, cycle: int, trace: tlm.TraceOptions, fidelity: str) -> None:
    """Run a program with traces until somebody presses Ctrl-C in a cycle."""
    system = System(program.config, Fidelity(fidelity))
    system.preload(program.image(program.network.check_activations(activations)))

    def press() -> Activity:
        yield system.simulation.clock.cycles(cycle)
        raise KeyboardInterrupt

    system.simulation.add_process(press)
    recorder = Recorder(system)
    watched = Watched(system, program, recorder, EnergyObserver(system, recorder, EnergyConfig()))
    with pytest.raises(KeyboardInterrupt), traced(watched, trace):
        system.run(program.steps)
