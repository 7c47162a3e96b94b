"""Network files in the place of scenarios: `tlm run model.onnx`, `tlm run network.npz`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from command import refused, tlm
from onnx_graphs import conv, signed
from PIL import Image

import tlm as package
from tlm.exchange.onnx_reader import read_onnx
from tlm.networks.stored import StoredNetwork, load_network, save_network


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The input of signed.onnx, and of signed.npz that is imported from it, is signed; that of picture.npz is not."""
    directory = tmp_path_factory.mktemp("networks")
    graph = signed()
    onnx.save(graph.model(conv(graph)), directory / "signed.onnx")
    weights = np.random.default_rng(0).integers(-8, 8, (4, 3, 3, 3))
    picture = package.Network((3, 8, 8), [package.Conv2d("c", weights, multiplier=3, shift=9)])
    save_network(directory / "picture.npz", StoredNetwork(picture))
    save_network(directory / "signed.npz", StoredNetwork(read_onnx(directory / "signed.onnx").network))
    Image.new("RGB", (9, 8), (250, 10, 100)).save(directory / "red.png")
    np.save(directory / "input.npy", np.arange(192).reshape(3, 8, 8) % 16)
    return directory


def test_an_onnx_file_runs_as_the_network_that_is_imported_from_it(folder: Path) -> None:
    onnx_run, npz_run = (tlm("run", f"signed.{kind}", "--json", cwd=folder) for kind in ("onnx", "npz"))
    assert (onnx_run.returncode, npz_run.returncode, onnx_run.stderr) == (0, 0, "")
    a, b = json.loads(onnx_run.stdout), json.loads(npz_run.stdout)
    assert a["settings"]["network"]["file"] == "signed.onnx"
    assert a["settings"]["input"]["signed"] is True
    assert (a["matches_reference"], a["cycles"], a["outputs_sha256"]) == (True, b["cycles"], b["outputs_sha256"])


def test_other_commands_take_it_too(folder: Path, tmp_path: Path) -> None:
    model = folder / "signed.onnx"
    assert "predicted" in tlm("compile", model, cwd=tmp_path).stdout
    assert 'kind = "trained"' in tlm("show", model, cwd=tmp_path).stdout
    tlm("run", model, "-o", "out", cwd=tmp_path)
    assert tlm("explain", "out", "--files", folder, cwd=tmp_path).returncode == 0
    swept = tlm("sweep", model, "--over", "chip.amem_banks=2,4", "--processes", 1, cwd=tmp_path)
    assert "2 points over chip.amem_banks: 2 ok" in swept.stdout
    (tmp_path / "own.toml").write_text(f'extends = "{model}"\n[chip]\namem_banks = 2\n')
    assert tlm("run", "own.toml", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("file", ["red.png", "input.npy"])
def test_input_gives_a_picture_or_an_array(folder: Path, file: str) -> None:
    record = json.loads(tlm("run", "picture.npz", "--input", file, "--json", cwd=folder).stdout)
    assert record["settings"]["input"]["file"] == file
    assert record["matches_reference"] is True
    if file == "input.npy":
        network = load_network(folder / "picture.npz").network
        values = package.reference.run(network, np.load(folder / file))["c"]
        assert record["outputs_sha256"] == package.simulate(network, np.load(folder / file)).outputs_sha256
        assert record["layers"][0]["histogram"] == np.bincount(values.ravel(), minlength=16).tolist()


def test_an_array_is_signed_where_the_network_takes_signed_input(folder: Path, tmp_path: Path) -> None:
    network = load_network(folder / "signed.npz").network
    values = np.random.default_rng(0).integers(-8, 8, network.input_shape)
    np.save(tmp_path / "values.npy", values)
    for file in ("signed.npz", "signed.onnx"):
        record = json.loads(tlm("run", folder / file, "--input", "values.npy", "--json", cwd=tmp_path).stdout)
        assert record["settings"]["input"]["signed"] is True
        assert record["outputs_sha256"] == package.simulate(network, values).outputs_sha256
    np.save(tmp_path / "large.npy", values + 1)
    message = refused("run", folder / "signed.npz", "--input", "large.npy", cwd=tmp_path)
    assert message.endswith("large.npy holds -7..8; allowed: -8..7 (signed 4-bit; see input.signed)")
    message = refused("run", folder / "signed.npz", "--set", "input.signed=false", cwd=tmp_path)
    assert message.endswith("; give an array (.npy) or seeded input with input.signed = true")


def test_what_cannot_be_read_ends_in_one_line(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no graph")
    assert refused("run", "bad.onnx", cwd=tmp_path).startswith("bad.onnx: ")
    assert refused("run", "none.onnx", cwd=tmp_path).startswith("none.onnx: no such scenario")
    network = folder / "picture.npz"
    assert "is no image that can be read" in refused("run", network, "--input", network, cwd=tmp_path)
    assert refused("run", network, "--input", "none.png", cwd=tmp_path).startswith("--input none.png")


def test_import_says_what_comes_next(folder: Path, tmp_path: Path) -> None:
    lines = tlm("import", folder / "signed.onnx", "-o", "net.npz", "--check", 0, cwd=tmp_path).stdout.splitlines()
    assert lines[-2] == "next: tlm run net.npz -o DIR  (--input FILE.npy: an array of -8..7)"
    assert lines[-1].split()[:3] == ["tlm", "explain", "DIR"]
    assert tlm("run", "net.npz", "-o", "DIR", cwd=tmp_path).returncode == 0
