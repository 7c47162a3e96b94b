"""From a scenario and its axes to points that are checked before anything runs."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from tlm.chip.config import ChipConfig
from tlm.core.errors import InputError
from tlm.core.input_files import read_file
from tlm.core.version import __version__
from tlm.observe.energy_table import EnergyConfig
from tlm.scenario.checking import checked, value_text
from tlm.scenario.schema import PATH_KEYS, Scenario
from tlm.scenario.sources import Source, merged, override_of, override_source, read_sources
from tlm.sweeps.axes import Axis, axes_of, parse_axis
from tlm.sweeps.constraints import constraint
from tlm.sweeps.sampling import Values, grid, sample

_MATTERS = ("fidelity", "batch", "chip", "network", "input", "energy")
"""Sections and keys that a result follows from."""


@dataclass(frozen=True)
class Request:
    """What is asked for beyond the scenario file; it wins over the file's section [sweep].

    Attributes:
        over: axes as on the command line.
        sample: number of draws; None for the file's, or the whole grid.
        method: of a sample, one of :data:`tlm.sweeps.sampling.METHODS`.
        seed: of a sample.
        where: expressions that every point has to meet.
        overrides: as for ``--set``.
    """

    over: Sequence[str | Axis] = ()
    sample: int | None = None
    method: str | None = None
    seed: int | None = None
    where: Sequence[str] = ()
    overrides: Sequence[str] = ()


@dataclass(frozen=True)
class Point:
    """One setting.

    Attributes:
        index: its place in the order of the sweep, from 0.
        key: SHA-256 of all that its result follows from.
        parameters: key of each axis -> value.
        config: the whole scenario.
        group: equal for points with equal network and input, which are then built once.
    """

    index: int
    key: str
    parameters: Mapping[str, Any]
    config: Scenario = field(repr=False)
    group: str = ""


@dataclass(frozen=True)
class Plan:
    """A whole sweep, not yet run.

    Attributes:
        name: of the scenario.
        axes: keys that are varied.
        points: in their order.
        base_key: SHA-256 of the scenario without what is varied; equal sweeps of other values have it in common.
        snapshot: the scenario with its section [sweep], from which the same plan follows; paths as the user gave them.
    """

    name: str
    axes: tuple[str, ...]
    points: tuple[Point, ...]
    base_key: str
    snapshot: Mapping[str, Any]


def make_plan(path: Path, request: Request, name: str | None = None) -> Plan:
    """Read, check and enumerate.

    Args:
        path: scenario file.
        request: what to vary.
        name: of the scenario, if it is not the file's.

    Raises:
        InputError: anything wrong with the scenario, the axes, the constraints, or a value of an axis.
    """
    sources = [*read_sources(path), *(override_source(text) for text in request.overrides)]
    data = merged(sources)
    section = checked(data, sources).sweep
    axes = _axes(section.over, request.over, path)
    texts = list(dict.fromkeys([*section.where, *request.where]))
    settings: dict[str, Any] = {"over": {axis.key: axis.setting for axis in axes}, "where": texts}
    count = section.sample if request.sample is None else request.sample
    if count is None:
        _refuse_without_sample(request, data)
        rows = grid(axes)
    else:
        method, seed = request.method or section.method, section.seed if request.seed is None else request.seed
        settings |= {"sample": count, "method": method, "seed": seed}
        rows = _distinct(sample(axes, count, method, seed))
    holds, points = constraint(texts), list[Point]()
    for row in rows:
        parameters = {axis.key: value for axis, value in zip(axes, row, strict=True)}
        config = _config(sources, axes, parameters)
        keys = _keys(config)
        if holds(keys):
            _by_content(keys)
            group = _sha256({name: keys[name] for name in ("batch", "network", "input")})
            points.append(Point(len(points), _sha256({"version": __version__, **keys}), parameters, config, group))
    if not points:
        raise InputError(f"--where: none of the {len(rows):,} points meets {' and '.join(texts)}; relax one of them")
    base = {key: dict(value) if isinstance(value, dict) else value for key, value in data.items() if key in _MATTERS}
    _by_content(base)
    snapshot = {key: value for key, value in data.items() if key not in ("sweep", "trace")} | {"sweep": settings}
    return Plan(name or path.stem, tuple(axis.key for axis in axes), tuple(points), _sha256(base), snapshot)


def snapshot_text(plan: Plan, directory: Path) -> str:
    """The snapshot as a scenario file for a directory; paths become relative to it."""
    import tomli_w

    data = {key: dict(value) if isinstance(value, Mapping) else value for key, value in plan.snapshot.items()}
    for section, key in PATH_KEYS:
        if isinstance(data.get(section), dict) and key in data[section]:
            data[section][key] = os.path.relpath(data[section][key], directory)
    return tomli_w.dumps(data)


def _axes(given: Mapping[str, Any], over: Sequence[str | Axis], path: Path) -> list[Axis]:
    """The file's axes; those of the command line replace the ones of the same key."""
    asked = [parse_axis(item) if isinstance(item, str) else item for item in over]
    found = {axis.key: axis for axis in axes_of(given, f"{path}: sweep.over")}
    for index, axis in enumerate(asked):
        if any(other.key == axis.key for other in asked[:index]):
            raise InputError(f"{axis.origin}{axis.key}: given twice; put all its values into one, separated by commas")
        found[axis.key] = axis
    for key, axis in found.items():
        if key.split(".")[0] in ("sweep", "trace", "description", "extends"):
            raise InputError(f"{axis.origin}{key}: changes no result; vary a key of chip, network, input or energy")
        for other in found:
            if other.startswith(f"{key}."):
                raise InputError(f"{axis.origin}{key}: {other} lies in it and is varied, too; vary one of them")
    if not found:
        raise InputError(f"{path}: nothing to vary; give --over chip.amem_banks=1,2,4,8, or a table [sweep.over]")
    return list(found.values())


