"""Results side by side: the figures behind ``tlm compare``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from string import ascii_uppercase
from typing import Any

from msgspec import structs

from tlm.results.result_json import LayerRecord, RunRecord, flat

MOST = len(ascii_uppercase)
"""Results that have a letter."""


@dataclass(frozen=True)
class Section:
    """Figures of one kind.

    Attributes:
        title: heading, with the labels of the figures.
        rows: figure, with its unit in the name -> a value for each result; None where a result has no such figure.
        layer: name of the layer; empty for the whole run.
    """

    title: str
    rows: Mapping[str, tuple[float | None, ...]]
    layer: str = ""

    def differing(self) -> Section:
        """The rows whose values are not all equal."""
        return Section(self.title, {key: row for key, row in self.rows.items() if len(set(row)) > 1}, self.layer)


@dataclass(frozen=True)
class Comparison:
    """What results have in common and what not.

    Attributes:
        results: in their order; the first is A.
        settings: key of chip, network or input that differs -> its value in each result; "absent" where it has none.
        outputs_equal: whether all last layers' outputs are the same.
        sections: the whole run first, then layer by layer.
    """

    results: Sequence[RunRecord]
    settings: Mapping[str, tuple[Any, ...]]
    outputs_equal: bool
    sections: Sequence[Section]

    @property
    def letters(self) -> str:
        """A, B, .. of the results."""
        return ascii_uppercase[: len(self.results)]


def compare(results: Sequence[RunRecord]) -> Comparison:
    """Compare at least two results, and at most :data:`MOST`."""
    keys = [{**flat({"chip": asdict(one.chip)}), **flat(one.settings)} for one in results]
    names = dict.fromkeys(name for one in keys for name in one)
    settings = {name: tuple(one.get(name, "absent") for one in keys) for name in names}
    return Comparison(
        results,
        {key: values for key, values in settings.items() if any(value != values[0] for value in values)},
        len({one.outputs_sha256 for one in results}) == 1,
        [
            Section("Whole run [S]", _side_by_side([_totals(one) for one in results])),
            Section("Energy [A]", _side_by_side([_energy(one) for one in results])),
            Section("Where the cycles go [S]", _side_by_side([_cycles(one.account.causes) for one in results])),
            *_layers(results),
        ],
    )


def _side_by_side(figures: Sequence[Mapping[str, float]]) -> dict[str, tuple[float | None, ...]]:
    """A row for each figure that is not 0 everywhere; a result with figures, but not this one, has none of it: 0."""
    keys = dict.fromkeys(key for one in figures for key in one)
    rows = {key: tuple(one.get(key, 0) if one else None for one in figures) for key in keys}
    return {key: row for key, row in rows.items() if any(row)}


def _totals(result: RunRecord) -> dict[str, float]:
    return {
        "cycles": result.cycles,
        "time_us": result.time_us,
        "compute_cycles": result.compute_cycles,
        "macs": result.macs,
        "useful_macs": result.useful_macs,
        "dense_macs": result.dense_macs,
        "utilisation_%": 100 * result.utilization,
        "utilisation_within_layers_%": 100 * result.compute_utilization,
        **{f"{way}_bytes": count for way, count in structs.asdict(result.traffic_bytes).items()},
        **{f"conflicts_{who}_cycles": count for who, count in result.bank_conflict_cycles.items()},
    }


def _energy(result: RunRecord) -> dict[str, float]:
    energy = result.energy
    return {
        "energy_uj": energy.total_pj / 1e6,
        **{f"{name}_uj": picojoules / 1e6 for name, picojoules in energy.components_pj.items()},
        "off_chip_uj": energy.off_chip_pj / 1e6,
        "power_mw": energy.power_mw,
        "tops_per_w": energy.tops_per_w,
        "dense_tops_per_w": energy.dense_tops_per_w,
    }


def _cycles(causes: Mapping[str, int], head: str = "") -> dict[str, float]:
    return {f"{head}{cause}_cycles": count for cause, count in causes.items()}


def _layers(results: Sequence[RunRecord]) -> Iterator[Section]:
    of_name = [{layer.name: layer for layer in one.layers} for one in results]
    for name in dict.fromkeys(name for one in of_name for name in one):
        figures = [_layer_figures(one[name]) if name in one else {} for one in of_name]
        yield Section(f"Layer {name} [S], energy [A]", _side_by_side(figures), name)


def _layer_figures(layer: LayerRecord) -> dict[str, float]:
    return {
        "compute_cycles": layer.compute_cycles,
        "steps": layer.steps,
        "macs": layer.macs,
        "utilisation_%": 100 * layer.utilization,
        "energy_uj": layer.energy.total_pj / 1e6,
        **_cycles(layer.account.by_cause()),
        **_cycles(layer.waits.by_cause(), "wait_"),
    }
