"""A result's run, built again from what result.json recorded."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from tlm.chip.config import ChipConfig
from tlm.compiler.compile import compile_network
from tlm.core.errors import InputError
from tlm.core.input_files import read_file
from tlm.networks.builder import NetworkBuilder
from tlm.results.result import tensor_sha256
from tlm.results.result_json import RunRecord
from tlm.runs.values_once import ValuesOnce
from tlm.scenario.catalog import scenario_directories
from tlm.scenario.schema import PATH_KEYS, Scenario
from tlm.scenario.sections import Size

if TYPE_CHECKING:
    from tlm.inputs.integer_arrays import Int8Array
    from tlm.network.network import Network
    from tlm.results.result import Result

FIDELITY = "pass"
"""The model that takes least time; cycles and values are the same in all."""

Rerun: TypeAlias = Callable[[ChipConfig], "Result"]
"""Runs the same network and input, compiled for a chip."""

_WITHOUT = "`--no-runs` explains without simulating"


@dataclass(frozen=True)
class Recipe:
    """What a network and its input are made of: small, unlike them.

    Args:
        config: of a scenario.
        shape: (C, H, W) of an input that the scenario leaves open.
    """

    config: Scenario
    shape: tuple[int, int, int] | None = None

    def rerun(self) -> NetworkRerun:
        """Make them.

        Raises:
            InputError: a file or a setting is wrong.
        """
        own = self.config.input.activations(self.config.network.input_shape or self.shape)
        builder = NetworkBuilder(own, self.config.input.signed)
        self.config.network.add_to(builder)
        return NetworkRerun(self, builder.network(), self.config.inputs(own))


@dataclass(frozen=True, eq=False)
class NetworkRerun:
    """Runs the same network and input, compiled for a chip. Travels as its recipe, by which a process makes it once.

    Args:
        recipe: of network and input.
        network: what runs.
        activations: its input, (C, H, W), or (N, C, H, W) of a batch.
        values: simulates, and may have done so before.
    """

    recipe: Recipe
    network: Network
    activations: Int8Array
    values: ValuesOnce = field(default_factory=ValuesOnce)

    def __call__(self, chip: ChipConfig) -> Result:
        """Run it."""
        batch = len(self.activations) if self.activations.ndim == 4 else 1
        return self.values.simulate(compile_network(self.network, chip, batch), self.activations, fidelity=FIDELITY)

    def __reduce__(self) -> tuple[Callable[[bytes], NetworkRerun], tuple[bytes]]:
        return _made_once, (pickle.dumps(self.recipe),)


@lru_cache(1)
def _made_once(recipe: bytes) -> NetworkRerun:
    made: Recipe = pickle.loads(recipe)
    return made.rerun()


def rebuild(stored: RunRecord, directories: Sequence[Path]) -> Rerun:
    """Network and input of a result, ready to run again.

    Args:
        stored: the result.
        directories: where the files that the scenario reads are looked for, by name.

    Raises:
        InputError: the result has no settings; a file is missing or has changed; the settings are of another version.
    """
    settings: dict[str, dict[str, Any]] = {}
    for key in ("network", "input"):
        if key not in stored.settings:
            raise InputError(
                f"settings: {sorted(stored.settings)} holds no network and input, so the run of this result cannot be "
                f"built again; give the result of a scenario file (`tlm run SCENARIO -o DIR`), or {_WITHOUT}"
            )
        section = stored.settings[key]
        if not isinstance(section, dict):
            raise InputError(f"settings.{key}: {section!r} is no section of a scenario; run it again, or {_WITHOUT}")
        settings[key] = dict(section)
    for section, key in PATH_KEYS:
        name, sha256 = settings[section].get(key), settings[section].pop(f"{key}_sha256", None)
        if name is not None:
            settings[section][key] = str(_find(f"{section}.{key}", str(name), sha256, directories))
    wanted_sha256 = settings["input"].pop("sha256", None)
    shape = settings["input"].pop("shape", None)
    try:
        shape = msgspec.convert(shape, tuple[Size, Size, Size] | None)
        config = msgspec.convert(settings | {"batch": stored.settings.get("batch", 1)}, Scenario)
        rerun = Recipe(config, shape).rerun()
    except (msgspec.ValidationError, InputError) as error:
        raise InputError(f"settings: cannot be built again ({error}); run the scenario again, or {_WITHOUT}") from None
    found_sha256 = tensor_sha256(rerun.activations)
    if wanted_sha256 not in (None, found_sha256):
        raise InputError(
            f"input.sha256: the result says {wanted_sha256}, but the input built again has {found_sha256}; "
            f"run the scenario again, or {_WITHOUT}"
        )
    return rerun


def check_same(stored: RunRecord, result: Result) -> None:
    """The rebuilt run is the one that the file describes.

    Raises:
        InputError: cycles or outputs differ.
    """
    for key in ("cycles", "outputs_sha256"):
        found, wanted = getattr(result, key), getattr(stored, key)
        if found != wanted:
            raise InputError(
                f"{key}: the result says {wanted}, but the run built again from it gives {found}; it was made by "
                f"another version or edited: run the scenario again, or {_WITHOUT}"
            )


def _find(key: str, name: str, sha256: str | None, directories: Sequence[Path]) -> Path:
    shipped = [place for scenarios in scenario_directories() for place in (scenarios, scenarios / "images")]
    present = [path for place in (*directories, *shipped) if (path := place / Path(name).name).is_file()]
    for path in present:
        if hashlib.sha256(read_file(path)).hexdigest() == sha256:
            return path
    if present:
        raise InputError(
            f"{key}: {present[0]} has changed since the run: its SHA-256 is not {sha256}; "
            f"name the directory of the old one with --files DIR, run the scenario again, or {_WITHOUT}"
        )
    raise InputError(
        f"{key}: {name} is in none of the directories {', '.join(map(str, directories))}, nor among the scenarios; "
        f"name its directory with --files DIR, or {_WITHOUT}"
    )
