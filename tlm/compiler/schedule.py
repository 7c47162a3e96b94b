"""The driver program: what the host starts and waits for, in which order.

The order is fixed here and does not depend on when things end at run time. A job starts when it is loaded and the one
before it has ended; the next job's loads go on meanwhile as far as the memories have room, and finished parts of
the network's output are stored while the rest is computed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from tlm.chip.driver import DriverStep, StartEngine, StartTransfer, Transfer, Unit, Wait


@dataclass(frozen=True, slots=True)
class JobOrder:
    """What one job needs and gives."""

    imem_word: int
    loads: tuple[Transfer, ...]
    load_after: int
    """Job that must have ended before the loads start; -1 if none."""
    stores: tuple[Transfer, ...]
    """Pieces of the network's output that are ready when the job ends."""


@dataclass(slots=True)
class _Schedule:
    """The steps so far, and what is under way after them."""

    jobs: Sequence[JobOrder]
    steps: list[DriverStep] = field(default_factory=list)
    loads: deque[tuple[int, Transfer]] = field(default_factory=deque)
    loading: int | None = None
    """Job of the load that is under way."""
    storing: bool = False
    ended: int = -1
    """Last job whose end the driver has waited for."""

    def load_next(self) -> None:
        """Start the next load if the channel and its place in the memories are free."""
        if self.loading is None and self.loads and self.jobs[self.loads[0][0]].load_after <= self.ended:
            job, transfer = self.loads.popleft()
            self.steps.append(StartTransfer(Unit.LOAD, transfer))
            self.loading = job

    def wait_until_loaded(self, job: int) -> None:
        """Wait for every load of a job."""
        while self.loading is not None or (self.loads and self.loads[0][0] <= job):
            if self.loading is None:
                self.wait_until_ended(self.jobs[self.loads[0][0]].load_after)
                self.load_next()
            if self.loading is not None and self.loading > job:
                return
            self.steps.append(Wait(Unit.LOAD))
            self.loading = None
            self.load_next()

    def wait_until_ended(self, job: int) -> None:
        """Wait for the end of the job that is running, if it is this one."""
        if self.ended < job:
            self.steps.append(Wait(Unit.ENGINE))
            self.ended = job

    def store(self, transfers: Sequence[Transfer]) -> None:
        """Start stores, one after another."""
        for transfer in transfers:
            if self.storing:
                self.steps.append(Wait(Unit.STORE))
            self.steps.append(StartTransfer(Unit.STORE, transfer))
            self.storing = True


def schedule(jobs: Sequence[JobOrder]) -> tuple[DriverStep, ...]:
    """Steps for jobs that run one after another."""
    state = _Schedule(jobs, loads=deque((index, load) for index, job in enumerate(jobs) for load in job.loads))
    state.load_next()
    for index, job in enumerate(jobs):
        state.wait_until_loaded(index)
        state.wait_until_ended(index - 1)
        state.steps.append(StartEngine(job.imem_word))
        state.load_next()
        if index:
            state.store(jobs[index - 1].stores)
    state.wait_until_ended(len(jobs) - 1)
    state.store(jobs[-1].stores)
    if state.storing:
        state.steps.append(Wait(Unit.STORE))
    return tuple(state.steps)
