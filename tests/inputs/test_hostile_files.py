"""Files made to mislead a reader: pipes for files, sizes that no machine has, archives that hide what they hold."""

from __future__ import annotations

import io
import os
import re
import struct
import zipfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import refused
from damage import outcome
from test_damaged_files import LAYER, RECIPE, WEIGHTS, packed, zipped

from tlm.cli.main import main
from tlm.core.errors import InputError
from tlm.core.input_files import read_file, read_text
from tlm.inputs import array_files
from tlm.inputs.array_files import read_arrays
from tlm.inputs.toml_files import parse_toml, read_toml
from tlm.scenario.loading import load_scenario

ONES = packed(np.save, np.ones((4, 4, 3, 3), np.int8))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def complaint(*arguments: str) -> str:
    """What a command says when it refuses its input, in this process."""
    err = io.StringIO()
    with redirect_stderr(err), redirect_stdout(io.StringIO()):
        assert main(list(arguments)) == 2
    return err.getvalue().removeprefix("tlm: ").rstrip("\n")


def refusal(read: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        read()
    return str(caught.value)


# -- what is no regular file --------------------------------------------------------------------------------------


def pipe(path: Path) -> None:
    os.mkfifo(path)


def loop(path: Path) -> None:
    path.symlink_to(path.name)


SECTIONS = {
    "x.npy": '[input]\nkind = "npy"\nfile = "x.npy"\n',
    "x.png": '[input]\nkind = "image"\nfile = "x.png"\n',
    "p.npz": '[input]\nkind = "sample"\nfile = "p.npz"\n',
    "n.npz": '[network]\nkind = "trained"\nfile = "n.npz"\n',
    "w.npz": WEIGHTS,
    "b.toml": 'extends = "b.toml"\n',
}
COMMANDS = {
    **dict.fromkeys(SECTIONS, ("run", "s.toml")),
    "s.toml": ("run", "s.toml"),
    "r.toml": ("train", "r.toml"),
    "result.json": ("explain", "result.json"),
    "dir/1.png": ("eval", "three.toml", "--images", "dir"),
    "t10k-images-idx3-ubyte.gz": ("eval", "three.toml", "--fashion-mnist", "."),
    "dir/sweep.sqlite": ("sweep", "three.toml", "--over", "chip.amem_banks=1,2", "-o", "dir"),
}


@pytest.mark.parametrize("make", [pipe, loop])
@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_no_file_is_not_opened(name: str, make: Callable[[Path], None], here: Path) -> None:
    Path("dir").mkdir()
    Path("three.toml").write_text('[input]\nshape = [3, 6, 6]\n[network]\nkind = "layers"\n')
    if name != "s.toml":
        Path("s.toml").write_text(SECTIONS.get(name, ""))
    make(here / name)
    if name == "s.toml" and make is loop:
        assert "s.toml: no such scenario" in complaint(*COMMANDS[name])
    else:
        assert outcome(list(COMMANDS[name]), here) == 2


def test_devices_directories_and_zero_bytes() -> None:
    assert refusal(lambda: read_file(Path("/dev/zero"))) == (
        "/dev/zero: cannot be read (it is a pipe, a device or a socket); give a regular file"
    )
    assert refusal(lambda: read_file(Path())) == ".: cannot be read (Is a directory)"
    assert "its path holds a zero byte" in refusal(lambda: read_file(Path("a\0b")))
    with pytest.raises(FileNotFoundError):
        read_file(Path("nothing"))
    Path("x").write_bytes(b"12345")
    assert refusal(lambda: read_file(Path("x"), 4)) == "x: holds 5 bytes; allowed: at most 4"


def test_a_pipe_in_a_process_of_its_own(here: Path) -> None:
    os.mkfifo("s.toml")
    assert "it is a pipe, a device or a socket" in refused("run", "s.toml", cwd=here)
    (here / "c.toml").write_bytes(b'"a\\u001b[31m\\nb" = 1')
    assert r"a\x1b[31m\nb: unknown key" in refused("run", "c.toml", cwd=here)


# -- text -----------------------------------------------------------------------------------------------------------


def test_byte_order_marks_and_other_encodings() -> None:
    Path("s.toml").write_bytes(b"\xef\xbb\xbf" + LAYER.encode())
    assert load_scenario("s.toml").config.input.seed == 1  # type: ignore[union-attr]
    Path("s.toml").write_bytes(b"\xef\xbb\xbf[chip]\r\nlanes = 3\r\n")
    assert complaint("run", "s.toml").startswith("s.toml:2: chip.lanes: 3")
    for encoding in ("utf-16", "utf-16-be"):
        Path("s.toml").write_bytes(
            ("\ufeff" if encoding.endswith("be") else "").encode(encoding) + LAYER.encode(encoding)
        )
        assert complaint("run", "s.toml") == (
            "s.toml: begins with the byte order mark of UTF-16; save the file as UTF-8"
        )
    Path("s.toml").write_bytes(b"# caf\xe9\n")
    assert refusal(lambda: read_text(Path("s.toml"))) == "s.toml: is not UTF-8 text (byte 5); save the file as UTF-8"


DEEP = "tables and arrays lie too deep in each other; allowed: 32 levels"
TOO_MUCH = {
    "a = " + "[" * 33 + "]" * 33: f"a: {DEEP}",
    "a = " + "[" * 9_999 + "]" * 9_999: DEEP,
    "a = " + "{a = " * 9_999 + "1" + "}" * 9_999: DEEP,
    "b = 1\n" + "a." * 50_000 + "a = 1": f"a key of too many parts (at line 2); {DEEP}",
    '"a" . ' * 40 + "a = 1": f"a key of too many parts (at line 1); {DEEP}",
    "[" + ".".join("abc" for _ in range(33)) + "]": f"a key of too many parts (at line 1); {DEEP}",
    "a = [[9223372036854775808]]": "a: an integer of 64 bits and a sign; allowed: -2^63 .. 2^63 - 1",
    "a = -9223372036854775809": "a: an integer of 64 bits and a sign; allowed: -2^63 .. 2^63 - 1",
    "a = " + "9" * 5_000: "an integer of thousands of digits; allowed: -2^63 .. 2^63 - 1",
    "a = 0x" + "f" * 300: "a: an integer of 1200 bits and a sign; allowed: -2^63 .. 2^63 - 1",
}


@pytest.mark.parametrize("text", TOO_MUCH, ids=range(len(TOO_MUCH)))
def test_toml_that_no_reader_expects(text: str) -> None:
    assert refusal(lambda: parse_toml(text)) == TOO_MUCH[text]
    Path("s.toml").write_text(text)
    assert complaint("run", "s.toml").endswith(TOO_MUCH[text])
    assert complaint("train", "s.toml").endswith(TOO_MUCH[text])


def test_toml_that_is_deep_enough() -> None:
    assert parse_toml("a = " + "[" * 31 + "]" * 31)
    assert parse_toml("a = [9223372036854775807, -9223372036854775808]")
    assert parse_toml(".".join("a" * 32) + " = 1")
    Path("x.toml").write_text("# " + "x" * 2**21)
    assert refusal(lambda: read_toml(Path("x.toml"))) == "x.toml: holds 2,097,154 bytes; allowed: at most 2,097,152"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('extends = ""', "s.toml: extends: '' is not a path; give one, e.g. extends = \"base.toml\""),
        ('extends = "a\\u0000b"', "s.toml: extends: 'a\\x00b' is not a path"),
        (
            '[input]\nkind = "npy"\nfile = ""',
            's.toml:3: input.file: "" is an empty text; give another, or leave the key out',
        ),
        ('[network]\nkind = "trained"\nfile = "a\\u0000"', r's.toml:3: network.file: "\u0000" holds a zero byte'),
        ('[trace]\nwave = ""', 's.toml:2: trace.wave: "" is an empty text'),
        ('[[network.layers]]\ninput = ""', 's.toml:2: network.layers[0].input: "" is an empty text'),
    ],
)
def test_empty_texts_and_zero_bytes(text: str, message: str) -> None:
    Path("s.toml").write_text(text)
    assert complaint("run", "s.toml").replace('"a\\u0000"', r'"\u0000"').startswith(message)


