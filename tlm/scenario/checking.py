"""From a merged table to the schema's structs; every complaint says where, what, what is allowed and what to do."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

import msgspec

from tlm.chip.fidelity import renamed
from tlm.core.errors import InputError
from tlm.scenario.schema import DATACLASS_SECTIONS, DEFAULT_KINDS, Scenario
from tlm.scenario.sources import KeyPath, Source, key_text, lookup

_AT = re.compile(r"(?P<problem>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`", re.DOTALL)
_LEADING_KEY = re.compile(r"([A-Za-z_][\w\-]*(?:\.[\w\-]+|\[\d+\])*): ")


def checked(data: Mapping[str, Any], sources: Sequence[Source]) -> Scenario:
    """The scenario that a merged table describes.

    Args:
        data: see :func:`tlm.scenario.sources.merged`.
        sources: what it was merged from, to name the file and the line.

    Raises:
        InputError: unknown key, wrong type, value out of range.
    """
    table = {key: dict(value) if isinstance(value, dict) else value for key, value in data.items()}
    for section, kind in DEFAULT_KINDS.items():
        if isinstance(table.get(section), dict):
            table[section].setdefault("kind", kind)
    try:
        refuse_senseless(table)
        _refuse_unknown_dataclass_keys(table)
        return msgspec.convert(table, Scenario)
    except msgspec.ValidationError as error:
        raise placed(InputError(_explained(str(error), table)), sources) from None
    except InputError as error:
        raise placed(error, sources) from None


def placed(error: InputError, sources: Sequence[Source]) -> InputError:
    """The same error, headed by the file (and line) that is to blame: the last one that gives the key."""
    found = _LEADING_KEY.match(str(error))
    path = _parsed(found[1]) if found else ()
    while path:
        for source in reversed(sources):
            if source.holds(path):
                return InputError(f"{source.place(path)}: {error}")
        path = path[:-1]
    files = [source for source in sources if not source.label.startswith("--")]
    return InputError(f"{files[-1].label if files else 'scenario'}: {error}")


def value_text(value: Any) -> str:
    """A value as TOML writes it."""
    try:
        return json.dumps(value, ensure_ascii=False)
    except TypeError:  # dates and times
        return str(value)


def refuse_senseless(value: Any, path: KeyPath = ()) -> None:
    """What no key takes: numbers that are not finite; texts without a character, which a path would read as here.

    Raises:
        InputError: headed by the key.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{key_text(path)}: {value} is not a finite number; give one")
    if isinstance(value, str) and path != ("description",) and (not value or "\0" in value):
        what = "holds a zero byte" if value else "is an empty text"
        raise InputError(f"{key_text(path)}: {value_text(value)} {what}; give another, or leave the key out")
    items: Iterator[tuple[Any, Any]] = iter(())
    if isinstance(value, Mapping):
        items = iter(value.items())
    elif isinstance(value, list):
        items = iter(enumerate(value))
    for step, item in items:
        refuse_senseless(item, (*path, step))


def _refuse_unknown_dataclass_keys(table: Mapping[str, Any]) -> None:
    """Of a dataclass msgspec would ignore unknown keys."""
    for name, cls in DATACLASS_SECTIONS.items():
        section = table.get(name)
        known = [item.name for item in fields(cls)]
        for key in section if isinstance(section, dict) else ():
            if key not in known:
                raise InputError(f"{name}.{key}: unknown key; {_suggestion(key, known)}")


def _suggestion(key: str, known: Sequence[str]) -> str:
    near = get_close_matches(key, known, 1, 0.6)
    return f"did you mean {near[0]}?" if near else f"known keys: {', '.join(known)}"


def _parsed(text: str) -> KeyPath:
    return tuple(int(part[1:]) if part.startswith("[") else part for part in re.findall(r"[^.\[\]]+|\[\d+(?=\])", text))


def _explained(message: str, table: Mapping[str, Any]) -> str:
    from tlm.scenario.json_schema import allowed_text, node_at

    found = _AT.fullmatch(message)
    assert found is not None  # the pattern matches any text
    path = _parsed(found["path"] or "")
    if unknown := _UNKNOWN.match(found["problem"]):
        return _unknown_key((*path, unknown[1]), table)
    if missing := _MISSING.match(found["problem"]):
        key = (*path, missing[1])
        return f"{key_text(key)}: missing; give {allowed_text(node_at(key, table))}"
    node = node_at(path, table)
    if path[-1] != "kind" and ("properties" in node or "discriminator" in node):
        return f"{key_text(path)}: {value_text(lookup(table, path))} is not a table; write [{key_text(path)}]"
    allowed = allowed_text(node)
    value = lookup(table, path)
    hint = renamed(value) if path == ("fidelity",) else ""
    return f"{key_text(path)}: {value_text(value)} is not allowed; give {allowed}{hint}"


def _unknown_key(path: KeyPath, table: Mapping[str, Any]) -> str:
    from tlm.scenario.json_schema import kinds_with, properties_at

    key, parent = str(path[-1]), path[:-1]
    known = [name for name in properties_at(parent, table) if name != "extends" or not parent]
    kinds = kinds_with(parent, key)
    if kinds:
        kind = lookup(table, (*parent, "kind"))
        homes = " or ".join(f'"{name}"' for name in kinds)
        return (
            f'{key_text(path)}: belongs to kind = {homes}, but this section has kind = "{kind}"; '
            "change kind or remove the key"
        )
    if not parent:
        sections = [name for name in known if key in properties_at((name,), table)]
        if sections:
            return f"{key}: unknown key; did you mean {sections[0]}.{key}?"
    return f"{key_text(path)}: unknown key; {_suggestion(key, known)}"