def _refuse_without_sample(request: Request, data: Mapping[str, Any]) -> None:
    """A grid is not drawn, so that nothing would follow from how a sample is."""
    given = [f"--{key}" for key in ("method", "seed") if getattr(request, key) is not None]
    given += [f"sweep.{key}" for key in ("method", "seed") if key in data.get("sweep", {})]
    if given:
        raise InputError(f"{given[0]}: belongs to a sample; give --sample N (sweep.sample), too, or leave it out")


def _distinct(rows: Sequence[Values]) -> list[Values]:
    """Draws that are equal count once: the same point again would say nothing new."""
    return list({json.dumps(row, sort_keys=True, default=str): row for row in reversed(rows)}.values())[::-1]


def _config(sources: Sequence[Source], axes: Sequence[Axis], parameters: Mapping[str, Any]) -> Scenario:
    changes = [
        Source(f"{axis.origin}{key}={value_text(value)}", None, override_of(key, value))
        for axis, (key, value) in zip(axes, parameters.items(), strict=True)
    ]
    everything = [*sources, *changes]
    return checked(merged(everything), everything)


def _keys(config: Scenario) -> dict[str, Any]:
    # Of a dataclass that it made itself msgspec gives only the attributes that were set.
    sections = {name: getattr(config, name) for name in _MATTERS}
    return {name: _plain(value) for name, value in sections.items()}


def _plain(section: Any) -> Any:
    if isinstance(section, ChipConfig):
        return section.plain()
    return asdict(section) if isinstance(section, EnergyConfig) else msgspec.to_builtins(section)


@cache
def _file_sha256(file: str) -> str:
    try:
        return hashlib.sha256(read_file(Path(file))).hexdigest()
    except FileNotFoundError:
        raise InputError(f"{file}: does not exist; give a file that is there") from None


def _by_content(keys: Mapping[str, Any]) -> None:
    """A file counts by what is in it, not by where it lies."""
    for section, key in PATH_KEYS:
        if (file := keys.get(section, {}).get(key)) is not None:
            keys[section][key] = _file_sha256(file)


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
