"""Two results side by side, with differences and percent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict

from msgspec import structs

from tlm.analysis.bars import columns
from tlm.results.result_json import LayerRecord, RunRecord, flat


def compare_text(first: RunRecord, second: RunRecord) -> str:
    """The whole text, lines with a line feed each."""
    sections = [
        _identity(first, second),
        ["Whole run [S]", *_table(_totals(first), _totals(second))],
        ["Where the cycles go [S]", *_table(first.account.causes, second.account.causes)],
        *_layers(first, second),
    ]
    return "\n".join("".join(f"{line}\n" for line in section) for section in sections)


def _identity(first: RunRecord, second: RunRecord) -> list[str]:
    lines = [f"{side}: {one.name}, fidelity {one.fidelity}" for side, one in (("A", first), ("B", second))]
    a, b = ({**flat({"chip": asdict(one.chip)}), **flat(one.settings)} for one in (first, second))
    for key in {**a, **b}:
        before, after = a.get(key, "absent"), b.get(key, "absent")
        if before != after:
            lines.append(f"{key}: {before} -> {after}")
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
        **{f"bytes {way}": count for way, count in structs.asdict(result.traffic_bytes).items()},
        **{f"conflicts {who}": count for who, count in result.bank_conflict_cycles.items()},
    }


def _layers(first: RunRecord, second: RunRecord) -> Iterator[list[str]]:
    a, b = ({layer.name: layer for layer in result.layers} for result in (first, second))
    for name in {**a, **b}:
        if name in a and name in b:
            yield [f"Layer {name} [S]", *_table(_layer_figures(a[name]), _layer_figures(b[name]))]
        else:
            yield [f"Layer {name}: only in {'A' if name in a else 'B'}"]


def _layer_figures(layer: LayerRecord) -> dict[str, float]:
    return {
        "compute cycles": layer.compute_cycles,
        "steps": layer.steps,
        "MACs": layer.macs,
        "utilisation %": 100 * layer.utilization,
        **layer.account.by_cause(),
        **{f"wait: {cause}": count for cause, count in layer.waits.by_cause().items()},
    }


def _table(first: Mapping[str, float], second: Mapping[str, float]) -> list[str]:
    """Figures of both; those that are 0 in both are left out."""
    rows = [["", "A", "B", "B - A", "change"]]
    for key in {**first, **second}:
        a, b = first.get(key, 0), second.get(key, 0)
        if a or b:
            change = "=" if a == b else f"{100 * (b - a) / a:+.1f} %" if a else "new"
            rows.append([key.replace("_", " "), _number(a), _number(b), _number(b - a, "+"), change])
    return columns(rows)


def _number(value: float, sign: str = "") -> str:
    if not value:
        return "0"
    return f"{value:{sign},}" if isinstance(value, int) else f"{value:{sign},.2f}"
