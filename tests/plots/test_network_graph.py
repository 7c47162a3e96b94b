"""The network as a graph: what reads what, and where each tensor lives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from plot_results import source, write

from tlm.plots.network_graph import NetworkGraph, network_graph_of


@pytest.fixture(scope="module")
def resnet18(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("graph") / "resnet18", "resnet18_3of9")


def ends(shown: NetworkGraph, residual: bool) -> set[tuple[str, str]]:
    """Names of the rows that links join."""
    joined = (link.points for link in shown.links if link.residual is residual)
    return {(shown.rows[int(points[0][1])], shown.rows[int(points[-1][1])]) for points in joined}


def test_links_are_the_networks(resnet18: Path) -> None:
    shown = network_graph_of(source(resnet18))
    reads, adds = ends(shown, residual=False), ends(shown, residual=True)
    assert {("input", "conv1"), ("conv1", "pool1"), ("avgpool", "fc")} <= reads
    assert {("conv2_2.dwpw2", "conv3_1.shortcut"), ("conv2_2.dwpw2", "conv3_1.pw1")} <= reads
    assert ("conv3_1.shortcut", "conv3_1.pw1") not in reads
    assert {("pool1", "conv2_1.dwpw2"), ("conv3_1.shortcut", "conv3_1.dwpw2")} <= adds
    assert len(reads) == 23, "each layer reads one tensor"
    assert len(adds) == 8, "each block adds one"


def test_homes_are_where_the_tensors_live(resnet18: Path) -> None:
    shown = network_graph_of(source(resnet18))
    home = dict(zip(shown.rows, shown.columns[2].texts, strict=True))
    assert (home["input"], home["fc"]) == ("off-chip memory", "off-chip memory")
    assert (home["conv1"], home["avgpool"]) == ("AMem, 5 bands", "AMem")
    assert [row for row, own in zip(shown.rows, shown.homes, strict=True) if own != "AMem"] == ["input", "fc"]
    assert dict(zip(shown.rows, shown.columns[1].texts, strict=True))["conv1"] == "64x112x112"


@pytest.mark.slow
def test_a_spilled_tensor_lives_off_chip(tmp_path: Path) -> None:
    shown = network_graph_of(source(write(tmp_path / "small", "resnet18_3of9", "chip.amem_words=8192")))
    spilled = {row for row, own in zip(shown.rows, shown.homes, strict=True) if own != "AMem"} - {"input", "fc"}
    assert spilled
    assert {link.home for link in shown.links if shown.rows[int(link.points[0][1])] in spilled} == {"off-chip memory"}


def test_lines_side_by_side_do_not_cover_each_other(resnet18: Path) -> None:
    shown = network_graph_of(source(resnet18))
    spans = [(link.points[1][0], link.points[0][1], link.points[-1][1]) for link in shown.links if len(link.points) > 2]
    for index, (lane, start, end) in enumerate(spans):
        for other, first, last in spans[index + 1 :]:
            assert lane != other or end <= first or last <= start
    assert max(lane for lane, *_ in spans) < shown.columns[0].at


def test_a_result_that_does_not_say_what_its_layers_read(resnet18: Path, tmp_path: Path) -> None:
    record = json.loads((resnet18 / "result.json").read_text())
    for layer in record["layers"]:
        del layer["input"], layer["residual"]
    (tmp_path / "result.json").write_text(json.dumps(record))
    shown = network_graph_of(source(tmp_path))
    assert not shown.links
    assert len(shown.rows) == 24


def test_a_text_of_any_length_is_cut(resnet18: Path, tmp_path: Path) -> None:
    record = json.loads((resnet18 / "result.json").read_text())
    record["layers"][0]["kernel"] = [10**70, 3]
    (tmp_path / "result.json").write_text(json.dumps(record))
    shown = network_graph_of(source(tmp_path))
    assert shown.columns[0].texts[1].endswith("0..")
    assert max(len(text) for column in shown.columns for text in column.texts) == 60
