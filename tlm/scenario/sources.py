"""TOML sources of a scenario: the file, what it extends, and the command line's ``--set``, merged into one table."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import Any, TypeAlias

from msgspec import Struct

from tlm.core.errors import InputError
from tlm.inputs.toml_files import parse_toml, read_toml
from tlm.scenario.catalog import named
from tlm.scenario.network_files import SUFFIXES, settings_of
from tlm.scenario.schema import DEFAULT_KINDS, PATH_KEYS

KeyPath: TypeAlias = tuple[str | int, ...]

KEY = re.compile(r"[A-Za-z_][\w\-]*(\.[\w\-]+)*")
"""A key of a scenario, such as ``network.layers.0.kernel``; see :func:`dotted`."""
_ELEMENT = re.compile(r"\[(\d+)\]")

_BARE_WORD = re.compile(r"[A-Za-z_./][A-Za-z0-9_./\-]*")
_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"""\s*([A-Za-z0-9_\-"'.\s]+?)\s*=""")


class Source(Struct, frozen=True):
    """One place that says something: a file, an option such as ``--set``, or a caller's argument.

    Attributes:
        label: how messages call it: the path, the option or the argument, as the user gave it.
        text: a file's TOML text; None if it is no file.
        data: what it says.
    """

    label: str
    text: str | None
    data: dict[str, Any]

    def holds(self, path: KeyPath) -> bool:
        """Whether this source gives the key."""
        return lookup(self.data, path) is not None

    def place(self, path: KeyPath) -> str:
        """``file:line`` of a key, as exactly as it can be found."""
        line = None if self.text is None else _line_of(self.text, path)
        return self.label if line is None else f"{self.label}:{line}"


_OTHERS = {
    ".py": "is a Python script, which only `tlm run` takes",
    ".csv": "is a table, as `tlm layers` takes it",
    ".json": "is no scenario; a result.json is for `tlm explain`, `tlm compare`, `tlm plot` and `tlm report`",
}
"""Files of other commands, by their suffix."""


def read_sources(path: Path) -> list[Source]:
    """A scenario file and what it extends, the most basic one first.

    Raises:
        InputError: a missing or unreadable file, malformed TOML, a circle of ``extends``.
    """
    chain: list[Source] = []
    seen: list[Path] = []
    current: Path | None = path
    while current is not None:
        identity = Path(os.path.realpath(current))  # Path.resolve() raises on a symbolic link to itself
        if identity in seen:
            names = " -> ".join(p.name for p in [*seen, identity])
            raise InputError(f"{path}: extends goes in a circle ({names}); remove one of these extends keys")
        seen.append(identity)
        source, base = _read(current, f"; it is named by extends in {chain[-1].label}" if chain else "")
        chain.append(source)
        current = None if base is None else _extended(current.parent, base)
    return chain[::-1]


def override_source(text: str) -> Source:
    """What ``--set KEY=VALUE`` says. VALUE is TOML; a bare word counts as a string.

    Raises:
        InputError: no ``=``, or neither TOML nor a bare word.
    """
    key, equals, value = (part.strip() for part in text.partition("="))
    key = dotted(key)
    remedy = "write KEY=VALUE with a TOML value, e.g. --set chip.voltage_v=0.8"
    if not equals or not key or not value:
        raise InputError(f"--set {text}: {'the value' if equals and key else 'KEY=VALUE'} is missing; {remedy}")
    try:
        data = parse_toml(f"{key} = {value}")
    except InputError as error:
        if not _BARE_WORD.fullmatch(value):
            raise InputError(f"--set {text}: not TOML ({error}); {remedy}") from None
        try:
            data = parse_toml(f"{key} = '{value}'")
        except InputError:
            raise InputError(f"--set {text}: {key!r} is not a key; {remedy}") from None
    return Source(f"--set {text}", None, data)


def input_source(file: Path, signed: bool) -> Source:
    """What ``--input FILE`` says: an array (.npy), signed or not as the input that it replaces, or a picture."""
    found = {"kind": "npy", "signed": signed} if file.suffix == ".npy" else {"kind": "image"}
    return Source(f"--input {file}", None, {"input": {**found, "file": str(file)}})


def dotted(key: str) -> str:
    """A key with elements of arrays as messages write them, ``layers[0].kernel``, as ``layers.0.kernel``."""
    return _ELEMENT.sub(r".\1", key)


def override_of(key: str, value: Any) -> dict[str, Any]:
    """The nested table that sets one key."""
    for part in reversed(key.split(".")):
        value = {part: value}
    assert isinstance(value, dict)
    return value


def plain(value: Any) -> Any:
    """A value of Python code as TOML has it: without numpy's types, and paths as texts."""
    if isinstance(value, PurePath):
        return str(value)
    return value.tolist() if hasattr(value, "tolist") else value


def merged(sources: Iterable[Source]) -> dict[str, Any]:
    """All sources in one table; later ones win, tables merge key by key, arrays are replaced.

    A section whose ``kind`` changes starts afresh. A table with numbers as keys changes single elements of an array
    (``--set network.layers.0.kernel=3``).

    Raises:
        InputError: a number beyond the end of its array.
    """
    result: dict[str, Any] = {}
    for source in sources:
        _merge(result, source.data, (), source)
    return result


def lookup(data: Any, path: KeyPath) -> Any:
    """The value at a path, or None."""
    for step in path:
        if isinstance(data, Mapping):
            data = data.get(str(step))
        elif isinstance(data, list) and isinstance(step, int) and step < len(data):
            data = data[step]
        else:
            return None
    return data


def key_text(path: KeyPath) -> str:
    """``network.layers[0].kernel``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def _extended(directory: Path, base: str) -> Path:
    """A file beside the one that extends it, else one of the catalog, as `tlm run` finds it."""
    beside, packaged = directory / base, named(base)
    return beside if packaged is None or beside.exists() else packaged


def _read(path: Path, why: str) -> tuple[Source, str | None]:
    if path.suffix in SUFFIXES:
        return Source(str(path), "", settings_of(path)), None
    try:
        text, data = read_toml(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such scenario file{why}; `tlm list` shows those that there are") from None
    except InputError as error:
        from tlm.compiler.saved import is_program

        if is_program(path):
            how = f"tlm.simulate(tlm.load_program({str(path)!r}), activations)"
            raise InputError(f"{path}: is a compiled program, which has no input; run it in Python: {how}") from None
        if path.suffix in _OTHERS:
            raise InputError(f"{path}: {_OTHERS[path.suffix]}; give a scenario, a model or a network here") from None
        raise InputError(f"{error}{why}") from None
    base = data.pop("extends", None)
    if base is not None and not (isinstance(base, str) and base and "\0" not in base):
        raise InputError(f'{path}: extends: {base!r} is not a path; give one, e.g. extends = "base.toml"')
    for section, key in PATH_KEYS:
        table = data.get(section)
        if isinstance(table, dict) and isinstance(table.get(key), str) and table[key]:
            table[key] = str(path.parent / table[key])
    return Source(str(path), text, data), base


def _merge(into: Any, data: Mapping[str, Any], path: KeyPath, source: Source) -> None:
    """Into a table, or into the elements of an array, whose numbers are the keys."""
    for key, value in data.items():
        step: str | int = key
        if isinstance(into, list):
            if not key.isdigit() or int(key) >= len(into):
                allowed = f"a number below {len(into)}" if into else "nothing: the array is empty"
                place = f"{source.place(path)}: {key_text(path)}.{key}"
                raise InputError(f"{place}: {key!r} is no element; allowed: {allowed}")
            step = int(key)
        old, here = lookup(into, (step,)), (*path, step)
        if isinstance(value, dict) and isinstance(old, (dict, list)) and not _changes_kind(here, old, value):
            _merge(old, value, here, source)
        else:
            into[step] = copy.deepcopy(value)


def _changes_kind(path: KeyPath, old: Any, new: Mapping[str, Any]) -> bool:
    default = DEFAULT_KINDS.get(str(path[0])) if len(path) == 1 else None
    return isinstance(old, dict) and "kind" in new and new["kind"] != old.get("kind", default)


def _line_of(text: str, path: KeyPath) -> int | None:
    """Line of the longest beginning of a path that stands in the text as a key or a table header."""
    places: dict[KeyPath, int] = {}
    table: KeyPath = ()
    counts: dict[KeyPath, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = _split(header[2])
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            places.setdefault(table, number)
        elif key := _KEY.match(line):
            places.setdefault((*table, *_split(key[1])), number)
    for length in range(len(path), 0, -1):
        if path[:length] in places:
            return places[path[:length]]
    return None


def _split(dotted: str) -> KeyPath:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))