def test_a_recipe_with_numbers_that_are_not_finite() -> None:
    Path("r.toml").write_text(RECIPE.replace("epochs = 0.5", "epochs = inf"))
    assert complaint("train", "r.toml") == "r.toml: stages[0].epochs: inf is not a finite number; give one"


# -- options and keys that would be ignored ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "s.toml", "-o", ""), "-o: the value is empty; give another, or leave it out"),
        (("run", "s.toml", "--output="), "--output: the value is empty"),
        (("run", ""), "run: the value is empty"),
        (("eval", "s.toml", "--images", ""), "--images: the value is empty"),
        (("train", "r", "--data", ""), "--data: the value is empty"),
        (("run", "s.toml", "-o", "a\0b"), "-o: the value holds a zero byte"),
        (("run", "s.toml", "--wave-limit-mb", "3"), "--wave-limit-mb: limits a waveform of every cycle, but none"),
        (
            ("run", "s.toml", "--wave", "a.vcd", "--wave-level", "pass", "--wave-limit-mb", "3"),
            "--wave-limit-mb: limits",
        ),
        (("sweep", "s.toml", "--method", "lhs"), "--method: belongs to a sample; give --sample N (sweep.sample), too"),
        (("sweep", "s.toml", "--seed", "0"), "--seed: belongs to a sample"),
        (("sweep", "s.toml", "--processes", "2", "--dask", "tcp://x:1"), "--processes: given beside --dask ADDRESS"),
        (("explain", "x", "--files", ".", "--no-runs"), "--files: given beside --no-runs, which reads none"),
        (("explain", "x", "--processes", "2", "--no-runs"), "--processes: given beside --no-runs, which starts none"),
    ],
)
def test_options_without_their_partner(arguments: tuple[str, ...], message: str) -> None:
    Path("s.toml").write_text(LAYER)
    assert complaint(*arguments).startswith(message)
    assert sorted(os.listdir()) == ["s.toml"]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["network.layers.0.taps=10"], "network.layers[0].taps: 10 is more than the 9 taps of a kernel of 3x3"),
        (["network.layers.1.taps=2"], "network.layers[1].taps: 2 is more than the 1 taps of a kernel of 1x1"),
        (["input.kind=sample", "input.sample=x", "input.file=y"], "input.sample: given beside input.file"),
        (["input.shape=[64, 56, 56]", "network.kind=resnet18", "network.stage=conv3_x", "network.classes=9"],
         "network.classes: 9, but conv3_x alone"),
    ],
)  # fmt: skip
def test_keys_that_contradict_each_other(keys: list[str], message: str) -> None:
    Path("s.toml").write_text(LAYER)
    assert message in complaint("run", "s.toml", *(word for key in keys for word in ("--set", key)))


