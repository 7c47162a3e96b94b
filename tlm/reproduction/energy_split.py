"""Energy of a PW-DW-PW network by cause, against the ideal arithmetic of its blocks."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from tlm.observe.energy_account import added_energies
from tlm.observe.energy_table import AJ_PER_PJ
from tlm.reproduction.breakdown import unit_cycles
from tlm.reproduction.efficiency import BESIDE_BLOCKS, BLOCKS, group_of
from tlm.reproduction.published import TOPS_PER_W, ideal_gain
from tlm.reproduction.split import Split
from tlm.results.result import LayerResult, Result

IDEAL = "ideal arithmetic of the blocks"
UNITS = "blocks: 1 + k units of full steps, against the ideal"
MORE_STEPS = "blocks: more steps (partial tiles, halo, first PW)"
WITHOUT_STEP = "blocks: cycles without a step (fill, bank conflicts)"
WRITE_BACK = "blocks: write-back"
WAITS, TRANSFERS = "waits (leakage, gated clock)", "DMA, interconnect and host"

CAUSES = (IDEAL, UNITS, MORE_STEPS, WITHOUT_STEP, WRITE_BACK, *BESIDE_BLOCKS, WAITS, TRANSFERS)
"""Of a network's energy, in the order of reports."""

BEYOND_WITHIN = CAUSES[1:-2]
"""What a run takes beyond the ideal while layers compute."""


def energy_split(result: Result, taps: int) -> Split:
    """The causes of a network's energy; the unit is 1 fJ for each dense-equivalent operation.

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
    assert tuple(parts) == CAUSES
    unit_aj = Fraction(2 * result.dense_macs * 1000)
    return Split("energy", taps, parts, result.energy.core.total, "aJ", unit_aj)


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
