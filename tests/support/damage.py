"""Damaged files: seeded changes of bytes and of text, and what every command owes its user on any of them.

A kind of file that a user can hand over is tried so: write :func:`damaged` data where a command reads it, then call
:func:`outcome`, which checks that nothing but one line says what is wrong.
"""

from __future__ import annotations

import io
import random
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from tlm.cli.main import main

HANG_S = 60
"""Nothing here takes a second on an idle machine; what takes so long waits for something, or for ever."""

_VALUE = re.compile(rb"(?<=[=:,\[])\s*(\"[^\"\n]*\"|[-+.\w]+)")
_KEY = re.compile(rb"(\"[^\"\n]*\"|[-.\w]+)\s*[=:]")
_STRANGE_KEYS = (
    b'""', b'"a.b"', b'"a\\nb"', b'"]["', b'"` - at `$.chip"', b"a.b.c", b"kind", b"0", b'"' + b"long" * 5_000 + b'"'
)  # fmt: skip
_STRANGE = (
    b"-1", b"0", b"7", b"0.5", b"1e999", b"-1e308", b"nan", b"NaN", b"9" * 30, b"9" * 400, b"9" * 5000,
    b"9223372036854775808", b"65535", b"true", b"null", b"[]", b"{}", b'""', b'"x"', b'"\\u0000"', b'"\\u001b[31m"',
    b'"a\\nb"', b'"\xff\xfe"', b'"\\ud800"', b"1979-05-27", b'[[1, "a"], {}]', b"[" * 3000 + b"]" * 3000,
    b'{"a":' * 3000 + b"1" + b"}" * 3000, b"{a=" * 3000 + b"1" + b"}" * 3000,
)  # fmt: skip
"""What no key expects, as TOML or JSON writes it."""


class Hang(BaseException):
    """No exception that a command could catch."""


def damaged(data: bytes, seed: int, text: bool = False) -> bytes:
    """Other bytes than ``data``, by one to three changes; equal for equal seeds.

    Args:
        data: a whole file.
        seed: of the changes.
        text: it is TOML or JSON, so that half of the changes put other values into it.
    """
    chance = random.Random(seed)
    ways = _TEXT_WAYS + _BYTE_WAYS if text else _BYTE_WAYS
    found = data
    while found == data:
        for _ in range(chance.choice((1, 1, 2, 3))):
            found = chance.choice(ways)(found, chance)
    return found


def outcome(arguments: list[str], directory: Path, run: Callable[[list[str]], int] = main) -> int:
    """The exit status of a command, after a check of what it says and leaves.

    Args:
        arguments: as on the command line.
        directory: where it may write; after a failure it holds what it held before.
        run: what takes the arguments; it gives the exit status and prints on Python's own standard files.
    """
    before, out, err = _files(directory), io.StringIO(), io.StringIO()
    with _alarm(), redirect_stdout(out), redirect_stderr(err):
        status = run(arguments)
    said = err.getvalue()
    if status:
        assert status in (1, 2), (status, said)
        assert said.startswith("tlm: "), said
        assert said.endswith("\n"), said
        assert said[:-1].isprintable(), said
        assert len(said) < 2_000, said
        assert "Traceback" not in said, said
        assert _files(directory) == before, said
    assert not [name for name in _files(directory) if name.endswith(".part")]
    return status


@contextmanager
def _alarm() -> Iterator[None]:
    def ring(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(HANG_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _files(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


# -- changes of bytes -------------------------------------------------------------------------------------------------


def _span(data: bytes, chance: random.Random, longest: int = 64) -> tuple[int, int]:
    first = chance.randrange(len(data) + 1)
    return first, min(len(data), first + chance.randint(1, longest))


def _flip(data: bytes, chance: random.Random) -> bytes:
    if not data:
        return b"\0"
    place = chance.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :]


def _cut_short(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _cut_out(data: bytes, chance: random.Random) -> bytes:
    first, end = _span(data, chance)
    return data[:first] + data[end:]


def _insert(data: bytes, chance: random.Random) -> bytes:
    first, _ = _span(data, chance)
    return data[:first] + chance.randbytes(chance.randint(1, 16)) + data[first:]


def _repeat(data: bytes, chance: random.Random) -> bytes:
    first, end = _span(data, chance)
    return data[:end] + data[first:end] + data[end:]


def _swap(data: bytes, chance: random.Random) -> bytes:
    first, second, third = sorted(chance.randrange(len(data) + 1) for _ in range(3))
    return data[:first] + data[second:third] + data[first:second] + data[third:]


def _fill(data: bytes, chance: random.Random) -> bytes:
    first, end = _span(data, chance)
    return data[:first] + chance.choice((b"\0", b"\xff")) * (end - first) + data[end:]


_BYTE_WAYS = (_flip, _flip, _flip, _cut_short, _cut_out, _insert, _repeat, _swap, _fill)


# -- changes of text --------------------------------------------------------------------------------------------------


def _other_value(data: bytes, chance: random.Random) -> bytes:
    places = list(_VALUE.finditer(data))
    if not places:
        return data
    place = chance.choice(places)
    return data[: place.start(1)] + chance.choice(_STRANGE) + data[place.end(1) :]


def _other_key(data: bytes, chance: random.Random) -> bytes:
    places = list(_KEY.finditer(data))
    if not places:
        return data
    place = chance.choice(places)
    return data[: place.start(1)] + chance.choice(_STRANGE_KEYS) + data[place.end(1) :]


def _long_text(data: bytes, chance: random.Random) -> bytes:
    places = list(_VALUE.finditer(data))
    if not places or chance.randrange(8):
        return _other_value(data, chance)
    place = chance.choice(places)
    return data[: place.start(1)] + b'"' + b"long " * 2_000_000 + b'"' + data[place.end(1) :]


def _without_line(data: bytes, chance: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    left_out = chance.randrange(len(lines) + 1)
    return b"".join(lines[:left_out] + lines[left_out + 1 :])


def _line_twice(data: bytes, chance: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    return b"".join([*lines[: len(lines) // 2], *([chance.choice(lines)] if lines else []), *lines[len(lines) // 2 :]])


_TEXT_WAYS = (
    _other_value,
    _other_value,
    _other_value,
    _other_value,
    _other_value,
    _long_text,
    _without_line,
    _line_twice,
)