def test_the_method_of_a_sweep_without_a_sample() -> None:
    Path("s.toml").write_text(LAYER + 'method = "random"\n')
    assert complaint("sweep", "s.toml").startswith("sweep.method: belongs to a sample")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            RECIPE.replace("[data]", "[data]\nsize = 32"),
            "data.size: belongs to kind = \"image_folder\", not to 'cifar100'",
        ),
        (RECIPE + "shift_penalty = 0.1", "stages[1].shift_penalty: prune in a float stage"),
    ],
)
def test_keys_of_a_recipe_that_would_be_ignored(text: str, message: str) -> None:
    Path("r.toml").write_text(text)
    assert complaint("train", "r.toml").startswith(f"r.toml: {message}")


# -- arrays ---------------------------------------------------------------------------------------------------------


def read(data: bytes) -> Any:
    Path("x.npz").write_bytes(data)
    return read_arrays(Path("x.npz"))


def header(text: str, content: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + content


def changed(data: bytes, at: int, form: str, value: int) -> bytes:
    """An archive of one entry in which a field of its central directory says something else."""
    place = data.index(b"PK\x01\x02") + at
    return data[:place] + struct.pack(form, value) + data[place + struct.calcsize(form) :]


def test_arrays_of_every_kind_come_back() -> None:
    arrays = {
        "a": np.arange(24, dtype=">i4").reshape(2, 3, 4), "b": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "c": np.array(7, np.uint64), "d": np.zeros((0, 3), bool),
    }  # fmt: skip
    for save in (np.savez, np.savez_compressed):
        found = read(packed(save, **arrays))
        assert found.keys() == arrays.keys()
        for name, array in arrays.items():
            assert found[name].dtype == array.dtype
            assert found[name].shape == array.shape
            assert (found[name] == array).all()
    assert (read(packed(np.save, arrays["b"])) == arrays["b"]).all()


HUGE = f"{{'descr': '<i8', 'fortran_order': False, 'shape': ({2**40}, {2**40})}}\n"
BYTES = "{{'descr': '|i1', 'fortran_order': False, 'shape': {}}}\n"
NOT_ARRAYS = {
    "text": (b"text", "is no numpy file of plain numbers"),
    "empty": (b"", "is no numpy file of plain numbers"),
    "objects": (packed(np.save, np.array([{}])), "holds object, not plain numbers"),
    "texts": (packed(np.save, np.array(["a"])), "holds <U1, not plain numbers"),
    "complex": (packed(np.save, np.array([1j])), "holds complex128, not plain numbers"),
    "huge shape": (header(HUGE, b"1234"), "takes 9,671,406,556,917,033,397,649,408 bytes, but 4 are there"),
    "negative shape": (header(BYTES.format((-2, -2)), b"1234"), "it is damaged"),
    "65 dimensions": (header(BYTES.format((1,) * 65), b"1"), "damaged header"),
    "brackets": (header("(" * 9_000), "has a damaged header"),
    "no Python": (header("{'descr': '<i8'"), "has a damaged header"),
    "code": (header("__import__('os').abort()"), "has a damaged header"),
    "cut": (ONES[:-1], "which takes 144 bytes, but 143 are there"),
    "longer": (ONES + b"1", "which takes 144 bytes, but 145 are there"),
    "no array in it": (zipped({}) + b"", "directory is empty or not whole"),
    "no .npy": (zipped({"a": ONES}).replace(b"a.npy", b"a.txt"), "holds 'a.txt', which is no array"),
    "names differ": (zipped({"a": ONES}).replace(b"a.npy", b"b.npy", 1), "File name in directory 'a.npy' and header"),
    "checksum": (zipped({"a": ONES}).replace(b"\x01\x01\x01", b"\x01\x02\x01", 1), "is damaged (Bad CRC-32 for file"),
    "encrypted": (changed(zipped({"a": ONES}), 8, "<H", 1), "is encrypted or packed in a way"),
    "LZMA": (changed(zipped({"a": ONES}), 10, "<H", 14), "is encrypted or packed in a way"),
    "2 GiB": (changed(zipped({"a": ONES}), 24, "<I", 2**31), "take 2,147,483,648 bytes; allowed: at most"),
}  # fmt: skip


@pytest.mark.parametrize("case", NOT_ARRAYS)
def test_what_is_no_array(case: str) -> None:
    data, message = NOT_ARRAYS[case]
    found = refusal(lambda: read(data))
    assert found.startswith("x.npz: ")
    assert message in found


def test_names_that_are_there_twice() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.npy", ONES)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.npy", ONES)
    assert "holds 'a.npy', which is no array or is there twice" in refusal(lambda: read(stream.getvalue()))


