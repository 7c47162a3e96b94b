"""Energy of a PW-DW-PW network by cause, against the ideal arithmetic of its blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from tlm.core.errors import SimulationError
from tlm.observe.energy_account import added_energies
from tlm.observe.energy_table import AJ_PER_PJ
from tlm.reproduction.breakdown import unit_cycles
from tlm.reproduction.efficiency import BESIDE_BLOCKS, BLOCKS, group_of
from tlm.reproduction.published import TOPS_PER_W, ideal_gain
from tlm.results.result import LayerResult, Result

IDEAL = "ideal arithmetic of the blocks"
UNITS = "blocks: 1 + k units of full steps, against the ideal"
MORE_STEPS = "blocks: more steps (partial tiles, halo, first PW)"
WITHOUT_STEP = "blocks: cycles without a step (fill, bank conflicts)"
WRITE_BACK = "blocks: write-back"
WAITS, TRANSFERS = "waits (leakage, gated clock)", "DMA, interconnect and host"

CAUSES = (IDEAL, UNITS, MORE_STEPS, WITHOUT_STEP, WRITE_BACK, *BESIDE_BLOCKS, WAITS, TRANSFERS)
"""Of :attr:`EnergySplit.parts_aj`."""

BEYOND_WITHIN = CAUSES[1:-2]
"""What a run takes beyond the ideal while layers compute."""


@dataclass(frozen=True)
class EnergySplit:
    """Where the core's energy goes.

    Raises:
        SimulationError: the causes are not all, or not the whole.
    """

    taps: int
    dense_macs: int
    parts_aj: Mapping[str, Fraction]
    """Cause -> attojoules, in the order of CAUSES."""
    total_aj: int
    """Of the run, as measured."""

    def __post_init__(self) -> None:
        if tuple(self.parts_aj) != CAUSES or sum(self.parts_aj.values()) != self.total_aj:
            raise SimulationError(
                f"reproduction: the causes of energy at {self.taps} of 9 taps add up to "
                f"{float(sum(self.parts_aj.values())):.0f} aJ, but the run took {self.total_aj}"
            )

    def fj_per_operation(self, cause: str | None = None) -> float:
        """Of a cause or of all, for each dense-equivalent operation of the whole network, fJ."""
        energy_aj = Fraction(self.total_aj) if cause is None else self.parts_aj[cause]
        return float(energy_aj / (2 * self.dense_macs * 1000))

    def share(self, cause: str) -> float:
        """Of the whole; below 0 where a cause takes less than the ideal has counted."""
        return float(self.parts_aj[cause] / self.total_aj)


def energy_split(result: Result, taps: int) -> EnergySplit:
    """The causes of a network's energy.

    Args:
        result: of a run whose layers have the names of :mod:`tlm.networks.resnet18`.
        taps: valid ones of each depth-wise kernel.

    Raises:
        SimulationError: they do not add up to the run's.
    """
    layers: dict[str, list[LayerResult]] = {group: [] for group in (BLOCKS, *BESIDE_BLOCKS)}
    for layer in result.layers.values():
        layers[group_of(layer.name, layer.kind)].append(layer)
    every = added_energies([*(layer.energy for layer in result.layers.values()), result.energy_outside_layers])
    parts = _blocks(result, layers[BLOCKS], taps)
    parts |= {group: Fraction(_compute_aj(layers[group])) for group in BESIDE_BLOCKS}
    parts[WAITS] = Fraction(every.waits.total)
    parts[TRANSFERS] = Fraction(every.transfers.total + result.energy_outside_layers.compute.total)
    return EnergySplit(taps, result.dense_macs, parts, result.energy.core.total)


def _blocks(result: Result, blocks: Sequence[LayerResult], taps: int) -> dict[str, Fraction]:
    """The ideal, and what the blocks take beyond it.

    A word written back has its events; a cycle without a step has clock and leakage; what is left are the steps.
    """
    per_event = result.energy_table.per_event_aj(result.chip)
    of_word = Fraction(per_event["requantise_pj"] + per_event["amem_write_pj"], per_event["requantise_pj"])
    write_back = of_word * sum(layer.energy.compute.requantiser for layer in blocks)
    steps = sum(layer.steps for layer in blocks)
    idle = sum(layer.compute_cycles for layer in blocks) - steps
    without_step = Fraction(idle * (per_event["clock_pj"] + per_event["leakage_ma"]))
    of_steps = _compute_aj(blocks) - write_back - without_step
    full = (1 + taps) * unit_cycles(result)
    tops_per_w = Fraction(TOPS_PER_W[result.chip.voltage_v]) * ideal_gain(taps)
    ideal = 2 * sum(layer.dense_macs for layer in blocks) * AJ_PER_PJ / tops_per_w
    return {
        IDEAL: ideal,
        UNITS: of_steps * full / steps - ideal,
        MORE_STEPS: of_steps * (steps - full) / steps,
        WITHOUT_STEP: without_step,
        WRITE_BACK: write_back,
    }


def _compute_aj(layers: Sequence[LayerResult]) -> int:
    return added_energies(layer.energy for layer in layers).compute.total
