"""Program files that nobody saved: damaged ones, and crafted ones whose length and checksum are right."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import tlm
from tlm.core.errors import InputError

HEAD = b"tlm.program/3\n"
START = len(HEAD) + 40


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Spatial bands, two segments, a residual, pooling: several of everything."""
    rng = np.random.default_rng(0)
    layers = [
        tlm.Conv2d("a", rng.integers(-8, 8, (40, 6, 3, 3)), padding=1, multiplier=300, shift=14),
        tlm.Conv2d(
            "b", rng.integers(-8, 8, (40, 40, 1, 1)), multiplier=30, shift=14, residual="a", residual_multiplier=9
        ),
        tlm.MaxPool2d("p", 2),
        tlm.Conv2d("d", rng.integers(-8, 8, (9, 40, 1, 1)), accumulator_output=True),
    ]
    path = tmp_path_factory.mktemp("saved") / "p.tlm"
    program = tlm.compile(tlm.Network((6, 20, 24), layers), tlm.ChipConfig(amem_words=512))
    assert len(program.parts) > 4
    tlm.save_program(program, path)
    return path.read_bytes()


def refusal(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        tlm.load_program(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "compile" in message
    assert message.isprintable()
    return message


# -- damage -----------------------------------------------------------------------------------------------------------


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """One bit, a cut, bytes put in, or a range twice; half of them where the file begins."""
    end = len(data) if rng.integers(2) else START + 40
    first, count = int(rng.integers(end)), int(rng.integers(1, 200))
    match rng.integers(5):
        case 0:
            return data[:first] + bytes([data[first] ^ 1 << int(rng.integers(8))]) + data[first + 1 :]
        case 1:
            return data[:first]
        case 2:
            return data[:first] + rng.bytes(count) + data[first:]
        case 3:
            return data[:first] + data[first : first + count] + data[first:]
    return data[:first] + data[first + count :]


def check_damage(saved: bytes, path: Path, seeds: range) -> None:
    for seed in seeds:
        data = damaged(saved, np.random.default_rng(seed))
        assert data != saved
        refusal(path, data)


def test_damaged_files_are_found(saved: bytes, tmp_path: Path) -> None:
    check_damage(saved, tmp_path / "p", range(100))


@pytest.mark.slow
def test_many_damaged_files_are_found(saved: bytes, tmp_path: Path) -> None:
    check_damage(saved, tmp_path / "p", range(100, 500))


# -- crafted content --------------------------------------------------------------------------------------------------


def sealed(content: bytes) -> bytes:
    return HEAD + struct.pack(">Q32s", len(content), hashlib.sha256(content).digest()) + content


def crafted(saved: bytes, change: Callable[[Any], object]) -> bytes:
    content = msgspec.msgpack.decode(saved[START:])
    change(content)
    return sealed(msgspec.msgpack.encode(content))


def test_the_way_of_crafting_is_right(saved: bytes, tmp_path: Path) -> None:
    assert crafted(saved, lambda content: None) == saved
    (tmp_path / "p").write_bytes(saved)
    tlm.load_program(tmp_path / "p")


def weights(content: Any, shape: tuple[int, ...], data: bytes = b"", code: int = 1) -> None:
    ext = msgspec.msgpack.Ext(code, struct.pack(f"<{len(shape)}Q", *shape) + data)
    content["layers"][0]["arguments"]["weights"] = ext


CRAFTED: dict[str, Callable[[Any], object]] = {
    "input of a size below 1": lambda c: c.update(input_shape=[6, 0, 24]),
    "huge input": lambda c: c.update(input_shape=[65535, 65535, 65535]),
    "input beyond 64 bits": lambda c: c.update(input_shape=[6, 2**64 - 1, 24]),
    "no layers": lambda c: c.update(layers=[]),
    "a layer twice": lambda c: c["layers"].append(c["layers"][-1]),
    "a layer less": lambda c: c["layers"].pop(),
    "unknown kind": lambda c: c["layers"][0].update(kind="System"),
    "unknown argument": lambda c: c["layers"][0]["arguments"].update(pads=1),
    "another key": lambda c: c.update(extra=1),
    "missing argument": lambda c: c["layers"][0]["arguments"].pop("weights"),
    "weights of a giant shape": lambda c: weights(c, (2**40, 2**40, 1, 1)),
    "weights of a shape that wraps to 0": lambda c: weights(c, (2**32, 2**32, 1, 1)),
    "weights without a shape": lambda c: weights(c, (1, 2)),
    "weights shorter than said": lambda c: weights(c, (40, 6, 3, 3), bytes(5)),
    "weights of no channel": lambda c: weights(c, (0, 6, 3, 3)),
    "weights out of range": lambda c: weights(c, (40, 6, 3, 3), b"\x55" * 2160),
    "other weights": lambda c: weights(c, (40, 6, 3, 3), b"\x01" * 2160),
    "array of an unknown kind": lambda c: weights(c, (40, 6, 3, 3), bytes(2160), code=7),
    "bias for weights": lambda c: weights(c, (40,), bytes(320), code=2),
    "weights in a list": lambda c: c["layers"][0]["arguments"].update(weights=[[[["x"]]]]),
    "a residual that is a list": lambda c: c["layers"][1]["arguments"].update(residual=[1]),
    "stride 0": lambda c: c["layers"][0]["arguments"].update(stride=[0, 1]),
    "padding of text": lambda c: c["layers"][0]["arguments"].update(padding="11"),
    "lanes of 33": lambda c: c["chip"].update(lanes=33),
    "lanes of another chip": lambda c: c["chip"].update(lanes=16),
    "amem_words of -1": lambda c: c["chip"].update(amem_words=-1),
    "voltage that is no number": lambda c: c["chip"].update(voltage_v=float("nan")),
    "memory of 2**60 bytes": lambda c: c["chip"].update(memory_bytes=2**60),
    "unknown chip key": lambda c: c["chip"].update(dies=2),
    "no segments": lambda c: c["choices"].update(segments=[]),
    "segments twice": lambda c: c["choices"].update(segments=c["choices"]["segments"] * 2),
    "a segment that ends before it begins": lambda c: c["choices"]["segments"][0].update(last=-1),
    "a segment beyond the network": lambda c: c["choices"]["segments"][-1].update(last=2**40),
    "a band of no tile": lambda c: c["choices"]["segments"][0].update(tiles_per_band=0),
    "a band of -1 tiles": lambda c: c["choices"]["segments"][0].update(tiles_per_band=-1),
    "more groups than one": lambda c: c["choices"]["segments"][0].update(most_groups=-3),
    "eviction of a stranger": lambda c: c["choices"]["segments"][0].update(evict=["x"]),
    "load of a stranger": lambda c: c["choices"]["segments"][0].update(load=["x"]),
    "load of what is not made yet": lambda c: c["choices"]["segments"][0].update(load=["d"]),
    "parts of 0 words": lambda c: c["choices"].update(part_words=0),
    "parts of text": lambda c: c["choices"].update(part_words="1"),
    "bases of nothing": lambda c: c["choices"].update(bases=[]),
    "bases below 0": lambda c: c["choices"]["bases"].__setitem__(0, -1),
    "bases beyond AMem": lambda c: c["choices"]["bases"].__setitem__(0, 511),
    "all at one base": lambda c: c["choices"].update(bases=[0] * len(c["choices"]["bases"])),
    "negative cycles": lambda c: c["choices"]["cycles"].__setitem__(0, -1),
    "cycles of too few parts": lambda c: c["choices"]["cycles"].pop(),
    "other cycles": lambda c: c["choices"]["cycles"].__setitem__(0, 10**12),
    "another digest": lambda c: c.update(made=bytes(32)),
}


@pytest.mark.parametrize("name", CRAFTED)
def test_a_crafted_file_is_refused(saved: bytes, tmp_path: Path, name: str) -> None:
    refusal(tmp_path / "p", crafted(saved, CRAFTED[name]))


@pytest.mark.parametrize("name", ["bases below 0", "bases beyond AMem", "all at one base"])
def test_places_over_each_other_are_found_whatever_the_digest_says(saved: bytes, tmp_path: Path, name: str) -> None:
    message = refusal(tmp_path / "p", crafted(saved, CRAFTED[name]))
    assert "its tensors would lie over each other in AMem, or outside it" in message


def test_a_tensor_that_is_nowhere_is_found_whatever_the_digest_says(saved: bytes, tmp_path: Path) -> None:
    message = refusal(tmp_path / "p", crafted(saved, CRAFTED["load of what is not made yet"]))
    assert "'d' is needed when it is neither on chip nor off it" in message


def test_content_that_is_no_structure_is_refused(tmp_path: Path) -> None:
    deep = b"\x91" * 1_000_000
    layers = {"input_shape": [1, 1, 1], "signed_input": False, "layers": [], "chip": {}}
    nested = msgspec.msgpack.encode(layers)[:-1] + b"\x81\xa1x" + deep
    for content in (b"", b"\xc0", b"\xc1", deep, nested, b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xffab"):
        refusal(tmp_path / "p", sealed(content))


STRANGE: tuple[Any, ...] = (
    None, True, -1, 0, 1, 3, 2**31, 2**63, 2**64 - 1, -(2**63), 0.5, float("inf"), "", "x", b"", b"\0" * 40, [], [[]],
    {}, {"a": 1}, [1, 2], msgspec.msgpack.Ext(1, b""), msgspec.msgpack.Ext(2, struct.pack("<Q", 1) + bytes(8)),
)  # fmt: skip


def places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a structure of dictionaries and lists, as (container, key)."""
    for key in list(content) if isinstance(content, dict) else range(len(content)):
        yield content, key
        if isinstance(content[key], (dict, list)):
            yield from places(content[key])


def check_strange(saved: bytes, path: Path, seeds: range) -> None:
    """A value anywhere is replaced by another one. What is loaded all the same is the same program."""
    path.write_bytes(saved)
    program = tlm.load_program(path)
    messages: list[str] = []
    for seed in seeds:
        rng, content = np.random.default_rng(seed), msgspec.msgpack.decode(saved[START:])
        found = list(places(content))
        container, key = found[rng.integers(len(found))]
        old = container[key]
        near = isinstance(old, int) and rng.integers(2)
        container[key] = old + int(rng.integers(-2, 3)) if near else STRANGE[rng.integers(len(STRANGE))]
        path.write_bytes(sealed(msgspec.msgpack.encode(content)))
        try:
            again = tlm.load_program(path)
        except InputError as error:
            messages.append(str(error))
        else:
            assert (again.chunks, again.steps, again.parts) == (program.chunks, program.steps, program.parts), old
    assert len(messages) > len(seeds) / 2
    assert all(message.startswith(f"{path}: ") for message in messages)


def test_strange_values_are_refused(saved: bytes, tmp_path: Path) -> None:
    check_strange(saved, tmp_path / "p", range(150))


@pytest.mark.slow
def test_many_strange_values_are_refused(saved: bytes, tmp_path: Path) -> None:
    check_strange(saved, tmp_path / "p", range(150, 1000))


def remade(data: bytes, path: Path) -> bytes:
    """The digest that fits what the compiler makes of a crafted file, as an attacker would put it in."""
    path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        found: list[bytes] = []
        real = tlm.compiler.saved._made
        patch.setattr("tlm.compiler.saved._made", lambda program: found.append(real(program)) or found[0])
        with pytest.raises(InputError, match="another version"):
            tlm.load_program(path)
    return crafted(data, lambda content: content.update(made=found[0]))


@pytest.mark.parametrize("values", [(0, 1), (5, 3)])
def test_a_file_that_fits_itself_runs_as_its_network(saved: bytes, tmp_path: Path, values: tuple[int, int]) -> None:
    """Other choices and other weights, digest and all: whatever runs gives the outputs of the network in the file."""
    path, which = tmp_path / "p", values[0]
    other = crafted(saved, lambda c: c["choices"]["cycles"].__setitem__(which, 10**6) or weights(
        c, (40, 6, 3, 3), bytes([values[1]]) * 2160
    ))  # fmt: skip
    path.write_bytes(remade(other, path))
    program = tlm.load_program(path)
    inputs = np.random.default_rng(1).integers(0, 16, program.network.input_shape)
    golden = tlm.reference.run(program.network, inputs)["d"]
    assert np.array_equal(tlm.Evaluator(program).output(inputs), golden)
    assert np.array_equal(tlm.simulate(program, inputs).outputs, golden)
