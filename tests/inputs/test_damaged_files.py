"""Files that a user hands over, damaged: every command says in one line what is wrong, and leaves nothing behind."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from damage import damaged, outcome

from tlm.core.errors import InputError
from tlm.inputs.array_files import read_arrays
from tlm.inputs.images import load_image

LAYER = """
[input]
shape = [4, 6, 6]
seed = 1
[network]
kind = "layers"
seed = 2
[[network.layers]]
name = "c1"
out_channels = 4
kernel = 3
taps = 2
[[network.layers]]
name = "c2"
out_channels = 4
residual = "c1"
[chip]
voltage_v = 0.8
amem_banks = 4
[trace]
limit_mb = 2
[sweep]
over = {"chip.amem_banks" = [2, 4]}
"""

WEIGHTS = """
[input]
shape = [4, 6, 6]
[network]
kind = "layers"
weights = "w.npz"
[[network.layers]]
name = "c1"
out_channels = 4
kernel = 3
"""

RECIPE = """
description = "a small training"
model = "tiny_resnet"
seed = 1
batch = 16
label_smoothing = 0.1
[data]
kind = "cifar100"
directory = "nowhere"
train_images = 64
[[stages]]
name = "dense"
kind = "float"
epochs = 0.5
rate = 0.01
[[stages]]
name = "int4"
kind = "int4"
start = "dense"
epochs = 1
rate = 0.001
"""


FIGURES = ("network", "timeline", "causes", "roofline", "energy")


@dataclass(frozen=True)
class Kind:
    """A kind of file and the commands that read it.

    Attributes:
        file: its name.
        data: a good one.
        commands: what reads it.
        around: other files, by name.
        text: see :func:`damage.damaged`.
        summed: it carries checksums: a command may go on only if what it reads is what it was.
        wrap: makes the file of the damaged data, with checksums that fit.
    """

    file: str
    data: bytes
    commands: tuple[tuple[str, ...], ...]
    around: tuple[tuple[str, bytes], ...] = ()
    text: bool = False
    summed: bool = False
    wrap: Callable[[bytes], bytes] = bytes


def packed(write: Callable[..., None], *arguments: object, **arrays: object) -> bytes:
    stream = io.BytesIO()
    write(stream, *arguments, **arrays)
    return stream.getvalue()


def picture(form: str) -> bytes:
    from PIL import Image

    pixels = np.random.default_rng(3).integers(0, 256, (9, 7, 3), np.uint8)
    return packed(Image.fromarray(pixels).save, form)


def zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in files.items():
            archive.writestr(f"{name}.npy", data)
    return stream.getvalue()


def array(data: bytes) -> bytes:
    return packed(np.save, np.frombuffer(data, np.uint8))


def scenario(section: str) -> tuple[tuple[str, bytes], ...]:
    text = f'{section}\n[network]\nkind = "layers"\n[[network.layers]]\nout_channels = 4\n'
    return (("s.toml", text.encode()),)


@cache
def stored_network() -> bytes:
    from tlm.network.layers import Conv2d, MaxPool2d
    from tlm.network.network import Network
    from tlm.networks.stored import StoredNetwork, save_network

    weights = np.random.default_rng(4).integers(-8, 8, (4, 2, 3, 3))
    layers = [Conv2d("c1", weights, padding=1, multiplier=3, shift=9), MaxPool2d("p1", (2, 2), stride=(2, 2))]
    with TemporaryDirectory() as directory:
        path = Path(directory) / "n.npz"
        save_network(path, StoredNetwork(Network((2, 8, 8), layers), {"seed": 3}))
        return path.read_bytes()


@cache
def result_directory() -> dict[str, bytes]:
    """What `tlm run` and `tlm sweep` write."""
    with TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "s.toml").write_text(LAYER)
        run = ["run", str(directory / "s.toml"), "-o", str(directory / "out")]
        assert outcome(run, directory) == 0
        sweep = ["sweep", str(directory / "s.toml"), "--processes", "1", "-o", str(directory / "swept")]
        assert outcome(sweep, directory) == 0
        return {
            "result.json": (directory / "out/result.json").read_bytes(),
            "sweep.sqlite": (directory / "swept/sweep.sqlite").read_bytes(),
        }


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">I{array.ndim}I", 0x0800 | array.ndim, *array.shape) + array.tobytes()


@cache
def kinds() -> dict[str, Kind]:
    rng = np.random.default_rng(5)
    run = (("run", "s.toml"),)
    result = result_directory()["result.json"]
    pixels, labels = rng.integers(0, 256, (3, 6, 6), np.uint8), np.array([1, 2, 3], np.uint8)
    weights = {
        "c1.weights": rng.integers(-8, 8, (4, 4, 3, 3)), "c1.bias": np.arange(4), "c1.multiplier": np.ones(4, int),
        "c1.shift": np.full(4, 3),
    }  # fmt: skip
    fashion = scenario("[input]\nshape = [1, 6, 6]")
    trained = (("s.toml", b'[network]\nkind = "trained"\nfile = "n.npz"\n'),)
    arrays = dict(np.load(io.BytesIO(stored_network())))
    parts = {name: packed(np.save, one) for name, one in arrays.items()}
    return {
        "toml": Kind("s.toml", LAYER.encode(), run, text=True),
        "extended toml": Kind("b.toml", LAYER.encode(), run, (("s.toml", b'extends = "b.toml"\n'),), text=True),
        "recipe": Kind("r.toml", RECIPE.encode(), (("train", "r.toml", "--stage", "none"),), text=True),
        "npy": Kind("x.npy", packed(np.save, rng.integers(0, 16, (4, 6, 6))), run,
                    scenario('[input]\nkind = "npy"\nfile = "x.npy"')),
        "npz of weights": Kind("w.npz", packed(np.savez_compressed, **weights), run,
                               (("s.toml", WEIGHTS.encode()),), summed=True),
        "header of an array": Kind("w.npz", packed(np.save, weights["c1.weights"]), run,
                                   (("s.toml", WEIGHTS.encode()),), wrap=lambda data: zipped({"c1.weights": data})),
        "stored network": Kind("n.npz", stored_network(), run, trained, summed=True),
        "network.json of a stored network": Kind(
            "n.npz", arrays["network.json"].tobytes(), run, trained, text=True,
            wrap=lambda data: zipped({**parts, "network.json": array(data)})),
        "sample": Kind("p.npz", packed(np.savez, pixels=pixels[:, None], labels=labels), run,
                       scenario('[input]\nkind = "sample"\nfile = "p.npz"'), summed=True),
        "png": Kind("x.png", picture("PNG"), run, scenario('[input]\nkind = "image"\nfile = "x.png"\nheight = 6\n'
                                                           "width = 6"), summed=True),
        "directory of images": Kind(
            "images/2.jpg", picture("JPEG"), (("eval", "s.toml", "--images", "images"),),
            (*scenario("[input]\nshape = [3, 6, 6]"), ("images/1.png", picture("PNG")))),
        "gif": Kind("x.gif", picture("GIF"), run, scenario('[input]\nkind = "image"\nfile = "x.gif"\nheight = 6\n'
                                                           "width = 6")),
        "idx": Kind("t10k-images-idx3-ubyte.gz", gzip.compress(idx(pixels)),
                    (("eval", "s.toml", "--fashion-mnist", "."),),
                    (*fashion, ("t10k-labels-idx1-ubyte", idx(labels))), summed=True),
        "result": Kind("result.json", result, (("explain", "result.json", "--no-runs"),
                                               ("compare", "result.json", "good.json"),
                                               ("compare", "good.json", "result.json")),
                       (("good.json", result),), text=True),
        "explained result": Kind("result.json", result, (("explain", "result.json"),), text=True),
        "reported result": Kind("result.json", result, (("report", "result.json"),), text=True),
        "plotted result": Kind(
            "result.json", result, tuple(("plot", "result.json", "--only", name) for name in FIGURES), text=True),
        "sweep": Kind("swept/sweep.sqlite", result_directory()["sweep.sqlite"],
                      (("report", "swept"), ("sweep", "s.toml", "-o", "swept", "--processes", "1")),
                      (("s.toml", LAYER.encode()), ("swept/scenario.toml", LAYER.encode()))),
    }  # fmt: skip


NAMES = (
    "toml", "extended toml", "recipe", "npy", "npz of weights", "header of an array", "stored network",
    "network.json of a stored network", "sample", "png", "directory of images", "gif", "idx", "result",
    "explained result", "reported result", "plotted result", "sweep",
)  # fmt: skip
FEW = {"toml": 12, "extended toml": 10, "explained result": 6, "reported result": 6, "plotted result": 2, "sweep": 10}
"""How many of the quick ones where a command takes long that finds nothing wrong."""


def lay_out(kind: Kind, directory: Path, damaged_data: bytes) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    for name, content in (*kind.around, (kind.file, damaged_data)):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(content)


def attempt(kind: Kind, directory: Path, seed: int | None) -> int:
    """The exit status of one of the kind's commands on a damaged file, or on the good one."""
    data = kind.wrap(kind.data if seed is None else damaged(kind.data, seed, kind.text))
    command = kind.commands[(seed or 0) % len(kind.commands)]
    directory.mkdir(exist_ok=True)
    os.chdir(directory)
    lay_out(kind, directory, data)
    os.chdir(directory)  # a new one
    status = outcome(list(command), directory)
    if status == 0 and kind.summed:
        assert said(kind, data) == said(kind, kind.data), "other values were taken for good"
    return status


