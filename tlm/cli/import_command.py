"""``tlm import``: an ONNX file becomes a network that scenarios can name."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

import numpy as np

from tlm.cli.import_quantisation import Quantisation, quantisation
from tlm.cli.progress import progress
from tlm.core.errors import InputError, TlmError
from tlm.core.texts import counted
from tlm.exchange.onnx_check import Compared, compare
from tlm.exchange.onnx_reader import Imported, read_onnx, require_onnx
from tlm.network.network import Network
from tlm.networks.pruning import pruned
from tlm.networks.seeded import seeded_activations
from tlm.networks.stored import StoredNetwork, save_network

_CHECKED, _CHECKED_QUANTISED = 8, 1
"""Random inputs that are compared with onnxruntime by default: fewer of a graph that this command wrote itself."""


def run(arguments: argparse.Namespace) -> int:
    """Read, compare, write."""
    if arguments.output is not None and arguments.output.suffix != ".npz":
        raise InputError(f"-o: {arguments.output} must end in .npz")
    if arguments.word_density is not None and not 0.0 < arguments.word_density <= 1.0:
        raise InputError(f"--word-density: {arguments.word_density:g} is not allowed; give a share above 0, up to 1")
    if arguments.check is None:
        arguments.check = _CHECKED_QUANTISED if arguments.quantize else _CHECKED
    if arguments.check or arguments.quantize:
        require_onnx("onnxruntime")
    quantised = quantisation(arguments)
    with progress("import"):
        imported = read_onnx(arguments.model, None if quantised is None else quantised.change)
    compared = _compare(imported, arguments) if arguments.check else None
    network = imported.network
    layers = counted(len(network.layers), "layer")
    print(f"{arguments.model.name}: {layers}, {network.input_shape} to {network.output.shape}")
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
        _print(compared, short=quantised is not None)
        _judge(compared, arguments)
    card: dict[str, Any] = {
        "source": arguments.model.name,
        "input_scale": imported.input_scale,
        "output_scale": imported.output.scale,
        "coarser": imported.coarser,
        "left_out": imported.left_out,
        "onnxruntime": None if compared is None else asdict(compared),
    }
    network = _pruned(network, arguments, card)
    if quantised is not None:
        card["quantisation"] = quantised.report(imported, network)
    if arguments.output is not None:
        save_network(arguments.output, StoredNetwork(network, card))
        print(f"wrote {arguments.output}")
    _print_next(arguments, quantised, network)
    return 0


def _pruned(network: Network, arguments: argparse.Namespace, card: dict[str, Any]) -> Network:
    if arguments.taps is None and arguments.word_density is None:
        return network
    found = pruned(network, arguments.taps, arguments.word_density)
    card["pruned"] = {"taps": arguments.taps, "word_density": arguments.word_density, "retrained": False}
    parts = []
    if arguments.taps is not None:
        parts.append(f"{arguments.taps} taps a channel in {found.by_taps} depth-wise layers")
    if arguments.word_density is not None:
        parts.append(f"{arguments.word_density:.1%} of the weight words in {found.by_words} layers")
    print(f"pruned without retraining: {', '.join(parts)}")
    return found.network


def _print_next(arguments: argparse.Namespace, quantised: Quantisation | None, network: Network) -> None:
    changed = quantised is not None or arguments.taps is not None or arguments.word_density is not None
    if changed and arguments.output is None:
        print("nothing was written; -o NET.npz keeps the network for `tlm run`")
        return
    unsigned = "FILE: a picture or an array" if network.input_shape[0] == 3 else "FILE.npy: an array of 0..15"
    given = "FILE.npy: an array of -8..7" if network.signed_input else unsigned
    print(f"next: tlm run {arguments.output or arguments.model} -o DIR  (--input {given})")
    print("      tlm explain DIR")


def _compare(imported: Imported, arguments: argparse.Namespace) -> Compared:
    network, seeds = imported.network, range(arguments.check)
    batch = np.stack([seeded_activations(network.input_shape, seed, network.signed_input) for seed in seeds])
    with progress("onnxruntime"):
        try:
            return compare(imported, batch)
        except InputError as error:
            raise InputError(f"{arguments.model}: {error}") from None


def _print(compared: Compared, short: bool) -> None:
    inputs = f"{compared.images} random input{'s' if compared.images > 1 else ''}"
    if short:
        least = min(compared.alone.values())
        print(f"4-bit graph in onnxruntime and in the engine, {inputs}: each layer")
        print(f"alone at least {least:.3%} equal, best class equal for {compared.best:.1%}; measured")
        return
    width = max(map(len, compared.layers))
    print(f"{'layer':{width}}  equal to onnxruntime: alone, after all before it; {inputs}")
    for layer, share in compared.layers.items():
        print(f"{layer:{width}}  {compared.alone[layer]:9.3%} {share:9.3%}")
    print(f"the same best class for {compared.best:.1%}; measured")
    print("where they differ: the engine's biases are whole units of the sums, its")
    print("multipliers have 16 bits, and it rounds halves up; onnxruntime rounds them to")
    print("even, in float32")


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
