"""What bounds a run and each of its layers, and what changes would buy: the figures behind `tlm explain`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tlm.analysis.rebuild import FIDELITY, check_same, rebuild
from tlm.analysis.what_if import BANDWIDTH, BUS, IN_FLIGHT, LATENCY, Outcome, changes, outcomes
from tlm.results.result_json import LayerRecord, RunRecord

if TYPE_CHECKING:
    from tlm.results.result import Result

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
_KINDS = {
    BANDWIDTH: "memory bandwidth",
    BUS: "interconnect bandwidth",
    LATENCY: "memory latency",
    IN_FLIGHT: "memory latency",
}
"""Key of a change -> what a wait is bound by if this change shortens it most; bursts in flight hide latency."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Bound:
    """What takes most of a layer's cycles, its waits included."""

    group: str
    """A key of ``GROUPS``."""
    cycles: int
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
    outcomes: Sequence[Outcome]
    """Largest gain first; empty if nothing was simulated."""
    fidelity: str
    """Of the runs; empty if there were none."""


def grouped(by_cause: Mapping[str, int]) -> dict[str, int]:
    """Cycles by group, in the order of ``GROUPS``."""
    return {group: sum(by_cause.get(cause, 0) for cause in causes) for group, causes in GROUPS.items()}


def explain(
    stored: RunRecord, directories: Sequence[Path] = (), runs: bool = True, progress: Progress = lambda _: None
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
        return Explanation(stored, [bound_of(layer) for layer in stored.layers], (), "")
    run = rebuild(stored, directories)
    progress("simulating the unchanged chip")
    baseline = run.simulate()
    check_same(stored, baseline)
    found: list[Outcome] = []
    wanted = changes(run.chip)
    progress(f"simulating {len(wanted)} changes")
    for outcome in outcomes(run, wanted, baseline):
        found.append(outcome)
        progress(f"simulated {len(found)} of {len(wanted)} changes: {outcome.change.text(run.chip)}")
    return Explanation(
        stored,
        [bound_of(layer, found) for layer in stored.layers],
        sorted(found, key=_cycles),
        FIDELITY,
    )


def bound_of(layer: LayerRecord, found: Sequence[Outcome] = ()) -> Bound:
    """What takes most of a layer's cycles; of which kind a wait is, from the runs."""
    groups = grouped(layer.by_cause())
    group = max(groups, key=lambda name: groups[name])
    kind = _kind(layer, found) if group in _TRANSFERS and layer.waits.get(group, 0) else ""
    return Bound(group, groups[group], groups[group] / layer.cycles if layer.cycles else 0.0, kind)


def cause_changes(before: Mapping[str, int], result: Result) -> dict[str, int]:
    """Cause -> cycles that a change added (negative: saved), largest first; causes without any left out."""
    after = result.account.by_cause()
    differences = {cause: after.get(cause, 0) - count for cause, count in before.items()}
    return dict(sorted(((c, d) for c, d in differences.items() if d), key=lambda item: -abs(item[1])))


def _kind(layer: LayerRecord, found: Sequence[Outcome]) -> str:
    """The kind of change that takes most off the layer's waits for transfers; none if none does."""
    before = sum(layer.waits.get(cause, 0) for cause in _TRANSFERS)
    gains: dict[str, int] = {}
    for outcome in found:
        kind = _KINDS.get(outcome.change.key)
        if outcome.result is not None and kind is not None:
            after = outcome.result.layers[layer.name].waits.by_cause()
            gains[kind] = max(gains.get(kind, 0), before - sum(after[cause] for cause in _TRANSFERS))
    best = max(gains, key=lambda kind: gains[kind], default="")
    return best if gains.get(best) else ""


def _cycles(outcome: Outcome) -> float:
    return float("inf") if outcome.result is None else outcome.result.cycles
