"""What a run of PW-DW-PW blocks took, split by cause until nothing is left: cycles, and energy.

The unit of cycles, u, is one full array's work on one point-wise layer at the block's output: H' W' C O / (lanes x
columns) cycles, 12,544 for each block of ResNet-18. Ideally a block takes 1 + k of them: 10 at 9/9, 4 at 3/9, 2 at 1/9
(docs/chip.md, Derived). The account of cycles (docs/account.md) knows the causes of what it takes more. The unit of
energy is 1 fJ for each dense-equivalent operation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from tlm.core.errors import SimulationError
from tlm.observe.account import ArrayAccount, added
from tlm.observe.causes import CAUSES
from tlm.observe.energy_account import added_energies
from tlm.observe.energy_table import AJ_PER_PJ
from tlm.reproduction.published import TOPS_PER_W, ideal_gain
from tlm.results.result import LayerResult, Result

DENSE_TAPS = 9
"""Taps of an unpruned 3x3 kernel."""

_FIRST_PW, _SECOND_PW = ".pw1", ".dwpw2"
_BLOCKS = "blocks"
_BESIDE_BLOCKS = ("projections", "stem", "max pooling", "average pooling", "classifier")
"""Parts of a network beside its blocks, in the order of reports."""

_OF_ACCOUNT = ("bank_conflict", "instruction", "pipeline", "parameters", "write_back", "drain")
_OF_WAITS = ("weights", "activations", "instructions", "host")
_WHOLE_LAYER = "all of its compute cycles"

OF_BLOCKS: Mapping[str, str] = {
    "ideal": "1 + k units on a full array",
    "first_pw": "first point-wise layers at the input's resolution, where the block halves the map",
    "partial": "lanes and columns without a pixel or channel: last tiles and groups",
    "halo": "steps of rows that bands compute twice",
    **{cause: CAUSES[cause].brief for cause in _OF_ACCOUNT},
}
"""Cause -> what it is: cycles of the two layers of each block."""

OF_CYCLES: Mapping[str, str] = {
    **OF_BLOCKS,
    "projections": "projection shortcuts, all of their compute cycles",
    "stem": "the unpruned 7x7 layer, all of its compute cycles",
    "max pooling": _WHOLE_LAYER,
    "average pooling": _WHOLE_LAYER,
    "classifier": _WHOLE_LAYER,
    **{cause: CAUSES[cause].brief for cause in _OF_WAITS},
}
"""Cause -> what it is, for all cycles of a run."""

IDEAL = "ideal arithmetic of the blocks"
UNITS = "blocks: 1 + k units of full steps, against the ideal"
MORE_STEPS = "blocks: more steps (partial tiles, halo, first PW)"
WITHOUT_STEP = "blocks: cycles without a step (fill, bank conflicts)"
WRITE_BACK = "blocks: write-back"
WAITS, TRANSFERS = "waits (leakage, gated clock)", "DMA, interconnect and host"

OF_ENERGY = (IDEAL, UNITS, MORE_STEPS, WITHOUT_STEP, WRITE_BACK, *_BESIDE_BLOCKS, WAITS, TRANSFERS)
"""Causes of a network's energy, in the order of reports."""


@dataclass(frozen=True)
class Split:
    """What a run took by cause.

    Raises:
        SimulationError: the causes do not add up to the run.
    """

    name: str
    taps: int
    """Valid taps of each depth-wise kernel."""
    parts: Mapping[str, Fraction]
    """Cause -> cycles or attojoules, in the order of reports."""
    total: int
    """What the run took, as measured."""
    counted: str
    """"cycles" or "aJ"."""
    unit: Fraction
    """The unit in which the parts are shown."""

    def __post_init__(self) -> None:
        if sum(self.parts.values()) != self.total:
            raise SimulationError(
                f"reproduction: the causes of {self.name} at {self.taps} of {DENSE_TAPS} taps add up to "
                f"{float(sum(self.parts.values())):g}, but the run took {self.total} {self.counted}"
            )

    def units(self, cause: str | None = None) -> Fraction:
        """A cause in units; the whole run without one."""
        return (Fraction(self.total) if cause is None else self.parts[cause]) / self.unit

    def share(self, cause: str | None = None) -> float:
        """A cause's share of the whole; below 0 where it takes less than the ideal has counted."""
        return 1.0 if cause is None else float(self.parts[cause] / self.total)

    def beyond(self, dense: Split, cause: str | None = None) -> Fraction:
        """Units beyond the ideal share, (1 + k) / 10, of what the unpruned run takes.

        It is 0 for a cause that shrinks as the ideal work does. The sum keeps the ratio from being ideal.
        """
        ideal = Fraction(1 + self.taps, 1 + DENSE_TAPS)
        return self.units(cause) - ideal * dense.units(cause)


