"""What a plan should take before anything has its place, and its jobs: good enough to rank plans and sizes of parts.

Jobs, loads and stores follow each other as in :mod:`tlm.compiler.schedule`, each unit in its order. Passes and
transfers are taken in closed form (:mod:`tlm.compiler.costs`). WMem and IMem are filled round and round; in AMem the
windows of a tensor follow each other. A part joins the open job where that costs nothing (docs/compiler.md).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec import Struct

from tlm.chip.format.driver import SramName, Unit
from tlm.chip.format.layer_header import HEADER_WORDS
from tlm.compiler.costs import LayerCosts
from tlm.compiler.operations import Buffer, Drain, Fill, Operation, Operations, Run
from tlm.compiler.places import Window
from tlm.compiler.schedule import START_ACCESSES, WAKE_ACCESSES
from tlm.compiler.workload import Workload

_GAPS = 8
"""The last times that the load channel waited; what comes later in the program may be loaded then."""

_FEW_WORDS = 1280
"""Of WMem that the parts of a job may wait for together, and at most half of it: they are free only when it ends."""


class Estimate(NamedTuple):
    """What becomes of a plan."""

    cycles: float
    """From the first host access to the last interrupt, roughly."""
    begins: frozenset[int]
    """Parts with which a job begins, numbered in the order in which they run."""


def estimate(work: Workload, costs: Sequence[LayerCosts], written: Operations) -> Estimate:
    """Play a plan roughly.

    Args:
        work: what is compiled.
        costs: of each layer.
        written: the plan, whose parts follow each other in the order of its operations.
    """
    units = _Units(work, costs, written)
    for _, operation in written.of_images():
        match operation:
            case Run():
                units.run(operation)
            case Fill():
                units.fill(operation)
            case Drain():
                units.drain(operation)
    return Estimate(units.end(), frozenset(units.begins))


class _Ring:
    """Words of an SRAM, taken round and round by blocks; none of them goes beyond the end."""

    def __init__(self, words: int) -> None:
        self._words = words
        self._next = 0
        self._blocks: deque[tuple[int, int]] = deque()
        """The oldest first, each with its first word."""
        self.users: dict[int, int] = {}
        """Block -> the last job that uses it."""

    def take(self, block: int, words: int) -> int:
        """Make room; returns the last job that used what is overwritten, -1 if none."""
        after, first, blocks = -1, self._next, self._blocks
        if first + words > self._words:
            while blocks and blocks[0][1] >= first:
                self.users.pop(blocks.popleft()[0])
            first = 0
        end = self._next = first + words
        while blocks and first <= blocks[0][1] < end:
            after = max(after, self.users.pop(blocks.popleft()[0]))
        blocks.append((block, first))
        return after


class _Gap(Struct):
    """While the load channel waits for words of an SRAM."""

    sram: SramName
    begin: float
    end: float


class _Units:
    """When each unit is ready."""

    def __init__(self, work: Workload, costs: Sequence[LayerCosts], written: Operations) -> None:
        self._work, self._config, self._costs = work, work.config, costs
        self._chip_costs = work.chip_costs
        self._imem_bytes, self._wmem_bytes = work.config.imem_word_bytes, work.config.wmem_word_bytes
        self._amem_bytes, self._amem_banks = work.config.amem_word_bytes, work.config.amem_banks
        access = self._chip_costs.access_cycles
        self._wake = self._chip_costs.interrupt_cycles + WAKE_ACCESSES * access
        engine, load, store = (START_ACCESSES[unit] * access for unit in (Unit.ENGINE, Unit.LOAD, Unit.STORE))
        self._start_engine, self._start_load, self._start_store = engine, load, store
        self._before_load = self._wake + load
        """From the end of a load to the begin of the next."""
        self._further_cycles = [
            HEADER_WORDS + 2 * work.group_slots(layer) + work.config.requantiser_cycles for layer in work.network.layers
        ]
        """What each part of a layer takes beside its passes."""
        self._wmem, self._imem = _Ring(work.config.wmem_words), _Ring(work.config.imem_words)
        self._few_words = min(_FEW_WORDS, work.config.wmem_words // 2)
        self.begins: list[int] = []
        """The first part of each job,"""
        self._parts = 0
        """of so many until now."""
        self._run_ends: list[float] = []
        """By moment; of a batch only the first images count, later ones find their words free."""
        self._job_ends: list[float] = []
        self._engine_end = self._load_end = 0.0
        self._held: list[tuple[float, float]] = []
        """For each job when it begins, and the cycles that an AMem word waits meanwhile."""
        self._sram_ends = [0.0] * len(SramName)
        """By the number of the SRAM."""
        self._gaps: deque[_Gap] = deque(maxlen=_GAPS)
        self._fills: list[tuple[int, float, int]] = []
        """Cycles of each, when its words are free, and how many."""
        self._stores: list[tuple[float, int, int]] = []
        """When each can start, its cycles and words."""
        self._free_after = _free_after(written.operations)
        self._awaited = frozenset(self._free_after.values())
        """Runs after which words are free that a load waits for."""
        self._cycles_left, self._loads_left = self._look_ahead(written)
        self._begin_job()

    def _begin_job(self) -> None:
        self._runs = 0
        self._cycles = 0
        self._word_cycles = 0.0
        self._weight_words = self._new_weight_words = self._instruction_words = 0
        self._weights_after = -1
        self._is_awaited = False
        """Whether a load waits for the job's last run."""

    def _look_ahead(self, written: Operations) -> tuple[list[float], list[float]]:
        """Cycles left from each part on for the engine, or for stores if these take longer; for the loads behind it.

        Weights count once, as if they stayed in WMem.
        """
        left, behind = list[tuple[int, float]](), list[float]()
        computing, storing, loading, seen = 0, 0.0, 0.0, set[int]()
        for _, operation in written.of_images():
            match operation:
                case Run(groups=groups):
                    left.append((computing, storing))
                    computing += self._part_cycles(operation)
                    new_words = 0 if groups.block in seen else groups.weight_words
                    seen.add(groups.block)
                    loading = self._loads_end(loading, HEADER_WORDS + groups.instruction_words, new_words)
                    behind.append(loading)
                case Fill():
                    loading += self._before_load + self._fill_cycles(operation)
                case Drain():
                    storing += self._wake + self._drain_cycles(operation)
        return [max(computing - one, storing - other) for one, other in left], [loading - until for until in behind]

    def _part_cycles(self, run: Run) -> int:
        before, groups, tiles = self._costs[run.layer_index].cycles_before, run.groups, run.tiles
        passes = (before[groups.first + groups.count] - before[groups.first]) * (tiles.end - tiles.first)
        return passes + self._further_cycles[run.layer_index]

    def _fill_cycles(self, fill: Fill) -> int:
        words, rows = self._size(fill.window)
        return self._chip_costs.load_cycles(words * self._amem_bytes, rows)

    def _drain_cycles(self, drain: Drain) -> int:
        words, rows = self._size(drain.window)
        return self._chip_costs.store_cycles(words * self._amem_bytes, rows) + self._start_store

    # -- operations -----------------------------------------------------------------------------------------------

    def fill(self, fill: Fill) -> None:
        """A load, when the words of its buffer are free."""
        if self._runs:
            self._close()
        free = self._run_end(self._free_after[fill.buffer])
        self._fills.append((self._fill_cycles(fill), free, self._size(fill.window)[0]))

    def drain(self, drain: Drain) -> None:
        """A store, when the engine has ended; how long it takes depends on the jobs behind it."""
        if self._runs:
            self._close()
        self._stores.append((self._engine_end, self._drain_cycles(drain), self._size(drain.window)[0]))

    def run(self, run: Run) -> None:
        """A part, in the open job or in one of its own."""
        groups = run.groups
        block = groups.block
        new_words = 0 if block in self._wmem.users else groups.weight_words
        instruction_words = HEADER_WORDS + groups.instruction_words
        if self._runs and not self._joins(groups.weight_words, new_words, instruction_words):
            self._close()
        if not self._runs:
            self.begins.append(self._parts)
        if new_words:
            self._weights_after = max(self._weights_after, self._wmem.take(block, new_words))
        if groups.weight_words:
            self._wmem.users[block] = len(self._job_ends)
        self._parts += 1
        self._runs += 1
        self._new_weight_words += new_words
        self._weight_words += groups.weight_words
        self._instruction_words += instruction_words
        self._cycles += self._part_cycles(run)
        self._is_awaited = run.moment in self._awaited
        banks = self._amem_banks
        reads_one, writes_one = run.source.window.words % banks == 0, run.output.window.words % banks == 0
        if reads_one or writes_one:
            self._word_cycles = max(self._word_cycles, self._held_cycles(run, reads_one, writes_one))

    def end(self) -> float:
        """The last interrupt."""
        if self._runs:
            self._close()
        end = 0.0
        for ready, cycles, words in self._stores:
            end = self._transfer_end(max(end, ready) + self._wake, cycles, words)
        return max(self._engine_end, end)

    # -- jobs -----------------------------------------------------------------------------------------------------

    def _joins(self, weight_words: int, new_words: int, instruction_words: int) -> bool:
        """Whether a part joins the open job: it needs so many words, of which the new ones have to be loaded.

        It does unless a load waits for the job's end, if there are few words to load in all, and all that is left to
        compute and to load ends no later so. To load for both together takes less time, but the engine waits for it.
        """
        config = self._config
        job_words, job_instruction_words = self._instruction_words + 1, self._instruction_words + instruction_words + 1
        job_new_words = self._new_weight_words + new_words
        if (
            self._is_awaited
            or self._weight_words + weight_words > config.wmem_words
            or job_instruction_words > config.imem_words
            or job_new_words > self._few_words
        ):
            return False
        begin = self._load_end + sum([self._before_load + cycles for cycles, _, _ in self._fills])
        open_end = self._loads_end(begin, job_words, self._new_weight_words)
        apart_end = self._loads_end(open_end, instruction_words + 1, new_words)
        together_end = self._loads_end(begin, job_instruction_words, job_new_words)
        apart = max(max(self._engine_end, open_end) + self._cycles + self._chip_costs.restart_cycles, apart_end)
        together = max(self._engine_end, together_end) + self._cycles
        compute, load = self._cycles_left[self._parts], self._loads_left[self._parts]
        return max(together + compute, together_end + load) <= max(apart + compute, apart_end + load)

    def _loads_end(self, begin: float, instruction_words: int, weight_words: int) -> float:
        """When both loads of a job have ended."""
        end = begin + self._before_load + self._chip_costs.load_cycles(instruction_words * self._imem_bytes)
        if weight_words:
            end += self._before_load + self._chip_costs.load_cycles(weight_words * self._wmem_bytes)
        return end

    def _close(self) -> None:
        """Load what the open job needs, then run it."""
        job, load_cycles = len(self._job_ends), self._chip_costs.load_cycles
        words = self._instruction_words + 1
        after = self._imem.take(job, words)
        self._imem.users[job] = job
        self._load(SramName.IMEM, load_cycles(words * self._imem_bytes), self._job_end(after))
        if self._new_weight_words:
            cycles = load_cycles(self._new_weight_words * self._wmem_bytes)
            self._load(SramName.WMEM, cycles, self._job_end(self._weights_after))
        for cycles, free, words in self._fills:
            self._load(SramName.AMEM, cycles, free, words)
        begin = max(self._engine_end, *self._sram_ends) + self._wake + self._start_engine
        self._engine_end = begin + self._cycles
        self._job_ends.append(self._engine_end)
        self._held.append((begin, self._word_cycles))
        self._run_ends += [self._engine_end] * self._runs
        self._fills = []
        self._begin_job()

    def _load(self, sram: SramName, cycles: int, free: float, words: int = 0) -> None:
        """The next load, when its words are free; where the channel waited for words of another SRAM, already then."""
        cycles += self._start_load
        wake, sram_end = self._wake, self._sram_ends[sram]
        earliest = (free if free > sram_end else sram_end) + wake
        for gap in self._gaps:
            if gap.end <= earliest or gap.sram is sram:
                continue
            begin = gap.begin if gap.begin > earliest else earliest
            if begin + cycles + wake <= gap.end:
                gap.begin = begin + cycles + wake
                self._sram_ends[sram] = begin + cycles
                return
        ready = self._load_end + wake
        begin = max(ready, free + wake)
        if begin > ready + self._start_load:
            self._gaps.append(_Gap(sram, ready, begin))
        end = self._transfer_end(begin, cycles, words) if words else begin + cycles
        self._load_end = self._sram_ends[sram] = end

    def _held_cycles(self, run: Run, reads_one: bool, writes_one: bool) -> float:
        """Cycles that a word of a transfer waits where a pass reads or writes one bank nearly all the time.

        It reads one bank if every channel begins in it, and taps reach no further. It writes one bank if every channel
        ends in it.
        """
        banks, held = self._amem_banks, 0.0
        steps = self._work.weights[run.layer_index].step_counts[run.groups.first]
        if reads_one:
            raster = self._work.rasters[self._work.network.layers[run.layer_index].name]
            rows, columns = (size // 2 * apart for size, apart in zip(raster.kernel, raster.dilation, strict=True))
            if rows * raster.size[1] + columns < self._config.lanes and max(raster.stride) == 1:
                held = steps / banks
        slots = min(self._config.columns, run.groups.channels)
        if writes_one and steps < 2 * slots:
            held = max(held, slots / banks)
        return held

    def _transfer_end(self, begin: float, cycles: int, words: int) -> float:
        """When a transfer ends: jobs of which every step of a pass reads the same bank hold up its words of AMem."""
        now, left, ends = begin, 1.0, self._job_ends
        for job in range(bisect_right(ends, begin), len(ends)):
            (job_begin, word_cycles), job_end = self._held[job], ends[job]
            if job_begin > now:
                before = (job_begin - now) / cycles
                if before >= left:
                    break
                now, left = job_begin, left - before
            held_cycles = words * word_cycles
            slow = held_cycles if held_cycles > cycles else cycles
            if now + left * slow <= job_end:
                return now + left * slow
            now, left = job_end, left - (job_end - now) / slow
        return now + left * cycles

    def _job_end(self, job: int) -> float:
        """Words of the open job count as those of the one before."""
        return self._job_ends[min(job, len(self._job_ends) - 1)] if job >= 0 and self._job_ends else 0.0

    def _run_end(self, moment: int) -> float:
        return self._run_ends[moment] if 0 <= moment < len(self._run_ends) else 0.0

    def _size(self, window: Window) -> tuple[int, int]:
        """Words and rows of a transfer."""
        planes, words = window.planes, window.words
        return planes * words, 1 if planes == 1 or words == self._work.plane_words[window.tensor] else planes


def _free_after(operations: Iterable[Operation]) -> dict[Buffer, int]:
    """For each buffer that is filled the run after which its words are free, perhaps -1.

    They are those of its tensor's last window that is no longer needed. A first window has words of its own, but is
    loaded no sooner than another would be.
    """
    found, deaths = dict[Buffer, int](), dict[str, list[int]]()
    for one in operations:
        if not isinstance(one, Fill):
            continue
        buffer, birth = one.buffer, one.buffer.birth
        windows = deaths.setdefault(buffer.window.tensor, [birth - 1])
        moment = max([death for death in windows if death < birth], default=-1)
        windows[:] = [*[death for death in windows if death >= birth or death == moment], buffer.death]
        found[buffer] = moment
    return found
