"""From a merged table to the schema's structs; every complaint says where, what, what is allowed and what to do."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import msgspec

from tlm.chip.fidelity import renamed
from tlm.core.errors import InputError
from tlm.scenario.json_schema import Node, allowed_text, key_schema, kinds_of, resolved
from tlm.scenario.schema import DATACLASS_SECTIONS, DEFAULT_KINDS, Scenario
from tlm.scenario.sources import KeyPath, Source, key_text

_LEADING_KEY = re.compile(r"([A-Za-z_][\w\-]*(?:\.[\w\-]+|\[\d+\])*): ")
_TYPES: dict[str, Any] = {
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "string": str,
    "array": list,
    "object": dict,
}


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
        raise placed(InputError(_fault(resolved(key_schema()), table, ()) or str(error)), sources) from None
    except InputError as error:
        raise placed(error, sources) from None


def placed(error: InputError, sources: Sequence[Source]) -> InputError:
    """The same error, headed by the file (and line) that is to blame: the last one that gives the key."""
    found = _LEADING_KEY.match(str(error))
    steps = re.findall(r"[^.\[\]]+|\[\d+(?=\])", found[1]) if found else []
    path: KeyPath = tuple(int(step[1:]) if step.startswith("[") else step for step in steps)
    while path:
        for source in reversed(sources):
            if source.holds(path):
                return InputError(f"{source.place(path)}: {error}")
        path = path[:-1]
    files = [source for source in sources if source.text is not None]
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
    items: Iterable[tuple[Any, Any]] = value.items() if isinstance(value, Mapping) else ()
    for step, item in enumerate(value) if isinstance(value, list) else items:
        refuse_senseless(item, (*path, step))


def _refuse_unknown_dataclass_keys(table: Mapping[str, Any]) -> None:
    """Of a dataclass msgspec would ignore unknown keys."""
    for name, cls in DATACLASS_SECTIONS.items():
        section: Any = table
        for step in name.split("."):
            section = section.get(step) if isinstance(section, dict) else None
        for key in section if isinstance(section, dict) else ():
            if key not in cls.__dataclass_fields__:
                raise InputError(f"{name}.{key}: unknown key; {_suggestion(key, cls.__dataclass_fields__)}")


def _fault(node: Node, value: Any, path: KeyPath) -> str | None:
    """The first fault in a table, an array of tables or a plain value; None if there is none."""
    here, kinds = key_text(path), kinds_of(node)
    if not kinds and "properties" not in node:
        items = node.get("items")
        if isinstance(value, list) and isinstance(items, dict) and "$ref" in items:  # [[network.layers]]
            faults = (_fault(resolved(items), item, (*path, index)) for index, item in enumerate(value))
            return next(filter(None, faults), None)
        hint = renamed(value) if path == ("fidelity",) else ""
        text = f"{here}: {value_text(value)} is not allowed; give {allowed_text(node)}{hint}"
        return None if _allows(node, value) else text
    if not isinstance(value, Mapping):
        return f"{here}: {value_text(value)} is not a table; write [{here}]"
    if kinds:
        kind = value["kind"]
        if kind not in list(kinds):
            return f"{here}.kind: {value_text(kind)} is not allowed; give {allowed_text({'enum': list(kinds)})}"
        node = kinds[kind]
    for key, item in value.items():
        if key not in node["properties"]:
            return _unknown_key((*path, key), kinds, value, node)
        if key != "kind" and (found := _fault(resolved(node["properties"][key]), item, (*path, key))):
            return found
    missing = [key for key in node.get("required", ()) if key not in value]
    return f"{here}.{missing[0]}: missing; give {allowed_text(node['properties'][missing[0]])}" if missing else None


def _allows(node: Node, value: Any) -> bool:
    if "anyOf" in node:
        return any(_allows(option, value) for option in node["anyOf"])
    if "enum" in node:
        return value in node["enum"] and not isinstance(value, (bool, float))
    if "type" not in node:
        return True
    if not isinstance(value, _TYPES[node["type"]]) or (isinstance(value, bool) and node["type"] != "boolean"):
        return False
    if isinstance(value, list):
        items = node.get("prefixItems") or [node.get("items", {})] * len(value)
        size_fits = node.get("minItems", 0) <= len(value) <= node.get("maxItems", len(value))
        return size_fits and all(map(_allows, items, value))
    if isinstance(value, str):
        return re.search(node.get("pattern", ""), value) is not None
    if isinstance(value, dict):
        return True
    return bool(node.get("minimum", value) <= value <= node.get("maximum", value))


def _unknown_key(path: KeyPath, kinds: Mapping[str, Node], section: Mapping[str, Any], node: Node) -> str:
    key, known = str(path[-1]), list(node["properties"])
    homes = [kind for kind, other in kinds.items() if key in other["properties"]]
    if homes:
        quoted = " or ".join(f'"{kind}"' for kind in homes)
        return (
            f'{key_text(path)}: belongs to kind = {quoted}, but this section has kind = "{section["kind"]}"; '
            "change kind or remove the key"
        )
    if len(path) == 1:
        for name in known:
            below = resolved(node["properties"][name])
            if any(key in option.get("properties", {}) for option in (below, *kinds_of(below).values())):
                return f"{key}: unknown key; did you mean {name}.{key}?"
        known.insert(0, "extends")
    return f"{key_text(path)}: unknown key; {_suggestion(key, known)}"


def _suggestion(key: str, known: Iterable[str]) -> str:
    near = get_close_matches(key, list(known), 1, 0.6)
    return f"did you mean {near[0]}?" if near else f"known keys: {', '.join(known)}"
