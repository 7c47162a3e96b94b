"""``tlm import``: a quantised ONNX file becomes a network that scenarios can name."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tlm.cli.progress import progress
from tlm.core.errors import InputError, TlmError

if TYPE_CHECKING:
    from tlm.cli.arguments import Commands
    from tlm.exchange.onnx_check import Compared
    from tlm.exchange.onnx_reader import Imported

_RULE = (
    "each layer alone, fed with onnxruntime's own input of that layer, is at most one level off, and at least 95% of "
    "its values are equal"
)


def add_parser(commands: Commands) -> None:
    """The arguments of ``tlm import``."""
    parser = commands.add_parser(
        "import",
        help="read a quantised ONNX network (needs onnx)",
        description="Reads an ONNX graph of QuantizeLinear and DequantizeLinear nodes (4-bit types, or 8-bit ones "
        f"clipped to 4 bits) and compares it with onnxruntime. What may differ is rounding: {_RULE}. Otherwise the "
        "import fails with exit status 1, and nothing is written. Needs: pip install 'cartesian-tlm[onnx]'",
    )
    parser.add_argument("model", metavar="MODEL", type=Path, help="ONNX file")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="write the network there (.npz)")
    parser.add_argument(
        "--check", metavar="N", type=int, default=8, help="compare N random inputs with onnxruntime (default 8)"
    )
    parser.add_argument(
        "--accept-difference", action="store_true", help="write the network even where more than rounding differs"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read, compare, write."""
    from tlm.exchange.onnx_reader import read_onnx, require_onnx

    if arguments.check < 0:
        raise InputError(f"--check: {arguments.check} is not allowed; give 0 or more")
    if arguments.output is not None and arguments.output.suffix != ".npz":
        raise InputError(f"-o: {arguments.output} must end in .npz")
    if arguments.check:
        require_onnx("onnxruntime")
    imported = read_onnx(arguments.model)
    compared = _compare(imported, arguments) if arguments.check else None
    network = imported.network
    print(f"{arguments.model.name}: {len(network.layers)} layers, {network.input_shape} to {network.output.shape}")
    if imported.batch > 1:
        print(f"the graph takes {imported.batch} images at once; this is the network of one")
    if imported.left_out is not None:
        print(f"left to the host, as it changes no class: {imported.left_out}")
    if imported.coarser:
        counts = ", ".join(f"{layer} ({channels})" for layer, channels in imported.coarser.items())
        print(f"weights made coarser where an output channel's bias did not fit its register: {counts}")
    if compared is None:
        print("nothing was compared with onnxruntime (--check 0)")
    else:
        _print(compared)
        _judge(compared, arguments)
    if arguments.output is not None:
        _write(imported, compared, arguments)
    return 0


def _compare(imported: Imported, arguments: argparse.Namespace) -> Compared:
    import numpy as np

    from tlm.exchange.onnx_check import compare
    from tlm.networks.seeded import seeded_activations

    network, seeds = imported.network, range(arguments.check)
    batch = np.stack([seeded_activations(network.input_shape, seed, network.signed_input) for seed in seeds])
    with progress("onnxruntime"):
        try:
            return compare(imported, batch)
        except InputError as error:
            raise InputError(f"{arguments.model}: {error}") from None


def _print(compared: Compared) -> None:
    width = max(map(len, compared.layers))
    print(f"{'layer':{width}}  equal to onnxruntime: alone, after all before it; {compared.images} random inputs")
    for layer, share in compared.layers.items():
        print(f"{layer:{width}}  {compared.alone[layer]:9.3%} {share:9.3%}")
    print(f"the same best class for {compared.best:.1%}; measured")
    print("where they differ: the engine's biases are whole units of the sums, its multipliers have 16 bits, and it")
    print("rounds halves up; onnxruntime rounds them to even, in float32")


def _judge(compared: Compared, arguments: argparse.Namespace) -> None:
    """End here where more than rounding differs, unless that is accepted."""
    if not compared.differing:
        return
    what = f"differs from onnxruntime by more than rounding: {', '.join(compared.differing)}"
    if not arguments.accept_difference:
        raise TlmError(
            f"{arguments.model}: {what}; allowed is that {_RULE}; nothing was written "
            "(--accept-difference writes it all the same)"
        )
    print(f"accepted although it {what}")


def _write(imported: Imported, compared: Compared | None, arguments: argparse.Namespace) -> None:
    from dataclasses import asdict

    from tlm.networks.stored import StoredNetwork, save_network

    card = {
        "source": arguments.model.name,
        "input_scale": imported.input_scale,
        "output_scale": imported.output.scale,
        "coarser": imported.coarser,
        "left_out": imported.left_out,
        "onnxruntime": None if compared is None else asdict(compared),
    }
    save_network(arguments.output, StoredNetwork(imported.network, card))
    print(f"wrote {arguments.output}")
