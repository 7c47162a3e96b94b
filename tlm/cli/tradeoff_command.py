"""``tlm tradeoff``: accuracy, cycles, energy and weights of trained networks side by side."""

from __future__ import annotations

import argparse
from pathlib import Path

from tlm.analysis.bars import fitted
from tlm.chip.config import ChipConfig
from tlm.cli.formats import print_as
from tlm.cli.progress import progress
from tlm.core.errors import InputError
from tlm.core.files import whole_file
from tlm.inputs.labelled import load_sample
from tlm.networks.stored import load_network
from tlm.plots.style import require_matplotlib
from tlm.results.files import check_writable, json_text
from tlm.runs.tradeoff import TradeoffPoint, tradeoff_point, tradeoff_record
from tlm.scenario.catalog import shipped, shipped_files
from tlm.scenario.inputs import DEFAULT_SAMPLE

_NAMES = "tradeoff.json", "tradeoff.png"


def run(arguments: argparse.Namespace) -> int:
    """Simulate, print, write."""
    if arguments.output is not None:
        require_matplotlib()
        check_writable(arguments.output, "-o", *_NAMES)
    chip = ChipConfig.at(voltage_v=arguments.voltage)
    image = load_sample(shipped("samples", DEFAULT_SAMPLE, "sample")).activations[0]
    points = []
    for path in _paths(arguments.networks):
        wanted = load_network(path).network.input_shape
        if wanted != image.shape:
            raise InputError(f"{path}: takes input {list(wanted)}, but the sample images are {list(image.shape)}")
        with progress(f"simulating {path.stem}"):
            points.append(tradeoff_point(path, image, chip))
    points.sort(key=lambda point: (-(point.taps or 0), -point.accuracy))
    written = [] if arguments.output is None else _write(points, arguments.output)
    record = tradeoff_record(points)
    if print_as(arguments, lambda: record, lambda: record["points"]):
        return 0
    print("\n".join(_table(points, arguments.wide)))
    print("accuracy measured (the cards'); cycles, weights [S]; energy and what follows [A]")
    if written:
        print(f"wrote {', '.join(map(str, written))}")
    return 0


def _table(points: list[TradeoffPoint], wide: bool) -> list[str]:
    """Best accuracy first where pruning levels are equal."""
    rows = [["network", "taps", "accuracy", "cycles", "energy uJ", "TOPS/W", "dense-eq.", "weights B"]]
    for point in points:
        rows.append([
            point.name, "-" if point.taps is None else f"{point.taps}/9", f"{point.accuracy:.2%}", f"{point.cycles:,}",
            f"{point.energy_uj:.3f}", f"{point.tops_per_w:.2f}", f"{point.dense_tops_per_w:.2f}",
            f"{point.weight_bytes:,}",
        ])  # fmt: skip
    return fitted(rows, ["dense-eq."], 0 if wide else 80, indent="")


def _paths(names: list[str]) -> list[Path]:
    if names:
        return [Path(name) if name.endswith(".npz") else shipped("networks", name, "NETWORK") for name in names]
    found = [path for path in shipped_files("networks") if path.stem.startswith("model2_")]
    if not found:
        raise InputError("no trained network comes with this package; name .npz files of `tlm train`")
    return found


def _write(points: list[TradeoffPoint], directory: Path) -> list[Path]:
    from tlm.plots import style, tradeoff

    record, picture = (directory / name for name in _NAMES)
    with whole_file(record) as temporary:
        temporary.write_text(json_text(tradeoff_record(points)))
    with style.style(), whole_file(picture) as temporary:
        style.save(tradeoff.draw(points), temporary, "png")
    return [record, picture]
