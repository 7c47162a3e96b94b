"""The driver's order in C against the same rules in Python, which look ahead instead of advancing piece by piece."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest

from tlm.chip.config import ChipConfig
from tlm.chip.format.driver import SramName, Transfer
from tlm.chip.kernels.buffers import KernelError
from tlm.chip.kernels.dma import Channel, DmaTimeline
from tlm.chip.kernels.dram import Dram
from tlm.chip.kernels.driver import UNITS, DriverWalk, HostCycles, Task

ENGINE, LOAD, STORE = range(UNITS)
CHIP = ChipConfig(amem_words=256, wmem_words=256, imem_words=256, memory_bytes=1 << 16)
HOST = HostCycles((40, 70, 70), 90, 30)
Tasks = list[Sequence[Task]]


def transfer(rng: random.Random, sram: SramName | None = None) -> Transfer:
    words, rows = rng.choice([1, 5, 20]), rng.choice([1, 1, 3])
    return Transfer(
        sram=rng.choice(list(SramName)) if sram is None else sram, sram_word=rng.randrange(100), row_words=words,
        rows=rows, memory_offset_bytes=64 * rng.randrange(500), memory_stride_bytes=512 * (rows > 1),
        sram_stride_words=25 * (rows > 1),
    )  # fmt: skip


def some_tasks(rng: random.Random) -> Tasks:
    """Jobs, loads and stores that wait for others before them, as in a program."""
    units: list[list[Task]] = [[], [], []]
    for _ in range(rng.randrange(1, 25)):
        unit = rng.choice([ENGINE, LOAD, LOAD, STORE])
        after = [rng.randrange(-1, len(own)) if own else -1 for own in units]
        after[unit] = -1
        if unit == ENGINE:
            units[unit].append(Task(rng.choice([1, 50, 400, 3000]), (-1, after[1], after[2])))
        else:
            moved = transfer(rng, SramName.AMEM if unit == STORE else None)
            units[unit].append(Task(rng.choice([20, 100, 500]), (after[0], -1, after[2]), moved))
    return [*units]


def banks_of(job: int, cycles: int) -> dict[SramName, np.ndarray]:
    rng = np.random.default_rng(job)
    return {sram: rng.choice(np.array([0, 1, 3, 255], np.uint8), cycles) for sram in SramName}


class Player:
    """The rules once more (docs/timing.md, The driver's steps)."""

    def __init__(self, chip: ChipConfig, tasks: Tasks) -> None:
        self.tasks, self.dma = tasks, DmaTimeline(chip, Dram(chip) if chip.uses_dram else None)
        self.now = self.last = 0
        self.ended, self.ends, self.busy = [0, 0, 0], dict[int, int](), set[int]()
        self.to_load, self.load_order, self.loaded = list(range(len(tasks[LOAD]))), list[int](), set[int]()
        self.steps = list[int]()

    def missing(self, unit: int, index: int) -> list[int]:
        return [other for other, last in enumerate(self.tasks[unit][index].after) if self.ended[other] <= last]

    def next_load(self) -> int | None:
        heads = dict[SramName, int]()
        for index in self.to_load:
            moved = self.tasks[LOAD][index].transfer
            assert moved is not None
            heads.setdefault(moved.sram, index)
        for index in sorted(heads.values()):
            most_cycles = self.until() - self.now - HOST.starts[LOAD]
            hurries = index == self.to_load[0] or self.tasks[LOAD][index].cycles <= most_cycles
            if hurries and not self.missing(LOAD, index):
                return index
        return None

    def until(self) -> int:
        """The end of what the next load waits for, as far as it is known."""
        return min([self.ends[one] for one in self.missing(LOAD, self.to_load[0]) if one in self.ends], default=0)

    def advance(self) -> None:
        for cycle, channel in self.dma.advance(self.now):
            self.ends[LOAD + channel] = cycle + 1

    def start(self, unit: int, index: int) -> None:
        self.now += HOST.starts[unit]
        self.advance()
        self.busy.add(unit)
        self.steps.append(unit)
        task = self.tasks[unit][index]
        if unit == ENGINE:
            self.ends[unit] = self.now + task.cycles
            for sram, banks in banks_of(index, task.cycles).items():
                self.dma.set_calendar(sram, self.now, banks)
            return
        if unit == LOAD:
            self.to_load.remove(index)
            self.load_order.append(index)
        t = task.transfer
        assert t is not None
        self.dma.start(
            Channel(unit - LOAD), self.now, t.memory_offset_bytes, t.sram, t.sram_word, t.row_words, t.rows,
            t.memory_stride_bytes, t.sram_stride_words,
        )  # fmt: skip

    def wake(self) -> None:
        completion = self.dma.next_completion()
        known = self.ends if completion is None else {**self.ends, LOAD + completion[1]: completion[0] + 1}
        unit = min(sorted(known), key=known.__getitem__)
        self.last = max(self.last, known[unit])
        self.now = max(self.now, known[unit] + HOST.interrupt) + HOST.wake
        self.advance()
        self.busy.remove(unit)
        del self.ends[unit]
        self.steps.append(UNITS + unit)
        if unit == LOAD:
            self.loaded.add(self.load_order[-1])
            self.ended[LOAD] = next(n for n in range(len(self.tasks[LOAD]) + 1) if n not in self.loaded)
        else:
            self.ended[unit] += 1

    def play(self) -> tuple[bytes, list[int], int]:
        while True:
            for unit in range(UNITS):
                if unit in self.busy:
                    continue
                index: int | None = self.ended[unit]
                if unit == LOAD:
                    index = self.next_load()
                elif index == len(self.tasks[unit]) or self.missing(unit, self.ended[unit]):
                    index = None
                if index is not None:
                    self.start(unit, index)
            if not self.busy:
                return bytes(self.steps), self.load_order, self.last
            self.wake()


def walked(chip: ChipConfig, tasks: Tasks) -> tuple[bytes, list[int], int]:
    walk = DriverWalk(chip, HOST, *tasks)
    while (job := walk.next_job()) is not None:
        for sram, banks in banks_of(job, tasks[ENGINE][job].cycles).items():
            walk.dma.set_calendar(sram, walk.dma.now, banks)
    return walk.steps, walk.load_order, walk.last_interrupt


@pytest.mark.parametrize("memory", ["fixed", "slow", "dram"])
def test_a_driver_does_what_the_rules_say(memory: str) -> None:
    changes = {"fixed": {}, "slow": {"memory_gb_per_s": 0.7}, "dram": {"memory_model": "dram"}}[memory]
    chip = ChipConfig(amem_words=256, wmem_words=256, imem_words=256, memory_bytes=1 << 16, **changes)  # type: ignore[arg-type]
    overtaking = 0
    for seed in range(150):
        tasks = some_tasks(random.Random(seed))
        steps, load_order, last = walked(chip, tasks)
        assert (steps, load_order, last) == Player(chip, tasks).play(), seed
        assert len(steps) == 2 * sum(map(len, tasks)), seed
        overtaking += load_order != sorted(load_order)
    assert overtaking > 10


def test_nothing_to_do() -> None:
    assert walked(CHIP, [[], [], []]) == (b"", [], 0)


def test_what_waits_for_ever_does_not_start() -> None:
    assert walked(CHIP, [[Task(5, (-1, 0, -1))], [], []]) == (b"", [], 0)


@pytest.mark.parametrize(
    "bad",
    [
        Transfer(SramName.WMEM, 200, 0, 57),
        Transfer(SramName.WMEM, 200, 0, 10, rows=3, memory_stride_bytes=64, sram_stride_words=24),
        Transfer(SramName.WMEM, -1, 0, 5),
        Transfer(SramName.WMEM, 0, 4, 5),
        Transfer(SramName.WMEM, 0, 0, 5, rows=2, memory_stride_bytes=84),
        Transfer(SramName.WMEM, 0, 0, 0),
        Transfer(SramName.WMEM, 0, 0, 1, rows=0),
        Transfer(SramName.WMEM, 0, 0, 20, rows=20),
        Transfer(SramName.WMEM, 0, (1 << 16) - 64, 5),
    ],
)
def test_a_transfer_that_no_channel_can_do(bad: Transfer) -> None:
    good = Transfer(SramName.WMEM, 0, 0, 5)
    for loads, stores in (([good, bad], [good]), ([good], [good, bad])):
        with pytest.raises(KernelError, match=r"driver: Transfer\(.*leaves a memory, is misaligned or moves nothing"):
            DriverWalk(CHIP, HOST, [], *([Task(0, (-1, -1, -1), one) for one in own] for own in (loads, stores)))


def test_cycles_out_of_range() -> None:
    for host, cycles in ((HOST, -1), (HOST, (1 << 60) + 1), (HostCycles((0, 0, -1), 0, 0), 0)):
        with pytest.raises(KernelError, match=r"driver: cycles is -?[0-9]+, but must be in"):
            DriverWalk(CHIP, host, [Task(cycles, (-1, -1, -1))], [], [])


@pytest.mark.parametrize("host", [HostCycles((1 << 60, 1 << 60, 1), 0, 0), HostCycles((1, 1, 1), 1 << 60, 0)])
def test_a_cycle_that_cannot_be_counted(host: HostCycles) -> None:
    jobs, loads = [Task(3, (-1, -1, -1))] * 2, [Task(0, (-1, -1, -1), Transfer(SramName.WMEM, 0, 0, 5))]
    walk = DriverWalk(CHIP, host, jobs, loads, [])
    with pytest.raises(KernelError, match="driver: a cycle is beyond"):
        list(iter(walk.next_job, None))
