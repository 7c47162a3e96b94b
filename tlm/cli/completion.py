"""What may come next on a command line: argcomplete asks, for the shell (``tlm completion SHELL``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import argcomplete
from argcomplete.completers import FilesCompleter

from tlm.chip.fidelity import Fidelity
from tlm.cli.commands import parser
from tlm.scenario.catalog import catalog
from tlm.scenario.json_schema import key_schema

_FILES = FilesCompleter(("toml", "onnx", "npz", "py"))


def complete() -> None:
    """Answer the shell and end the process."""
    argcomplete.autocomplete(parser(completers=_COMPLETERS), always_complete_options="long")


def _scenarios(prefix: str, **others: Any) -> list[str]:
    names = [entry.name for entry in catalog() if entry.name.startswith(prefix)]
    return [*names, *_FILES(prefix, **others)]


def _keys(prefix: str, **_: Any) -> list[str]:
    """``chip.amem_banks=``; behind the equals sign the values, where they are few."""
    given = prefix.partition("=")[0]
    found = dict(_leaves(key_schema(), "Scenario"))
    if "=" not in prefix:
        return [f"{key}=" for key in found]
    return [f"{given}={value}" for value in found.get(given, ())]


def _leaves(schema: Mapping[str, Any], name: str, head: str = "") -> Iterator[tuple[str, list[Any]]]:
    for key, node in schema["$defs"][name]["properties"].items():
        options = [node, *node.get("anyOf", ())]
        below = [one["$ref"].rpartition("/")[2] for one in options if "$ref" in one]
        for other in below:
            yield from _leaves(schema, other, f"{head}{key}.")
        if not below:
            yield f"{head}{key}", node.get("enum", [])


_COMPLETERS: Mapping[str, Callable[..., list[str]]] = {
    "scenario": _scenarios,
    "overrides": _keys,
    "over": _keys,
    "fidelity": lambda **_: [one.value for one in Fidelity],
}
"""Argument -> what completes it; the others are names of files."""
