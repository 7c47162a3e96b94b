"""The driver program: what the host starts and waits for, in which order.

The order is fixed here and does not depend on when things end at run time: whatever a step relies on has been waited
for. A driver acts in this order that starts whatever can start (the engine before loads before stores) and otherwise
sleeps until the next interrupt. When that comes is worked out exactly, with the timing of the DMA and of the banks that
fidelity "pass" has, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from tlm.chip.config import ChipConfig
from tlm.chip.format.driver import DriverStep, SramName, StartEngine, StartTransfer, Unit, Wait
from tlm.chip.kernels.driver import DriverWalk, HostCycles, Task
from tlm.compiler.chip_costs import ChipCosts
from tlm.compiler.jobs import Job, Load, Store, transfer_bytes

START_ACCESSES: Mapping[Unit, int] = {Unit.ENGINE: 2, Unit.LOAD: 5, Unit.STORE: 5}
"""The host's register accesses to start a unit; units in the order in which they are started."""

WAKE_ACCESSES = 2

Calendars: TypeAlias = Callable[[int], Mapping[SramName, npt.NDArray[np.uint8]]]
"""calendars(job) -> the banks that the engine takes, from the job's first cycle on."""


class Schedule(NamedTuple):
    """A driver program and what it should take."""

    steps: tuple[DriverStep, ...]
    load_order: tuple[int, ...]
    """Indices of the loads as they start."""
    predicted_cycles: int
    """First host access to the last interrupt."""


def schedule(
    config: ChipConfig,
    jobs: Sequence[Job],
    loads: Sequence[Load],
    stores: Sequence[Store],
    job_cycles: Sequence[int],
    calendars: Calendars = lambda job: {},
) -> Schedule:
    """Play the driver.

    While the next load waits for words to become free, the next load into another SRAM goes first if it should end
    before what the other one waits for.

    Args:
        config: for what accesses, interrupts and transfers cost.
        jobs, stores: in the order in which each unit does them.
        loads: in the order in which jobs need them.
        job_cycles: of each job, from start to interrupt.
        calendars: of the jobs; by default the engine takes no bank.
    """
    costs = ChipCosts(config)
    engine, load, store = (accesses * costs.access_cycles for accesses in START_ACCESSES.values())
    walk = DriverWalk(
        config,
        HostCycles((engine, load, store), costs.interrupt_cycles, WAKE_ACCESSES * costs.access_cycles),
        [Task(cycles, (-1, job.after_load, job.after_store)) for job, cycles in zip(jobs, job_cycles, strict=True)],
        [
            Task(
                costs.load_cycles(transfer_bytes(one.transfer, config), one.transfer.rows),
                (one.after_job, -1, one.after_store),
                one.transfer,
            )
            for one in loads
        ],
        [Task(0, (one.after_job, -1, -1), one.transfer) for one in stores],
    )
    while (number := walk.next_job()) is not None:
        for sram, banks in calendars(number).items():
            walk.dma.set_calendar(sram, walk.dma.now, banks)
    load_order = walk.load_order
    own: list[Iterator[DriverStep]] = [
        (StartEngine(job.imem_word) for job in jobs),
        (StartTransfer(Unit.LOAD, loads[index].transfer) for index in load_order),
        (StartTransfer(Unit.STORE, one.transfer) for one in stores),
        *(repeat(Wait(unit)) for unit in START_ACCESSES),
    ]
    steps = tuple([next(own[kind]) for kind in walk.steps])
    assert len(steps) == 2 * (len(jobs) + len(loads) + len(stores))
    return Schedule(steps, tuple(load_order), walk.last_interrupt + 1)
