"""Scenarios from Python, and objects that show themselves in a line."""

from __future__ import annotations

import json
import re
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
        ({"chip.amem_banks": 3}, "settings['chip.amem_banks'] = 3: chip.amem_banks: 3 is not one of 1, 2, 4, 8"),
        ({"chip.banks": 3}, "settings['chip.banks'] = 3: chip.banks: unknown key"),
        ({"layers[0].taps": "3"}, "settings['layers[0].taps'] = \"3\": layers: unknown key"),
        ({"": 3}, "settings: '' is not a key"),
        ({7: 3}, "settings: 7 is not a key"),
        ([("chip.amem_banks", 2)], "settings"),
    ],
)
def test_wrong_settings(small: Path, settings: Any, message: str) -> None:
    with pytest.raises(tlm.TlmError, match="^" + re.escape(message)):
        tlm.run(small, settings)


def test_a_wrong_argument_is_named_as_the_caller_gave_it(small: Path) -> None:
    with pytest.raises(tlm.TlmError, match=r'^fidelity = "fast": fidelity: "fast" is not allowed; give one of cycle'):
        tlm.run(small, fidelity="fast")
    with pytest.raises(tlm.TlmError, match=r'^wave = "x.txt": trace.wave: x.txt ends in none of'):
        tlm.run(small, wave="x.txt")


def test_an_output_that_differs_is_an_error(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlm.network.comparison.differing_layers", lambda golden, tensors: ["c2"])
    with pytest.raises(tlm.TlmError, match="small: the outputs of c2 differ from the golden model"):
        tlm.run(small)
    assert tlm.run(small, check=False).cycles > 0


def test_scenarios_are_those_of_the_catalog() -> None:
    assert list(tlm.scenarios().items()) == [(entry.name, entry.description()) for entry in catalog()]
    assert "resnet18_3of9" in tlm.scenarios()


def test_objects_show_themselves_in_a_line(small: Path) -> None:
    result = tlm.run(small)
    layer = result.layers["c2"]
    assert repr(result).startswith("<Result of small, 2 layers, on 32x32 MACs at 534 MHz, fidelity pass: ")
    assert repr(result).endswith("golden model equal>")
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


def test_a_result_does_what_the_commands_do(small: Path, tmp_path: Path) -> None:
    result, other = tlm.run(small), tlm.run(small, {"chip.amem_banks": 1})
    printed = command("run", small, "-o", tmp_path / "command").stdout
    assert result.summary().splitlines()[1:] == [line.rstrip() for line in printed.splitlines()[1:-1]]
    for made in result.save(tmp_path / "saved"):
        assert made.read_bytes() == (tmp_path / "command" / made.name).read_bytes()
    other.save(tmp_path / "other")
    for stored in (result, tlm.load_result(tmp_path / "saved")):
        assert f"{stored.explain()}\n" == command("explain", "saved", cwd=tmp_path).stdout
        assert f"{stored.compare(other)}\n" == command("compare", "saved", "other", cwd=tmp_path).stdout
        html = stored._repr_html_()
        assert f"<td>{stored.cycles:,} = " in html
        layer = result.layers["c1"]  # the cycles that its utilisation is of, as in the table of `tlm run`
        assert f"<td>{layer.compute_cycles:,}</td><td>{layer.utilization:.1%}</td>" in html


def test_a_result_of_a_network_explains_what_its_figures_say(tmp_path: Path) -> None:
    network = tlm.Network((3, 8, 9), [tlm.Conv2d("c", np.ones((4, 3, 2, 2), np.int8))])
    result = tlm.simulate(network, np.ones((3, 8, 9), np.int8))
    assert "was not simulated" in str(result.explain())
    assert "golden model not compared" in repr(result)
    with pytest.raises(tlm.TlmError, match="compare: int is no result"):
        result.compare(3)  # type: ignore[arg-type]


def test_a_row_for_each_layer(small: Path) -> None:
    frame = pytest.importorskip("pandas") and tlm.run(small).to_dataframe()
    layer = tlm.run(small).layers["c2"]
    row = frame.loc["c2"]
    assert list(frame.index) == ["c1", "c2"]
    assert (row["cycles"], row["main_cause"], row["density"]) == (layer.cycles, layer.main_cause, layer.density)
    assert (row["output_shape"], row["energy.total_pj"]) == ("16x6x7", layer.energy.total_pj)
    assert row["account.computing"] == layer.account.computing


def test_pictures_and_pages(small: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("plotly")
    result = tlm.run(small)
    picture = result.plot("causes")
    assert picture._repr_png_().startswith(b"\x89PNG")
    assert picture.save(tmp_path / "causes.svg").read_text().startswith("<?xml")
    result.save(tmp_path / "out")
    command("plot", "out", "-o", ".", "--only", "causes", cwd=tmp_path)
    assert picture._repr_png_() == (tmp_path / "causes.png").read_bytes()
    command("report", "out", cwd=tmp_path)
    page = result.report(tmp_path / "page.html")
    assert page.read_bytes() == (tmp_path / "out" / "report.html").read_bytes()
    with pytest.raises(tlm.TlmError, match="plot: 'levels' is not one of network, timeline, causes, roofline, energy"):
        result.plot("levels")
    with pytest.raises(tlm.TlmError, match=r"ends with none of \.png, \.svg"):
        picture.save("causes.pdf")


def test_programs_in_files(tmp_path: Path) -> None:
    program = tlm.compile(tlm.Network((3, 8, 9), [tlm.MaxPool2d("p", 2)]))
    program.save(tmp_path / "p.program")
    assert repr(tlm.Program.load(tmp_path / "p.program")) == repr(program)
    message = r"p\.program: is a compiled program, which has no input; run it in Python: tlm\.simulate\("
    with pytest.raises(tlm.TlmError, match=message):
        tlm.run(tmp_path / "p.program")


@pytest.mark.parametrize(
    ("name", "kind"), [("x.py", "is a Python script"), ("x.csv", "is a table"), ("result.json", "is no scenario")]
)
def test_files_of_other_commands(name: str, kind: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("one, two")
    with pytest.raises(tlm.TlmError, match=f"{name}: {kind}.*give a scenario, a model or a network here$"):
        tlm.run(tmp_path / name)
