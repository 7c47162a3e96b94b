"""What `tlm eval` found: the classes of every input, eval.json, and the report on a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from tlm.results.console import facts
from tlm.results.report import operating_point
from tlm.results.result import Result, Tensor, chip_labels, tensor_sha256
from tlm.results.scores import are_scores, best_classes
from tlm.runs.batch import BatchSummary

SCHEMA = "tlm.eval/1"
"""Version of eval.json: the number grows when a key changes its meaning or goes; new keys leave it alone."""

_MOST_LINES = 20
"""So many inputs have a line of their own in the report; eval.json has all of them."""

_MOST_CLASSES, _BAR_COLUMNS = 10, 30


@dataclass(frozen=True, kw_only=True)
class EvaluatedInput:
    """One input and what came out."""

    name: str
    input_sha256: str
    output_sha256: str
    top: tuple[tuple[int, int], ...] | None
    """(class, score), best first, equal scores in the order of classes; None if the output is no scores."""
    label: int | None = None
    """The class that it belongs to, where that is known."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """A batch of inputs and the timed run of its first one."""

    scenario: str
    description: str
    settings: Mapping[str, Any]
    inputs: tuple[EvaluatedInput, ...]
    result: Result
    """Of the timed run."""
    batch: BatchSummary
    checked: int
    """How many inputs were compared with the golden model, layer by layer."""
    differing: Mapping[int, tuple[str, ...]]
    """Index of an input -> layers whose outputs differ from the golden model's."""

    @property
    def accuracy(self) -> float | None:
        """Share of the inputs whose best class is their label; None if outputs are no scores or labels unknown."""
        known = [one.top[0][0] == one.label for one in self.inputs if one.top and one.label is not None]
        return sum(known) / len(known) if known else None

    @property
    def histogram(self) -> dict[int, int] | None:
        """Class -> inputs of which it is the best, most first; None if outputs are no scores."""
        best = [one.top[0][0] for one in self.inputs if one.top]
        if not best:
            return None
        return dict(sorted(Counter(best).items(), key=lambda item: (-item[1], item[0])))


def evaluated_input(
    name: str, activations: Tensor, output: Tensor, top: int, label: int | None = None
) -> EvaluatedInput:
    """An input's record.

    Args:
        name: how reports call it.
        activations: int8 (C, H, W).
        output: the network's for them.
        top: how many classes to keep, at least 1.
        label: the class that it belongs to, if that is known.
    """
    return EvaluatedInput(
        name=name,
        input_sha256=tensor_sha256(activations),
        output_sha256=tensor_sha256(output),
        top=best_classes(output, top) if are_scores(output) else None,
        label=label,
    )


def evaluation_record(evaluation: Evaluation) -> dict[str, Any]:
    """The content of eval.json as plain Python values (docs/result.md lists the keys)."""
    result, batch, histogram = evaluation.result, evaluation.batch, evaluation.histogram
    return {
        "schema": SCHEMA,
        "scenario": evaluation.scenario,
        "settings": dict(evaluation.settings),
        "fidelity": result.fidelity,
        **batch.record(),
        "time_us_per_image": result.time_us,
        "total_time_us": result.chip.time_us(batch.total_cycles),
        "reference_checked": evaluation.checked,
        "matches_reference": not evaluation.differing if evaluation.checked else None,
        "differing": {str(index): list(layers) for index, layers in evaluation.differing.items()},
        "output_layer": result.output_name,
        "output_shape": list(result.outputs.shape),
        "output_dtype": result.outputs.dtype.name,
        "accuracy": evaluation.accuracy,
        "histogram": None if histogram is None else {str(key): value for key, value in histogram.items()},
        "inputs": [asdict(one) | {"top": _scores(one)} for one in evaluation.inputs],
        "chip": result.chip.plain(),
        "chip_labels": chip_labels(result.chip),
    }