def test_sizes_are_asked_for_before_anything_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    data = packed(np.savez_compressed, a=np.zeros(10**6, np.int8), b=np.zeros(10**6, np.int8))
    assert len(data) < 5_000
    monkeypatch.setattr(array_files, "MAX_ARRAY_BYTES", 10**6)
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("it was unpacked"))
    assert refusal(lambda: read(data)) == "x.npz: its arrays take 2,000,256 bytes; allowed: at most 1,000,000"


def test_an_archive_cannot_hide_more_than_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    data = packed(np.savez_compressed, a=np.zeros(10**6, np.int8))
    assert "Bad CRC-32" in refusal(lambda: read(changed(data, 24, "<I", 128)))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"c1.weights": np.ones((3, 4, 3, 3), int)}, r"layer 'c1': weights \(3, 4, 3, 3\) .* make \(4, 4, 3, 3\)"),
        ({"c1.weights": np.ones((4, 4, 1, 1), int)}, r"layer 'c1': weights \(4, 4, 1, 1\) .* make \(4, 4, 3, 3\)"),
        ({"c1.weights": np.ones(144, int)}, r"layer 'c1': weights \(144,\) .* make \(4, 4, 3, 3\)"),
        ({"c1.residual_multiplier": np.array(1)}, "array 'c1.residual_multiplier': layer 'c1' adds no residual"),
    ],
)  # fmt: skip
def test_weights_that_contradict_their_layer(arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez("w.npz", **arrays)  # type: ignore[arg-type]
    Path("s.toml").write_text(WEIGHTS)
    assert re.search(message, complaint("run", "s.toml"))


def test_pruning_beside_weights_that_are_given_and_a_wrong_residual_multiplier() -> None:
    np.savez("w.npz", **{"c1.weights": np.ones((4, 4, 3, 3), int)})  # type: ignore[arg-type]
    Path("s.toml").write_text(WEIGHTS + "taps = 2\n")
    assert "layer 'c1': taps prunes seeded weights, but the file gives them" in complaint("run", "s.toml")
    same = {f"c2.{key}": np.ones(4, int) for key in ("bias", "multiplier", "shift", "residual_multiplier")}
    np.savez("w.npz", **same)  # type: ignore[arg-type]
    Path("s.toml").write_text(WEIGHTS + '[[network.layers]]\nname = "c2"\nout_channels = 4\nresidual = "c1"\n')
    assert "array 'c2.residual_multiplier' is int64 (4,); a layer has one integer" in complaint("run", "s.toml")


def test_stored_weights_that_are_no_integers(tmp_path: Path) -> None:
    from test_damaged_files import stored_network

    Path("n.npz").write_bytes(stored_network())
    arrays = dict(np.load("n.npz"))
    np.savez("n.npz", **{**arrays, "c1.weights": arrays["c1.weights"] + 0.5})
    Path("s.toml").write_text('[network]\nkind = "trained"\nfile = "n.npz"\n')
    assert "layer 'c1': weights: dtype is float64" in complaint("run", "s.toml")


# -- sizes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["input.shape=[1, 65535, 65535]"], "input: shape (1, 65535, 65535) has 4,294,836,225 values; allowed:"),
        (
            ["input.shape=[65535, 1, 1]", "network.layers.0.out_channels=65535"],
            "layer 'c1': weights: shape (65535, 65535, 3, 3) has ",
        ),
        (
            ["input.shape=[1, 2000, 2000]", "network.layers.0.out_channels=40"],
            "layer 'c1': output: shape (40, 2000, 2000) has 1",
        ),
    ],
)
def test_what_can_never_be_allocated_is_not_tried(keys: list[str], message: str) -> None:
    Path("s.toml").write_text(LAYER.replace("taps = 2", ""))
    assert message in complaint("run", "s.toml", *(word for key in keys for word in ("--set", key)))
