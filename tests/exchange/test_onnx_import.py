"""``tlm import``: what it writes, what it does not write, and weights in other files."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnx_graphs import Graph

from tlm.cli.main import main
from tlm.core.errors import InputError
from tlm.exchange.onnx_check import compare
from tlm.exchange.onnx_reader import read_onnx
from tlm.networks.stored import load_network

ZERO = np.zeros((1, 2, 4, 4), np.int8)


def halves(path: Path, bias: float = 0.5) -> None:
    """A bias of half a unit of the sums, which the engine does not have: every other value is one level off."""
    graph = Graph(scale=1.0)
    weights = graph.weights("w", np.ones((3, 2, 1, 1)), 1.0)
    graph.node("Conv", ["q", weights, graph.reals("b", [bias] * 3)], "c")
    onnx.save(graph.model(graph.activations("c", "y", TensorProto.UINT4, 1.0)), path)


def test_what_differs_by_more_than_rounding_is_not_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    halves(tmp_path / "h.onnx")
    command = ["import", str(tmp_path / "h.onnx"), "-o", str(tmp_path / "h.npz")]
    assert main(command) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "h.onnx: differs from onnxruntime by more than rounding: n_c (" in line
    assert "at most one level off, and at least 95% of its values are equal; nothing was written" in line
    assert "--accept-difference writes it all the same" in line
    assert not (tmp_path / "h.npz").exists()

    assert main([*command, "--accept-difference"]) == 0
    out = capsys.readouterr().out
    assert "accepted although it differs from onnxruntime by more than rounding: n_c (" in out
    assert f"\nwrote {tmp_path / 'h.npz'}\n" in out
    (differing,) = load_network(tmp_path / "h.npz").card["onnxruntime"]["differing"]
    assert differing.startswith("n_c (")


def test_nothing_compared_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    halves(tmp_path / "h.onnx")
    assert main(["import", str(tmp_path / "h.onnx"), "-o", str(tmp_path / "h.npz"), "--check", "0"]) == 0
    assert "nothing was compared with onnxruntime (--check 0)" in capsys.readouterr().out
    assert load_network(tmp_path / "h.npz").card["onnxruntime"] is None


def test_the_help_states_the_rule(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["import", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "is at most one level off, and at least 95% of its values are equal" in text


def imported(tmp_path: Path, bias: float = 0.5) -> Any:
    halves(tmp_path / "h.onnx", bias)
    return read_onnx(tmp_path / "h.onnx")


def test_shapes_are_compared_before_values(tmp_path: Path) -> None:
    one = imported(tmp_path)
    tensors = {name: tensor._replace(shape=(1, 3, 2, 8)) for name, tensor in one.tensors.items()}
    with pytest.raises(InputError, match=r"onnxruntime gives shape \(1, 3, 4, 4\), but the engine's would be"):
        compare(replace(one, tensors=tensors, output=one.output._replace(name="c", shape=(1, 3, 4, 4))), ZERO)


def test_what_onnxruntime_refuses_is_one_sentence(tmp_path: Path) -> None:
    one = imported(tmp_path)
    one.model.ir_version = 99
    with pytest.raises(InputError, match=r"^onnxruntime refuses the graph .*IR version.*$"):
        compare(one, ZERO)


def test_a_layer_two_levels_off_is_found(tmp_path: Path) -> None:
    """One value of many, whatever the share of equal ones."""
    one = imported(tmp_path, 0.0)
    (layer,) = one.network.layers
    weights = layer.weights.copy()
    weights[0, 0] = 2
    wrong = replace(one, network=type(one.network)((2, 4, 4), [replace(layer, weights=weights)]))
    image = ZERO.copy()
    image[0, 0, 0, 0] = 2
    compared = compare(wrong, image)
    assert compared.levels_off == {"n_c": 2}
    assert compared.differing == ["n_c (97.9% equal, up to 2 levels off)"]


# -- weights in other files -------------------------------------------------------------------------------------------


def with_weights(directory: Path, location: str = "w.bin", length: int | None = None) -> Path:
    """A model that keeps its weights in a file; ``location`` and ``length`` are what it says about it."""
    graph = Graph(scale=1.0)
    graph.node("Conv", ["q", graph.weights("w", np.full((3, 2, 1, 1), 7), 1.0)], "y")
    model = graph.model("y")
    (tensor,) = (one for one in model.graph.initializer if one.name == "w_i")
    data = onnx.numpy_helper.to_array(tensor).tobytes()
    (directory / "w.bin").write_bytes(data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", 0), ("length", len(data) if length is None else length)):
        tensor.external_data.add(key=key, value=str(value))
    (directory / "m.onnx").write_bytes(model.SerializeToString())
    return directory / "m.onnx"


def test_weights_in_another_file(tmp_path: Path) -> None:
    one = read_onnx(with_weights(tmp_path))
    assert one.network.layers[0].weights.tolist() == np.full((3, 2, 1, 1), 7).tolist()
    assert compare(one, ZERO).differing == []


@pytest.mark.parametrize("place", ["../w.bin", "/etc/hostname", "", "link/w.bin", "a/../../w.bin"])
def test_weights_outside_of_the_directory_are_refused(tmp_path: Path, place: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(tmp_path)
    (tmp_path / "w.bin").write_bytes(b"\1" * 6)
    with pytest.raises(InputError) as caught:
        read_onnx(with_weights(inside, place))
    assert f"its weights file {place!r} must be in the model's own directory" in str(caught.value)


def test_weights_that_are_missing_or_short_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"m\.onnx: tensor 'w_i': its weights file other.bin is missing"):
        read_onnx(with_weights(tmp_path, "other.bin"))
    with pytest.raises(InputError, match=r"its weights file cannot be read .*60"):
        read_onnx(with_weights(tmp_path, length=60))


@pytest.mark.parametrize("kind", ["directory", "fifo", "empty", "text"])
def test_what_is_no_model_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "m.onnx"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.write_bytes(b"" if kind == "empty" else b"[network]\n")
    with pytest.raises(InputError, match=r"m\.onnx: (is no ONNX file|cannot be read)"):
        read_onnx(path)
