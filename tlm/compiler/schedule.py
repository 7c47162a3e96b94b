"""The driver program: what the host starts and waits for, in which order.

The order is fixed here and does not depend on when things end at run time: whatever a step relies on has been waited
for. A driver would act in this order that starts whatever can start (the engine before loads before stores) and
otherwise sleeps until the next interrupt, if everything took as long as predicted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tlm.chip.config import ChipConfig
from tlm.chip.format.driver import DriverStep, StartEngine, StartTransfer, Unit, Wait
from tlm.compiler.costs import access_cycles, interrupt_cycles, load_cycles, store_cycles
from tlm.compiler.jobs import Job, Load, Store, transfer_bytes

_START_ACCESSES: Mapping[Unit, int] = {Unit.ENGINE: 2, Unit.LOAD: 5, Unit.STORE: 5}
"""The host's register accesses to start a unit; units in the order in which they are started."""

_WAKE_ACCESSES = 2


class Schedule(NamedTuple):
    """A driver program and what it should take."""

    steps: tuple[DriverStep, ...]
    predicted_cycles: int
    """First host access to the last interrupt."""


class _Task(NamedTuple):
    """What a unit does from a start to its interrupt."""

    start: DriverStep
    cycles: int
    after: Mapping[Unit, int]
    """Unit -> its last task that must have ended before; -1 if none."""


def schedule(
    config: ChipConfig, jobs: Sequence[Job], loads: Sequence[Load], stores: Sequence[Store], job_cycles: Sequence[int]
) -> Schedule:
    """Play the driver.

    Args:
        config: for what accesses, interrupts and transfers cost.
        jobs, loads, stores: in the order in which each unit does them.
        job_cycles: of each job, from start to interrupt.
    """

    def load(one: Load) -> _Task:
        cycles = load_cycles(transfer_bytes(one.transfer, config), config, one.transfer.rows)
        after = {Unit.ENGINE: one.after_job, Unit.STORE: one.after_store}
        return _Task(StartTransfer(Unit.LOAD, one.transfer), cycles, after)

    def store(one: Store) -> _Task:
        size_bytes = transfer_bytes(one.transfer, config)
        cycles = store_cycles(size_bytes, config, config.amem_word_bytes, one.transfer.rows)
        return _Task(StartTransfer(Unit.STORE, one.transfer), cycles, {Unit.ENGINE: one.after_job})

    def can_start(unit: Unit) -> bool:
        if unit in end_cycles or ended[unit] == len(tasks[unit]):
            return False
        return all(ended[other] > index for other, index in tasks[unit][ended[unit]].after.items())

    tasks = {
        Unit.ENGINE: [
            _Task(StartEngine(job.imem_word), cycles, {Unit.LOAD: job.after_load, Unit.STORE: job.after_store})
            for job, cycles in zip(jobs, job_cycles, strict=True)
        ],
        Unit.LOAD: list(map(load, loads)),
        Unit.STORE: list(map(store, stores)),
    }
    ended = dict.fromkeys(tasks, 0)  # how many tasks of each unit the driver has waited for
    end_cycles: dict[Unit, int] = {}  # of the units that are busy
    steps: list[DriverStep] = []
    now = last = 0
    while True:
        unit = next(filter(can_start, tasks), None)
        if unit is not None:
            task = tasks[unit][ended[unit]]
            now += _START_ACCESSES[unit] * access_cycles(config)
            end_cycles[unit] = now + task.cycles
            steps.append(task.start)
        elif end_cycles:
            unit = min((one for one in tasks if one in end_cycles), key=lambda one: end_cycles[one])
            end_cycle = end_cycles.pop(unit)
            last = max(last, end_cycle)
            now = max(now, end_cycle + interrupt_cycles(config)) + _WAKE_ACCESSES * access_cycles(config)
            ended[unit] += 1
            steps.append(Wait(unit))
        else:
            break
    assert all(ended[unit] == len(own) for unit, own in tasks.items())  # operations come in a possible order
    return Schedule(tuple(steps), last)
