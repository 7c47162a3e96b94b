"""``tlm tradeoff``: accuracy, cycles, energy and weights of trained networks side by side."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tlm.cli.progress import progress
from tlm.core.errors import InputError

if TYPE_CHECKING:
    from tlm.cli.arguments import Commands
    from tlm.runs.tradeoff import TradeoffPoint

_NAMES = "tradeoff.json", "tradeoff.png"


def add_parser(commands: Commands) -> None:
    """The arguments of ``tlm tradeoff``."""
    parser = commands.add_parser(
        "tradeoff",
        help="accuracy, cycles, energy and weights of trained networks, by pruning level",
        description="Simulates trained networks and puts the accuracy of their cards beside cycles, energy, TOPS/W and "
        "weights. A picture needs matplotlib: pip install 'cartesian-tlm[plot]'",
    )
    parser.add_argument(
        "networks",
        metavar="NETWORK",
        nargs="*",
        help="names of networks of the package, or .npz files of `tlm train` (default: every level of model 2)",
    )
    parser.add_argument("--voltage", metavar="V", type=float, default=1.1, help="core supply (default: 1.1)")
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, help="write tradeoff.json and tradeoff.png there")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Simulate, print, write."""
    from tlm.chip.config import ChipConfig
    from tlm.inputs.labelled import load_sample
    from tlm.networks.stored import load_network
    from tlm.runs.tradeoff import table_lines, tradeoff_point
    from tlm.scenario.trained import DEFAULT_SAMPLE, shipped

    if arguments.output is not None:
        from tlm.plots.style import require_matplotlib
        from tlm.results.files import check_writable

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
    print("\n".join(table_lines(points)))
    print("accuracy measured (the cards'); cycles, weights [S]; energy and what follows from it [A] (docs/energy.md)")
    if arguments.output is not None:
        print(f"wrote {', '.join(map(str, _write(points, arguments.output)))}")
    return 0


def _paths(names: list[str]) -> list[Path]:
    from tlm.scenario.trained import shipped, shipped_files

    if not names:
        found = [path for path in shipped_files("networks") if path.stem.startswith("model2_")]
        if not found:
            raise InputError("no trained network comes with this package; name .npz files of `tlm train`")
        return found
    return [Path(name) if name.endswith(".npz") else shipped("networks", name, "NETWORK") for name in names]


def _write(points: list[TradeoffPoint], directory: Path) -> list[Path]:
    from tlm.core.files import whole_file
    from tlm.plots import style, tradeoff
    from tlm.results.files import json_text
    from tlm.runs.tradeoff import tradeoff_record

    directory.mkdir(parents=True, exist_ok=True)
    record, picture = (directory / name for name in _NAMES)
    with whole_file(record) as temporary:
        temporary.write_text(json_text(tradeoff_record(points)))
    with style.style(), whole_file(picture) as temporary:
        style.save(tradeoff.draw(points), temporary, "png")
    return [record, picture]
