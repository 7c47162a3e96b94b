"""Whether a program's values can depend on how long anything takes.

The driver starts units and waits for them in a fixed order. If no unit ever touches words that another one writes
meanwhile, whatever their speeds, and no layer overwrites what it still reads, then each reads the same values in every
run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tlm.chip.format.descriptor import sram_size
from tlm.chip.format.driver import SramName, StartTransfer, Transfer, Unit, Wait
from tlm.compiler.jobs import Job
from tlm.compiler.parts import Part
from tlm.compiler.places import Place, planes_per_channel
from tlm.compiler.program import Program


class _Rows(NamedTuple):
    """Words of an SRAM, or bytes off-chip."""

    first: int
    length: int
    """Of a row."""
    rows: int = 1
    stride: int = 0
    """From the start of a row to that of the next."""

    @property
    def end(self) -> int:
        """Behind the last."""
        return self.first + (self.rows - 1) * self.stride + self.length

    def overlap(self, other: _Rows) -> bool:
        """Whether they have a word in common."""
        if self.end <= other.first or other.end <= self.first:
            return False
        mine, others = self._firsts()[:, None], other._firsts()
        return bool(((mine < others + other.length) & (others < mine + self.length)).any())

    def _firsts(self) -> npt.NDArray[np.int64]:
        return self.first + self.stride * np.arange(self.rows, dtype=np.int64)


class _Access(NamedTuple):
    """What a unit reads or writes."""

    sram: SramName | None
    """None: off-chip."""
    writes: bool
    rows: _Rows

    def clashes(self, other: _Access) -> bool:
        """Whether one of the two writes what the other touches."""
        if self.sram is not other.sram or not (self.writes or other.writes):
            return False
        return self.rows.overlap(other.rows)


def values_are_timeless(program: Program) -> bool:
    """Whether driver and layers keep apart all that must not happen at once.

    All words of a transfer or of the engine's job count from its start to its wait, and every word of a part's input
    window counts as read. So a program may be in order although this says no; never the other way round.
    """
    jobs, running = iter(program.jobs), dict[Unit, tuple[_Access, ...]]()
    for step in program.steps:
        if isinstance(step, Wait):
            running.pop(step.unit, None)
            continue
        if isinstance(step, StartTransfer):
            unit, own = step.unit, tuple(_of_transfer(step.transfer, step.unit is Unit.LOAD, program))
        else:
            job, unit = next(jobs), Unit.ENGINE
            if any(_overwrites_what_it_reads(program.parts[tag], program) for tag in job.parts):
                return False
            own = tuple(_of_job(job, program))
        if unit in running or any(one.clashes(other) for others in running.values() for other in others for one in own):
            return False
        running[unit] = own
    return True


def _of_transfer(transfer: Transfer, is_load: bool, program: Program) -> Iterator[_Access]:
    t, row_bytes = transfer, transfer.row_words * sram_size(transfer.sram, program.config)[1]
    yield _Access(t.sram, is_load, _Rows(t.sram_word, t.row_words, t.rows, t.sram_stride_words))
    yield _Access(None, not is_load, _Rows(t.memory_offset_bytes, row_bytes, t.rows, t.memory_stride_bytes))


def _of_job(job: Job, program: Program) -> Iterator[_Access]:
    for tag, weight_word in zip(job.parts, job.wmem_words, strict=True):
        part = program.parts[tag]
        yield _Access(SramName.AMEM, False, _input(part))
        yield _Access(SramName.AMEM, True, _output(part, program))
        if part.residual is not None:
            yield _Access(SramName.AMEM, False, _tiles(part, part.residual, 1))
        if part.weight_words:
            yield _Access(SramName.WMEM, False, _Rows(weight_word, part.weight_words))
    yield _Access(SramName.IMEM, False, _Rows(job.imem_word, len(job.instructions)))


def _overwrites_what_it_reads(part: Part, program: Program) -> bool:
    """Only over a residual, each word at its own place, may an output lie (engine.md, Layout)."""
    output, residual = _output(part, program), None if part.residual is None else _tiles(part, part.residual, 1)
    return output.overlap(_input(part)) or (residual not in (None, output) and output.overlap(residual))


def _input(part: Part) -> _Rows:
    window = part.source.window
    return _Rows(part.source.address(part.first_in_channel, window.first_word), part.in_channels * window.words)


def _output(part: Part, program: Program) -> _Rows:
    tensor = program.network.tensors[program.network.layers[part.layer_index].name]
    return _tiles(part, part.output, planes_per_channel(tensor))


def _tiles(part: Part, place: Place, per_channel: int) -> _Rows:
    """The words of a part's tiles in a tensor with its channels."""
    first = place.address(part.first_channel * per_channel, part.first_tile)
    return _Rows(first, part.tiles, part.channels * per_channel, place.window.words)