def evaluation_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """A row for each input: its name, its label, the best class with its score, the hashes."""
    best = [one.top[0] if one.top else (None, None) for one in evaluation.inputs]
    return [
        {"input": one.name, "label": one.label, "class": index, "score": score}
        | {"input_sha256": one.input_sha256, "output_sha256": one.output_sha256}
        for one, (index, score) in zip(evaluation.inputs, best, strict=True)
    ]


def _scores(one: EvaluatedInput) -> list[dict[str, int]] | None:
    return None if one.top is None else [{"class": index, "score": score} for index, score in one.top]


def print_evaluation(evaluation: Evaluation, console: Console) -> None:
    """Print the classes of the inputs, how often each came first, and the totals; the same in every run."""
    name, description = evaluation.scenario, evaluation.description
    console.print(Text(f"{name}: {description}" if description else name, style="bold"))
    console.print(Text(operating_point(evaluation.result)))
    console.print()
    _print_inputs(evaluation, console)
    if len(evaluation.inputs) > _MOST_LINES and evaluation.histogram is not None:
        _print_histogram(evaluation.histogram, console)
    result = evaluation.result
    style, verdict = _verdict(evaluation)
    lines = facts([
        ("per image", f"{result.cycles:,} cycles = {result.time_us:,.2f} us [S], whatever its values"),
        ("batch", evaluation.batch.line(result)),
    ])  # fmt: skip
    if evaluation.accuracy is not None:
        total = sum(one.label is not None for one in evaluation.inputs)
        text = f"{evaluation.accuracy:.2%} of {total:,} inputs: the best class is the label (measured)"
        lines.add_row("accuracy", text)
    lines.add_row("outputs", f"SHA-256 {evaluation.batch.outputs_sha256}")
    lines.add_row("golden model", Text(verdict, style=style))
    console.print(lines)


def _print_inputs(evaluation: Evaluation, console: Console) -> None:
    shown = evaluation.inputs[:_MOST_LINES]
    scores = shown[0].top is not None
    width = max(len("input"), *(len(one.name) for one in shown))
    heading = "class (score), best first" if scores else "SHA-256 of the output"
    console.print(Text(f"{'input':{width}}  {heading}", style="bold"))
    for one in shown:
        found = one.output_sha256 if one.top is None else "  ".join(f"{index} ({score})" for index, score in one.top)
        label = "" if one.label is None else f"  label {one.label}"
        console.print(Text(f"{one.name:{width}}  {found}{label}"))
    rest = len(evaluation.inputs) - len(shown)
    if rest:
        console.print(Text(f"and {rest:,} more; -o DIR writes all of them to eval.json"))
    console.print()


def _print_histogram(histogram: Mapping[int, int], console: Console) -> None:
    shown = list(histogram.items())[:_MOST_CLASSES]
    width, most = max(len("class"), *(len(str(index)) for index, _ in shown)), shown[0][1]
    digits = max(len("inputs"), len(f"{most:,}"))
    console.print(Text(f"{'class':>{width}}  {'inputs':>{digits}}", style="bold"))
    for index, count in shown:
        bar = "#" * max(1, round(_BAR_COLUMNS * count / most))
        console.print(Text(f"{index:>{width}}  {count:>{digits},}  {bar}"))
    if len(histogram) > len(shown):
        console.print(Text(f"and {len(histogram) - len(shown):,} more classes"))
    console.print()


def _verdict(evaluation: Evaluation) -> tuple[str, str]:
    checked, total = evaluation.checked, len(evaluation.inputs)
    if not checked:
        return "yellow", "not compared (--check 0)"
    of = f"{checked:,} of {total:,} input{'s' if total > 1 else ''}"
    if evaluation.differing:
        index, layers = next(iter(evaluation.differing.items()))
        first = evaluation.inputs[index].name
        return (
            "bold red",
            f"DIFFERS for {len(evaluation.differing):,} of the {of} compared: {first} in {', '.join(layers)}",
        )
    count = len(evaluation.result.tensors)
    return "green", f"equal, bit for bit ({of}, {count} tensor{'s' if count > 1 else ''} each)"
