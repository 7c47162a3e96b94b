"""``tlm show``: all settings of a scenario, those of what it extends and the defaults included."""

import argparse
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import msgspec
import tomli_w

from tlm.results.result import chip_labels
from tlm.scenario.catalog import find_scenario
from tlm.scenario.checking import value_text
from tlm.scenario.loading import load_scenario
from tlm.scenario.schema import PATH_KEYS, Scenario


def run(arguments: argparse.Namespace) -> int:
    """Print them as a scenario file; each number of chip and energy with its label."""
    config = load_scenario(find_scenario(arguments.scenario), arguments.overrides).config
    for line in _lines(config):
        print(line)
    return 0


def _lines(config: Scenario) -> Iterator[str]:
    yield f"description = {value_text(config.description)}"
    yield f"fidelity = {value_text(config.fidelity or 'pass')}"
    yield f"batch = {config.batch}"
    names = ("network", "input", "trace", "sweep")
    plain = {name: _given(msgspec.to_builtins(getattr(config, name))) for name in names}
    for section, key in PATH_KEYS:
        if key in plain[section]:  # of a file in this directory, as this text will be
            plain[section][key] = os.path.relpath(plain[section][key])
    yield ""
    yield tomli_w.dumps({name: section for name, section in plain.items() if section}).rstrip()
    chip, energy = config.chip, config.energy
    values = {"memory_model": chip.memory_model, **chip.plain()}  # which leaves a fixed memory unsaid
    labels = {"memory_model": "assumed", **chip_labels(chip)}
    dram = values.pop("dram", None)
    yield from _labelled("chip", values, labels)
    if dram:
        yield from _labelled("chip.dram", dram, {key.removeprefix("dram."): label for key, label in labels.items()})
    yield from _labelled("energy", asdict(energy), energy.labels())


def _labelled(name: str, values: Mapping[str, Any], labels: Mapping[str, str]) -> Iterator[str]:
    yield ""
    yield f"[{name}]"
    for key, value in values.items():
        yield f"{key} = {value_text(value)}".ljust(36) + f"# {labels[key]}"


def _given(value: Any) -> Any:
    """Without the keys that have no value and no default."""
    if isinstance(value, Mapping):
        return {key: _given(item) for key, item in value.items() if item is not None and item not in ({}, [])}
    return [_given(item) for item in value] if isinstance(value, (list, tuple)) else value
