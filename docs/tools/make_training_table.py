"""Writes the table of docs/training.md from the shipped networks: ``python docs/tools/make_training_table.py``.

``--check`` changes nothing and fails if the page is not what it would write. With matplotlib it also draws
docs/images/tradeoff.png (not with ``--check``).
"""

from __future__ import annotations

import sys
from pathlib import Path

from tlm.inputs.labelled import load_sample
from tlm.networks.stored import load_network
from tlm.runs.tradeoff import TradeoffPoint, tradeoff_point
from tlm.scenario.catalog import shipped, shipped_files

PAGE = Path(__file__).resolve().parents[1] / "training.md"
PICTURE = PAGE.parent / "images" / "tradeoff.png"
BEGIN, END = "<!-- results -->\n", "<!-- end -->"
HEAD = (
    "| network | taps | accuracy, measured | torch, INT4 | same class | cycles [S] | energy, uJ [A] | TOPS/W [A] | "
    "as if dense [A] | weights in WMem, bytes [S] |\n|---|---|---|---|---|---|---|---|---|---|\n"
)


def points() -> list[TradeoffPoint]:
    """Every shipped network, by model and level."""
    image = load_sample(shipped("samples", "fashion_mnist_test", "sample")).activations[0]
    found = [tradeoff_point(path, image) for path in shipped_files("networks")]
    return sorted(found, key=lambda point: (point.name.split("_")[0], -(point.taps or 0), -point.accuracy))


def row(point: TradeoffPoint) -> str:
    """A line of the table."""
    card = load_network(shipped("networks", point.name, "model")).card["accuracy"]
    taps = f"{point.taps}/9" if point.name.startswith("model2") else "shifts"
    return (
        f"| `{point.name}` | {taps} | {point.accuracy:.2%} | {card['torch_int4']:.2%} | {card['agreement']:.2%} | "
        f"{point.cycles:,} | {point.energy_uj:.2f} | {point.tops_per_w:.2f} | {point.dense_tops_per_w:.2f} | "
        f"{point.weight_bytes:,} |\n"
    )


def main() -> int:
    """Write, or compare."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    found = points()
    wanted = before + BEGIN + HEAD + "".join(map(row, found)) + END + after
    if "--check" in sys.argv:
        return int(wanted != text)
    PAGE.write_text(wanted, encoding="utf-8")
    from tlm.plots import style, tradeoff

    with style.style():
        style.save(tradeoff.draw([point for point in found if point.name.startswith("model2")]), PICTURE, "png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
