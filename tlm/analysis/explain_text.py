"""An explanation as a person reads it: words, tables and bars in plain ASCII."""

from __future__ import annotations

from collections.abc import Iterator

from tlm.analysis.bars import bar, columns, percent, stacked
from tlm.analysis.explain import GROUPS, Explanation, cause_changes, grouped
from tlm.analysis.what_if import Outcome
from tlm.observe.causes import CAUSES, words
from tlm.results.result_json import LayerRecord, RunRecord

_BAR_WIDTH = 24
_LAYER_BAR_WIDTH = 60
_LETTERS = dict(zip(GROUPS, "#bwpiWAh", strict=True))


def explain_text(explanation: Explanation) -> str:
    """The whole text, lines with a line feed each."""
    stored = explanation.stored
    sections = [_summary(explanation), _whole_run(stored), _layers(explanation), _what_if(explanation)]
    return "\n".join("".join(f"{line}\n" for line in section) for section in sections)


def _summary(explanation: Explanation) -> Iterator[str]:
    stored = explanation.stored
    yield f"{stored.name}: {stored.cycles:,} cycles = {stored.time_us:,.2f} us [S], fidelity {stored.fidelity}"
    groups = grouped(stored.account.causes)
    computing = groups.pop("array")
    loss = max(groups, key=lambda name: groups[name])
    yield f"The array computes in {percent(computing, stored.cycles)} of all cycles."
    if groups[loss]:
        yield f"Most of the others, {percent(groups[loss], stored.cycles)}, go to {loss}."
    best = next((outcome for outcome in explanation.outcomes if outcome.result is not None), None)
    if best is not None and best.result is not None and best.result.cycles < stored.cycles:
        saved = stored.cycles - best.result.cycles
        yield f"Of the changes tried, {best.change.text(stored.chip)} saves most: {percent(saved, stored.cycles)}."


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
        shares = (f"{state.replace('_', ' ')} {percent(count, stored.cycles)}" for state, count in channel.items())
        yield f"  DMA {name}: {', '.join(shares)}"


def _layers(explanation: Explanation) -> Iterator[str]:
    yield "What bounds each layer, the waits before it included [S]"
    rows = [["layer", "bound by", "share", "cycles", "waits", "steps", "lanes", "columns", "util."]]
    for layer, bound in zip(explanation.stored.layers, explanation.bounds, strict=True):
        rows.append([layer.name, bound.text(), percent(bound.share, 1), *_layer_figures(layer)])
    lines = columns(rows, left=2)
    yield lines[0]
    for line, layer in zip(lines[1:], explanation.stored.layers, strict=True):
        yield line
        counts = {_LETTERS[group]: count for group, count in grouped(layer.by_cause()).items()}
        yield f"    [{stacked(counts, _LAYER_BAR_WIDTH)}]"
    yield f"  {', '.join(f'{letter} {group}' for group, letter in _LETTERS.items())}"
    end = explanation.stored.account.waits_at_end
    if sum(end.values()):
        parts = ", ".join(f"{cause} {count:,}" for cause, count in end.items() if count)
        yield f"  behind the last layer: {sum(end.values()):,} cycles ({parts})"


def _layer_figures(layer: LayerRecord) -> list[str]:
    shares = (layer.step_utilization, layer.lane_utilization, layer.column_utilization)
    multiplied = "-" if layer.kind == "max-pool" else f"{layer.utilization:.1%}"
    waits = layer.cycles - layer.compute_cycles
    return [f"{layer.cycles:,}", f"{waits:,}", *(f"{share:.1%}" for share in shares), multiplied]


def _what_if(explanation: Explanation) -> Iterator[str]:
    if not explanation.fidelity:
        yield "What a change would buy was not simulated (--no-runs)."
        return
    how = f"each simulated, compiled for the changed chip (fidelity {explanation.fidelity})"
    yield f"What a change would buy [S]: {how}"
    stored = explanation.stored
    rows = [["change", "mostly from", "cycles", "saved", "share"]]
    rows += [_outcome_row(outcome, stored) for outcome in explanation.outcomes if outcome.result is not None]
    yield from columns(rows, left=2)
    for outcome in explanation.outcomes:
        if outcome.result is None:
            yield f"  {outcome.change.text(stored.chip)}: not possible ({outcome.problem})"


def _outcome_row(outcome: Outcome, stored: RunRecord) -> list[str]:
    assert outcome.result is not None
    saved = stored.cycles - outcome.result.cycles
    causes = list(cause_changes(stored.account.causes, outcome.result).items())[:2] if saved else []
    why = ", ".join(f"{cause.replace('_', ' ')} {count:+,}" for cause, count in causes)
    return [outcome.change.text(stored.chip), why, f"{outcome.result.cycles:,}", f"{saved:,}",
            percent(saved, stored.cycles)]  # fmt: skip
