"""What bounds a run and each of its layers, and what changes would buy: ``tlm explain`` and ``Result.explain``."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from textwrap import wrap
from typing import Any

from tlm.analysis.bars import bar, columns, fitted, percent, stacked
from tlm.analysis.rebuild import FIDELITY, Rerun, check_same, rebuild
from tlm.analysis.what_if import Outcome, changes, outcome
from tlm.chip.kernels.dram import RowCounts
from tlm.observe.causes import CAUSES, DRAM_WAITS, words
from tlm.results.dram_figures import DramRecord
from tlm.results.result_json import LayerRecord, RunRecord
from tlm.sweeps.executors import THIS_PROCESS, Workers, run_each

GROUPS: Mapping[str, tuple[str, ...]] = {
    "array": ("computing",),
    "bank conflicts": ("bank_conflict",),
    "write-back": ("write_back",),
    "pipeline": ("pipeline", "drain"),
    "instructions": ("instruction", "parameters", "instructions"),
    "weights": ("weights",),
    "activations": ("activations",),
    "DRAM": DRAM_WAITS,
    "host": ("host",),
}
"""What can bound a layer -> causes of the account (docs/account.md); without DRAM nothing has its causes."""

_BAR_WIDTH = 18
_LAYER_BAR_WIDTH = 60
_LETTERS = dict(zip(GROUPS, "#bwpiWADh", strict=True))

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


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """A result, what bounds its layers, and what changes came to; its ``str`` is what ``tlm explain`` prints."""

    stored: RunRecord
    bounds: Sequence[Bound]
    """One a layer."""
    outcomes: Sequence[Outcome] = ()
    """Largest gain first; empty if nothing was simulated."""
    fidelity: str = ""
    """Of the runs; empty if there were none."""

    def text(self, wide: bool = False) -> str:
        """Words, tables and bars in plain ASCII.

        Args:
            wide: all columns, also those beyond 80 characters.
        """
        width = 0 if wide else 80
        sections = [_summary(self), _whole_run(self.stored), _layers(self, width)]
        if isinstance(self.stored.dram, DramRecord):
            sections.append(_dram(self.stored.dram))
        sections.append(_what_if(self, width))
        return "\n\n".join("\n".join(section) for section in sections)

    def __str__(self) -> str:
        return self.text()

    __repr__ = __str__

    def record(self) -> dict[str, Any]:
        """The whole as plain values."""
        stored = self.stored
        return {
            "schema": "tlm.explanation/1",
            "scenario": stored.scenario,
            "fidelity": stored.fidelity,
            "cycles": stored.cycles,
            "causes": stored.account.causes,
            "layers": self.rows(),
            "changes": [
                {
                    "key": f"chip.{one.change.key}",
                    "value": one.change.value,
                    "cycles": one.cycles,
                    "problem": one.problem or None,
                }
                for one in self.outcomes
            ],
        }

    def rows(self) -> list[dict[str, Any]]:
        """A row for each layer: what bounds it, for what share of its cycles, and its cycles by group."""
        return [
            {
                "layer": layer.name,
                "bound_by": bound.group,
                "kind": bound.kind,
                "share": bound.share,
                "cycles": layer.cycles,
                **{
                    f"{group.replace(' ', '_').replace('-', '_')}_cycles": count
                    for group, count in grouped(layer.by_cause()).items()
                },
            }
            for layer, bound in zip(self.stored.layers, self.bounds, strict=True)
        ]


def grouped(by_cause: Mapping[str, int]) -> dict[str, int]:
    """Cycles by group, in the order of ``GROUPS``; those without a cause of the account left out."""
    found = {group: [by_cause[cause] for cause in causes if cause in by_cause] for group, causes in GROUPS.items()}
    return {group: sum(counts) for group, counts in found.items() if counts}


def explain(
    stored: RunRecord,
    directories: Sequence[Path] = (),
    runs: bool = True,
    progress: Callable[[str], None] = lambda _: None,
    rerun: Rerun | None = None,
    ready: Workers = THIS_PROCESS,
) -> Explanation:
    """Explain a result.

    Args:
        stored: the result.
        directories: where files that its scenario reads are looked for.
        runs: simulate what changes would buy.
        progress: told what is simulated next.
        rerun: what the result has just been made by; by default its run is built again, and checked against it.
        ready: simulates the changes.

    Raises:
        InputError: the run cannot be built again, or gives something else.
    """
    if not runs:
        return Explanation(stored, [bound_of(layer) for layer in stored.layers])
    chip = stored.chip
    if rerun is None:
        rerun = rebuild(stored, directories)
        progress("simulating the unchanged chip")
        check_same(stored, rerun(chip))
    wanted = changes(chip)
    progress(f"simulating {len(wanted)} changes")
    count = itertools.count(1)

    def ended(one: Outcome) -> None:
        progress(f"simulated {next(count)} of {len(wanted)} changes: {one.change.text(chip)}")

    found = run_each(ready, partial(outcome, rerun, chip, stored.outputs_sha256), wanted, ended)
    found.sort(key=lambda one: float("inf") if one.cycles is None else one.cycles)
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
    for one in found:
        if one.cycles is not None and one.change.kind:
            gain = layer.waits.total - layer.waits.host - one.transfer_waits[layer.name]
            gains[one.change.kind] = max(gains.get(one.change.kind, 0), gain)
    return max(gains, key=gains.__getitem__)


# -- the text ---------------------------------------------------------------------------------------------------------


def _summary(explanation: Explanation) -> Iterator[str]:
    stored = explanation.stored
    yield f"{stored.name}: {stored.cycles:,} cycles = {stored.time_us:,.2f} us [S], fidelity {stored.fidelity}"
    groups = grouped(stored.account.causes)
    yield f"The array computes in {percent(groups.pop('array'), stored.cycles)} of all cycles."
    loss = max(groups, key=groups.__getitem__)
    if groups[loss]:
        yield f"Most of the others, {percent(groups[loss], stored.cycles)}, go to {loss}."
    for one in explanation.outcomes[:1]:
        if one.cycles is not None and (saved := max(0, stored.cycles - one.cycles)):
            yield f"Of the changes tried, {one.change.text(stored.chip)} saves most: {percent(saved, stored.cycles)}."


def _whole_run(stored: RunRecord) -> Iterator[str]:
    yield "Where the cycles go [S]"
    causes = stored.account.causes
    rows = [
        [words(cause), bar(count / stored.cycles, _BAR_WIDTH), CAUSES[cause].brief if cause in CAUSES else "",
         f"{count:,}", percent(count, stored.cycles)]
        for cause, count in causes.items() if count
    ]  # fmt: skip
    yield from columns([*rows, ["total", "", "", f"{stored.cycles:,}", percent(1, 1)]], left=3)
    none = [words(cause) for cause, count in causes.items() if not count]
    if none:
        yield f"  none: {', '.join(none)}"
    for name, channel in stored.account.dma.items():
        shares = (f"{words(state)} {percent(count, stored.cycles)}" for state, count in channel.by_cause().items())
        yield f"  DMA {name}: {', '.join(shares)}"


def _layers(explanation: Explanation, width: int) -> Iterator[str]:
    yield "What bounds each layer, the waits before it included [S]"
    stored = explanation.stored
    rows = [["layer", "bound by", "share", "cycles", "waits", "steps", "lanes", "columns", "util."]]
    for layer, bound in zip(stored.layers, explanation.bounds, strict=True):
        shares = (layer.step_utilization, layer.lane_utilization, layer.column_utilization)
        rows.append([
            layer.name, bound.text(), percent(bound.share, 1), f"{layer.cycles:,}",
            f"{layer.cycles - layer.compute_cycles:,}", *(f"{share:.1%}" for share in shares),
            "-" if layer.kind == "max-pool" else f"{layer.utilization:.1%}",
        ])  # fmt: skip
    head, *lines = fitted(rows, ["lanes", "columns", "steps", "waits"], width, left=2)
    yield head
    for line, layer in zip(lines, stored.layers, strict=True):
        yield line
        counts = {_LETTERS[group]: count for group, count in grouped(layer.by_cause()).items()}
        yield f"    [{stacked(counts, _LAYER_BAR_WIDTH)}]"
    letters = [f"{_LETTERS[group]} {group}" for group in grouped(stored.account.causes)]
    yield f"  {', '.join(letters[:4])},"
    yield f"  {', '.join(letters[4:])}"
    end = stored.account.waits_at_end
    if end.total:
        parts = ", ".join(f"{cause} {count:,}" for cause, count in end.by_cause().items() if count)
        yield from wrap(f"  after the last layer: {end.total:,} cycles ({parts})", 80, subsequent_indent="  ")


def _dram(dram: DramRecord) -> Iterator[str]:
    yield "Rows of the DRAM by layer and tensor, and bandwidth while they are moved [S]"
    rows = [["layer, tensor", "hits", "misses", "conflicts", "hits share", "GB/s"]]
    for layer, own in dram.layer_rows.items():
        rows.append([layer, *_row_cells(own), ""])
        for one in (tensor for tensor in dram.tensors if tensor.layer == layer):
            rows.append([f"  {one.channel} {one.tensor}", *_row_cells(one.rows), f"{one.gb_per_s:.2f}"])
    yield from columns([*rows, ["total", *_row_cells(dram.rows), ""]], left=1)
    yield f"  {dram.gb_per_s:.2f} of {dram.peak_gb_per_s:.2f} GB/s; {dram.refresh_share:.1%} of the time in refresh"


def _row_cells(rows: RowCounts) -> list[str]:
    accesses = rows.hits + rows.misses + rows.conflicts
    return [f"{rows.hits:,}", f"{rows.misses:,}", f"{rows.conflicts:,}", percent(rows.hits, accesses or 1)]


def _what_if(explanation: Explanation, width: int) -> Iterator[str]:
    stored = explanation.stored
    if not explanation.fidelity:
        yield "What a change would buy was not simulated (--no-runs)."
        return
    yield f"What a change would buy [S], compiled for it and simulated (fidelity {explanation.fidelity})"
    rows = [["change", "mostly from", "and from", "cycles", "saved", "share"]]
    for one in explanation.outcomes:
        if one.cycles is None:
            continue
        saved = stored.cycles - one.cycles
        differences = {cause: one.causes.get(cause, 0) - count for cause, count in stored.account.causes.items()}
        main = sorted(differences, key=lambda cause: -abs(differences[cause]))[:2] if saved else []
        why = [f"{words(cause)} {differences[cause]:+,}" for cause in main if differences[cause]]
        rows.append([
            one.change.text(stored.chip), *why, *[""] * (2 - len(why)), f"{one.cycles:,}", f"{saved:,}",
            percent(saved, stored.cycles),
        ])  # fmt: skip
    yield from fitted(rows, ["and from", "mostly from"], width, left=3)
    for one in explanation.outcomes:
        if one.cycles is None:
            yield f"  {one.change.text(stored.chip)}: not possible ({one.problem})"
