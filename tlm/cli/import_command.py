"""``tlm import``: a quantised ONNX file becomes a network that scenarios can name."""

from __future__ import annotations

import argparse
from dataclasses import asdict

import numpy as np

from tlm.cli.progress import progress
from tlm.core.errors import InputError, TlmError
from tlm.exchange.onnx_check import Compared, compare
from tlm.exchange.onnx_reader import Imported, read_onnx, require_onnx
from tlm.networks.seeded import seeded_activations
from tlm.networks.stored import StoredNetwork, save_network


def run(arguments: argparse.Namespace) -> int:
    """Read, compare, write."""
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
        card = {
            "source": arguments.model.name,
            "input_scale": imported.input_scale,
            "output_scale": imported.output.scale,
            "coarser": imported.coarser,
            "left_out": imported.left_out,
            "onnxruntime": None if compared is None else asdict(compared),
        }
        save_network(arguments.output, StoredNetwork(network, card))
        print(f"wrote {arguments.output}")
    file = arguments.output or arguments.model
    print(f"next: tlm run {file} -o DIR  (--input FILE: a picture or an array)")
    print("      tlm explain DIR")
    return 0


def _compare(imported: Imported, arguments: argparse.Namespace) -> Compared:
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
            f"{arguments.model}: {what}; allowed is that each layer alone, fed with onnxruntime's own input of that "
            "layer, is at most one level off, and at least 95% of its values are equal; nothing was written "
            "(--accept-difference writes it all the same)"
        )
    print(f"accepted although it {what}")
