"""``tlm import --quantize``, ``--taps`` and ``--word-density``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from float_graphs import IMAGES, everything
from PIL import Image

import tlm
from tlm.cli.main import main
from tlm.networks.pruning import pruned
from tlm.networks.stored import load_network


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("files")
    graph, output = everything()
    graph.save(directory / "float.onnx", output)
    np.savez(directory / "data.npz", images=IMAGES, labels=np.arange(10) % 5)
    np.save(directory / "images.npy", IMAGES[:4])
    np.save(directory / "other.npy", IMAGES[:, :2])
    np.savez(directory / "labels.npz", images=IMAGES, labels=np.arange(9))
    (directory / "labels.txt").write_text("1\n2\n0\n3\n4\n")
    (directory / "few.txt").write_text("1\n")
    (directory / "words.txt").write_text("cat\n")
    (directory / "pictures").mkdir()
    for index in range(5):
        colours = np.random.default_rng(index).integers(0, 256, (20, 16, 3), np.uint8)
        Image.fromarray(colours).save(directory / "pictures" / f"{index}.png")
    return directory


def imported(files: Path, *arguments: str) -> int:
    return main(["import", str(files / "float.onnx"), *arguments])


def test_it_reports_each_layer_and_the_best_classes(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(files / "a.npz")
    assert imported(files, "--quantize", "--calibrate", str(files / "data.npz"), "-o", out) == 0
    text = capsys.readouterr().out
    assert "quantised to 4 bits on 8 samples of data.npz\nranges of activations: least squared error\n" in text
    assert "calibration: the original's best class for " in text
    assert "held out: right for " in text
    assert all(len(line) <= 80 for line in text.splitlines() if str(files) not in line)
    stored = load_network(out)
    card = stored.card["quantisation"]
    assert [*card["layers"]][:3] == ["input", "conv0", "conv3"]
    assert card["layers"]["conv3"]["sqnr_db"] > 10
    assert card["agreement"]["calibration"]["samples"] == 8
    assert card["agreement"]["held out"]["samples"] == 2
    assert "tmp" not in str(stored.card)


def test_pictures_and_their_classes(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ("--calibrate", str(files / "pictures"), "--labels", str(files / "labels.txt"), "--check", "0")
    assert imported(files, "--quantize", *given, "--mean", "0.5,0.5,0.5", "--std", "0.5,0.25,0.5") == 0
    text = capsys.readouterr().out
    assert "on 4 samples of pictures" in text
    assert "held out: right for " in text
    assert "nothing was written; -o NET.npz keeps the network" in text


def test_noise_is_said_to_be_noise(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(files / "b.npz")
    options = ("--percentile", "99", "--no-equalization", "--no-bias-correction", "--check", "0")
    assert imported(files, "--quantize", "-o", out, *options) == 0
    text = capsys.readouterr().out
    assert "quantised to 4 bits on 4 samples of seeded noise [A]\nranges of activations: 99th percentile\n" in text
    assert "without --calibrate, the classes of this network mean nothing\n" in text
    assert "best class" not in text
    card = load_network(out).card["quantisation"]
    assert (card["calibration"], card["equalised"], card["bias_corrected"]) == ("seeded noise", False, False)


def test_pruned_without_retraining(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(files / "c.npz")
    given = ("--quantize", "--check", "0", "--taps", "3", "--word-density", "0.3", "-o", out)
    assert imported(files, *given) == 0
    text = capsys.readouterr().out
    assert "pruned without retraining: 3 taps a channel in 1 depth-wise layers, 30.0% of the weight words" in text
    stored = load_network(out)
    assert stored.card["pruned"] == {"taps": 3, "word_density": 0.3, "retrained": False}
    (deep,) = (layer for layer in stored.network.layers if layer.name == "conv3")
    assert isinstance(deep, tlm.Conv2d)
    assert (np.count_nonzero(deep.weights.reshape(8, 9), axis=1) <= 3).all()


def test_the_largest_taps_and_words_stay() -> None:
    weights: Any = np.random.default_rng(0).integers(1, 8, (40, 4, 3, 3))
    weights[:32, 0] = 7
    deep = np.arange(1, 9).reshape(1, 8).repeat(2, 0).reshape(2, 1, 2, 4) - 4
    network = tlm.Network(
        (4, 6, 6),
        [
            tlm.Conv2d("words", weights, multiplier=100, shift=16),
            tlm.Conv2d("two", np.full((2, 40, 1, 1), 3), multiplier=100, shift=16),
            tlm.Conv2d("deep", deep, groups=2, multiplier=100, shift=9),
            tlm.AvgPool2d("mean", (2, 1)),
        ],
    )
    found = pruned(network, taps=2, word_density=0.25)
    assert (found.by_taps, found.by_words) == (1, 2)
    words, two, deep_pruned, mean = (layer.weights for layer in found.network.layers if isinstance(layer, tlm.Conv2d))
    kept = np.stack([words[:32].any(axis=0), words[32:].any(axis=0)])
    assert kept.sum() == 18
    assert kept[0, 0].all()
    assert np.count_nonzero(two) == 20
    assert deep_pruned[0].reshape(-1).tolist() == [-3, 0, 0, 0, 0, 0, 0, 4]
    assert mean.all()
    assert pruned(network).network.layers[0].weights is not None
    assert pruned(network, taps=9).by_taps == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--calibrate", "data.npz"), "--calibrate: needs --quantize"),
        (("--quantize", "--mean", "0,0,0"), "--mean: needs --calibrate"),
        (("--quantize", "--percentile", "50"), "--percentile: 50 is not allowed; give more than 50, up to 100"),
        (("--quantize", "--calibrate", "pictures", "--std", "1,0,1"), "--std: '1,0,1' must be three numbers above 0"),
        (("--quantize", "--calibrate", "pictures", "--mean", "a"), "--mean: 'a' must be three numbers, as in"),
        (("--quantize", "--calibrate", "none"), "none: does not exist; give a directory of pictures"),
        (("--quantize", "--calibrate", "other.npy"), "float32 (10, 2, 12, 12), but must be numbers (N, 3, 12, 12)"),
        (("--quantize", "--calibrate", "labels.npz"), "its labels are int64 (9,), but must be whole numbers (10,)"),
        (("--quantize", "--calibrate", "images.npy", "--labels", "few.txt"), "holds 1 classes, but there are 4"),
        (("--quantize", "--calibrate", "images.npy", "--labels", "words.txt"), "must hold a whole number a line"),
        (("--taps", "0"), "--taps: 0 is not allowed"),
        (("--word-density", "0"), "--word-density: 0 is not allowed; give a share above 0, up to 1"),
    ],
)
def test_what_is_refused(
    files: Path,
    options: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(files)
    assert main(["import", "float.onnx", *options]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert not captured.out
