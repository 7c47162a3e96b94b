"""Post-training quantization: a float or 8-bit graph becomes one of 4 bits that the importer reads.

Steps: ranges of activations from calibration data; cross-layer equalisation (Nagel et al. 2019), with ranges of
activations in the place of the first layer's weights, as those have a unit per channel here anyway; weights of least
squared error; bias correction layer by layer, each on what the quantised layers before it give. What the engine adds
as a residual keeps its own step: the requantiser multiplies it by a number of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tlm.core.errors import InputError
from tlm.exchange.onnx_constants import Array, FloatArray, initialisers
from tlm.exchange.onnx_file import input_of
from tlm.exchange.onnx_qdq_form import Rewriter
from tlm.exchange.onnx_runtime import session
from tlm.exchange.ptq_graph import WEIGHTED, Places, make_plain
from tlm.exchange.ptq_ranges import Samples, activation_step, quantised_weights
from tlm.network.layers import activation_range

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_LEAST_SHARE = 0.02
"""Channels of smaller ranges are equalised as if theirs was this share of the largest: calibration data are few."""
_IR_VERSION = 10


@dataclass(frozen=True)
class Figures:
    """What 4 bits cost one tensor, on the calibration data and with all layers before it quantised."""

    step: float
    """What one level is worth; for scores, which have 24 bits, 0."""
    signed: bool
    sqnr_db: float
    """Signal to quantisation noise: of the float network's values, and of the differences from them."""
    clipped: float
    """Share of the values beyond the range."""


@dataclass
class PostTraining:
    """How to quantise; after the call, what it cost.

    Args:
        images: float32, as the graph's input takes them, the batch first; at least one.
        held_out: further ones, of which only the scores are wanted.
        percentile: share of the activations in percent that stays uncut, above 50; None for the least squared error.
        equalise: apply cross-layer equalisation.
        correct: apply bias correction.
    """

    images: Array
    held_out: Array | None = None
    percentile: float | None = None
    equalise: bool = True
    correct: bool = True
    figures: dict[str, Figures] = field(default_factory=dict)
    """Tensor of the quantised graph -> its figures, in the order of the graph."""
    scores: Array = field(default_factory=lambda: np.zeros(0))
    """What the original network gives, of the images and of those held out, the batch first."""

    def __call__(self, model: ModelProto) -> None:
        """Quantise a graph in place.

        Raises:
            InputError: a node that the engine cannot run; images of another shape than the input's.
        """
        name, _, shape = input_of(model, initialisers(model))
        if self.images.shape[1:] != shape[1:]:
            raise InputError(
                f"input {name!r}: images have shape {shape[1:]}, but those to calibrate on {self.images.shape[1:]}"
            )
        make_plain(model, shape[0])
        places = Places(model)
        held_out = self.images[:0] if self.held_out is None else self.held_out
        batches, others = (_batches(images, shape) for images in (self.images, held_out))
        samples, means, scores = _float_run(model, places, batches, others)
        self.scores = np.concatenate(
            [np.concatenate(scores[: len(batches)])[: len(self.images)], *scores[len(batches) :]]
        )[: len(self.images) + len(held_out)]
        if self.equalise:
            _equalise(places, samples, means)
        _Quantisation(self, model, places, samples, means).run(batches)


