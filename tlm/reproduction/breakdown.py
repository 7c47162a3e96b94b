"""Cycles of a PW-DW-PW block or network, split by cause against the ideal 10 : 4 : 2 of 9/9, 3/9 and 1/9.

The unit u is one full array's work on one point-wise layer at the block's output: H' W' C O / (lanes x columns) cycles,
12,544 for each block of ResNet-18. Ideally a block takes 1 + k of them: 10 at 9/9, 4 at 3/9, 2 at 1/9 (docs/chip.md,
Derived). What it takes more has causes, which the account of cycles knows (docs/account.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from tlm.observe.account import ArrayAccount, added
from tlm.observe.causes import CAUSES as COMMON_CAUSES
from tlm.reproduction.efficiency import BESIDE_BLOCKS, BLOCKS, FIRST_PW, SECOND_PW, group_of
from tlm.reproduction.split import DENSE_TAPS, Split
from tlm.results.result import LayerResult, Result

IDEAL = "ideal"

_OF_ACCOUNT = ("bank_conflict", "instruction", "pipeline", "parameters", "write_back", "drain")
_OF_WAITS = ("weights", "activations", "instructions", "host")

CAUSES: Mapping[str, str] = {
    IDEAL: "1 + k units on a full array",
    "first_pw": "first point-wise layers at the input's resolution, where the block halves the map",
    "partial": "lanes and columns without a pixel or channel: last tiles and groups",
    "halo": "steps of rows that bands compute twice",
    **{cause: COMMON_CAUSES[cause].brief for cause in _OF_ACCOUNT},
    "projections": "projection shortcuts, all of their compute cycles",
    "stem": "the unpruned 7x7 layer, all of its compute cycles",
    "max pooling": "all of its compute cycles",
    "average pooling": "all of its compute cycles",
    "classifier": "all of its compute cycles",
    **{cause: COMMON_CAUSES[cause].brief for cause in _OF_WAITS},
}
"""Cause -> what it is. Those up to "drain" are of the blocks' two layers alone, from "weights" on of all layers."""


def breakdown(name: str, result: Result, taps: int) -> Split:
    """Split the cycles of a run of PW-DW-PW blocks, or of a network of them.

    Args:
        name: how it is called.
        result: of a run whose layers have the names of :mod:`tlm.networks.resnet18`.
        taps: valid ones of each depth-wise kernel.

    Raises:
        SimulationError: the causes do not add up to the run's cycles.
    """
    blocks, unit = _layers(result, BLOCKS), unit_cycles(result)
    first_macs = sum(layer.dense_macs for layer in blocks if layer.name.endswith(FIRST_PW))
    first = Fraction(first_macs, result.chip.peak_macs_per_cycle)
    unsplit, steps = (sum(layer.unsplit_steps for layer in blocks), sum(layer.steps for layer in blocks))
    account = added(ArrayAccount, [layer.account for layer in blocks]).by_cause()
    parts = {
        IDEAL: (1 + taps) * unit,
        "first_pw": first - unit,
        "partial": unsplit - (first + taps * unit),
        "halo": Fraction(steps - unsplit),
        **{cause: Fraction(account[cause]) for cause in _OF_ACCOUNT},
        **{group: Fraction(sum(layer.compute_cycles for layer in _layers(result, group))) for group in BESIDE_BLOCKS},
        **{cause: Fraction(count) for cause, count in result.account.waits.by_cause().items()},
    }
    assert list(parts) == list(CAUSES)
    return Split(name, taps, parts, result.cycles, "cycles", unit)


def unit_cycles(result: Result) -> Fraction:
    """u, summed over the blocks of a run; see :func:`breakdown`."""
    macs = sum(layer.dense_macs for layer in _layers(result, BLOCKS) if layer.name.endswith(SECOND_PW))
    return Fraction(macs, DENSE_TAPS * result.chip.peak_macs_per_cycle)


def _layers(result: Result, group: str) -> list[LayerResult]:
    return [layer for layer in result.layers.values() if group_of(layer.name, layer.kind) == group]
