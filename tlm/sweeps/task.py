"""What a worker does with a point. Networks, programs and checks are kept from point to point of one process."""

from __future__ import annotations

import gc
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tlm.core.errors import TlmError
from tlm.sweeps.columns import DIFFERS, FAILED, OK, figures

if TYPE_CHECKING:
    from tlm.chip.config import ChipConfig
    from tlm.compiler.program import Program
    from tlm.results.result import Result
    from tlm.scenario.loading import Job
    from tlm.scenario.schema import Scenario

T = TypeVar("T")

_NETWORKS, _PROGRAMS, _CHECKS = 4, 16, 256
"""How many are kept; a whole ResNet-18 is 40 MB with its golden tensors. Points come ordered by both."""
_GARBAGE_SHARE = 0.05
"""Of the time, for collecting garbage."""


@dataclass(frozen=True)
class Task:
    """A point as it travels to a worker.

    Attributes:
        key: of the point.
        name: the scenario's, for messages.
        config: the whole scenario.
        group: equal where network and input are.
    """

    key: str
    name: str
    config: Scenario
    group: str


@dataclass(frozen=True)
class Outcome:
    """What came of it: figures, or an error."""

    key: str
    status: str
    error: str | None = None
    figures: dict[str, Any] = field(default_factory=dict)


class Kept(Generic[T]):
    """The values that were used last; safe where a worker has several threads."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._values: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of a key, made if it is not there (twice if two threads want it at once, which does no harm)."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = make()
        with self._lock:
            self._values[key] = value
            while len(self._values) > self._count:
                self._values.popitem(last=False)
        return value


class Sweeper:
    """Has garbage collected between points.

    The parts of a simulation know each other, so only the collector of cycles frees one that has ended. By itself it
    counts objects: a few of them hold a megabyte of memory arrays, and the more points a sweep has the longer it waits.
    """

    def __init__(self, share: float = _GARBAGE_SHARE) -> None:
        self._share = share
        self._next_s = 0.0

    def point_ended(self) -> None:
        """Collect, unless this would take more than its share of the time."""
        start_s = time.perf_counter()
        if start_s >= self._next_s:
            gc.collect()
            now_s = time.perf_counter()
            self._next_s = now_s + (now_s - start_s) / self._share


_sweeper = Sweeper()
_networks: Kept[Job] = Kept(_NETWORKS)
_programs: Kept[Program] = Kept(_PROGRAMS)
_checks: Kept[str | None] = Kept(_CHECKS)


def run_task(task: Task) -> Outcome:
    """Run one point; whatever goes wrong becomes its message."""
    try:
        result, wrong = _run(task)
        return Outcome(task.key, DIFFERS if wrong else OK, wrong, figures(result))
    except TlmError as error:
        return Outcome(task.key, FAILED, str(error))
    except Exception as error:  # a fault of this package or a machine out of memory must not end the other points
        return Outcome(task.key, FAILED, f"{type(error).__name__}: {error}")
    finally:
        _sweeper.point_ended()


def worker_version() -> str:
    """The package's version where it is called."""
    return version("cartesian-tlm")


def compile_key(chip: ChipConfig) -> tuple[Hashable, ...]:
    """All that the compiler reads of a chip: programs for chips that agree in it are equal but for their ``config``."""
    return (
        chip.lanes, chip.columns, chip.amem_words, chip.wmem_words, chip.imem_words, chip.amem_banks,
        chip.pipeline_cycles, chip.pass_gap_cycles, chip.requantiser_cycles,
        chip.bus_bytes, chip.burst_bytes, chip.dma_bursts_in_flight, chip.memory_bytes, chip.memory_beat_cycles,
        *(chip.cycles_of_ns(ns) for ns in (chip.memory_latency_ns, chip.host_access_ns, chip.host_interrupt_ns)),
    )  # fmt: skip


def _run(task: Task) -> tuple[Result, str | None]:
    """The result, and what differs from the golden model."""
    from tlm.compiler.compile import compile_network
    from tlm.runs.simulate import simulate

    job = _networks.get(task.group, lambda: _build(task))
    chip, energy, fidelity = task.config.chip, task.config.energy, task.config.fidelity
    program_key = (task.group, compile_key(chip))
    program = _programs.get(program_key, lambda: compile_network(job.network, chip))
    result = simulate(replace(program, config=chip), job.activations, fidelity=fidelity, energy=energy)
    # Values depend on program and input alone; whether this run had the same ones its digest says.
    wrong = _checks.get((program_key, result.outputs_sha256), lambda: _differing(job, result))
    return result, wrong


def _build(task: Task) -> Job:
    from tlm.scenario.loading import LoadedScenario

    return LoadedScenario(task.name, task.config, ()).build(golden=True)


def _differing(job: Job, result: Result) -> str | None:
    from tlm.network.comparison import differing_layers

    assert job.golden is not None  # _build asks for it
    wrong = differing_layers(job.golden, result.tensors)
    return f"the outputs of {', '.join(wrong)} differ from the golden model" if wrong else None
