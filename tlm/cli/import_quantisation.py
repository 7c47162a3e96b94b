"""``tlm import --quantize``: its options, its calibration data and what it reports."""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass, replace
from math import isfinite
from typing import Any

import numpy as np

from tlm.core.errors import InputError
from tlm.exchange.calibration import CalibrationData, noise, read_calibration, read_labels
from tlm.exchange.onnx_constants import initialisers
from tlm.exchange.onnx_file import channels_last, input_of
from tlm.exchange.onnx_reader import Imported
from tlm.exchange.ptq import PostTraining
from tlm.exchange.ptq_report import Agreement, agreement
from tlm.network.network import Network

_NEEDS_QUANTIZE = ("calibrate", "percentile", "no_equalization", "no_bias_correction")
_NEEDS_CALIBRATE = ("labels", "mean", "std")
_CHANNELS = 3


def quantisation(arguments: argparse.Namespace) -> Quantisation | None:
    """What the options ask for, or None without ``--quantize``.

    Raises:
        InputError: an option that does not belong here, or a value that is not allowed.
    """
    for needed, given, names in (
        ("--quantize", arguments.quantize, _NEEDS_QUANTIZE),
        ("--calibrate", arguments.calibrate, _NEEDS_CALIBRATE),
    ):
        for name in names:
            if not given and getattr(arguments, name) not in (None, False):
                raise InputError(f"--{name.replace('_', '-')}: needs {needed}; give that, too")
    if not arguments.quantize:
        return None
    percentile = arguments.percentile
    if percentile is not None and not 50.0 < percentile <= 100.0:
        raise InputError(f"--percentile: {percentile:g} is not allowed; give more than 50, up to 100")
    return Quantisation(arguments, _channels(arguments, "mean", 0.0), _channels(arguments, "std", 1.0))


def _channels(arguments: argparse.Namespace, name: str, default: float) -> list[float]:
    text = getattr(arguments, name)
    if text is None:
        return [default] * _CHANNELS
    try:
        values = [float(one) for one in text.split(",")]
    except ValueError:
        values = []
    if len(values) != _CHANNELS or not all(map(isfinite, values)) or (name == "std" and min(values) <= 0):
        above = " above 0" if name == "std" else ""
        raise InputError(f"--{name}: {text!r} must be three numbers{above}, as in 0.5,0.5,0.5")
    return values


@dataclass
class Quantisation:
    """One post-training quantization, as the command line asks for it."""

    arguments: argparse.Namespace
    mean: list[float]
    std: list[float]

    def __post_init__(self) -> None:
        self._data = CalibrationData(np.zeros((0,), np.float32))
        self._done = PostTraining(self._data.images)

    def change(self, model: Any) -> None:
        """Quantise a graph in place, on the data for its input."""
        arguments, (name, _, shape) = self.arguments, input_of(model, initialisers(model))
        if arguments.calibrate is None:
            data = noise(shape[1:])
        else:
            last = channels_last(model, name)
            data = read_calibration(arguments.calibrate, shape[1:], last, self.mean, self.std)
        if arguments.labels is not None:
            data = replace(data, labels=read_labels(arguments.labels, len(data.images)))
        held_out = data.held_out
        self._done = PostTraining(
            data.images[~held_out],
            data.images[held_out],
            arguments.percentile,
            not arguments.no_equalization,
            not arguments.no_bias_correction,
        )
        self._data = data
        self._done(model)

    def report(self, imported: Imported, network: Network) -> dict[str, Any]:
        """Print what 4 bits cost, and give it for the network's card.

        Args:
            imported: the quantised network.
            network: what became of it.
        """
        layers = {tensor.name: layer for layer, tensor in imported.tensors.items()}
        layers[f"{imported.input.name}/held"] = "input"
        figures = {layers.get(name, name.removesuffix("/held")): one for name, one in self._done.figures.items()}
        count = len(self._done.images)
        given = self.arguments.calibrate
        samples = f"{count} sample{'s' if count > 1 else ''}"
        source = f"{samples} of seeded noise [A]" if given is None else f"{samples} of {given.name}"
        how = "least squared error" if self._done.percentile is None else f"{self._done.percentile:g}th percentile"
        print(f"quantised to 4 bits on {source}\nranges of activations: {how}")
        width = max(5, *map(len, figures))
        print(f"{'layer':{width}}  signal to noise, dB  clipped; simulated")
        for layer, one in figures.items():
            print(f"{layer:{width}}  {one.sqnr_db:19.1f}  {one.clipped:7.2%}")
        groups = {} if given is None else self._agreements(imported, network)
        for name, group in groups.items():
            print(_sentence(name, group))
        if given is None:
            print("without --calibrate, the classes of this network mean nothing")
        print("4 bits without retraining cost accuracy (docs/import.md); cycles, traffic and")
        print("energy do not depend on it, but for weight words that became 0")
        return {
            "calibration": "seeded noise" if given is None else given.name,
            "samples": count,
            "percentile": self._done.percentile,
            "equalised": self._done.equalise,
            "bias_corrected": self._done.correct,
            "layers": {layer: asdict(one) for layer, one in figures.items()},
            "agreement": {name: asdict(one) for name, one in groups.items()},
        }

    def _agreements(self, imported: Imported, network: Network) -> dict[str, Agreement]:
        data, scores, held_out = self._data, self._done.scores, self._data.held_out
        found = {}
        count = len(self._done.images)
        for name, mask, part in (("calibration", ~held_out, scores[:count]), ("held out", held_out, scores[count:])):
            labels = None if data.labels is None else data.labels[mask]
            one = agreement(imported, network, data.images[mask], part, labels) if mask.any() else None
            if one is not None:
                found[name] = one
        return found


def _sentence(name: str, one: Agreement) -> str:
    text = f"{name}: the original's best class for {one.same} of {one.samples} samples; simulated"
    if one.right is not None:
        text += f"\n{name}: right for {one.right} of {one.samples}, the original for {one.original_right}"
    return text
