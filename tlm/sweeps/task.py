"""What a worker does with a point. Networks and programs are kept from point to point of one process."""

from __future__ import annotations

import gc
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Generic, TypeVar

from tlm.chip.config import ChipConfig
from tlm.compiler.compile import compile_network
from tlm.compiler.program import Program
from tlm.core.errors import TlmError
from tlm.core.version import __version__
from tlm.network.comparison import differing_layers
from tlm.runs.values_once import ValuesOnce
from tlm.scenario.loading import Job, LoadedScenario
from tlm.scenario.schema import Scenario
from tlm.sweeps.columns import DIFFERS, FAILED, OK, figures

T = TypeVar("T")

_NETWORKS, _PROGRAMS = 4, 16
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
        group: equal where network, input and batch are.
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


@dataclass(frozen=True)
class Keyed(Generic[T]):
    """A value for the caches below, which is equal to another where its key is."""

    key: Hashable
    value: T = field(compare=False)


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
_values = ValuesOnce()


def run_task(task: Task) -> Outcome:
    """Run one point; whatever goes wrong becomes its message."""
    try:
        group, config = Keyed(task.group, task), task.config
        program = _program(group, Keyed(compile_key(config.chip), config.chip))
        job = _job(group)
        own = replace(program, config=config.chip)
        result = _values.simulate(own, job.activations, fidelity=config.fidelity, energy=config.energy)
        wrong = differing_layers(job.golden or {}, result.tensors)
        error = f"the outputs of {', '.join(wrong)} differ from the golden model" if wrong else None
        return Outcome(task.key, DIFFERS if wrong else OK, error, figures(result))
    except TlmError as error:
        return Outcome(task.key, FAILED, str(error))
    except Exception as error:  # a fault of this package or a machine out of memory must not end the other points
        return Outcome(task.key, FAILED, f"{type(error).__name__}: {error}")
    finally:
        _sweeper.point_ended()


def run_together(tasks: Sequence[Task]) -> list[Outcome]:
    """Run points one after another, each as :func:`run_task` does."""
    return [run_task(task) for task in tasks]


def worker_version() -> str:
    """The package's version where it is called."""
    return __version__


def compile_key(chip: ChipConfig) -> tuple[Hashable, ...]:
    """All that the compiler reads of a chip: programs for chips that agree in it are equal but for their ``config``."""
    return (
        chip.lanes, chip.columns, chip.amem_words, chip.wmem_words, chip.imem_words,
        chip.amem_banks, chip.wmem_banks, chip.imem_banks,
        chip.pipeline_cycles, chip.pass_gap_cycles, chip.requantiser_cycles,
        chip.bus_bytes, chip.burst_bytes, chip.dma_bursts_in_flight, chip.memory_bytes, chip.memory_beat_cycles,
        chip.dram if chip.uses_dram else None, chip.clock_khz if chip.uses_dram else None,
        *(chip.cycles_of_ns(ns) for ns in (chip.memory_latency_ns, chip.host_access_ns, chip.host_interrupt_ns)),
    )  # fmt: skip


@lru_cache(_NETWORKS)
def _job(group: Keyed[Task]) -> Job:
    return LoadedScenario(group.value.name, group.value.config, ()).build(golden=True)


@lru_cache(_PROGRAMS)
def _program(group: Keyed[Task], chip: Keyed[ChipConfig]) -> Program:
    job = _job(group)
    return compile_network(job.network, chip.value, job.batch)
