"""Energy as plain values for result.json; docs/result.md lists the keys."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from tlm.observe.energy_account import Energy, power_mw, tops_per_w

if TYPE_CHECKING:
    from tlm.result import Result


def energy_record(energy: Energy, macs: int, dense_macs: int) -> dict[str, Any]:
    """What a layer and a run have in common.

    Args:
        energy: of the layer or the run.
        macs: multiply-accumulates that it executed.
        dense_macs: those of the unpruned layer or network.
    """
    within = energy.compute.total_pj
    return {
        "total_pj": energy.total_pj,
        "components_pj": energy.core.by_component_pj(),
        "compute_pj": within,
        "waits_pj": energy.waits.total_pj,
        "transfers_pj": energy.transfers.total_pj,
        "off_chip_pj": energy.off_chip_pj,
        "tops_per_w": tops_per_w(macs, energy.total_pj),
        "dense_tops_per_w": tops_per_w(dense_macs, energy.total_pj),
        "compute_tops_per_w": tops_per_w(macs, within),
        "compute_dense_tops_per_w": tops_per_w(dense_macs, within),
    }


def run_energy_record(result: Result) -> dict[str, Any]:
    """Of a whole run, with the table that it was worked out from."""
    energy, outside, table = result.energy, result.energy_outside_layers, result.energy_table
    return {
        **energy_record(energy, result.macs, result.dense_macs),
        "power_mw": result.power_mw,
        "compute_power_mw": power_mw(energy.compute.total_pj, result.chip.time_us(result.compute_cycles)),
        "outside_layers_pj": outside.total_pj,
        "outside_layers_off_chip_pj": outside.off_chip_pj,
        "table": {item.name: getattr(table, item.name) for item in fields(table)},
        "table_labels": table.labels(),
    }
