"""The JSON Schema of scenario files, for editors and for error messages; made from the structs and dataclasses."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any

import msgspec

from tlm.chip.config import ChipConfig, allowed_range, allowed_values
from tlm.observe.energy_table import MAX_VALUE, EnergyConfig
from tlm.scenario import inputs, networks
from tlm.scenario import schema as structs
from tlm.scenario.sources import KeyPath, lookup

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


@cache
def scenario_schema() -> dict[str, Any]:
    """The whole schema: types, bounds, defaults and descriptions of every key."""
    schema = msgspec.json.schema(structs.Scenario, ref_template="#/$defs/{name}")
    definitions = schema["$defs"]
    for name, definition in definitions.items():
        (cls,) = {vars(module)[name] for module in (structs, networks, inputs) if name in vars(module)}
        _describe(definition, cls)
    _bound_chip(definitions["ChipConfig"])
    _bound_energy(definitions["EnergyConfig"])
    _default_kinds(definitions)
    definitions["Scenario"]["properties"] = {
        "extends": {"type": "string", "description": "Scenario file, relative to this one, that this one changes."},
        **definitions["Scenario"]["properties"],
    }
    return {"$schema": _DIALECT, "title": "cartesian-tlm scenario", **schema}


def attribute_docs(cls: type) -> dict[str, str]:
    """Attribute -> the string literal that stands below it in the class's source."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    docs = {}
    for before, after in zip(body.body, body.body[1:], strict=False):
        if not isinstance(before, ast.AnnAssign) or not isinstance(before.target, ast.Name):
            continue
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str):
            docs[before.target.id] = " ".join(after.value.value.split())
    return docs


def node_at(path: KeyPath, table: Mapping[str, Any]) -> dict[str, Any]:
    """The schema's node for a key of a table (whose ``kind`` entries choose among kinds); empty if there is none."""
    node = _resolved(scenario_schema())
    here: KeyPath = ()
    for step in path:
        mapping = node.get("discriminator", {}).get("mapping", {})
        if step == "kind" and mapping:
            return {"enum": list(mapping)}
        node = _kind_of(node, lookup(table, here))
        if isinstance(step, int):
            prefix = node.get("prefixItems", [])
            child = prefix[step] if step < len(prefix) else node.get("items")
        else:
            child = node.get("properties", {}).get(step)
        if not isinstance(child, dict):
            return {}
        node, here = _resolved(child), (*here, step)
    return node


def properties_at(path: KeyPath, table: Mapping[str, Any]) -> dict[str, Any]:
    """Key -> node of the table at a path; empty if that is no table."""
    properties: dict[str, Any] = _kind_of(node_at(path, table), lookup(table, path)).get("properties", {})
    return properties


def kinds_with(path: KeyPath, key: str) -> list[str]:
    """Kinds of the section at a path that know a key; empty where the section has no kinds."""
    mapping = node_at(path, {}).get("discriminator", {}).get("mapping", {})
    return [kind for kind, ref in mapping.items() if key in _resolved({"$ref": ref})["properties"]]


def allowed_text(node: Mapping[str, Any]) -> str:
    """What a node allows, in words."""
    node = _resolved(node)
    if "anyOf" in node:
        options = [allowed_text(option) for option in node["anyOf"] if option.get("type") != "null"]
        return " or ".join(option for option in options if option)
    if "const" in node:
        return repr(node["const"])
    if "enum" in node:
        return f"one of {', '.join(str(value) for value in node['enum'])}"
    kind = node.get("type")
    if kind in ("integer", "number"):
        article = "an integer" if kind == "integer" else "a number"
        form = "d" if kind == "integer" else "g"
        limits = [f"{node[key]:{form}}" for key in ("minimum", "maximum") if key in node]
        return f"{article} in {'..'.join(limits)}" if len(limits) == 2 else article
    if kind == "array":
        items = node.get("prefixItems") or [node["items"]] * node.get("minItems", 0)
        if len(items) > 3:  # too many to list, and alike
            return f"[{allowed_text(items[0])}, {len(items)} times]"
        return f"[{', '.join(allowed_text(item) for item in items) or '...'}]"
    if kind == "string":
        return "letters, digits, '_', '.', '-' as a string" if "pattern" in node else "a string"
    return {"boolean": "true or false"}.get(str(kind), "")


def _resolved(node: Mapping[str, Any]) -> dict[str, Any]:
    if "$ref" not in node:
        return dict(node)
    target: dict[str, Any] = scenario_schema()["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    return target


def _kind_of(node: dict[str, Any], table: Any) -> dict[str, Any]:
    mapping = node.get("discriminator", {}).get("mapping")
    if mapping is None or not isinstance(table, Mapping):
        return node
    ref = mapping.get(table.get("kind"))
    return node if ref is None else _resolved({"$ref": ref})


def _describe(definition: dict[str, Any], cls: type) -> None:
    docs = attribute_docs(cls)
    for key, node in definition["properties"].items():
        if key in docs:
            node["description"] = docs[key]


def _bound_chip(definition: dict[str, Any]) -> None:
    definition["additionalProperties"] = False
    for item in fields(ChipConfig):
        node = definition["properties"][item.name]
        target = node["anyOf"][0] if "anyOf" in node else node
        if values := allowed_values(item.name):
            target["enum"] = list(values)
        elif limits := allowed_range(item.name):
            target["minimum"], target["maximum"] = limits


def _bound_energy(definition: dict[str, Any]) -> None:
    definition["additionalProperties"] = False
    for item in fields(EnergyConfig):
        definition["properties"][item.name] |= {"minimum": 0.0, "maximum": MAX_VALUE}


def _default_kinds(definitions: dict[str, Any]) -> None:
    """A kind that is the default need not be written."""
    for definition in definitions.values():
        kind = definition["properties"].get("kind", {})
        if kind.get("enum", [None])[0] in structs.DEFAULT_KINDS.values():
            definition["required"] = [key for key in definition.get("required", []) if key != "kind"]
            kind["default"] = kind["enum"][0]
