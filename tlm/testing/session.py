"""What the tests of a session share: runs that were made already, and how much was simulated."""

from __future__ import annotations

import hashlib
import pickle
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy.typing as npt

from tlm.chip.config import ChipConfig
from tlm.compiler.compile import compile_network
from tlm.compiler.program import Program
from tlm.core.errors import InputError
from tlm.network.network import Network
from tlm.observe.energy_table import EnergyConfig
from tlm.observe.faults import BitFlip
from tlm.observe.watched import Watched
from tlm.testing.recipe import Recipe
from tlm.testing.recordings import Recordings
from tlm.testing.run import Run
from tlm.traces.trace_options import TraceOptions

if TYPE_CHECKING:
    from tlm.scenario.loading import Job

_KEPT_RUNS = 16


@dataclass
class Simulated:
    """How much was simulated, for the summary."""

    runs: int = 0
    reused: int = 0
    cycles: int = 0
    seconds: float = 0.0
    """Of the host, in the simulator alone."""

    def add(self, other: Simulated) -> None:
        """Take what another process simulated."""
        self.runs += other.runs
        self.reused += other.reused
        self.cycles += other.cycles
        self.seconds += other.seconds

    def text(self) -> str:
        """One line; the speed is that of one process."""
        speed = f", {self.cycles / self.seconds / 1e6:.1f} M cycles/s" if self.seconds else ""
        again = f", {self.reused} more used again" if self.reused else ""
        return f"{self.cycles:,} cycles simulated in {self.runs} runs{again}{speed}"


@dataclass
class Attempt:
    """A run that is being made; its system is kept until the test has been reported, in case it fails."""

    recipe: Recipe
    watched: Watched | None = None

    def __call__(self, watched: Watched) -> None:
        """It is an observer that notes the system."""
        self.watched = watched


@dataclass
class Simulator:
    """Makes runs, each once: equal arguments give equal runs, so a later test is given the same one.

    Args:
        trace_limit: transactions that a recording may hold.
    """

    trace_limit: int
    simulated: Simulated = field(default_factory=Simulated)
    _recordings: Recordings = field(init=False)
    _runs: OrderedDict[object, Run] = field(default_factory=OrderedDict)
    _programs: dict[object, Program] = field(default_factory=dict)
    _jobs: dict[object, Job] = field(default_factory=dict)
    _digests: WeakKeyDictionary[Network, str] = field(default_factory=WeakKeyDictionary)

    def __post_init__(self) -> None:
        self._recordings = Recordings(self.trace_limit)

    def run(
        self,
        source: Network | Program,
        activations: npt.ArrayLike,
        chip: ChipConfig | None,
        fidelity: str | None,
        *,
        trace: TraceOptions | None = None,
        faults: Sequence[BitFlip] = (),
        energy: EnergyConfig | None = None,
        title: str = "",
        attempted: Callable[[Attempt], None] = lambda _: None,
    ) -> Run:
        """A run with these arguments of :func:`tlm.simulate`.

        Args:
            title: of the run, for messages.
            attempted: told of the run before it starts.

        Raises:
            TlmError: as of :func:`tlm.simulate`.
        """
        program = self._compiled(source, chip)
        values = program.network.check_activations(activations)
        recipe = Recipe(
            source=source,
            program=program,
            identity=(self._identity(source), _digest(values.tobytes())),
            activations=values,
            chip=program.config if chip is None else chip,
            fidelity=fidelity,
            faults=tuple(faults),
            energy=energy,
            title=title,
        )
        key = (recipe.key, program.config, fidelity)
        if trace is None and key in self._runs:
            self.simulated.reused += 1
            self._runs.move_to_end(key)
            return self._runs[key]
        run = self._make(recipe, trace, attempted)
        if trace is None:
            self._runs[key] = run
            while len(self._runs) > _KEPT_RUNS:
                self._runs.popitem(last=False)
        return run

    def scenario(self, directory: Path, file: str | Path, overrides: Sequence[str]) -> Job:
        """A scenario, built once.

        Args:
            directory: where a relative path begins.
            file: a path, or the name of one in the catalog.
            overrides: such as "chip.voltage_v=0.8".

        Raises:
            InputError: anything wrong with it.
        """
        from tlm.scenario.catalog import find_scenario
        from tlm.scenario.loading import load_scenario

        path = directory / file
        key = (path, tuple(overrides))
        if key not in self._jobs:
            found = path if path.is_file() else find_scenario(str(file))
            if found.suffix == ".py":
                raise InputError(f"{found.name}: a Python script is no scenario that can be tested; give a .toml file")
            self._jobs[key] = load_scenario(found, overrides).build()
        return self._jobs[key]

    def _make(self, recipe: Recipe, trace: TraceOptions | None, attempted: Callable[[Attempt], None]) -> Run:
        attempt = Attempt(recipe)
        attempted(attempt)
        begin = time.perf_counter()
        result = recipe.simulate(trace=trace, observers=[attempt])
        self.simulated.seconds += time.perf_counter() - begin
        self.simulated.runs += 1
        self.simulated.cycles += result.cycles
        attempt.watched = None
        for tensor in result.tensors.values():
            tensor.flags.writeable = False  # the next test that is given this run must find it as it is
        return Run(recipe, result, self._recordings)

    def _compiled(self, source: Network | Program, chip: ChipConfig | None) -> Program:
        """A network compiled for a chip, once."""
        if isinstance(source, Program):
            return source
        key = (self._identity(source), chip)
        if key not in self._programs:
            if len(self._programs) >= _KEPT_RUNS:
                del self._programs[next(iter(self._programs))]
            self._programs[key] = compile_network(source, chip)
        return self._programs[key]

    def _identity(self, source: Network | Program) -> object:
        """What tells networks apart: their content, since fixtures make equal ones anew; a program is itself."""
        if isinstance(source, Program):
            return source
        if source not in self._digests:
            self._digests[source] = _digest(pickle.dumps(source))
        return self._digests[source]


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
