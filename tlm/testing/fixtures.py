"""What the fixtures give: callables that make runs for one test, and what the tests of a session share.

They raise what :func:`tlm.simulate` raises, and InputError if they are used in another way than docs/testing.md says.
"""

from __future__ import annotations

import hashlib
import pickle
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy.typing as npt

from tlm.chip.config import ChipConfig
from tlm.compiler.compile import compile_network
from tlm.compiler.program import Program
from tlm.core.errors import InputError, SimulationError
from tlm.network.network import Network
from tlm.observe.energy_table import EnergyConfig
from tlm.observe.faults import BitFlip
from tlm.scenario.catalog import find_scenario
from tlm.scenario.loading import Job, load_scenario
from tlm.testing.checks import known_name
from tlm.testing.recording import Recording
from tlm.testing.run import Run
from tlm.testing.simulated import Attempt, Recipe, Simulated
from tlm.traces.trace_options import TraceOptions

T = TypeVar("T")


class CycleLimitError(AssertionError):
    """A run took more cycles than the marker ``max_cycles`` allows."""


class Kept(Generic[T]):
    """What was made last, by key, as long as there is room.

    Args:
        room: for how much; the last one is kept even if it takes more.
        size: how much one takes.
    """

    def __init__(self, room: int = 16, size: Callable[[T], int] = lambda _: 1) -> None:
        self._room = room
        self._size = size
        self._kept: OrderedDict[object, T] = OrderedDict()

    def of(self, key: object, make: Callable[[], T]) -> T:
        """What has this key; made, if it is not there."""
        if key not in self._kept:
            self._kept[key] = make()
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and sum(map(self._size, self._kept.values())) > self._room:
            self._kept.popitem(last=False)
        return self._kept[key]


class Session:
    """What the tests of a session share: equal arguments give equal runs, so each is made once.

    Args:
        trace_limit: transactions that a recording may hold; all that are kept together hold twice as many at most.
    """

    def __init__(self, trace_limit: int) -> None:
        self.counts: Counter[str] = Counter()
        """Runs, runs that were used again, cycles, and nanoseconds of the host in the simulator; for the summary."""
        self.jobs: Kept[Job] = Kept()
        self._programs: Kept[Program] = Kept()
        self._runs: Kept[Run] = Kept()
        self._recordings: Kept[Recording] = Kept(2 * trace_limit, len)
        self._trace_limit = trace_limit

    def program(self, network: Network, content: str, chip: ChipConfig) -> Program:
        """A network, which is told apart by its content, compiled for a chip once."""
        return self._programs.of((content, chip), lambda: compile_network(network, chip))

    def run(self, attempt: Attempt, trace: TraceOptions | None) -> Run:
        """The run of a recipe, perhaps one that was made before.

        Args:
            attempt: the recipe, and what is told of the run before it starts.
            trace: files to write; then it is made in any case.
        """
        if trace is not None:
            return self._made(attempt, trace)
        before = self.counts["runs"]
        key = attempt.recipe.key, attempt.recipe.arguments["fidelity"]
        run = self._runs.of(key, lambda: self._made(attempt, None))
        self.counts["reused"] += self.counts["runs"] == before
        return run

    def _made(self, attempt: Attempt, trace: TraceOptions | None) -> Run:
        begin = time.perf_counter_ns()
        run = Run(Simulated(attempt, self._recording, trace))
        self.counts.update(runs=1, cycles=run.cycles, ns=time.perf_counter_ns() - begin)
        for tensor in run.result.tensors.values():
            tensor.flags.writeable = False  # the next test that is given this run must find it as it is
        return run

    def _recording(self, recipe: Recipe, cycles: int) -> Recording:
        """The transactions of a run, which are recorded once."""
        return self._recordings.of(recipe.key, lambda: self._record(recipe, cycles))

    def _record(self, recipe: Recipe, cycles: int) -> Recording:
        recording = Recording(self._trace_limit)
        again = recipe.simulate(fidelity="cycle", observers=[recording])
        recording.close()
        if again.cycles != cycles:
            raise SimulationError(
                f"trace: the run took {cycles} cycles, but {again.cycles} when it was recorded at fidelity 'cycle'; "
                "the models must agree, please report it"
            )
        if recording.cut_cycle is not None:
            raise InputError(
                f"trace: cycle {recording.cut_cycle:,} of {cycles:,} brings more than {self._trace_limit:,} "
                "transactions, which are all that are recorded; test a smaller network, or raise --tlm-trace-limit"
            )
        return recording


