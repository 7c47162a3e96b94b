"""The driver program: what the host starts and waits for, in which order.

The order is fixed here and does not depend on when things end at run time: whatever a step relies on has been waited
for. A driver acts in this order that starts whatever can start (the engine before loads before stores) and otherwise
sleeps until the next interrupt. When that comes is worked out exactly, with the timing of the DMA and of the banks that
fidelity "pass" has, too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from tlm.chip.config import ChipConfig
from tlm.chip.format.driver import DriverStep, SramName, StartEngine, StartTransfer, Transfer, Unit, Wait
from tlm.chip.kernels.dma import Channel, DmaTimeline
from tlm.chip.kernels.dram import Dram
from tlm.compiler.chip_costs import ChipCosts
from tlm.compiler.jobs import Job, Load, Store, transfer_bytes

START_ACCESSES: Mapping[Unit, int] = {Unit.ENGINE: 2, Unit.LOAD: 5, Unit.STORE: 5}
"""The host's register accesses to start a unit; units in the order in which they are started."""

WAKE_ACCESSES = 2

_CHANNELS = {Unit.LOAD: Channel.LOAD, Unit.STORE: Channel.STORE}
_UNITS = {channel: unit for unit, channel in _CHANNELS.items()}

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
    return _Player(config, jobs, loads, stores, job_cycles, calendars).play()


