"""Post-training quantization: a float graph, written by hand, becomes a network of 4 bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from float_graphs import IMAGES, RNG, Floats, everything, reals
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

import tlm
from tlm.core.errors import InputError
from tlm.exchange import ptq
from tlm.exchange.onnx_check import compare
from tlm.exchange.onnx_reader import Imported, read_onnx
from tlm.exchange.ptq import PostTraining
from tlm.exchange.ptq_graph import Places, make_plain
from tlm.exchange.ptq_ranges import activation_step, quantised_weights
from tlm.exchange.ptq_report import agreement, levels
from tlm.network import golden


def quantised(path: Path, **keys: Any) -> tuple[Imported, PostTraining]:
    done = PostTraining(IMAGES[:8], IMAGES[8:], **keys)
    return read_onnx(path, done), done


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Imported, PostTraining]:
    path = tmp_path_factory.mktemp("ptq") / "float.onnx"
    graph, output = everything()
    graph.save(path, output)
    return path, *quantised(path)


def test_the_engine_computes_what_the_quantised_graph_says(whole: tuple[Path, Imported, PostTraining]) -> None:
    _, imported, done = whole
    network = imported.network
    assert imported.left_out == "Softmax softmax17"
    assert sum(isinstance(layer, tlm.MaxPool2d) for layer in network.layers) == 1
    assert [layer.residual for layer in network.layers].count("conv0") == 1
    activations = levels(imported, IMAGES[:2])
    assert min(compare(imported, activations).alone.values()) > 0.99
    result = tlm.simulate(network, activations[0])
    assert np.array_equal(result.outputs, golden.run(network, activations[0])[network.output.name])
    assert {tensor.name for tensor in imported.tensors.values()} & done.figures.keys() == done.figures.keys() - {
        "x/held"
    }


def test_the_figures_are_those_of_the_engine(whole: tuple[Path, Imported, PostTraining]) -> None:
    """The scores' signal to noise, computed anew from the engine's own outputs and the float graph's."""
    path, imported, done = whole
    model = onnx.load(path)
    model.graph.output[0].name = "gemm16"
    scores = ReferenceEvaluator(model).run(None, {"x": IMAGES})[0]
    assert np.allclose(done.scores, scores, atol=1e-4)
    network, scale = imported.network, imported.output.scale
    ours = [golden.run(network, one)[network.output.name].reshape(-1) * scale for one in levels(imported, IMAGES[:8])]
    noise = np.sum((np.array(ours) - scores[:8]) ** 2)
    expected = 10 * np.log10(np.sum(scores[:8] ** 2) / noise)
    assert done.figures["gemm16"].sqnr_db == pytest.approx(expected, abs=0.3)
    found = agreement(imported, network, IMAGES[:8], done.scores[:8], done.scores[:8].argmax(axis=1))
    assert found is not None
    assert found.original_right == 8
    assert found.right == found.same >= 6


def test_clipped_values_are_counted(whole: tuple[Path, Imported, PostTraining]) -> None:
    path, _, done = whole
    uncut = quantised(path, percentile=100.0)[1]
    low = quantised(path, percentile=90.0)[1]
    for name, share in (("relu4/held", 0.05), ("relu7/held", 0.05)):
        assert uncut.figures[name].clipped < done.figures[name].clipped + 0.01 < share < low.figures[name].clipped


def test_bias_correction_keeps_the_mean_of_each_channel(whole: tuple[Path, Imported, PostTraining]) -> None:
    path, imported, done = whole
    plain, other = quantised(path, correct=False)
    errors = []
    for one in (imported, plain):
        ours = [
            golden.run(one.network, image)[one.network.output.name].reshape(-1) for image in levels(one, IMAGES[:8])
        ]
        errors.append(np.abs(np.mean(ours, axis=0) * one.output.scale - done.scores[:8].mean(axis=0)).max())
    assert errors[0] < 0.55 * imported.output.scale < errors[1]  # a bias is a whole unit
    assert np.array_equal(done.scores, other.scores)


def test_equalisation_changes_no_value_of_the_float_network(whole: tuple[Path, Imported, PostTraining]) -> None:
    """Its rewritten weights give the same scores, and the channels before the point-wise layer become alike."""
    path, _, _ = whole
    model = onnx.load(path)
    model.graph.output[0].name = "gemm16"
    del model.graph.node[-1]
    make_plain(model, 1)
    places = Places(model)
    batches = [*IMAGES[:8, None]]
    before, means, scores = ptq._float_run(model, places, batches, [])
    spread = np.ptp(np.log2(np.abs(before["relu4"].values).max(axis=1)))
    ptq._equalise(places, before, means)
    assert np.ptp(np.log2(np.abs(before["relu4"].values).max(axis=1))) < 0.7 * spread
    del model.graph.initializer[:]
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in places.arrays.items())
    after, new_means, new_scores = ptq._float_run(model, Places(model), batches, [])
    assert np.allclose(scores, new_scores, atol=1e-4)
    assert np.allclose(after["relu4"].values, before["relu4"].values, atol=1e-4)
    assert all(np.allclose(means[name], new_means[name], atol=1e-4) for name in means)