class TestRuns:
    """The runs of one test.

    Args:
        session: makes them.
        fidelity: of the test's parameter, if it has one.
        chip_defaults: what the project's chip differs in from the default one.
        max_cycles: that a run may take.
    """

    __test__ = False  # no class of tests, whatever its name says

    def __init__(
        self, session: Session, fidelity: str | None, chip_defaults: Mapping[str, Any], max_cycles: int | None
    ) -> None:
        self.runs: list[Run] = []
        self.attempt: Attempt | None = None
        """The last run, if it failed."""
        self.own_chip: Callable[[], ChipConfig] = self.chip
        """Makes the chip of a run that names none: the fixture ``tlm_chip``, which a project may override."""
        self._session = session
        self._fidelity = fidelity
        self._chip_defaults = chip_defaults
        self._max_cycles = max_cycles

    def __repr__(self) -> str:
        return f"<{len(self.runs)} runs of this test>"

    def chip(self, **overrides: Any) -> ChipConfig:
        """The project's chip with other values of some keys: ``tlm_chip(amem_banks=8)``."""
        if not isinstance(self._chip_defaults, Mapping):
            raise InputError(
                f"tlm_chip_overrides: it gives a {type(self._chip_defaults).__name__}; "
                "let it return what differs from the default chip, such as {'amem_banks': 8}"
            )
        values = dict(self._chip_defaults) | overrides
        for key in values:
            known_name("chip", key, [item.name for item in fields(ChipConfig)])
        return ChipConfig(**values)

    def simulate(
        self,
        network: Network | Program,
        activations: npt.ArrayLike,
        chip: ChipConfig | None = None,
        fidelity: str | None = None,
        trace: TraceOptions | None = None,
        faults: Sequence[BitFlip] = (),
        energy: EnergyConfig | None = None,
    ) -> Run:
        """A run, with the arguments of :func:`tlm.simulate`.

        Args:
            chip: by default the project's, ``tlm_chip()``; for a program the one that it was compiled for.
            fidelity: by default the test's parameter (marker ``fidelity``), else "pass".
        """
        if not isinstance(network, (Network, Program)):
            raise InputError(
                f"network: a {type(network).__name__} is none; give a network or a program, then the activations"
            )
        if chip is None:
            chip = network.config if isinstance(network, Program) else self.own_chip()
        if not isinstance(chip, ChipConfig):
            raise InputError(f"chip: a {type(chip).__name__} is none; give tlm_chip(amem_banks=8) or a tlm.ChipConfig")
        content = _digest(network)  # fixtures make equal networks anew
        program = network if isinstance(network, Program) else self._session.program(network, content, chip)
        values = program.network.check_activations(activations)
        arguments = {"activations": values, "faults": tuple(faults), "energy": energy}
        identity = content, _digest(arguments)
        recipe = Recipe(network, program, chip, identity, arguments | {"fidelity": fidelity or self._fidelity})
        self.attempt = Attempt(recipe, [])
        run = self._session.run(self.attempt, trace)
        self.attempt = None  # it has come to an end, perhaps in an earlier test
        self.runs.append(run)
        if self._max_cycles is not None:
            within = run.takes(at_most=self._max_cycles)
            if not within:
                raise CycleLimitError(f"marker max_cycles({self._max_cycles}): {within.explanation}")
        return run

    def scenario(self, directory: Path, file: str | Path, *overrides: str, fidelity: str | None = None) -> Run:
        """A run of a scenario file, which is read once.

        Args:
            directory: of the test file; a relative path begins there.
            file: a path, or the name of a scenario that comes with the package.
            overrides: such as "chip.voltage_v=0.8", as for ``tlm run --set``.
            fidelity: by default the test's parameter, else the scenario's.
        """
        path = directory / file

        def built() -> Job:
            found = path if path.is_file() else find_scenario(str(file))
            if found.suffix == ".py":
                raise InputError(f"{found.name}: a Python script is no scenario that can be tested; give a .toml file")
            return load_scenario(found, overrides).build()

        job = self._session.jobs.of((path, overrides), built)
        wanted = fidelity or self._fidelity or job.fidelity
        return self.simulate(job.network, job.activations, job.chip, wanted, energy=job.energy)

    @property
    def last(self) -> Run:
        """The run that was made last."""
        if not self.runs:
            raise InputError("tlm_trace: this test has made no run yet; call tlm_simulate or tlm_scenario first")
        return self.runs[-1]


class TestTrace:
    """Recorded transactions of the last run of a test: fixture ``tlm_trace``; it has all that ``run.trace`` has."""

    __test__ = False

    def __init__(self, runs: TestRuns) -> None:
        self._runs = runs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runs.last.trace, name)


def _digest(value: object) -> str:
    return hashlib.sha256(pickle.dumps(value)).hexdigest()
