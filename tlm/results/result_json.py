"""A result as plain values: result.json, whose keys docs/result.md lists."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from tlm.observe.account import RunAccount, SramAccount
from tlm.observe.energy_account import Energy, power_mw, tops_per_w
from tlm.observe.timeline import Timeline
from tlm.results.result import LayerResult, Result, chip_labels, tensor_sha256

SCHEMA = "tlm.result/1"
"""Version of result.json: the number grows when a key changes its meaning or goes; new keys leave it alone."""


def result_record(
    result: Result,
    *,
    scenario: str | None = None,
    settings: Mapping[str, Any] | None = None,
    matches_reference: bool | None = None,
) -> dict[str, Any]:
    """The content of result.json as plain Python values (docs/result.md lists the keys).

    Args:
        scenario: name of what ran; None for a run from the API.
        settings: the scenario's resolved network and input sections, for the record.
        matches_reference: whether every output equals the golden model's; None if checking was turned off.
    """
    chip = {item.name: getattr(result.chip, item.name) for item in fields(result.chip)}
    return {
        "schema": SCHEMA,
        "scenario": scenario,
        "settings": dict(settings or {}),
        "fidelity": result.fidelity,
        "reference_checked": matches_reference is not None,
        "matches_reference": matches_reference,
        "cycles": result.cycles,
        "time_us": result.time_us,
        "compute_cycles": result.compute_cycles,
        "macs": result.macs,
        "useful_macs": result.useful_macs,
        "repeated_macs": result.repeated_macs,
        "structural_zero_macs": result.structural_zero_macs,
        "dense_macs": result.dense_macs,
        "utilization": result.utilization,
        "compute_utilization": result.compute_utilization,
        "traffic_bytes": {
            "load": result.traffic.load_bytes,
            "store": result.traffic.store_bytes,
            "total": result.traffic.total_bytes,
        },
        "bank_conflict_cycles": dict(sorted(result.bank_conflicts.items())),
        "account": _account_record(result.account),
        "predicted_cycles": result.predicted_cycles,
        "overlap": {name: asdict(overlap) for name, overlap in result.overlap.items()},
        "energy": _run_energy_record(result),
        "timeline": _timeline_record(result.timeline),
        "output_layer": result.output_name,
        "output_shape": list(result.outputs.shape),
        "output_dtype": result.outputs.dtype.name,
        "outputs_sha256": result.outputs_sha256,
        "layers": [_layer_record(layer, result) for layer in result.layers.values()],
        "chip": chip,
        "chip_labels": chip_labels(result.chip),
    }


def result_json(
    result: Result,
    *,
    scenario: str | None = None,
    settings: Mapping[str, Any] | None = None,
    matches_reference: bool | None = None,
) -> str:
    """result.json as text: fixed key order, no date, no path, so equal runs give equal bytes (see result_record)."""
    record = result_record(result, scenario=scenario, settings=settings, matches_reference=matches_reference)
    return json.dumps(record, indent=2, allow_nan=False) + "\n"


def _account_record(account: RunAccount) -> dict[str, Any]:
    return {
        "causes": account.by_cause(),
        "waits_at_end": account.waits_at_end.by_cause(),
        "dma": {name: channel.by_cause() for name, channel in account.dma.items()},
        "sram": {name: _sram_record(sram) for name, sram in account.sram.items()},
    }


def _sram_record(sram: SramAccount) -> dict[str, Any]:
    return {
        "busy": {initiator: list(banks) for initiator, banks in sram.busy.items()},
        "idle": list(sram.idle),
        "refused": dict(sram.refused),
    }


def _layer_record(layer: LayerResult, result: Result) -> dict[str, Any]:
    record = {item.name: getattr(layer, item.name) for item in fields(layer)}
    del record["columns"]  # chip.columns
    record["account"], record["waits"] = layer.account.by_cause(), layer.waits.by_cause()
    record["energy"] = _energy_record(layer.energy, layer.macs, layer.dense_macs)
    for key in ("useful_macs", "utilization", "step_utilization", "lane_utilization", "column_utilization"):
        record[key] = getattr(layer, key)
    record["outputs_sha256"] = tensor_sha256(result.tensors[layer.name])
    return {key: list(value) if isinstance(value, tuple) else value for key, value in record.items()}


def _timeline_record(timeline: Timeline) -> dict[str, Any]:
    names = {part.tag: part.name for part in timeline.parts}
    return {
        "host": [asdict(span) for span in timeline.host],
        "transfers": [
            {**asdict(span), "part_bytes": {names[tag]: count for tag, count in span.part_bytes.items()}}
            for span in timeline.transfers
        ],
        "programs": [asdict(span) for span in timeline.programs],
        "parts": [asdict(span) for span in timeline.parts],
    }


def _energy_record(energy: Energy, macs: int, dense_macs: int) -> dict[str, Any]:
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


def _run_energy_record(result: Result) -> dict[str, Any]:
    """Of a whole run, with the table that it was worked out from."""
    energy, outside, table = result.energy, result.energy_outside_layers, result.energy_table
    return {
        **_energy_record(energy, result.macs, result.dense_macs),
        "power_mw": result.power_mw,
        "compute_power_mw": power_mw(energy.compute.total_pj, result.chip.time_us(result.compute_cycles)),
        "outside_layers_pj": outside.total_pj,
        "outside_layers_off_chip_pj": outside.off_chip_pj,
        "table": {item.name: getattr(table, item.name) for item in fields(table)},
        "table_labels": table.labels(),
    }
