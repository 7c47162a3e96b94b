"""Whether a program's values can depend on how long anything takes.

The driver starts units and waits for them in a fixed order. If no unit ever touches words that another one writes
meanwhile, whatever their speeds, then each reads the same values in every run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from tlm.chip.format.descriptor import sram_size
from tlm.chip.format.driver import SramName, StartTransfer, Transfer, Unit, Wait
from tlm.compiler.jobs import Job
from tlm.compiler.parts import Part
from tlm.compiler.places import Place, planes_per_channel
from tlm.compiler.program import Program

_Ranges: TypeAlias = "tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]"
"""First and end of each, (ranges,)."""


class _Access(NamedTuple):
    """Ranges of words of an SRAM, or of bytes off-chip, that a unit reads or writes."""

    sram: SramName | None
    """None: off-chip."""
    writes: bool
    first: npt.NDArray[np.int64]
    """Ascending, (ranges,); a unit's own may overlap."""
    end: npt.NDArray[np.int64]

    def clashes(self, other: _Access) -> bool:
        """Whether one of the two writes what the other touches."""
        if self.sram is not other.sram or not (self.writes or other.writes):
            return False
        if self.end.max() <= other.first[0] or other.end.max() <= self.first[0]:
            return False
        return bool(((self.first[:, None] < other.end) & (other.first < self.end[:, None])).any())


def values_are_timeless(program: Program) -> bool:
    """Whether the waits of the driver keep apart all that must not happen at once.

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
            unit, own = Unit.ENGINE, tuple(_of_job(next(jobs), program))
        if unit in running or any(one.clashes(other) for others in running.values() for other in others for one in own):
            return False
        running[unit] = own
    return True


def _of_transfer(transfer: Transfer, is_load: bool, program: Program) -> Iterator[_Access]:
    row_bytes = transfer.row_words * sram_size(transfer.sram, program.config)[1]
    inside = _rows(transfer.sram_word, transfer.rows, transfer.sram_stride_words, transfer.row_words)
    outside = _rows(transfer.memory_offset_bytes, transfer.rows, transfer.memory_stride_bytes, row_bytes)
    yield _Access(transfer.sram, is_load, *inside)
    yield _Access(None, not is_load, *outside)


def _of_job(job: Job, program: Program) -> Iterator[_Access]:
    for tag, weight_word in zip(job.parts, job.wmem_words, strict=True):
        part = program.parts[tag]
        per_channel = planes_per_channel(program.network.tensors[program.network.layers[part.layer_index].name])
        source = part.source.address(part.first_in_channel, part.source.window.first_word)
        yield _Access(SramName.AMEM, False, *_rows(source, 1, 0, part.in_channels * part.source.window.words))
        yield _Access(SramName.AMEM, True, *_tiles(part, part.output, per_channel))
        if part.residual is not None:
            yield _Access(SramName.AMEM, False, *_tiles(part, part.residual, 1))
        yield _Access(SramName.WMEM, False, *_rows(weight_word, 1, 0, part.weight_words))
    yield _Access(SramName.IMEM, False, *_rows(job.imem_word, 1, 0, len(job.instructions)))


def _tiles(part: Part, place: Place, per_channel: int) -> _Ranges:
    """The words of a part's tiles in a tensor with its channels."""
    first = place.address(part.first_channel * per_channel, part.first_tile)
    return _rows(first, part.channels * per_channel, place.window.words, part.tiles)


def _rows(first: int, rows: int, stride: int, length: int) -> _Ranges:
    firsts = first + stride * np.arange(rows, dtype=np.int64)
    return firsts, firsts + length
