"""Compute cycles of a part of a layer by engine.md's formula ("A pass"), from weights and shapes alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tlm.chip.config import ChipConfig
from tlm.compiler.program import Program
from tlm.core.errors import SimulationError
from tlm.inputs.integer_arrays import Int8Array
from tlm.network.layers import Conv2d
from tlm.results.result import Result

_PATTERN_BITS = 60


@dataclass(frozen=True)
class PartCycles:
    """A part's cycles by the formula and as measured.

    Raises:
        SimulationError: refusals and conflicts cannot explain what it takes beyond the formula.
    """

    part: str
    """The layer's name, with a number if it is split."""
    formula: int
    measured: int
    refused: int
    """Writes that found their bank taken; the formula holds where there are none."""
    conflicts: int
    """Cycles that fetches took beyond one a step; the formula is given none."""

    def __post_init__(self) -> None:
        more = self.measured - self.formula
        if more < 0 or (more and not self.refused and not self.conflicts):
            raise SimulationError(
                f"reproduction: {self.part} took {self.measured} cycles, but engine.md's formula gives {self.formula}, "
                f"and {self.refused} refusals and {self.conflicts} bank conflicts cannot explain the difference"
            )


def sequencer_cycles(weights: Int8Array, columns: int) -> list[int]:
    """S of a pass for each group of output channels, every fetch taking one cycle.

    Args:
        weights: int8 (O, C, kh, kw).
        columns: output channels of a group.

    Returns:
        For each group the sum over its pattern words of max(1, weight words): a word speaks of 60 // (kh kw) channels,
        or of 60 taps of one channel.
    """
    taps = weights.shape[2] * weights.shape[3]
    bits = _PATTERN_BITS // taps * taps or _PATTERN_BITS
    found = []
    for first in range(0, len(weights), columns):
        valid = (weights[first : first + columns] != 0).any(axis=0).reshape(-1, taps)
        rows = valid if taps > _PATTERN_BITS else valid.reshape(1, -1)
        found.append(sum(max(1, int(row[i : i + bits].sum())) for row in rows for i in range(0, len(row), bits)))
    return found


def compute_cycles(sequencer: Sequence[int], slots: Sequence[int], tiles: int, chip: ChipConfig) -> int:
    """h_last + 4 + n_last - s_0 (engine.md, A pass), if no access is refused.

    Args:
        sequencer: S of a pass, for each group.
        slots: n, words that a pass of each group writes.
        tiles: passes of each group.
    """
    handover = None
    before = 0
    for cycles, own in zip(sequencer, slots, strict=True):
        for tile in range(tiles):
            gap = chip.pass_gap_cycles if tile else max(chip.pass_gap_cycles, own + 1)
            if handover is None:
                handover = cycles + chip.pipeline_cycles
            else:
                handover += max(cycles + chip.pipeline_cycles + 1 + gap, before + chip.requantiser_cycles + 1)
            before = own
    assert handover is not None
    return handover + chip.requantiser_cycles + 1 + before


def part_cycles(program: Program, result: Result) -> Iterator[PartCycles]:
    """Every part of a program of convolutions without groups, in the order of the layers.

    Raises:
        SimulationError: a part that was refused nothing, but took other cycles than the formula says; or one that took
            fewer.
    """
    chip = result.chip
    for index, layer in enumerate(program.network.layers):
        assert isinstance(layer, Conv2d)
        sequencer = sequencer_cycles(layer.full_weights(), chip.columns)
        planes = 6 if layer.accumulator_output else 1
        passes = iter(result.passes[layer.name])
        for tag in program.parts_of_layer[index]:
            part = program.parts[tag]
            groups = range(part.first_group, part.first_group + part.groups)
            slots = [planes * min(chip.columns, layer.out_channels - g * chip.columns) for g in groups]
            own = [next(passes) for _ in range(part.groups * part.tiles)]
            yield PartCycles(
                part=program.part_name(tag),
                formula=compute_cycles([sequencer[g] for g in groups], slots, part.tiles, chip),
                measured=own[-1].last_write_cycle - own[0].first_cycle + 1,
                refused=sum(one.refused_writes + one.refused_residual_reads for one in own),
                conflicts=sum(one.fetch_cycles - one.steps for one in own),
            )