def cycles_by_cause(name: str, result: Result, taps: int) -> Split:
    """Split the cycles of a run of blocks, or of a network of them.

    Args:
        name: of the block or network.
        result: of a run whose layers have the names of :mod:`tlm.networks.resnet18`.
        taps: valid taps of each depth-wise kernel.

    Raises:
        SimulationError: the causes do not add up to the run's cycles, or a layer belongs to another kind of network.
    """
    groups, unit = _layers_by_group(result), _unit_cycles(result)
    blocks = groups[_BLOCKS]
    first_macs = sum(layer.dense_macs for layer in blocks if layer.name.endswith(_FIRST_PW))
    first = Fraction(first_macs, result.chip.peak_macs_per_cycle)
    unsplit, steps = (sum(layer.unsplit_steps for layer in blocks), sum(layer.steps for layer in blocks))
    account = added(ArrayAccount, [layer.account for layer in blocks]).by_cause()
    waits = result.account.waits.by_cause()
    parts = {
        "ideal": (1 + taps) * unit,
        "first_pw": first - unit,
        "partial": unsplit - (first + taps * unit),
        "halo": Fraction(steps - unsplit),
        **{cause: Fraction(account[cause]) for cause in _OF_ACCOUNT},
        **{group: Fraction(sum(layer.compute_cycles for layer in groups[group])) for group in _BESIDE_BLOCKS},
        **{cause: Fraction(waits[cause]) for cause in _OF_WAITS},
    }
    return Split(name, taps, parts, result.cycles, "cycles", unit)


def energy_by_cause(result: Result, taps: int) -> Split:
    """Split the energy of a network's run; arguments and errors as in :func:`cycles_by_cause`."""
    groups = _layers_by_group(result)
    every = added_energies([*(layer.energy for layer in result.layers.values()), result.energy_outside_layers])
    parts = {
        **_energy_of_blocks(result, groups[_BLOCKS], taps),
        **{group: Fraction(_compute_aj(groups[group])) for group in _BESIDE_BLOCKS},
        WAITS: Fraction(every.waits.total),
        TRANSFERS: Fraction(every.transfers.total + result.energy_outside_layers.compute.total),
    }
    return Split("energy", taps, parts, result.energy.core.total, "aJ", Fraction(2 * result.dense_macs * 1000))


def _energy_of_blocks(result: Result, blocks: list[LayerResult], taps: int) -> dict[str, Fraction]:
    """The ideal, and what the blocks take beyond it.

    A word written back has its events. A cycle without a step has clock and leakage. The steps take what is left.
    """
    per_event = result.energy_table.per_event_aj(result.chip)
    of_word = Fraction(per_event["requantise_pj"] + per_event["amem_write_pj"], per_event["requantise_pj"])
    write_back = of_word * sum(layer.energy.compute.requantiser for layer in blocks)
    steps = sum(layer.steps for layer in blocks)
    idle = sum(layer.compute_cycles for layer in blocks) - steps
    without_step = Fraction(idle * (per_event["clock_pj"] + per_event["leakage_ma"]))
    of_steps = _compute_aj(blocks) - write_back - without_step
    full = (1 + taps) * _unit_cycles(result)
    tops_per_w = Fraction(TOPS_PER_W[result.chip.voltage_v]) * ideal_gain(taps)
    ideal = 2 * sum(layer.dense_macs for layer in blocks) * AJ_PER_PJ / tops_per_w
    return {
        IDEAL: ideal,
        UNITS: of_steps * full / steps - ideal,
        MORE_STEPS: of_steps * (steps - full) / steps,
        WITHOUT_STEP: without_step,
        WRITE_BACK: write_back,
    }


def _compute_aj(layers: list[LayerResult]) -> int:
    return added_energies(layer.energy for layer in layers).compute.total


def _unit_cycles(result: Result) -> Fraction:
    """u, summed over the blocks of a run."""
    macs = sum(layer.dense_macs for layer in result.layers.values() if layer.name.endswith(_SECOND_PW))
    return Fraction(macs, DENSE_TAPS * result.chip.peak_macs_per_cycle)


def _layers_by_group(result: Result) -> dict[str, list[LayerResult]]:
    """The layers of the blocks and of each part beside them, by their names and kinds."""
    kinds = {"max-pool": "max pooling", "average-pool": "average pooling", "linear": "classifier"}
    groups: dict[str, list[LayerResult]] = {group: [] for group in (_BLOCKS, *_BESIDE_BLOCKS)}
    for layer in result.layers.values():
        if layer.name.endswith((_FIRST_PW, _SECOND_PW)):
            groups[_BLOCKS].append(layer)
        elif layer.name.endswith(".shortcut"):
            groups["projections"].append(layer)
        elif layer.name == "conv1":
            groups["stem"].append(layer)
        elif layer.kind in kinds:
            groups[kinds[layer.kind]].append(layer)
        else:
            raise SimulationError(
                f"reproduction: layer {layer.name!r} ({layer.kind}) belongs to no part of a PW-DW-PW network"
            )
    return groups
