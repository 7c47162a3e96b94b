"""The JSON Schema of scenario files, for editors and for error messages; made from the structs and dataclasses.

What a key means stands once, below it in its class; bounds and default follow from its type.
"""

from __future__ import annotations

import ast
import copy
import inspect
import json
import textwrap
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any

import msgspec

from tlm.chip.config import ChipConfig, allowed_range, allowed_values
from tlm.chip.dram_config import DRAM_CHOICES, DRAM_RANGES, DramConfig
from tlm.observe.energy_table import MAX_VALUE, EnergyConfig
from tlm.scenario import inputs, networks
from tlm.scenario import schema as structs

Node = dict[str, Any]
"""What a JSON Schema says of one key."""

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_EXTENDS = (
    "Scenario that this one changes: a file, relative to this one, or the name of one that `tlm list` shows. "
    "Default: none."
)


@cache
def key_schema() -> Node:
    """Types and bounds of every key of a merged scenario."""
    schema = msgspec.json.schema(structs.Scenario, ref_template="#/$defs/{name}")
    definitions = schema["$defs"]
    for definition in definitions.values():
        for node in definition["properties"].values():
            _without_null(node)
    for cls in structs.DATACLASS_SECTIONS.values():
        definitions[cls.__name__]["additionalProperties"] = False
    of_chip = (ChipConfig, allowed_values, allowed_range)
    of_dram = (DramConfig, DRAM_CHOICES.get, DRAM_RANGES.get)
    for cls, values_of, range_of in (of_chip, of_dram):
        for item in fields(cls):
            node = definitions[cls.__name__]["properties"][item.name]
            if values := values_of(item.name):
                node["enum"] = list(values)
            elif limits := range_of(item.name):
                node["minimum"], node["maximum"] = limits
    for item in fields(EnergyConfig):
        definitions["EnergyConfig"]["properties"][item.name] |= {"minimum": 0.0, "maximum": MAX_VALUE}
    return schema


@cache
def scenario_schema() -> Node:
    """The same for editors: with ``extends``, which a file may hold, too, and with what each key means."""
    schema = copy.deepcopy(key_schema())
    definitions = schema["$defs"]
    for name, definition in definitions.items():
        (cls,) = {vars(module)[name] for module in (structs, networks, inputs) if name in vars(module)}
        _describe(definition, cls)
    whole = definitions["Scenario"]
    whole["properties"] = {"extends": {"type": "string", "description": _EXTENDS}, **whole["properties"]}
    whole["if"] = {"not": {"required": ["extends"]}}
    whole["then"] = {"properties": {name: _complete(name, definitions) for name in structs.DEFAULT_KINDS}}
    return {"$schema": _DIALECT, "title": "cartesian-tlm scenario", **schema}


def resolved(node: Node) -> Node:
    """The node that a reference means, or the node itself."""
    target: Node = key_schema()["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node
    return target


def kinds_of(node: Node) -> dict[str, Node]:
    """Kind -> node of a section that comes in several kinds; empty for any other."""
    mapping = node.get("discriminator", {}).get("mapping", {})
    return {kind: resolved({"$ref": reference}) for kind, reference in mapping.items()}


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


def allowed_text(node: Mapping[str, Any]) -> str:
    """What a node allows, in words."""
    if "anyOf" in node:
        return " or ".join(filter(None, map(allowed_text, node["anyOf"])))
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


def _without_null(node: Node) -> None:
    """TOML has no null: a key is left out."""
    options = [option for option in node.pop("anyOf", []) if option != {"type": "null"}]
    node |= options[0] if len(options) == 1 else {"anyOf": options} if options else {}
    if "null" in json.dumps(node.get("default")):
        node.pop("default", None)


def _describe(definition: Node, cls: type) -> None:
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
        else:
            limits = [] if "$ref" in node or "discriminator" in node else _limits(node)
            node["description"] = " ".join((_plain(docs[key]), *limits))


def _limits(node: Node) -> list[str]:
    """What is allowed, where that is more than a type of text, and the default, where the type has one."""
    allowed, default = allowed_text(node), node.get("default")
    sentences = [] if allowed in ("", "a string", "[...]") else [f"Allowed: {allowed}."]
    if default not in (None, "", [], {}):
        sentences.append(f"Default: {json.dumps(default)}.")
    return sentences


def _plain(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


def _complete(section: str, definitions: dict[str, Node]) -> Node:
    """What a section has to hold where no other file gives it; without a kind it is of the default kind."""
    options = []
    for kind, ref in definitions["Scenario"]["properties"][section]["discriminator"]["mapping"].items():
        required = definitions[ref.rpartition("/")[2]].pop("required")
        is_default = kind == structs.DEFAULT_KINDS[section]
        options.append({"$ref": ref} if is_default else {"properties": {"kind": {"const": kind}}, "required": required})
    return {"anyOf": options}
