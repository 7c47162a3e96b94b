"""``tlm eval``: many inputs through a scenario's network, its timing once."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tlm.cli.arguments import add_scenario, load, naming
from tlm.cli.progress import progress
from tlm.core.errors import InputError
from tlm.network.comparison import differing_layers

if TYPE_CHECKING:
    from tlm.cli.arguments import Commands
    from tlm.results.result import Tensor
    from tlm.runs.evaluation_result import Evaluation
    from tlm.scenario.batch_inputs import BatchInputs
    from tlm.scenario.loading import Job, LoadedScenario

_OK, _DIFFERS = 0, 1


def add_parser(commands: Commands) -> None:
    """The arguments of ``tlm eval``."""
    parser = commands.add_parser("eval", help="evaluate many inputs exactly; simulate the timing once")
    add_scenario(parser)
    parser.add_argument(
        "--images",
        metavar="PATH",
        nargs="+",
        help="image files or directories of them, instead of the scenario's input",
    )
    parser.add_argument(
        "--fashion-mnist",
        metavar="DIR",
        type=Path,
        help="the test images of Fashion-MNIST in this directory, instead of the scenario's input",
    )
    parser.add_argument(
        "--count",
        metavar="N",
        type=int,
        help="number of inputs: seeds input.seed, input.seed + 1, ..., variants of the scenario's image, or the first "
        "of --images or --fashion-mnist (default: all of these, or the scenario's own input)",
    )
    parser.add_argument("--top", metavar="K", type=int, default=5, help="classes to show of each input (default 5)")
    parser.add_argument(
        "--check", metavar="K", type=int, default=1, help="compare the first K inputs with the golden model (default 1)"
    )
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, help="write eval.json and outputs.npz there")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate; 0 if no compared output differs from the golden model's, else 1."""
    from tlm.scenario.catalog import find_scenario

    path = find_scenario(arguments.scenario)
    if path.suffix == ".py":
        raise InputError(f"{path}: a Python script decides for itself; `tlm eval` takes .toml scenarios")
    for key, least in (("top", 1), ("check", 0)):
        value = getattr(arguments, key)
        if value < least:
            raise InputError(f"--{key}: {value} is not allowed; give {least} or more")
    if arguments.output is not None:
        from tlm.results.files import EVALUATION_NAME, OUTPUTS_NAME, check_writable

        check_writable(arguments.output, "-o", EVALUATION_NAME, OUTPUTS_NAME)
    loaded = load(arguments)
    job = loaded.build()
    inputs = _inputs(arguments, loaded, job)
    with naming(arguments.scenario):
        evaluation, outputs = _evaluate(job, inputs, arguments)
    written = _write(arguments.output, evaluation, outputs)
    _print(evaluation, written)
    if evaluation.differing:
        names = ", ".join(evaluation.inputs[index].name for index in evaluation.differing)
        print(f"tlm: {job.name}: outputs for {names} differ from the golden model", file=sys.stderr)
        return _DIFFERS
    return _OK


def _inputs(arguments: argparse.Namespace, loaded: LoadedScenario, job: Job) -> BatchInputs:
    if arguments.fashion_mnist is not None:
        return _fashion_mnist(arguments, job)
    if arguments.images is None:
        return loaded.inputs(job, 1 if arguments.count is None else arguments.count, "--count")
    from tlm.scenario.batch_inputs import image_inputs

    with progress("reading images"):
        return image_inputs(job.network, arguments.images, arguments.count)


def _fashion_mnist(arguments: argparse.Namespace, job: Job) -> BatchInputs:
    from tlm.scenario.batch_inputs import BatchInputs
    from tlm.training.datasets import load_fashion_mnist

    if arguments.images is not None:
        raise InputError("--fashion-mnist: given beside --images; give one of them")
    images = load_fashion_mnist(arguments.fashion_mnist, "test")
    count = len(images) if arguments.count is None else arguments.count
    if not 1 <= count <= len(images):
        raise InputError(f"--count: {count} is not allowed beside {len(images):,} images; give 1..{len(images)}")
    wanted, found = job.network.input_shape, images.activations.shape[1:]
    if wanted != found or job.network.signed_input:
        raise InputError(f"--fashion-mnist: images are {list(found)}, unsigned, but the network takes {list(wanted)}")
    names = tuple(f"test image {index}" for index in range(count))
    labels = tuple(int(label) for label in images.labels[:count])
    return BatchInputs(names, lambda index: images.activations[index], labels)


def _evaluate(job: Job, inputs: BatchInputs, arguments: argparse.Namespace) -> tuple[Evaluation, list[Tensor] | None]:
    """The evaluation, and all outputs if they are to be written."""
    import tlm
    from tlm.runs.batch import Batch
    from tlm.runs.evaluation_result import Evaluation, evaluated_input

    with progress(f"compiling {job.name}"):
        program = tlm.compile(job.network, job.chip)
    with progress(f"simulating {inputs.names[0]}"):
        result = tlm.simulate(program, inputs[0], fidelity=job.fidelity, energy=job.energy)
    batch, differing = Batch(result, len(inputs)), {}
    evaluator = tlm.Evaluator(program)
    records, outputs, seconds = [], [], 0.0
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
                wrong = differing_layers(golden, evaluator.tensors(activations))
                if wrong:
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
    return evaluation, outputs if arguments.output is not None else None


def _write(directory: Path | None, evaluation: Evaluation, outputs: list[Tensor] | None) -> list[Path]:
    if directory is None or outputs is None:
        return []
    import numpy as np

    from tlm.results.files import EVALUATION_NAME, json_text, write_result
    from tlm.runs.evaluation_result import evaluation_record

    tensors = {evaluation.result.output_name: np.stack(outputs)}
    return write_result(directory, json_text(evaluation_record(evaluation)), tensors, EVALUATION_NAME)


def _print(evaluation: Evaluation, written: list[Path]) -> None:
    from tlm.results.console import report_console
    from tlm.runs.evaluation_result import print_evaluation

    print_evaluation(evaluation, report_console(soft_wrap=True))
    print(
        f"wrote {', '.join(map(str, written))}"
        if written
        else "nothing was written; -o DIR keeps eval.json and outputs.npz"
    )
