"""result.json read back: the keys that explaining, comparing and plotting need, checked."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from tlm.analysis.stored_timeline import StoredEnergy, StoredRunEnergy, StoredTimeline
from tlm.chip.config import ChipConfig
from tlm.core.errors import InputError
from tlm.core.input_files import read_file
from tlm.results.result_json import SCHEMA

RESULT_NAME = "result.json"

Count = Annotated[int, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]


class StoredLayer(Struct, frozen=True, kw_only=True):
    """A layer of a result (docs/result.md)."""

    name: str
    kind: str
    compute_cycles: Count
    steps: Count
    fetch_cycles: Count
    passes: Count
    macs: Count
    utilization: Share
    step_utilization: Share
    lane_utilization: Share
    column_utilization: Share
    load_bytes: Count
    store_bytes: Count
    account: dict[str, Count]
    """Causes of ``compute_cycles``."""
    waits: dict[str, Count]
    """Causes of the cycles without computation before it."""
    outputs_sha256: str
    input_shape: tuple[Count, ...] = ()
    output_shape: tuple[Count, ...] = ()
    energy: StoredEnergy | None = None
    """None in results of older versions."""

    @property
    def cycles(self) -> int:
        """Compute cycles and the waits before."""
        return self.compute_cycles + sum(self.waits.values())

    def by_cause(self) -> dict[str, int]:
        """Cause -> cycles, computing and waits; in sum ``cycles``."""
        return {**self.account, **self.waits}


class StoredAccount(Struct, frozen=True, kw_only=True):
    """The account of a whole run (docs/account.md)."""

    causes: dict[str, Count]
    waits_at_end: dict[str, Count]
    dma: dict[str, dict[str, Count]]


class StoredResult(Struct, frozen=True, kw_only=True):
    """The keys of result.json that are used here (docs/result.md); others are ignored."""

    schema: str
    scenario: str | None
    settings: dict[str, Any]
    fidelity: str
    cycles: Count
    time_us: float
    compute_cycles: Count
    macs: Count
    dense_macs: Count
    useful_macs: Count | None = None
    """None in results of older versions."""
    utilization: Share
    compute_utilization: Share
    traffic_bytes: dict[str, Count]
    bank_conflict_cycles: dict[str, Count]
    account: StoredAccount
    outputs_sha256: str
    layers: list[StoredLayer]
    chip: ChipConfig
    energy: StoredRunEnergy | None = None
    timeline: StoredTimeline | None = None
    """This and ``energy``: None in results of older versions."""

    @property
    def name(self) -> str:
        """How texts call it."""
        return self.scenario or "run from Python"

    def chip_keys(self) -> dict[str, Any]:
        """Key of the chip -> value."""
        return asdict(self.chip)


def result_path(path: Path) -> Path:
    """A result file: the path itself, or result.json in that directory."""
    return path / RESULT_NAME if path.is_dir() else path


def load_result(path: Path) -> StoredResult:
    """Read a result file or the one in a directory.

    Raises:
        InputError: missing or unreadable, not a result, of another schema, sums that do not close.
    """
    file = result_path(path)
    data = _read_json(file)
    schema = schema_of(file, data)
    if schema != SCHEMA:
        raise InputError(
            f"{file}: schema: {schema!r} is not {SCHEMA!r}, which this version reads; run the scenario again"
        )
    if "account" not in data:
        raise InputError(f"{file}: account: missing; the result was made by an older version; run the scenario again")
    try:
        stored = msgspec.convert(data, StoredResult)
    except (msgspec.ValidationError, InputError) as error:
        raise InputError(f"{file}: not a whole result ({error}); run the scenario again") from None
    _check_sums(stored, file)
    return stored


def load_pair(first: Path, second: Path) -> tuple[StoredResult, StoredResult]:
    """Two results that can be compared.

    Raises:
        InputError: as of :func:`load_result`; results of different schemas.
    """
    files = [result_path(first), result_path(second)]
    schemas = [schema_of(file, _read_json(file)) for file in files]
    if schemas[0] != schemas[1]:
        raise InputError(
            f"{files[1]}: schema: {schemas[1]!r} differs from {schemas[0]!r} of {files[0]}; "
            "compare results of one version: run the older scenario again"
        )
    return load_result(first), load_result(second)


def schema_of(file: Path, data: dict[str, Any]) -> str:
    """The schema that a file states.

    Raises:
        InputError: none.
    """
    schema = data.get("schema")
    if not isinstance(schema, str) or not schema.startswith("tlm.result/"):
        raise InputError(f"{file}: schema: {schema!r} is no result's; give a result.json that `tlm run -o DIR` wrote")
    return schema


def _read_json(file: Path) -> dict[str, Any]:
    try:
        data = msgspec.json.decode(read_file(file))
    except FileNotFoundError:
        raise InputError(f"{file}: no such result; `tlm run SCENARIO -o DIR` writes DIR/{RESULT_NAME}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{file}: not JSON ({error}); give a {RESULT_NAME} that `tlm run -o DIR` wrote") from None
    if not isinstance(data, dict):
        raise InputError(f"{file}: holds no JSON object; give a {RESULT_NAME} that `tlm run -o DIR` wrote")
    return data


def _check_sums(stored: StoredResult, file: Path) -> None:
    sums = {"account.causes": (sum(stored.account.causes.values()), stored.cycles)}
    for index, layer in enumerate(stored.layers):
        sums[f"layers[{index}].account"] = (sum(layer.account.values()), layer.compute_cycles)
    for key, (found, wanted) in sums.items():
        if found != wanted:
            raise InputError(f"{file}: {key}: sums to {found}, not {wanted} cycles; the file was edited: run it again")