class _Player:
    """The driver's state, and that of the units."""

    def __init__(
        self,
        config: ChipConfig,
        jobs: Sequence[Job],
        loads: Sequence[Load],
        stores: Sequence[Store],
        job_cycles: Sequence[int],
        calendars: Calendars,
    ) -> None:
        costs = ChipCosts(config)
        self._start_cycles = {unit: accesses * costs.access_cycles for unit, accesses in START_ACCESSES.items()}
        self._wake_cycles = costs.interrupt_cycles, WAKE_ACCESSES * costs.access_cycles
        self._job_cycles, self._calendars = job_cycles, calendars
        self._loads, self._stores = loads, stores
        self._load_cycles = [
            costs.load_cycles(transfer_bytes(load.transfer, config), load.transfer.rows) for load in loads
        ]
        self._starts: dict[Unit, list[DriverStep]] = {
            Unit.ENGINE: [StartEngine(job.imem_word) for job in jobs],
            Unit.LOAD: [StartTransfer(Unit.LOAD, load.transfer) for load in loads],
            Unit.STORE: [StartTransfer(Unit.STORE, store.transfer) for store in stores],
        }
        self._after: dict[Unit, list[tuple[tuple[Unit, int], ...]]] = {
            Unit.ENGINE: [((Unit.LOAD, job.after_load), (Unit.STORE, job.after_store)) for job in jobs],
            Unit.LOAD: [((Unit.ENGINE, load.after_job), (Unit.STORE, load.after_store)) for load in loads],
            Unit.STORE: [((Unit.ENGINE, store.after_job),) for store in stores],
        }
        """For each task units, each with its last task that must have ended before; -1 if none."""
        self._waiting_loads = {sram: deque[int]() for sram in SramName}
        for index, load in enumerate(loads):
            self._waiting_loads[load.transfer.sram].append(index)
        self._ended = dict.fromkeys(self._starts, 0)
        """How many tasks of each unit, from the first on, the driver has waited for."""
        self._loaded: set[int] = set()
        """Loads behind these that have ended."""
        self._busy: set[Unit] = set()
        self._end_cycles: dict[Unit, int] = {}
        """Of the busy units, where it is known."""
        self._dma = DmaTimeline(config, Dram(config) if config.uses_dram else None)
        self._now = 0
        self._load_order: list[int] = []

    def play(self) -> Schedule:
        """All steps."""
        steps: list[DriverStep] = []
        waits, last = {unit: Wait(unit) for unit in self._starts}, 0
        while True:
            for unit, own in self._starts.items():  # what a start makes possible are only the units behind it
                index = None if unit in self._busy else self._next_task(unit)
                if index is not None:
                    self._start(unit, index)
                    steps.append(own[index])
            if not self._busy:
                break
            unit, end_cycle = self._next_end()
            last = max(last, end_cycle)
            self._wake(unit, end_cycle)
            steps.append(waits[unit])
        assert all(self._ended[unit] == len(own) for unit, own in self._starts.items())
        return Schedule(tuple(steps), tuple(self._load_order), last + 1)

    # -- what starts --------------------------------------------------------------------------------------------------

    def _next_task(self, unit: Unit) -> int | None:
        """The index of the task that an idle unit can start, if any."""
        if unit is Unit.LOAD:
            return self._next_load()
        index = self._ended[unit]
        return index if index < len(self._starts[unit]) and not self._missing(unit, index) else None

    def _next_load(self) -> int | None:
        """The load that comes next, or one into another SRAM meanwhile."""
        heads = sorted([own[0] for own in self._waiting_loads.values() if own])
        if not heads:
            return None
        first = heads[0]
        missing = self._missing(Unit.LOAD, first)
        if not missing:
            return first
        until = min([self._end_cycles[unit] for unit in missing if unit in self._end_cycles], default=0)
        most_cycles = until - self._now - self._start_cycles[Unit.LOAD]
        for index in heads[1:]:
            if self._load_cycles[index] <= most_cycles and not self._missing(Unit.LOAD, index):
                return index
        return None

    def _missing(self, unit: Unit, index: int) -> list[Unit]:
        """Units for whose tasks this one has to wait."""
        ended = self._ended
        return [other for other, last in self._after[unit][index] if ended[other] <= last]

    def _start(self, unit: Unit, index: int) -> None:
        self._now += self._start_cycles[unit]
        self._advance()
        self._busy.add(unit)
        match unit:
            case Unit.ENGINE:
                self._end_cycles[unit] = self._now + self._job_cycles[index]
                for sram, banks in self._calendars(index).items():
                    self._dma.set_calendar(sram, self._now, banks)
            case Unit.LOAD:
                self._load_order.append(self._waiting_loads[self._loads[index].transfer.sram].popleft())
                self._start_transfer(unit, self._loads[index].transfer)
            case Unit.STORE:
                self._start_transfer(unit, self._stores[index].transfer)

    def _start_transfer(self, unit: Unit, moved: Transfer) -> None:
        self._dma.start(
            _CHANNELS[unit], self._now, moved.memory_offset_bytes, moved.sram, moved.sram_word, moved.row_words,
            moved.rows, moved.memory_stride_bytes, moved.sram_stride_words,
        )  # fmt: skip

    # -- what ends ----------------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Let the transfers happen until now."""
        for cycle, channel in self._dma.advance(self._now):
            self._end_cycles[_UNITS[channel]] = cycle + 1

    def _next_end(self) -> tuple[Unit, int]:
        """The unit whose interrupt comes first, and when."""
        ends, completion = self._end_cycles, self._dma.next_completion()
        if completion is not None:
            ends = {**ends, _UNITS[completion[1]]: completion[0] + 1}
        if len(ends) == 1:
            return next(iter(ends.items()))
        unit = min((one for one in self._starts if one in ends), key=ends.__getitem__)
        return unit, ends[unit]

    def _wake(self, unit: Unit, end_cycle: int) -> None:
        """The interrupt has come: the driver goes on."""
        interrupt_cycles, access_cycles = self._wake_cycles
        self._now = max(self._now, end_cycle + interrupt_cycles) + access_cycles
        self._advance()
        self._busy.remove(unit)
        del self._end_cycles[unit]
        if unit is Unit.LOAD:
            self._loaded.add(self._load_order[-1])
            while self._ended[unit] in self._loaded:
                self._loaded.remove(self._ended[unit])
                self._ended[unit] += 1
        else:
            self._ended[unit] += 1
