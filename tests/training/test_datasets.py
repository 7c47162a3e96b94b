"""Loaders, on files of their formats written here."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from tlm.core.errors import InputError
from tlm.training.datasets import load_cifar100, load_fashion_mnist, load_image_folder
from tlm.training.recipe import Data


def write_idx(path: Path, array: npt.NDArray[np.uint8], kind: int = 8) -> None:
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape)
    data = head + array.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.fixture
def fashion(tmp_path: Path) -> Path:
    pixels = np.arange(3 * 28 * 28, dtype=np.int64).reshape(3, 28, 28) % 256
    write_idx(tmp_path / "t10k-images-idx3-ubyte.gz", pixels.astype(np.uint8))
    write_idx(tmp_path / "t10k-labels-idx1-ubyte", np.array([9, 0, 4], np.uint8))
    return tmp_path


def test_fashion_mnist_packed_or_not(fashion: Path) -> None:
    images = load_fashion_mnist(fashion, "test")
    assert images.activations.shape == (3, 1, 28, 28)
    assert images.activations.dtype == np.int8
    assert images.activations[0, 0, 0, :18].tolist() == [0] * 9 + [1] * 9  # nearest of 0, 17, ..., 255
    assert int(images.activations.max()) == 15
    assert images.labels.tolist() == [9, 0, 4]
    assert len(images.first(2)) == 2


def test_a_missing_data_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train-images-idx3-ubyte: does not exist; .*dataset-fashion-mnist"):
        load_fashion_mnist(tmp_path, "train")


def test_wrong_magic_number_length_and_labels(fashion: Path) -> None:
    labels = fashion / "t10k-labels-idx1-ubyte"
    write_idx(labels, np.zeros(3, np.uint8), kind=9)
    with pytest.raises(InputError, match="begins with 0x00000901, but must begin with 0x00000801"):
        load_fashion_mnist(fashion, "test")
    write_idx(labels, np.zeros(2, np.uint8))
    with pytest.raises(InputError, match="3 images of part 'test', but 2 labels"):
        load_fashion_mnist(fashion, "test")
    labels.write_bytes(labels.read_bytes() + b"x")
    with pytest.raises(InputError, match=r"3 bytes follow the header, but shape \[2\] needs 2"):
        load_fashion_mnist(fashion, "test")
    write_idx(labels, np.array([0, 10, 0], np.uint8))
    with pytest.raises(InputError, match=r"label 10, but there are only classes 0\.\.9"):
        load_fashion_mnist(fashion, "test")
    labels.write_bytes(b"\0\0")
    with pytest.raises(InputError, match="2 bytes are too few"):
        load_fashion_mnist(fashion, "test")


def test_damaged_gzip(fashion: Path) -> None:
    packed = fashion / "t10k-images-idx3-ubyte.gz"
    packed.write_bytes(packed.read_bytes()[:40])
    with pytest.raises(InputError, match="cannot be unpacked"):
        load_fashion_mnist(fashion, "test")


def test_cifar100_records(tmp_path: Path) -> None:
    records = np.zeros((2, 3074), np.uint8)
    records[:, 0], records[:, 1] = (3, 19), (77, 5)
    records[0, 2] = 255  # first red pixel
    records[1, 2 + 1024 + 33] = 34  # green, row 1, column 1
    (tmp_path / "train.bin").write_bytes(records.tobytes())
    images = load_cifar100(tmp_path, "train")
    assert images.activations.shape == (2, 3, 32, 32)
    assert (images.activations[0, 0, 0, 0], images.activations[1, 1, 1, 1]) == (15, 2)
    assert images.activations.sum() == 17
    assert images.labels.tolist() == [77, 5]
    (tmp_path / "train.bin").write_bytes(records.tobytes()[:-1])
    with pytest.raises(InputError, match="6147 bytes, but a CIFAR-100 file has 3074 for each image"):
        load_cifar100(tmp_path, "train")


def test_an_image_folder_has_a_class_per_directory(tmp_path: Path) -> None:
    for folder, colours in (("n01", ("red", "blue")), ("n02", ("white",))):
        (tmp_path / folder).mkdir()
        for colour in colours:
            Image.new("RGB", (40, 50), colour).save(tmp_path / folder / f"{colour}.png")
    images = load_image_folder(tmp_path, 32)
    assert images.activations.shape == (3, 3, 32, 32)
    assert images.labels.tolist() == [0, 0, 1]
    assert images.activations[:, :, 0, 0].tolist() == [[0, 0, 15], [15, 0, 0], [15, 15, 15]]
    with pytest.raises(InputError, match="no directory of a class"):
        load_image_folder(tmp_path / "n01", 32)


def test_a_recipe_names_a_folder_of_images(tmp_path: Path) -> None:
    for part, colour in (("train", "red"), ("test", "white")):
        (tmp_path / part / "n01").mkdir(parents=True)
        Image.new("RGB", (40, 50), colour).save(tmp_path / part / "n01" / "a.png")
    data = Data(kind="image_folder", directory=str(tmp_path), size=16)
    assert data.load("train").activations[:, :, 0, 0].tolist() == [[15, 0, 0]]
    assert data.load("test").activations.shape == (1, 3, 16, 16)
    assert Data(kind="image_folder", size=16).load("test", str(tmp_path)).activations.min() == 15
