"""``tlm eval``: many inputs through a scenario's network, its timing once."""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np

import tlm
from tlm.cli.progress import progress
from tlm.core.errors import InputError
from tlm.network.comparison import differing_layers
from tlm.results.console import report_console
from tlm.results.files import EVALUATION_NAME, OUTPUTS_NAME, check_writable, json_text, write_result
from tlm.results.result import Tensor
from tlm.runs.batch import Batch
from tlm.runs.evaluation_result import Evaluation, evaluated_input, evaluation_record, print_evaluation
from tlm.scenario.batch_inputs import BatchInputs, fashion_mnist_inputs, image_inputs
from tlm.scenario.catalog import find_scenario
from tlm.scenario.loading import Job, LoadedScenario, load_scenario

_OK, _DIFFERS = 0, 1


def run(arguments: argparse.Namespace) -> int:
    """Evaluate; 0 if no compared output differs from the golden model's, else 1."""
    path = find_scenario(arguments.scenario)
    if path.suffix == ".py":
        raise InputError(f"{path}: a Python script decides for itself; `tlm eval` takes .toml scenarios")
    if arguments.output is not None:
        check_writable(arguments.output, "-o", EVALUATION_NAME, OUTPUTS_NAME)
    loaded = load_scenario(path, [*arguments.overrides, "batch=1"])
    job = loaded.build()
    evaluation, outputs = _evaluate(job, _inputs(arguments, loaded, job), arguments)
    print_evaluation(evaluation, report_console(soft_wrap=True))
    if arguments.output is None:
        print("nothing was written; -o DIR keeps eval.json and outputs.npz")
    else:
        text = json_text(evaluation_record(evaluation))
        tensors = {evaluation.result.output_name: np.stack(outputs)}
        written = write_result(arguments.output, text, tensors, EVALUATION_NAME)
        print(f"wrote {', '.join(map(str, written))}")
    if evaluation.differing:
        names = ", ".join(evaluation.inputs[index].name for index in evaluation.differing)
        print(f"tlm: {job.name}: outputs for {names} differ from the golden model", file=sys.stderr)
        return _DIFFERS
    return _OK


def _inputs(arguments: argparse.Namespace, loaded: LoadedScenario, job: Job) -> BatchInputs:
    if arguments.fashion_mnist is not None:
        if arguments.images is not None:
            raise InputError("--fashion-mnist: given beside --images; give one of them")
        return fashion_mnist_inputs(job.network, arguments.fashion_mnist, arguments.count)
    if arguments.images is not None:
        with progress("reading images"):
            return image_inputs(job.network, arguments.images, arguments.count)
    return loaded.inputs(job, arguments.count or 1, "--count")


def _evaluate(job: Job, inputs: BatchInputs, arguments: argparse.Namespace) -> tuple[Evaluation, list[Tensor]]:
    """The evaluation, and all outputs if they are to be written."""
    with progress(f"compiling {job.name}"):
        program = tlm.compile(job.network, job.chip)
    with progress(f"simulating {inputs.names[0]}"):
        result = tlm.simulate(program, inputs[0], fidelity=job.fidelity, energy=job.energy)
    batch, evaluator = Batch(result, len(inputs)), tlm.Evaluator(program)
    records, outputs, differing, seconds = [], [], {}, 0.0
    checked = min(arguments.check, len(inputs))
    with progress("evaluating", len(inputs)) as count_one:
        for index, name in enumerate(inputs.names):
            activations = inputs[index]
            started = time.perf_counter()
            output = evaluator.output(activations)
            seconds += time.perf_counter() - started
            batch.add(output)
            label = None if inputs.labels is None else inputs.labels[index]
            records.append(evaluated_input(name, activations, output, arguments.top, label))
            if arguments.output is not None:
                outputs.append(output)
            if index < checked:
                golden = tlm.reference.run(job.network, activations)
                if wrong := differing_layers(golden, evaluator.tensors(activations)):
                    differing[index] = tuple(wrong)
            count_one()
    print(
        f"host: {len(inputs):,} input{'s' if len(inputs) > 1 else ''} in {seconds:.2f} s, "
        f"{len(inputs) / seconds:.1f} a second on this machine (a measurement, not a figure of the chip)",
        file=sys.stderr,
    )
    evaluation = Evaluation(
        scenario=job.name,
        description=job.description,
        settings=job.settings,
        inputs=tuple(records),
        result=result,
        batch=batch.summary(),
        checked=checked,
        differing=differing,
    )
    return evaluation, outputs