def test_a_clip_before_equalised_channels_is_the_range_of_4_bits(tmp_path: Path) -> None:
    """ReLU6: no level stands for more than 6 in any channel, however its range is shared out."""
    g = Floats((1, 1, 1, 1))
    cut = g.node("Clip", g.node("Conv", "x", np.full((2, 1, 1, 1), 9, np.float32)), f32(0), f32(6))
    model = g.model(g.node("Conv", cut, np.array([60.0, 2.0], np.float32).reshape(1, 2, 1, 1)))
    make_plain(model, 1)
    places = Places(model)
    samples, means, _ = ptq._float_run(model, places, [np.full((1, 1, 1, 1), x, np.float32) for x in (0.1, 1.0)], [])
    ptq._equalise(places, samples, means)
    (scaled,) = (array.reshape(-1) for array in places.arrays.values() if array.shape == (2, 1, 1, 1))
    assert samples["clip1"].values.max() * (9 / scaled).max() == pytest.approx(6)
    assert [node.op_type for node in places.nodes] == ["Conv", "Relu", "Conv"]


def f32(value: float) -> Any:
    return np.array(value, np.float32)


def test_a_graph_of_8_bits(tmp_path: Path) -> None:
    """The quantiser is the ReLU here, and a constant of 8 bits the weights."""
    g = Floats()
    steps = f32(0.02), np.array(0, np.uint8)
    own = g.node("DequantizeLinear", g.constant(RNG.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8)), f32(0.01))
    given = g.node(
        "DequantizeLinear",
        g.node("QuantizeLinear", "x", f32(0.03), np.array(0, np.int8)),
        f32(0.03),
        np.array(0, np.int8),
    )
    sums = g.node("Conv", [given, own])
    relu = g.node("DequantizeLinear", g.node("QuantizeLinear", sums, *steps), *steps)
    imported, done = quantised(g.save(tmp_path / "g.onnx", g.node("Conv", relu, reals(2, 4, 1, 1))))
    assert [layer.name for layer in imported.network.layers] == ["conv3", "conv6"]
    assert imported.network.tensors["conv3"].signed is False
    assert min(one.sqnr_db for one in done.figures.values()) > 8


def refusal(graph: Floats, output: str, tmp_path: Path, kind: int = TensorProto.FLOAT, images: Any = IMAGES) -> str:
    onnx.save(graph.model(output, kind), tmp_path / "g.onnx")
    with pytest.raises(InputError) as caught:
        read_onnx(tmp_path / "g.onnx", PostTraining(images))
    return str(caught.value)


def test_what_cannot_be_quantised_is_refused_by_name(tmp_path: Path) -> None:
    g = Floats()
    step = f32(0.1), np.array(0, np.uint8)
    whole = g.node("Clip", g.node("QuantizeLinear", "x", *step), np.array(0, np.uint8), np.array(15, np.uint8))
    assert "node Clip clip1: works on whole numbers" in refusal(g, g.node("DequantizeLinear", whole, *step), tmp_path)
    g = Floats()
    conv = g.node("Conv", "x", reals(3, 3, 1, 1))
    assert "node Mul mul1: the engine cannot run it on two computed tensors" in refusal(
        g, g.node("Mul", [conv, "x"]), tmp_path
    )
    assert "the engine cannot run it; the graph may hold" in refusal(g, g.node("Erf", "x"), tmp_path)
    g = Floats()
    out = g.node("Conv", "x", reals(3, 3, 1, 1))
    assert "images have shape (3, 12, 12), but those to calibrate on (2,)" in refusal(
        g, out, tmp_path, images=np.zeros((1, 2), np.float32)
    )
    g = Floats()
    out = g.node("Conv", "x", reals(3, 3, 1, 1).astype(np.float16))
    assert "must be of type float32 to be quantised" in refusal(g, out, tmp_path, TensorProto.FLOAT16)
    g = Floats()
    assert "its weights are computed, but must be constants" in refusal(
        g, g.node("Conv", ["x", g.node("Relu", "x")]), tmp_path
    )


@pytest.mark.parametrize("signed", [False, True])
def test_steps_of_least_squared_error(signed: bool) -> None:
    """No step does better than the chosen one by more than the histogram's coarseness."""
    values = np.abs(RNG.laplace(size=4000)) if not signed else RNG.laplace(size=4000)
    low, high = (-8, 7) if signed else (0, 15)

    def error(step: float) -> float:
        return float(np.mean((np.clip(np.rint(values / step), low, high) * step - values) ** 2))

    step = activation_step(values, signed, None)
    assert error(step) <= 1.02 * min(error(one) for one in np.linspace(0.05, 2, 400))
    assert activation_step(values, signed, 100.0) == pytest.approx(max(values.max() / high, -values.min() / 8 * signed))
    assert activation_step(values, signed, 99.0) < activation_step(values, signed, 100.0)
    assert activation_step(np.zeros(4), signed, None) == 1.0


def test_weights_are_better_than_by_their_largest_value() -> None:
    weights = RNG.laplace(size=(6, 50, 3, 3)).astype(np.float32)
    weights[3] = 0
    for one in (False, True):
        whole, unit = quantised_weights(weights, one)
        assert np.abs(whole).max() == 7
        assert np.ptp(unit) == 0 if one else np.ptp(unit) > 0
        largest = np.abs(weights).max() if one else np.abs(weights).max(axis=(1, 2, 3))
        naive = np.broadcast_to(np.maximum(largest, 1e-9) / 7, 6)
        errors = [
            np.sum((np.clip(np.rint(weights / s), -7, 7) * s - weights) ** 2)
            for s in (step.reshape(-1, 1, 1, 1) for step in (unit, naive))
        ]
        assert errors[0] < 0.8 * errors[1]
