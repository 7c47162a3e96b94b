"""kernels/driver.c: in which order a driver starts jobs, loads and stores, and when each ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tlm._kernels import ffi, lib
from tlm.chip.config import ChipConfig
from tlm.chip.format.descriptor import sram_size
from tlm.chip.format.driver import SramName, Transfer
from tlm.chip.kernels.buffers import KernelError, in_range
from tlm.chip.kernels.dma import DmaTimeline
from tlm.chip.kernels.dram import Dram

UNITS: int = lib.TLM_UNITS
"""Engine, load channel, store channel; numbers in the order in which idle ones are started."""

_FINISHED, _LATE = -1, -2


class HostCycles(NamedTuple):
    """What the host's accesses and interrupts take."""

    starts: tuple[int, int, int]
    """Of each unit."""
    interrupt: int
    wake: int


class Task(NamedTuple):
    """A job, a load or a store."""

    cycles: int
    """Of a job from its start to its interrupt, of a load roughly; a store's are not used."""
    after: tuple[int, int, int]
    """Of each unit the last task that must have ended before; -1: none."""
    transfer: Transfer | None = None


class DriverWalk:
    """A driver that starts whatever can start, and otherwise sleeps until the interrupt that comes next.

    Args:
        config: for what transfers take.
        host: what the host takes.
        jobs, loads, stores: in the order in which jobs need them; those of the channels each with its transfer.

    Raises:
        KernelError: a number that is out of range.
    """

    def __init__(
        self, config: ChipConfig, host: HostCycles, jobs: Sequence[Task], loads: Sequence[Task], stores: Sequence[Task]
    ) -> None:
        self.dma = DmaTimeline(config, Dram(config) if config.uses_dram else None)
        """Time; the banks of each job must be made known to it when it starts."""
        limit = self.dma.cycle_limit
        for cycles in (*host.starts, host.interrupt, host.wake, *(job.cycles for job in jobs)):
            in_range("driver: cycles", cycles, 0, limit)
        following, waiting = list[int](), [-1] * len(SramName)
        for number in range(len(loads) - 1, -1, -1):
            sram = _transfer_of(loads[number]).sram
            following.append(waiting[sram])
            waiting[sram] = number
        following.reverse()
        arrivals = [ffi.new("int64_t[]", _most_bursts(config, own)) for own in (loads, stores)]  # nobody asks for them
        tasks = [
            ffi.new("tlm_driver_task[]", [(job.cycles, job.after) for job in jobs]),
            ffi.new("tlm_driver_task[]", [
                (one.cycles, one.after, later, _fields(one, arrivals[0]))
                for one, later in zip(loads, following, strict=True)
            ]),
            ffi.new("tlm_driver_task[]", [(0, one.after, -1, _fields(one, arrivals[1])) for one in stores]),
        ]  # fmt: skip
        self._load_order = ffi.new("int32_t[]", len(loads))
        self._steps = ffi.new("uint8_t[]", 2 * sum(map(len, tasks)))
        loaded = ffi.new("uint8_t[]", len(loads))
        self._state: Any = ffi.new("tlm_driver *", {
            "start_cycles": host.starts, "interrupt_cycles": host.interrupt, "wake_cycles": host.wake,
            "cycle_limit": limit, "tasks": tasks, "counts": [len(own) for own in tasks], "waiting": waiting,
            "load_order": self._load_order, "loaded": loaded, "steps": self._steps,
        })  # fmt: skip
        self._held = tasks, arrivals, loaded  # what the state points to must live

    def next_job(self) -> int | None:
        """Go on until the next job starts, in cycle ``dma.now``; None: nothing more can start, and all has ended.

        Raises:
            KernelError: a cycle beyond those that can be counted.
        """
        job = int(lib.tlm_drive(self._state, self.dma.state))
        if job == _LATE:
            raise KernelError(f"driver: a cycle is beyond {self.dma.cycle_limit}")
        return None if job == _FINISHED else job

    @property
    def steps(self) -> bytes:
        """A start's unit, or :data:`UNITS` more for a wait, in the order of the steps."""
        return bytes(ffi.buffer(self._steps, self._state.step_count))

    @property
    def load_order(self) -> list[int]:
        """The loads as they started."""
        return list(self._load_order[0 : self._state.started_loads])

    @property
    def last_interrupt(self) -> int:
        """When it came."""
        return int(self._state.last)


def _transfer_of(task: Task) -> Transfer:
    assert task.transfer is not None
    return task.transfer


def _fields(task: Task, arrivals: Any) -> tuple[Any, ...]:
    """The C struct."""
    t = _transfer_of(task)
    return (
        0, t.memory_offset_bytes, t.memory_stride_bytes, t.sram, t.sram_word, t.row_words, t.rows, t.sram_stride_words,
        ffi.NULL, arrivals,
    )  # fmt: skip


def _most_bursts(config: ChipConfig, tasks: Sequence[Task]) -> int:
    """At most so many has each of these transfers.

    Raises:
        KernelError: one leaves a memory, is misaligned, or moves nothing.
    """
    transfers = [_transfer_of(task) for task in tasks]
    offset, stride, sram, word, row_words, rows, sram_stride = np.array(
        [(t.memory_offset_bytes, t.memory_stride_bytes, t.sram, t.sram_word, t.row_words, t.rows, t.sram_stride_words)
         for t in transfers], np.int64
    ).reshape(-1, 7).T  # fmt: skip
    words, word_bytes = np.array([sram_size(one, config) for one in SramName])[sram].T
    least = np.minimum.reduce([offset, stride, word, row_words - 1, rows - 1, sram_stride])
    moved_to = word + (rows - 1) * sram_stride + row_words
    end_bytes = offset + (rows - 1) * stride + row_words * word_bytes
    good = (least >= 0) & (row_words * rows <= words) & (moved_to <= words) & (end_bytes <= config.memory_bytes)
    good &= (offset % config.bus_bytes == 0) & (stride % config.bus_bytes == 0)
    if not good.all():
        raise KernelError(f"driver: {transfers[int(np.argmin(good))]} leaves a memory, is misaligned or moves nothing")
    return int((rows * (row_words * word_bytes // config.burst_bytes + 2)).max(initial=1))
