"""Two results side by side, with differences and percent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tlm.analysis.bars import columns
from tlm.results.result_json import LayerRecord, RunRecord

_HEAD = ["", "A", "B", "B - A", "change"]


def compare_text(first: RunRecord, second: RunRecord) -> str:
    """The whole text, lines with a line feed each.

    Args:
        first, second: of one schema (:func:`tlm.results.result_json.load_pair`).
    """
    sections = [
        _identity(first, second),
        ["Whole run [S]", *_table(_totals(first), _totals(second))],
        ["Where the cycles go [S]", *_table(first.account.causes, second.account.causes)],
        *_layers(first, second),
    ]
    return "\n".join("".join(f"{line}\n" for line in section) for section in sections)


def _identity(first: RunRecord, second: RunRecord) -> list[str]:
    lines = [f"A: {first.name}, fidelity {first.fidelity}", f"B: {second.name}, fidelity {second.fidelity}"]
    chips = first.chip_keys(), second.chip_keys()
    lines += [f"chip.{key}: {value} -> {chips[1][key]}" for key, value in chips[0].items() if chips[1][key] != value]
    settings = _flat(first.settings), _flat(second.settings)
    for key in settings[0] | settings[1]:
        values = [side.get(key, "absent") for side in settings]
        if values[0] != values[1]:
            lines.append(f"{key}: {values[0]} -> {values[1]}")
    same = first.outputs_sha256 == second.outputs_sha256
    return [*lines, f"outputs: {'equal' if same else 'different'}"]


def _totals(result: RunRecord) -> dict[str, float]:
    return {
        "cycles": result.cycles,
        "time us": result.time_us,
        "compute cycles": result.compute_cycles,
        "MACs": result.macs,
        "useful MACs": result.useful_macs,
        "dense MACs": result.dense_macs,
        "utilisation %": 100 * result.utilization,
        "within layers %": 100 * result.compute_utilization,
        **{f"bytes {way}": count for way, count in result.traffic_bytes.items()},
        **{f"conflicts {who}": count for who, count in result.bank_conflict_cycles.items()},
    }


def _layers(first: RunRecord, second: RunRecord) -> Iterator[list[str]]:
    sides = [{layer.name: layer for layer in result.layers} for result in (first, second)]
    for name in sides[0] | sides[1]:
        pair = [side.get(name) for side in sides]
        if pair[0] is not None and pair[1] is not None:
            yield [f"Layer {name} [S]", *_table(_layer_figures(pair[0]), _layer_figures(pair[1]))]
        else:
            yield [f"Layer {name}: only in {'A' if pair[1] is None else 'B'}"]


def _layer_figures(layer: LayerRecord) -> dict[str, float]:
    return {
        "compute cycles": layer.compute_cycles,
        "steps": layer.steps,
        "MACs": layer.macs,
        "utilisation %": 100 * layer.utilization,
        **layer.account,
        **{f"wait: {cause}": count for cause, count in layer.waits.items()},
    }


def _table(first: Mapping[str, float], second: Mapping[str, float]) -> list[str]:
    """Figures of both; those that are 0 in both are left out."""
    rows = [_HEAD]
    for key in {**first, **second}:
        a, b = first.get(key, 0), second.get(key, 0)
        if a or b:
            rows.append([key.replace("_", " "), _number(a), _number(b), _number(b - a, "+"), _change(a, b)])
    return columns(rows)


def _number(value: float, sign: str = "") -> str:
    if not value:
        return "0"
    return f"{value:{sign},}" if isinstance(value, int) else f"{value:{sign},.2f}"


def _change(a: float, b: float) -> str:
    if a == b:
        return "="
    return f"{100 * (b - a) / a:+.1f} %" if a else "new"


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Key path -> value, for nested tables."""
    if isinstance(value, list):
        value = dict(enumerate(value))
        return {key: item for k, v in value.items() for key, item in _flat(v, f"{path}[{k}]").items()}
    if isinstance(value, dict):
        return {key: item for k, v in value.items() for key, item in _flat(v, f"{path}.{k}" if path else k).items()}
    return {path: value}
