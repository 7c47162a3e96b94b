"""An explanation as a person reads it: words, tables and bars in plain ASCII."""

from __future__ import annotations

from collections.abc import Iterator

from tlm.analysis.bars import bar, columns, percent, stacked
from tlm.analysis.explain import GROUPS, Explanation, grouped
from tlm.analysis.what_if import Change
from tlm.observe.causes import CAUSES, words
from tlm.results.result import Result
from tlm.results.result_json import RunRecord

_BAR_WIDTH = 24
_LAYER_BAR_WIDTH = 60
_LETTERS = dict(zip(GROUPS, "#bwpiWAh", strict=True))


def explain_text(explanation: Explanation) -> str:
    """The whole text, lines with a line feed each."""
    sections = [_summary(explanation), _whole_run(explanation.stored), _layers(explanation), _what_if(explanation)]
    return "\n".join("".join(f"{line}\n" for line in section) for section in sections)


def _done(explanation: Explanation) -> list[tuple[Change, Result]]:
    return [(one.change, one.result) for one in explanation.outcomes if one.result is not None]


def _summary(explanation: Explanation) -> Iterator[str]:
    stored = explanation.stored
    yield f"{stored.name}: {stored.cycles:,} cycles = {stored.time_us:,.2f} us [S], fidelity {stored.fidelity}"
    groups = grouped(stored.account.causes)
    yield f"The array computes in {percent(groups.pop('array'), stored.cycles)} of all cycles."
    loss = max(groups, key=groups.__getitem__)
    if groups[loss]:
        yield f"Most of the others, {percent(groups[loss], stored.cycles)}, go to {loss}."
    for change, result in _done(explanation)[:1]:
        if saved := max(0, stored.cycles - result.cycles):
            yield f"Of the changes tried, {change.text(stored.chip)} saves most: {percent(saved, stored.cycles)}."


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


def _layers(explanation: Explanation) -> Iterator[str]:
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
    head, *lines = columns(rows, left=2)
    yield head
    for line, layer in zip(lines, stored.layers, strict=True):
        yield line
        counts = {_LETTERS[group]: count for group, count in grouped(layer.by_cause()).items()}
        yield f"    [{stacked(counts, _LAYER_BAR_WIDTH)}]"
    yield f"  {', '.join(f'{letter} {group}' for group, letter in _LETTERS.items())}"
    end = stored.account.waits_at_end
    if end.total:
        parts = ", ".join(f"{cause} {count:,}" for cause, count in end.by_cause().items() if count)
        yield f"  behind the last layer: {end.total:,} cycles ({parts})"


def _what_if(explanation: Explanation) -> Iterator[str]:
    stored = explanation.stored
    if not explanation.fidelity:
        yield "What a change would buy was not simulated (--no-runs)."
        return
    how = f"each simulated, compiled for the changed chip (fidelity {explanation.fidelity})"
    yield f"What a change would buy [S]: {how}"
    rows = [["change", "mostly from", "cycles", "saved", "share"]]
    for change, result in _done(explanation):
        saved, after = stored.cycles - result.cycles, result.account.by_cause()
        differences = {cause: after.get(cause, 0) - count for cause, count in stored.account.causes.items()}
        main = sorted(differences, key=lambda cause: -abs(differences[cause]))[:2] if saved else []
        why = ", ".join(f"{words(cause)} {differences[cause]:+,}" for cause in main if differences[cause])
        rows.append([
            change.text(stored.chip), why, f"{result.cycles:,}", f"{saved:,}", percent(saved, stored.cycles)
        ])  # fmt: skip
    yield from columns(rows, left=2)
    for outcome in explanation.outcomes:
        if outcome.result is None:
            yield f"  {outcome.change.text(stored.chip)}: not possible ({outcome.problem})"
