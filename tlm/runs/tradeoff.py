"""Accuracy against cycles, energy and weights of several trained networks: the trade-off that pruning tunes [P]."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlm.chip.config import ChipConfig
from tlm.core.errors import InputError
from tlm.networks.stored import StoredNetwork, load_network
from tlm.runs.simulate import simulate

if TYPE_CHECKING:
    from tlm.inputs.integer_arrays import Int8Array


@dataclass(frozen=True, kw_only=True)
class TradeoffPoint:
    """One trained network: accuracy measured (its card), all else simulated [S], energy by docs/energy.md [A]."""

    name: str
    taps: int | None
    """Of each depth-wise kernel, from the card."""
    accuracy: float
    """Share of the test images, in the engine's arithmetic."""
    other_seeds: tuple[float, ...] = ()
    """The same of whole trainings with other seeds, where the card has them."""
    cycles: int
    time_us: float
    energy_uj: float
    """Of the chip; off-chip memory apart."""
    off_chip_uj: float
    tops_per_w: float
    """Executed operations."""
    dense_tops_per_w: float
    """As if every tap had been executed: what the poster calls sparse efficiency [P]."""
    weight_bytes: int
    """Weight words that WMem must hold."""


def tradeoff_point(path: Path, activations: Int8Array, chip: ChipConfig | None = None) -> TradeoffPoint:
    """Simulate a stored network once; cycles do not depend on the image.

    Args:
        path: an .npz file of ``tlm train``.
        activations: int8 (C, H, W).
        chip: by default the published one at 1.1 V.

    Raises:
        InputError: an unreadable file, or one whose card tells no accuracy.
    """
    stored = load_network(path)
    result = simulate(stored.network, activations, chip)
    core_pj = result.energy.total_pj
    return TradeoffPoint(
        name=path.stem,
        taps=_taps(stored, path),
        accuracy=_accuracy(stored, path),
        other_seeds=_other_seeds(stored, path),
        cycles=result.cycles,
        time_us=result.time_us,
        energy_uj=core_pj / 1e6,
        off_chip_uj=result.energy.off_chip_pj / 1e6,
        tops_per_w=result.tops_per_w,
        dense_tops_per_w=2 * result.dense_macs / core_pj,
        weight_bytes=sum(layer.weight_words for layer in result.layers.values()) * result.chip.wmem_word_bytes,
    )


def tradeoff_record(points: Iterable[TradeoffPoint]) -> dict[str, Any]:
    """The content of tradeoff.json as plain values."""
    return {"schema": "tlm.tradeoff/1", "points": [asdict(point) for point in points]}


def _accuracy(stored: StoredNetwork, path: Path) -> float:
    accuracy = stored.card.get("accuracy")
    found = accuracy.get("engine") if isinstance(accuracy, dict) else None
    if not isinstance(found, float) or not 0 <= found <= 1:
        raise InputError(f"{path}: its card tells no accuracy.engine in 0..1; `tlm train` writes one")
    return found


def _other_seeds(stored: StoredNetwork, path: Path) -> tuple[float, ...]:
    found = stored.card["accuracy"].get("engine_of_other_seeds", {})
    if not isinstance(found, dict) or not all(isinstance(one, float) and 0 <= one <= 1 for one in found.values()):
        raise InputError(
            f"{path}: its card's accuracy.engine_of_other_seeds is {found!r}, but must give an accuracy in 0..1 by seed"
        )
    return tuple(found.values())


def _taps(stored: StoredNetwork, path: Path) -> int | None:
    taps = stored.card.get("taps")
    if taps is not None and not isinstance(taps, int):
        raise InputError(f"{path}: its card's taps are {taps!r}, but must be a whole number, or missing")
    return taps
