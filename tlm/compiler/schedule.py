"""The driver program: what the host starts and waits for, in which order.

The order is fixed here and does not depend on when things end at run time: whatever a step relies on has been waited
for. It is the order in which a driver would act that starts whatever can start (the engine before loads before stores)
and otherwise sleeps until the next interrupt, if everything took as long as predicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tlm.chip.config import ChipConfig
from tlm.chip.format.descriptor import sram_size
from tlm.chip.format.driver import DriverStep, StartEngine, StartTransfer, Transfer, Unit, Wait
from tlm.compiler.costs import access_cycles, interrupt_cycles, load_cycles, store_cycles
from tlm.compiler.jobs import Job, Load, Store

_TRANSFER_ACCESSES = 5
_ENGINE_ACCESSES = 2
_WAKE_ACCESSES = 2


@dataclass(frozen=True, slots=True)
class Schedule:
    """A driver program and what it should take."""

    steps: tuple[DriverStep, ...]
    predicted_cycles: int
    """First host access to the last interrupt."""


@dataclass(slots=True)
class _Unit:
    """A unit's queue."""

    count: int
    started: int = 0
    ended: int = 0
    """How many the driver has waited for."""
    end_cycle: int = 0
    """Of the one that is under way."""

    @property
    def busy(self) -> bool:
        """Whether one is under way, as far as the driver knows."""
        return self.started > self.ended

    @property
    def has_next(self) -> bool:
        """Whether another one can be started: nothing is under way."""
        return not self.busy and self.started < self.count

    def has_ended(self, index: int) -> bool:
        """Whether the driver has waited for one (and so for all before it)."""
        return index < self.ended


@dataclass(slots=True)
class Scheduler:
    """Plays the driver.

    Args:
        config: for what accesses, interrupts and transfers cost.
        jobs, loads, stores: in the order in which each unit does them.
        job_cycles: of each job, START to interrupt.
    """

    config: ChipConfig
    jobs: Sequence[Job]
    loads: Sequence[Load]
    stores: Sequence[Store]
    job_cycles: Sequence[int]
    _now: int = 0
    _steps: list[DriverStep] = field(default_factory=list)
    _units: dict[Unit, _Unit] = field(default_factory=dict)

    def schedule(self) -> Schedule:
        """Play to the end."""
        self._units = {
            Unit.ENGINE: _Unit(len(self.jobs)), Unit.LOAD: _Unit(len(self.loads)), Unit.STORE: _Unit(len(self.stores))
        }  # fmt: skip
        last = 0
        while True:
            if self._start_one():
                continue
            busy = {unit: state for unit, state in self._units.items() if state.busy}
            if not busy:
                break
            unit = min(busy, key=lambda one: busy[one].end_cycle)
            last = max(last, busy[unit].end_cycle)
            self._wait(unit)
        left = {
            unit.value: state.count - state.ended for unit, state in self._units.items() if state.ended < state.count
        }
        assert not left, left  # operations come in an order in which they can be done
        return Schedule(tuple(self._steps), last)

    def _start_one(self) -> bool:
        """Start what can start and comes first; whether there was something."""
        engine, load, store = (self._units[unit] for unit in (Unit.ENGINE, Unit.LOAD, Unit.STORE))
        if engine.has_next:
            job = self.jobs[engine.started]
            if self._reached(load, job.after_load) and self._reached(store, job.after_store):
                self._now += _ENGINE_ACCESSES * access_cycles(self.config)
                engine.end_cycle = self._now + self.job_cycles[engine.started]
                engine.started += 1
                self._steps.append(StartEngine(job.imem_word))
                return True
        if load.has_next:
            one = self.loads[load.started]
            if self._reached(engine, one.after_job) and self._reached(store, one.after_store):
                self._transfer(Unit.LOAD, one.transfer)
                return True
        if store.has_next:
            other = self.stores[store.started]
            if self._reached(engine, other.after_job):
                self._transfer(Unit.STORE, other.transfer)
                return True
        return False

    @staticmethod
    def _reached(unit: _Unit, index: int) -> bool:
        return index < 0 or unit.has_ended(index)

    def _transfer(self, unit: Unit, transfer: Transfer) -> None:
        state = self._units[unit]
        self._now += _TRANSFER_ACCESSES * access_cycles(self.config)
        word_bytes = sram_size(transfer.sram, self.config)[1]
        size_bytes = transfer.row_words * transfer.rows * word_bytes
        if unit is Unit.LOAD:
            cycles = load_cycles(size_bytes, self.config, transfer.rows)
        else:
            cycles = store_cycles(size_bytes, self.config, word_bytes, transfer.rows)
        state.end_cycle = self._now + cycles
        state.started += 1
        self._steps.append(StartTransfer(unit, transfer))

    def _wait(self, unit: Unit) -> None:
        state = self._units[unit]
        awake = state.end_cycle + interrupt_cycles(self.config)
        self._now = max(self._now, awake) + _WAKE_ACCESSES * access_cycles(self.config)
        state.ended = state.started
        self._steps.append(Wait(unit))