def _batches(images: Array, shape: tuple[int, ...]) -> list[Array]:
    """As many images at once as a graph takes; where they do not suffice, the last one again."""
    count = -(-len(images) // shape[0])
    indices = np.minimum(np.arange(count * shape[0]), len(images) - 1)
    return [*images[indices].astype(np.float32).reshape(count, *shape)]


def _float_run(
    model: ModelProto, places: Places, batches: list[Array], others: list[Array]
) -> tuple[dict[str, Samples], dict[str, FloatArray], list[Array]]:
    """What the float network gives: samples of tensors, means of channels, scores.

    Args:
        model: the network.
        places: where it is quantised.
        batches: calibration data.
        others: what only scores are wanted of.

    Returns:
        Samples of each tensor that is quantised and of the output; the mean of each channel of what weighted layers
        give; the output of each batch, then of each of the others.
    """
    import onnxruntime  # type: ignore[import-untyped]

    sums = [node.output[0] for node in places.nodes if node.op_type in WEIGHTED]
    samples = {name: Samples(len(batches)) for name in [*places.points, places.output]}
    means, scores = dict.fromkeys(sums, np.zeros(())), []
    names = [name for name in dict.fromkeys([*samples, *sums]) if name != places.input]
    run = session(model, onnxruntime.SessionOptions(), names)
    for images in batches:
        found = dict(zip(names, run(names, {places.input: images}), strict=True)) | {places.input: images}
        for name, sample in samples.items():
            sample.add(found[name])
        for name in sums:
            means[name] = means[name] + _channel_means(found[name]) / len(batches)
        scores.append(found[places.output])
    scores += [run([places.output], {places.input: images})[0] for images in others]
    return samples, means, scores


def _channel_means(values: Array) -> FloatArray:
    means: FloatArray = values.mean(axis=(0, *range(2, values.ndim)), dtype=np.float64)
    return means


def _equalise(places: Places, samples: dict[str, Samples], means: dict[str, FloatArray]) -> None:
    """Scale the channels between two layers so that they have similar ranges, in place; what follows stays the same."""
    for node in places.nodes:
        name = node.input[0]
        if node.op_type not in WEIGHTED or name not in samples or len(places.readers[name]) > 1:
            continue
        cuts, before = [], places.makers.get(name)
        while before is not None and before.op_type in ("Relu", "Clip") and before.input[0] not in places.points:
            cuts.append(before)
            before = places.makers.get(before.input[0])
        if before is None or before.op_type not in WEIGHTED or before.output[0] == places.last:
            continue
        own = [one for one in (*before.input[1:3], node.input[1]) if one]
        if any(len(places.readers[one]) > 1 for one in own) or not all(_from_zero(cut, places) for cut in cuts):
            continue
        factor = _factors(node, places, samples[name].values)
        bounds = [places.arrays[cut.input[2]].item() for cut in cuts if len(cut.input) > 2]
        if factor is None or len(factor) != len(means[before.output[0]]):
            continue
        if bounds:  # the range of 4 bits cuts below them in every channel then
            largest = np.abs(samples[name].values).max(axis=1) / factor
            factor = np.minimum(factor, min(bounds) / largest.max())
        for cut in cuts:
            cut.op_type = "Relu"
            del cut.input[1:]
        for one in before.input[1:3]:
            axis = _out_axis(before) if one == before.input[1] else 0
            places.arrays[one] = _scaled(places.arrays[one], 1.0 / factor, axis)
        places.arrays[node.input[1]] = _input_scaled(node, places.arrays[node.input[1]], factor)
        samples[name].parts = [part / factor[:, None].astype(np.float32) for part in samples[name].parts]
        means[before.output[0]] = means[before.output[0]] / factor


def _from_zero(cut: NodeProto, places: Places) -> bool:
    ends = [places.arrays.get(one) for one in cut.input[1:]]
    return cut.op_type == "Relu" or (len(ends) == 2 and ends[0] is not None and ends[0].item() == 0)


def _factors(node: NodeProto, places: Places, values: Array) -> FloatArray | None:
    """What each channel before a layer is divided by, (C,)."""
    weights, groups = places.arrays[node.input[1]], _groups(node)
    rows = np.moveaxis(weights, _out_axis(node), 0)
    rows = np.abs(rows).reshape(groups, len(rows) // groups, rows.shape[1], -1).max(axis=(1, 3)).reshape(-1)
    if len(rows) != len(values):
        return None
    reach = np.abs(values).max(axis=1).astype(np.float64)
    reach = np.maximum(reach, _LEAST_SHARE * reach.max())
    if groups == len(rows):  # depth-wise: its weights have a unit per channel
        rows = np.ones_like(rows)
    else:
        rows = np.maximum(rows, _LEAST_SHARE * rows.max())
        reach = np.sqrt(reach)
        rows = np.sqrt(rows)
    if not reach.all() or not rows.all():
        return None
    factor: FloatArray = reach / rows / (reach / rows).max()
    return factor


def _groups(node: NodeProto) -> int:
    return next((one.i for one in node.attribute if one.name == "group"), 1)


def _out_axis(node: NodeProto) -> int:
    turned = any(one.name == "transB" and one.i for one in node.attribute)
    return 0 if node.op_type == "Conv" or turned else 1


def _scaled(array: Array, factor: FloatArray, axis: int) -> Array:
    along = [1] * array.ndim
    along[axis] = -1
    return (array * factor.reshape(along)).astype(array.dtype)


def _input_scaled(node: NodeProto, weights: Array, factor: FloatArray) -> Array:
    if node.op_type != "Conv":
        return _scaled(weights, factor, 1 - _out_axis(node))
    groups = _groups(node)
    each = np.repeat(factor.reshape(groups, -1), len(weights) // groups, axis=0)
    return (weights * each[:, :, None, None]).astype(weights.dtype)


class _Quantisation:
    """One walk over a graph, in which every node runs on what the quantised ones before it gave."""

    def __init__(
        self,
        of: PostTraining,
        model: ModelProto,
        places: Places,
        samples: dict[str, Samples],
        means: dict[str, FloatArray],
    ) -> None:
        self.of, self.model, self.places, self.samples, self.means = of, model, places, samples, means
        self.to = Rewriter(model)
        self.steps: dict[str, float] = {}
        self.signed: dict[str, bool] = {}
        for root, names in places.groups().items():
            values = np.concatenate([samples[name].values.reshape(-1) for name in names])
            percentile = of.percentile
            positive = all(places.positive[name] for name in names)
            if places.image in names:  # what 4 bits hold of an image is not ours to cut
                positive, percentile = bool(values.min() >= 0), 100.0
            self.signed[root] = not positive
            self.steps[root] = activation_step(values, not positive, percentile)
        self.names: dict[str, str] = {}
        """Tensor -> what holds it in 4 bits."""

    def run(self, batches: list[Array]) -> None:
        places, held = self.places, {self.places.input: batches}
        if places.input in places.points:
            held[places.input] = self.quantised(places.input, batches)
        for index, node in enumerate(places.nodes):
            name, given = node.output[0], places.computed(node)
            inputs = [self.names.get(one, one) for one in node.input]
            arrays = {one: places.arrays[one] for one in node.input if one in places.arrays}
            if node.op_type in WEIGHTED:
                found = self.weighted(node, inputs, arrays, held[given[0]])
            else:
                run = self.alone(node, arrays)
                found = [run(*(held[one][i] for one in given)) for i in range(len(batches))]
            self.to.node(node.op_type, inputs, name, node.name, domain=node.domain).attribute.extend(node.attribute)
            if name in places.points:
                found = self.quantised(name, found)
            elif name == places.output:
                self.judge(name, self.sampled(found), 0.0, 0.0)
            held[name] = found
            for one in given:
                if places.last_use[one] == index:
                    held.pop(one, None)
        self.finish()

    def weighted(self, node: NodeProto, inputs: list[str], arrays: dict[str, Array], held: list[Array]) -> list[Array]:
        """Sums of a layer with quantised weights and a corrected bias; its inputs become those."""
        name, axis, places = node.output[0], _out_axis(node), self.places
        weights = np.moveaxis(arrays[node.input[1]], axis, 0)
        whole, unit = quantised_weights(weights, one=name == places.last)
        unit = unit.astype(np.float32).astype(np.float64)
        real = (whole * unit.reshape(-1, *[1] * (whole.ndim - 1))).astype(np.float32)
        arrays[node.input[1]] = np.moveaxis(real, 0, axis)
        packed = self.to.constant(f"{name}/weights/whole", np.ascontiguousarray(np.moveaxis(whole, 0, axis)))
        scale = self.to.constant(f"{name}/weights/scale", unit.astype(np.float32))
        inputs[1] = f"{name}/weights"
        self.to.node("DequantizeLinear", [packed, scale], inputs[1], axis=axis)
        if node.op_type == "MatMul":
            run = self.alone(node, arrays)
            return [run(images) for images in held]
        given = arrays.pop(inputs[2]).reshape(-1) if len(inputs) > 2 and inputs[2] else 0.0
        del node.input[2:]
        run = self.alone(node, arrays)
        found = [run(images) for images in held]
        bias = np.broadcast_to(given, len(unit)).astype(np.float64)
        if self.of.correct:
            bias = self.means[name] - np.mean([_channel_means(one) for one in found], axis=0)
        unit = unit * self.steps[places.root(node.input[0])]
        bias = (np.rint(bias / unit) * unit).astype(np.float32)  # as the engine holds it
        inputs[2:] = [self.to.constant(f"{name}/bias", bias)]
        return [one + bias.reshape(-1, *[1] * (one.ndim - 2)) for one in found]

    def alone(self, node: NodeProto, arrays: dict[str, Array]) -> Any:
        """A node of its own: from its computed inputs to its output."""
        import onnx
        import onnxruntime

        given = self.places.computed(node)
        graph = onnx.helper.make_graph(
            [node],
            "node",
            [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in dict.fromkeys(given)],
            [onnx.ValueInfoProto(name=node.output[0])],
            [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items() if name in node.input],
        )
        model = onnx.helper.make_model(graph, opset_imports=self.model.opset_import, ir_version=_IR_VERSION)
        run = session(model, onnxruntime.SessionOptions())
        return lambda *inputs: run([node.output[0]], dict(zip(given, inputs, strict=True)))[0]

    def quantised(self, name: str, found: list[Array]) -> list[Array]:
        """A tensor in 4 bits, as real numbers."""
        root, held = self.places.root(name), f"{name}/held"
        step, signed = np.float32(self.steps[root]), self.signed[root]
        low, high = activation_range(signed)
        kind = np.int8 if signed else np.uint8
        self.to.quantised(name, held, np.asarray(step), np.zeros((), kind), (low, high), held)
        self.names[name] = held
        values = self.sampled(found) / step
        clipped = float(np.mean((values < low - 0.5) | (values > high + 0.5)))
        if self.places.positive[name]:
            clipped = float(np.mean(values > high + 0.5))
        found = [np.clip(np.rint(one / step), low, high) * step for one in found]
        self.judge(name, self.sampled(found), float(step), clipped)
        return found

    def sampled(self, found: list[Array]) -> Array:
        sample = Samples(len(found))
        for one in found:
            sample.add(one)
        return sample.values

    def judge(self, name: str, found: Array, step: float, clipped: float) -> None:
        real = self.samples[name].values.astype(np.float64)
        signal, noise = np.sum(real**2), np.sum((found - real) ** 2)
        ratio = signal / noise if noise else np.inf
        sqnr_db = float(10 * np.log10(ratio)) if ratio > 0 else 0.0
        signed = self.signed[self.places.root(name)] if step else True
        self.of.figures[self.names.get(name, name)] = Figures(step, signed, sqnr_db, clipped)

    def finish(self) -> None:
        """Put what was written in the place of the float graph."""
        graph = self.model.graph
        self.to.finish()
        name = self.names.get(self.places.output, self.places.output)
        graph.output[0].Clear()
        graph.output[0].name = name
        used = {one for node in graph.node for one in node.input}
        kept = [one for one in self.to.arrays.values() if one.name in used]
        for tensor in kept:
            if tensor.name in self.places.arrays:
                import onnx

                tensor.CopyFrom(onnx.numpy_helper.from_array(self.places.arrays[tensor.name], tensor.name))
        del graph.initializer[:]
        graph.initializer.extend(kept)
