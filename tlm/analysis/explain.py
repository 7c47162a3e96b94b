"""What bounds a run and each of its layers, and what changes would buy: the figures behind `tlm explain`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tlm.analysis.rebuild import FIDELITY, check_same, rebuild
from tlm.analysis.what_if import Outcome, changes, outcomes
from tlm.results.result_json import LayerRecord, RunRecord

GROUPS: Mapping[str, tuple[str, ...]] = {
    "array": ("computing",),
    "bank conflicts": ("bank_conflict",),
    "write-back": ("write_back",),
    "pipeline": ("pipeline", "drain"),
    "instructions": ("instruction", "parameters", "instructions"),
    "weights": ("weights",),
    "activations": ("activations",),
    "host": ("host",),
}
"""What can bound a layer -> causes of the account (docs/account.md)."""

_TRANSFERS = ("weights", "activations", "instructions")


@dataclass(frozen=True)
class Bound:
    """What takes most of a layer's cycles, its waits included."""

    group: str
    """A key of ``GROUPS``."""
    share: float
    """Of the layer's cycles, 0..1."""
    kind: str = ""
    """For waits: of what kind, if runs have shown it."""

    def text(self) -> str:
        """Such as ``weights (memory latency)``."""
        return f"{self.group} ({self.kind})" if self.kind else self.group


@dataclass(frozen=True, eq=False)
class Explanation:
    """A result, what bounds its layers, and what changes came to."""

    stored: RunRecord
    bounds: Sequence[Bound]
    """One a layer."""
    outcomes: Sequence[Outcome] = ()
    """Largest gain first; empty if nothing was simulated."""
    fidelity: str = ""
    """Of the runs; empty if there were none."""


def grouped(by_cause: Mapping[str, int]) -> dict[str, int]:
    """Cycles by group, in the order of ``GROUPS``."""
    return {group: sum(by_cause.get(cause, 0) for cause in causes) for group, causes in GROUPS.items()}


def explain(
    stored: RunRecord,
    directories: Sequence[Path] = (),
    runs: bool = True,
    progress: Callable[[str], None] = lambda _: None,
) -> Explanation:
    """Explain a result.

    Args:
        stored: the result.
        directories: where files that its scenario reads are looked for.
        runs: simulate what changes would buy.
        progress: told what is simulated next.

    Raises:
        InputError: the run cannot be built again, or gives something else.
    """
    if not runs:
        return Explanation(stored, [bound_of(layer) for layer in stored.layers])
    rerun, chip = rebuild(stored, directories), stored.chip
    progress("simulating the unchanged chip")
    baseline = rerun(chip)
    check_same(stored, baseline)
    found: list[Outcome] = []
    wanted = changes(chip)
    progress(f"simulating {len(wanted)} changes")
    for outcome in outcomes(rerun, chip, wanted, baseline):
        found.append(outcome)
        progress(f"simulated {len(found)} of {len(wanted)} changes: {outcome.change.text(chip)}")
    found.sort(key=lambda one: float("inf") if one.result is None else one.result.cycles)
    return Explanation(stored, [bound_of(layer, found) for layer in stored.layers], found, FIDELITY)


def bound_of(layer: LayerRecord, found: Sequence[Outcome] = ()) -> Bound:
    """What takes most of a layer's cycles; of which kind a wait is, from the runs."""
    groups = grouped(layer.by_cause())
    group = max(groups, key=groups.__getitem__)
    kind = _kind(layer, found) if group in _TRANSFERS and getattr(layer.waits, group) else ""
    return Bound(group, groups[group] / layer.cycles if layer.cycles else 0.0, kind)


def _kind(layer: LayerRecord, found: Sequence[Outcome]) -> str:
    """The kind of change that takes most off the layer's waits for transfers; none if none does."""
    gains = {"": 0}
    for outcome in found:
        if outcome.result is not None and outcome.change.kind:
            after = outcome.result.layers[layer.name].waits
            gain = sum(getattr(layer.waits, cause) - getattr(after, cause) for cause in _TRANSFERS)
            gains[outcome.change.kind] = max(gains.get(outcome.change.kind, 0), gain)
    return max(gains, key=gains.__getitem__)
