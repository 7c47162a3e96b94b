"""The JSON Schema of scenario files, for editors and for error messages; made from the structs and dataclasses.

What a key means stands once, below it in its class; bounds and default follow from its type.
"""

from __future__ import annotations

import ast
import inspect
import json
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
_EXTENDS = (
    "Scenario that this one changes: a file, relative to this one, or the name of one that `tlm list` shows. "
    "Default: none."
)


@cache
def scenario_schema() -> dict[str, Any]:
    """The whole schema: types, bounds, defaults and descriptions of every key that a file may hold."""
    schema = msgspec.json.schema(structs.Scenario, ref_template="#/$defs/{name}")
    definitions = schema["$defs"]
    _bound_chip(definitions["ChipConfig"])
    _bound_energy(definitions["EnergyConfig"])
    for name, definition in definitions.items():
        (cls,) = {vars(module)[name] for module in (structs, networks, inputs) if name in vars(module)}
        for node in definition["properties"].values():
            _without_null(node)
        _describe(definition, cls)
    whole = definitions["Scenario"]
    whole["properties"] = {"extends": {"type": "string", "description": _EXTENDS}, **whole["properties"]}
    whole["if"] = {"not": {"required": ["extends"]}}
    whole["then"] = {"properties": {name: _complete(name, definitions) for name in structs.DEFAULT_KINDS}}
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
        if len(limits) == 1:
            return f"{article}, {limits[0]} or {'more' if 'minimum' in node else 'less'}"
        return f"{article} in {'..'.join(limits)}" if limits else article
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


def _without_null(node: dict[str, Any]) -> None:
    """TOML has no null: a key is left out."""
    options = [option for option in node.pop("anyOf", []) if option != {"type": "null"}]
    node |= options[0] if len(options) == 1 else {"anyOf": options} if options else {}
    if "null" in json.dumps(node.get("default")):
        node.pop("default", None)


def _describe(definition: dict[str, Any], cls: type) -> None:
    """Texts for those who write the file."""
    docs = attribute_docs(cls)
    text = _plain((inspect.getdoc(cls) or "").split("\n\n")[0])
    del definition["title"], definition["description"]
    for key, node in definition["properties"].items():
        if key == "kind":
            (kind,) = node["enum"]
            definition |= {"title": f'kind = "{kind}"', "description": text}
            node["description"] = f'"{kind}": {text}'
            if kind in structs.DEFAULT_KINDS.values():
                node["default"] = kind
        elif "$ref" in node or "discriminator" in node:
            node["description"] = _plain(docs[key])
        else:
            node["description"] = " ".join((_plain(docs[key]), *_limits(node)))


def _limits(node: dict[str, Any]) -> list[str]:
    """What is allowed, where that is more than a type of text, and the default, where the type has one."""
    allowed, default = allowed_text(node), node.get("default")
    sentences = [] if allowed in ("", "a string", "[...]") else [f"Allowed: {allowed}."]
    if default not in (None, "", [], {}):
        sentences.append(f"Default: {json.dumps(default)}.")
    return sentences


def _plain(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


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


def _complete(section: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """What a section has to hold where no other file gives it; without a kind it is of the default kind."""
    options = []
    for kind, ref in definitions["Scenario"]["properties"][section]["discriminator"]["mapping"].items():
        required = definitions[ref.rsplit("/", 1)[-1]].pop("required")
        is_default = kind == structs.DEFAULT_KINDS[section]
        options.append({"$ref": ref} if is_default else {"properties": {"kind": {"const": kind}}, "required": required})
    return {"anyOf": options}
