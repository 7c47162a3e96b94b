"""Time of import and run of torchvision's architectures, as docs/performance.md has it.

    python docs/tools/measure_import.py [NAME ...]

Each is exported with seeded weights, quantised on four samples of seeded noise, run at 224x224 in fidelity pass and
compared with the golden model. Needs torch, torchvision and onnx.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

from export_torchvision import NAMES, export

import tlm
from tlm.exchange.calibration import noise
from tlm.exchange.onnx_reader import read_onnx
from tlm.exchange.ptq import PostTraining
from tlm.network.comparison import differing_layers
from tlm.networks.seeded import seeded_activations

SIZE = 224


def measure(name: str, directory: Path) -> str:
    """A row of the table."""
    path = directory / f"{name}.onnx"
    export(name, path, SIZE)
    begin = time.process_time()
    network = read_onnx(path, PostTraining(noise((3, SIZE, SIZE)).images)).network
    import_s = time.process_time() - begin
    activations = seeded_activations(network.input_shape, 0, network.signed_input)
    begin = time.process_time()
    try:
        result = tlm.simulate(network, activations)
    except tlm.CompileError as error:
        return f"| `{name}` | {len(network.layers)} | {import_s:.1f} | refused: {error} |"
    run_s = time.process_time() - begin
    differing = differing_layers(tlm.reference.run(network, activations), result.tensors)
    equal = f"{len(differing)} layers differ" if differing else "equal"
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    figures = f"{result.cycles:,} | {result.utilization:.1%} | {equal}"
    return f"| `{name}` | {len(network.layers)} | {import_s:.1f} | {run_s:.1f} | {memory_mb:,} | {figures} |"


def main() -> None:
    """Measure those that the command line names, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=NAMES)
    with tempfile.TemporaryDirectory() as directory:
        for name in parser.parse_args().names:
            print(measure(name, Path(directory)), flush=True)


if __name__ == "__main__":
    main()
