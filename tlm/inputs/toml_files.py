"""TOML text that may come from anywhere becomes tables; what is no TOML, and what no reader expects, is refused."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from tlm.core.errors import InputError
from tlm.core.input_files import read_text

MAX_TOML_BYTES = 2**21
"""Most that is read of a TOML file: larger ones take many seconds to parse."""

MAX_DEPTH = 32
"""Most tables and arrays within each other."""

_AT_LINE = re.compile(r"at line (\d+)")
_LONG_KEY = re.compile(rf"""(?<![\w"'-])(?:["']?[\w-]++["']?[ \t]*+\.[ \t]*+){{{MAX_DEPTH}}}""")
"""Parsing takes time with the square of a dotted key's parts."""
_DEEP = f"tables and arrays lie too deep in each other; allowed: {MAX_DEPTH} levels"
_WIDE = "allowed: -2^63 .. 2^63 - 1"


def read_toml(path: Path) -> tuple[str, dict[str, Any]]:
    """The text of a TOML file and what it says.

    Raises:
        InputError: it cannot be read, or see :func:`parse_toml`; headed by the path and, where it is known, the line.
        FileNotFoundError: there is none.
    """
    text = read_text(path, MAX_TOML_BYTES)
    try:
        return text, parse_toml(text)
    except InputError as error:
        found = _AT_LINE.search(str(error))
        raise InputError(f"{path}{':' + found[1] if found else ''}: malformed TOML: {error}") from None


def parse_toml(text: str) -> dict[str, Any]:
    """What TOML text says.

    Raises:
        InputError: it is no TOML; tables and arrays too deep in each other; integers of more than 64 bits, which TOML
            does not promise and no key takes.
    """
    if found := _LONG_KEY.search(text):
        raise InputError(f"a key of too many parts (at line {text.count(chr(10), 0, found.start()) + 1}); {_DEEP}")
    try:
        data = tomllib.loads(text)
    except RecursionError:
        raise InputError(_DEEP) from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(str(error)) from None
    except ValueError:  # Python's own limit
        raise InputError(f"an integer of thousands of digits; {_WIDE}") from None
    _check(data)
    return data


def _check(data: dict[str, Any]) -> None:
    """A loop, since what it looks for would end a recursion."""
    level: list[tuple[str, Any]] = list(data.items())
    for _ in range(MAX_DEPTH):
        below: list[tuple[str, Any]] = []
        for name, value in level:
            if isinstance(value, dict):
                below += value.items()
            elif isinstance(value, list):
                below += [(name, item) for item in value]
            elif isinstance(value, int) and not -(2**63) <= value < 2**63:
                raise InputError(f"{name}: an integer of {value.bit_length()} bits and a sign; {_WIDE}")
        level = below
        if not level:
            return
    raise InputError(f"{level[0][0]}: {_DEEP}")
