"""Scenarios from Python, and objects that show themselves in a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import SMALL
from command import tlm as command

import tlm
from tlm.scenario.catalog import catalog


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


def test_python_and_the_command_give_the_same_figures(small: Path) -> None:
    result = tlm.run(small, {"chip.amem_banks": np.int64(2), "network.layers[0].taps": 2}, fidelity="cycle")
    settings = ("--set", "chip.amem_banks=2", "--set", "network.layers.0.taps=2", "--fidelity", "cycle")
    printed = json.loads(command("run", small, *settings, "--json").stdout)
    assert result.fidelity == "cycle"
    assert result.chip.amem_banks == 2
    assert (result.cycles, result.outputs_sha256) == (printed["cycles"], printed["outputs_sha256"])


def test_traces_are_written_where_they_are_asked_for(small: Path, tmp_path: Path) -> None:
    tlm.run(str(small), wave=tmp_path / "w.vcd", timeline=str(tmp_path / "t.json"))
    assert (tmp_path / "w.vcd").read_text().startswith("$")
    assert json.loads((tmp_path / "t.json").read_text())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"chip.amem_banks": 3}, "chip.amem_banks: 3 is not one of 1, 2, 4, 8"),
        ({"chip.banks": 3}, "chip.banks: unknown key"),
        ({"": 3}, "settings: '' is not a key"),
        ({7: 3}, "settings: 7 is not a key"),
        ([("chip.amem_banks", 2)], "settings"),
    ],
)
def test_wrong_settings(small: Path, settings: Any, message: str) -> None:
    with pytest.raises(tlm.TlmError, match=message.replace("[", r"\[")):
        tlm.run(small, settings)


def test_an_output_that_differs_is_an_error(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlm.scenario.api.differing_layers", lambda golden, tensors: ["c2"])
    with pytest.raises(tlm.TlmError, match="small: the outputs of c2 differ from the golden model"):
        tlm.run(small)
    assert tlm.run(small, check=False).cycles > 0


def test_scenarios_are_those_of_the_catalog() -> None:
    assert list(tlm.scenarios().items()) == [(entry.name, entry.description) for entry in catalog()]
    assert "resnet18_3of9" in tlm.scenarios()


def test_objects_show_themselves_in_a_line(small: Path) -> None:
    result = tlm.run(small)
    layer = result.layers["c2"]
    assert repr(result).startswith("<Result of 2 layers, fidelity pass: ")
    assert f"{result.cycles:,} cycles" in repr(result)
    assert repr(layer).startswith("<LayerResult c2: pointwise, 16x6x7 -> 16x6x7, ")
    assert f"{layer.compute_cycles:,} compute cycles" in repr(layer)
    weights = np.zeros((4, 3, 2, 2), np.int8)
    weights[0, 0] = 1
    network = tlm.Network((3, 8, 9), [tlm.Conv2d("c", weights, stride=2), tlm.MaxPool2d("p", (2, 2))])
    assert repr(network) == "<Network of 2 layers, 3x8x9 -> 4x2x2>"
    assert repr(network.layers[0]).startswith("<Conv2d c: weights 4x3x2x2, stride (2, 2)")
    program = tlm.compile(network)
    assert repr(program).startswith("<Program of 2 layers for 32x32 MACs: 2 parts in ")
    for one in (program, result, layer, network, *network.layers, result.chip):
        assert len(repr(one)) < 500
    assert network.summary().splitlines() == [
        "layer  reads  kernel  stride  output  weights",
        "c      input  2x2     2x2     4x4x4   4",
        "p      c      2x2     2x2     4x2x2   none",
    ]


def test_a_result_file_can_be_read_back(small: Path, tmp_path: Path) -> None:
    command("run", small, "-o", tmp_path / "out")
    stored, result = tlm.load_result(str(tmp_path / "out")), tlm.run(small)
    assert (stored.name, stored.cycles, stored.outputs_sha256) == ("small", result.cycles, result.outputs_sha256)
    assert [layer.compute_cycles for layer in stored.layers] == [one.compute_cycles for one in result.layers.values()]
    assert repr(stored).startswith("<result of small, 2 layers, fidelity pass: ")