def said(kind: Kind, data: bytes) -> object:
    """What a file with checksums says."""
    from PIL import Image

    if kind.file.endswith(".png"):
        return np.asarray(Image.open(io.BytesIO(data))).tobytes()
    if kind.file.endswith(".gz"):
        return gzip.decompress(data)
    with TemporaryDirectory() as name:
        path = Path(name) / "x.npz"
        path.write_bytes(data)
        arrays = read_arrays(path)
    assert isinstance(arrays, dict)
    return {name: (array.dtype, array.shape, array.tobytes()) for name, array in arrays.items()}


@pytest.mark.parametrize("name", NAMES)
def test_damaged_files(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    kind = kinds()[name]
    if name != "recipe":  # which is tried without training
        assert attempt(kind, tmp_path / "files", None) == 0
    statuses = [attempt(kind, tmp_path / "files", seed) for seed in range(FEW.get(name, 15))]
    assert 2 in statuses


def test_a_png_whose_checksum_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import PngImagePlugin

    data, path = picture("PNG"), tmp_path / "x.png"
    crc = data.index(b"IEND") - 5
    path.write_bytes(data[:crc] + bytes([data[crc] ^ 1]) + data[crc + 1 :])
    with pytest.raises(InputError, match=r"x\.png cannot be decoded"):
        load_image(path, 9, 7)
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "verify", lambda _: None)
    assert load_image(path, 9, 7).any()  # decoding alone does not see it


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_many_damaged_files(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for seed in range(100, 400):
        attempt(kinds()[name], tmp_path / "files", seed)
