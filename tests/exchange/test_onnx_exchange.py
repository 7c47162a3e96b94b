"""Quantised ONNX graphs: written, read, refused, and compared with onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto
from onnx_graphs import Graph

import tlm
from tlm.cli.main import main
from tlm.core.errors import InputError
from tlm.exchange.onnx_check import compare
from tlm.exchange.onnx_reader import read_onnx
from tlm.exchange.onnx_writer import write_onnx
from tlm.networks.stored import load_network


def network(signed: bool = False) -> tlm.Network:
    rng = np.random.default_rng(0)

    def weights(*shape: int) -> Any:
        return rng.integers(-8, 8, shape)

    return tlm.Network(
        (3, 12, 10),
        [
            tlm.Conv2d(
                "c1", weights(8, 3, 3, 3), stride=2, padding=((1, 0), (1, 1)), bias=30, multiplier=700, shift=16
            ),
            tlm.MaxPool2d("m", (3, 3), stride=(1, 1), padding=(1, 1)),
            tlm.Conv2d("s", weights(8, 4, 1, 1), groups=2, multiplier=40000, shift=20, signed_output=True),
            tlm.Conv2d("d", weights(8, 1, 3, 3), groups=8, padding=1, multiplier=300, shift=14, input="m"),
            tlm.Conv2d(
                "r", weights(8, 8, 1, 1), residual="s", residual_multiplier=9000, multiplier=500, shift=14, bias=-20
            ),
            tlm.AvgPool2d("a", (6, 5)),
            tlm.Conv2d("fc", weights(5, 8, 1, 1), bias=[1, -2, 3, 4, 5], accumulator_output=True),
        ],
        signed_input=signed,
    )


def batch(made: tlm.Network, count: int = 4) -> Any:
    low = -8 if made.signed_input else 0
    return np.random.default_rng(1).integers(low, low + 16, (count, *made.input_shape)).astype(np.int8)


@pytest.mark.parametrize("signed", [False, True])
def test_a_network_written_and_read_is_the_same(tmp_path: Path, signed: bool) -> None:
    made = network(signed)
    write_onnx(tmp_path / "n.onnx", made, 0.1)
    imported = read_onnx(tmp_path / "n.onnx")
    assert imported.input_scale == pytest.approx(0.1)
    assert imported.network.signed_input is signed
    for activations in batch(made):
        expected, found = (tlm.reference.run(one, activations) for one in (made, imported.network))
        assert expected.keys() == found.keys()
        assert all((expected[name] == found[name]).mean() > 0.995 for name in expected)


def test_onnxruntime_computes_the_same(tmp_path: Path) -> None:
    made = network()
    write_onnx(tmp_path / "n.onnx", made)
    compared = compare(read_onnx(tmp_path / "n.onnx"), batch(made))
    assert list(compared.layers) == ["c1", "m", "s", "d", "r", "a", "fc"]
    assert min(compared.layers.values()) > 0.99
    assert min(compared.alone.values()) >= min(compared.layers.values())
    assert compared.best == 1.0


def test_the_command_compares_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_onnx(tmp_path / "n.onnx", network())
    assert main(["import", str(tmp_path / "n.onnx"), "-o", str(tmp_path / "n.npz"), "--check", "2"]) == 0
    printed = capsys.readouterr().out
    assert "n.onnx: 7 layers, (3, 12, 10) to (5, 1, 1)" in printed
    assert "alone, after all before it; 2 random inputs" in printed
    stored = load_network(tmp_path / "n.npz")
    assert stored.card["source"] == "n.onnx"
    assert [layer.name for layer in stored.network.layers] == ["c1", "m", "s", "d", "r", "a", "fc"]


def test_the_command_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "y.onnx").write_bytes(b"no")
    for arguments, message in (
        (["x.onnx"], "x.onnx: does not exist"),
        (["y.onnx"], "y.onnx: is no ONNX file"),
        (["y.onnx", "-o", "y"], "-o: y must end in .npz"),
        (["y.onnx", "--check", "-1"], "--check: -1 is not allowed"),
    ):
        assert main(["import", str(tmp_path / arguments[0]), *arguments[1:]]) == 2
        captured = capsys.readouterr()
        assert message in captured.err
        assert captured.err.count("\n") == 1
        assert captured.out == ""


@pytest.mark.parametrize(("name", "layers", "pools"), [("plain", 4, 1), ("residual", 10, 0)])
def test_graphs_that_brevitas_wrote(name: str, layers: int, pools: int) -> None:
    """8-bit containers clipped to 4 bits, biases as floats: these are rounded to whole units of the sums."""
    imported = read_onnx(Path(__file__).parent / "data" / f"brevitas_{name}.onnx")
    assert len(imported.network.layers) == layers
    assert sum(isinstance(layer, tlm.MaxPool2d) for layer in imported.network.layers) == pools
    made = imported.network
    compared = compare(imported, batch(made, 10))
    assert min(compared.alone.values()) > 0.97
    assert compared.best >= 0.8
    tlm.simulate(made, batch(made, 1)[0])


# -- graphs of other shapes, written here by hand -------------------------------------------------------------------


ONES = np.ones((3, 2, 1, 1))


def test_a_bias_beyond_its_register_makes_its_channel_coarser(tmp_path: Path) -> None:
    """The second output channel has tiny weights, and so a tiny unit of its sums, beside an ordinary bias."""
    graph = Graph()
    scale = np.array([0.26, 2e-7, 0.26], np.float32)
    weights = graph.weights("w", ONES * [[[[5]], [[-7]]]], scale, axis=0)
    graph.node(
        "Conv", ["q", weights, graph.constant("b", np.array([0.26 * 0.53 * 2, 2.5, 0.26 * 0.53 * 29], np.float32))], "c"
    )
    graph.activations(graph.node("Relu", ["c"], "r"), "r4", TensorProto.UINT4, 0.9)
    imported = graph.read(tmp_path, "r4")
    assert imported.coarser == {"n_c": 1}
    (layer,) = imported.network.layers
    assert layer.weights[:, :, 0, 0].tolist() == [[5, -7], [1, -2], [5, -7]]  # 2.5 / (0.53 * 2e-7) / 2^23 = 2.8
    assert layer.bias[1] == pytest.approx(2.5 / (0.53 * 2e-7 * 4), rel=1e-6)
    compared = compare(imported, batch(imported.network, 5))
    assert compared.alone == {"n_c": 1.0}


def test_four_bit_types_linear_layers_and_sums_of_two_tensors(tmp_path: Path) -> None:
    graph = Graph()
    graph.node("Conv", ["q", graph.weights("w", ONES * 3)], "c")
    graph.activations(graph.node("Relu", ["c"], "cr"), "c4", TensorProto.UINT4, 2.1)
    graph.node("Conv", ["q", graph.weights("v", ONES * -2)], "d")
    graph.activations("d", "d4", TensorProto.INT4)
    graph.activations(graph.node("Add", ["c4", "d4"], "e"), "e4", TensorProto.INT4)
    graph.node("GlobalAveragePool", ["e4"], "m")
    graph.activations("m", "m4", TensorProto.INT4, 0.23)
    graph.node("Flatten", ["m4"], "f")
    graph.node(
        "Gemm",
        ["f", graph.weights("l", np.arange(12).reshape(3, 4) - 5), graph.constant("b", np.ones(4, np.float32))],
        "y",
    )
    imported = graph.read(tmp_path, "y")
    assert len(imported.network.layers) == 5
    compared = compare(imported, batch(imported.network))
    assert min(compared.layers.values()) == 1.0  # no scale puts a value half-way between two levels


def refusal(graph: Graph, tmp_path: Path, output: str) -> str:
    with pytest.raises(InputError) as caught:
        graph.read(tmp_path, output)
    return str(caught.value)


def test_what_the_engine_cannot_run_is_refused_by_name(tmp_path: Path) -> None:
    graph = Graph()
    graph.node("Erf", ["q"], "y")
    assert "g.onnx: node Erf n_y: the engine cannot run it" in refusal(graph, tmp_path, "y")

    graph = Graph()
    graph.node("Conv", ["x", graph.weights("w", ONES)], "y")
    assert "node Conv n_y: its input is not quantised" in refusal(graph, tmp_path, "y")

    graph = Graph()
    graph.node("Conv", ["q", graph.constant("w", np.ones((3, 2, 1, 1), np.float32))], "y")
    assert "node Conv n_y: its weights are not quantised" in refusal(graph, tmp_path, "y")

    graph = Graph()
    graph.node("Conv", ["q", graph.weights("w", ONES * 9)], "y")
    assert "node Conv n_y: its weights less their zero points are 9..9, but must" in refusal(graph, tmp_path, "y")

    graph = Graph()
    graph.node("Conv", ["q", graph.weights("w", ONES, [0.1, 0.2, 0.3], axis=0)], "y")
    assert "node Conv n_y: the graph ends with it, but its channels have diff" in refusal(graph, tmp_path, "y")

    graph = Graph()
    graph.node("Conv", ["q", graph.weights("w", ONES)], "c")
    graph.activations("c", "y", TensorProto.UINT8)
    assert "node QuantizeLinear n_y_i: gives 0..255, but activations must be" in refusal(graph, tmp_path, "y")

    graph = Graph()
    graph.node("Conv", ["q", graph.weights("w", ONES)], "c")
    graph.activations("c", "y", TensorProto.UINT4, zero=3)
    assert "node QuantizeLinear n_y_i: gives -3..12 less its zero point 3, but" in refusal(graph, tmp_path, "y")

    graph = Graph()
    for name in "ab":
        graph.node("Conv", ["q", graph.weights(f"w{name}", ONES)], name)
    graph.activations(graph.node("Add", ["a", "b"], "c"), "y", TensorProto.INT4)
    assert "node Add n_c: adds what is not quantised" in refusal(graph, tmp_path, "y")
