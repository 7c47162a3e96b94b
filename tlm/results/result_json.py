"""result.json: what it holds, how it is written, and how it is read back. docs/result.md explains the keys."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, structs

from tlm.chip.config import ChipConfig
from tlm.core.errors import InputError
from tlm.core.input_files import read_file
from tlm.core.texts import counted
from tlm.core.version import __version__
from tlm.observe.account import ChannelAccount, SramAccount, WaitAccount
from tlm.observe.energy_account import Energy, power_mw, tops_per_w
from tlm.observe.timeline import Timeline
from tlm.results.batch_figures import BatchFigures
from tlm.results.dram_figures import DramRecord, dram_record
from tlm.results.files import RESULT_NAME, json_text
from tlm.results.result import Count, LayerFigures, LayerResult, Result, TransferOverlap, chip_labels, tensor_sha256

SCHEMA = "tlm.result/1"
"""Version of result.json: the number grows when a key changes its meaning or goes; new keys leave it alone."""

Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Picojoules = Annotated[float, Meta(ge=0.0)]
Cycles = dict[str, Count]
"""Cause or state -> cycles."""


class EnergyRecord(Struct, frozen=True, kw_only=True):
    """Energy of a layer or of a run [A]; without off-chip memory unless it is named."""

    total_pj: Picojoules
    components_pj: dict[str, Picojoules]
    compute_pj: Picojoules
    waits_pj: Picojoules
    transfers_pj: Picojoules
    off_chip_pj: Picojoules
    tops_per_w: float
    dense_tops_per_w: float
    compute_tops_per_w: float
    compute_dense_tops_per_w: float


class RunEnergyRecord(EnergyRecord, frozen=True, kw_only=True):
    """Energy of a run."""

    power_mw: float
    compute_power_mw: float
    outside_layers_pj: Picojoules
    outside_layers_off_chip_pj: Picojoules
    dram_pj: dict[str, Picojoules] | UnsetType = UNSET
    """off_chip_pj by kind, if the memory is DRAM."""
    table: dict[str, float]
    table_labels: dict[str, str]


class SpanRecord(Struct, frozen=True, kw_only=True):
    """Moments of core clock cycles; both ends belong to it."""

    first_cycle: Count
    last_cycle: Count

    @property
    def end_cycle(self) -> int:
        """The first cycle after it."""
        return self.last_cycle + 1


class HostSpanRecord(SpanRecord, frozen=True, kw_only=True):
    """What the host did."""

    state: Literal["run", "sleep"]
    waits_for: Literal["load", "store", "engine"] | None


class TransferRecord(SpanRecord, frozen=True, kw_only=True):
    """A transfer of a DMA channel."""

    channel: Literal["load", "store"]
    index: Count
    label: str
    sram: Literal["amem", "wmem", "imem"]
    moved_bytes: Count
    part_bytes: dict[str, Count]
    """Name of a part -> bytes that were moved for it."""


class PartRecord(SpanRecord, frozen=True, kw_only=True):
    """A part of a layer on the engine."""

    tag: Count
    name: str
    layer: str


class DramWaitRecord(SpanRecord, frozen=True, kw_only=True):
    """The host slept for a load or store that the DRAM held up."""

    cause: Literal["refresh", "row"]


class TimelineRecord(Struct, frozen=True, kw_only=True):
    """When host, DMA channels and engine did what; each kind in the order of time."""

    host: list[HostSpanRecord]
    transfers: list[TransferRecord]
    programs: list[SpanRecord]
    parts: list[PartRecord]
    dram_waits: list[DramWaitRecord] | UnsetType = UNSET
    """Only with DRAM."""


class AccountRecord(Struct, frozen=True, kw_only=True):
    """The account of a whole run (docs/account.md)."""

    causes: Cycles
    waits_at_end: WaitAccount
    dma: dict[str, ChannelAccount]
    sram: dict[str, SramAccount]


class LayerRecord(LayerFigures, frozen=True, kw_only=True):
    """A layer of a run."""

    energy: EnergyRecord
    useful_macs: Count
    utilization: Share
    step_utilization: Share
    lane_utilization: Share
    column_utilization: Share
    outputs_sha256: str


class TrafficRecord(Struct, frozen=True, kw_only=True):
    """Bytes between chip and off-chip memory."""

    load: Count
    store: Count
    total: Count


class BatchRecord(Struct, frozen=True, kw_only=True):
    """What an image of a batch took; energy [A], without off-chip memory unless it is named."""

    count: Count
    first_image_cycles: Count
    steady_cycles_per_image: float
    images_per_s: float
    steady_images_per_s: float
    energy_pj_per_image: Picojoules
    off_chip_pj_per_image: Picojoules
    image_cycles: list[Count]
    image_causes: list[Cycles]


class RunRecord(Struct, frozen=True, kw_only=True):
    """All of result.json."""

    schema: str = SCHEMA
    package_version: str | None = None
    """Of cartesian-tlm, which wrote it; None in files of versions that did not say."""
    scenario: str | None
    settings: dict[str, Any]
    fidelity: str
    reference_checked: bool
    matches_reference: bool | None
    cycles: Count
    time_us: float
    compute_cycles: Count
    macs: Count
    useful_macs: Count
    repeated_macs: Count
    structural_zero_macs: Count
    dense_macs: Count
    utilization: Share
    compute_utilization: Share
    traffic_bytes: TrafficRecord
    bank_conflict_cycles: Cycles
    account: AccountRecord
    predicted_cycles: Count
    overlap: dict[str, TransferOverlap]
    energy: RunEnergyRecord
    timeline: TimelineRecord
    output_layer: str
    output_shape: tuple[Count, ...]
    output_dtype: str
    outputs_sha256: str
    layers: list[LayerRecord]
    chip: ChipConfig
    chip_labels: dict[str, str]
    batch: BatchRecord | UnsetType = UNSET
    """Only of a batch."""
    dram: DramRecord | UnsetType = UNSET
    """Only with DRAM."""

    def __repr__(self) -> str:
        """One line; the attributes have the rest."""
        return (
            f"<result of {self.name}, {counted(len(self.layers), 'layer')}, fidelity {self.fidelity}: "
            f"{self.cycles:,} cycles = {self.time_us:,.2f} us [S], {self.energy.total_pj / 1e6:,.2f} uJ [A]>"
        )

    @property
    def name(self) -> str:
        """How texts call it."""
        return self.scenario or "run from Python"


# -- writing ----------------------------------------------------------------------------------------------------------

Record = TypeVar("Record", bound=Struct)


def result_record(result: Result) -> dict[str, Any]:
    """The content of result.json as plain Python values."""
    account, traffic = result.account, result.traffic
    record = _record(
        RunRecord,
        result,
        schema=SCHEMA,
        package_version=__version__,
        settings=dict(result.settings),
        reference_checked=result.matches_reference is not None,
        traffic_bytes=TrafficRecord(load=traffic.load_bytes, store=traffic.store_bytes, total=traffic.total_bytes),
        bank_conflict_cycles=dict(sorted(result.bank_conflicts.items())),
        account=AccountRecord(
            causes=account.by_cause(),
            waits_at_end=account.waits_at_end,
            dma=dict(account.dma),
            sram=dict(account.sram),
        ),
        energy=_run_energy(result),
        output_layer=result.output_name,
        output_shape=result.outputs.shape,
        output_dtype=result.outputs.dtype.name,
        layers=[_layer(layer, result) for layer in result.layers.values()],
        chip_labels=chip_labels(result.chip),
        batch=UNSET if result.batch is None else _batch(result.batch, result),
        dram=UNSET if result.dram is None else dram_record(result.dram),
    )
    plain: dict[str, Any] = msgspec.to_builtins(record)
    return plain | {"timeline": _plain_timeline(result.timeline), "chip": result.chip.plain()}


def result_json(result: Result) -> str:
    """result.json as text: fixed key order, no date, no path, so equal runs give equal bytes."""
    return json_text(result_record(result))


def _record(kind: type[Record], source: object, **values: Any) -> Record:
    """Values that are given, and for all other fields the attributes of the same names."""
    names = (name for name in kind.__struct_fields__ if name not in values)
    return kind(**{name: getattr(source, name) for name in names}, **values)


def _layer(layer: LayerResult, result: Result) -> LayerRecord:
    return _record(
        LayerRecord,
        layer,
        energy=EnergyRecord(**_energy(layer.energy, layer.macs, layer.dense_macs)),
        outputs_sha256=tensor_sha256(result.tensors[layer.name]),
    )


def _batch(batch: BatchFigures, result: Result) -> BatchRecord:
    return BatchRecord(
        count=batch.count,
        first_image_cycles=batch.first_image_cycles,
        steady_cycles_per_image=batch.steady_cycles_per_image,
        images_per_s=result.images_per_s,
        steady_images_per_s=result.steady_images_per_s,
        energy_pj_per_image=result.energy.total_pj / batch.count,
        off_chip_pj_per_image=result.energy.off_chip_pj / batch.count,
        image_cycles=list(batch.image_cycles),
        image_causes=[dict(own) for own in batch.causes],
    )


def _energy(energy: Energy, macs: int, dense_macs: int) -> dict[str, Any]:
    """What a layer and a run have in common; ``dense_macs`` are those of the unpruned one."""
    within = energy.compute.total_pj
    return {
        "total_pj": energy.total_pj,
        "components_pj": energy.core.by_component_pj(),
        "compute_pj": within,
        "waits_pj": energy.waits.total_pj,
        "transfers_pj": energy.transfers.total_pj,
        "off_chip_pj": energy.off_chip_pj,
        "tops_per_w": tops_per_w(macs, energy.total_pj),
        "dense_tops_per_w": tops_per_w(dense_macs, energy.total_pj),
        "compute_tops_per_w": tops_per_w(macs, within),
        "compute_dense_tops_per_w": tops_per_w(dense_macs, within),
    }


def _run_energy(result: Result) -> RunEnergyRecord:
    energy, outside = result.energy, result.energy_outside_layers
    return RunEnergyRecord(
        **_energy(energy, result.macs, result.dense_macs),
        power_mw=result.power_mw,
        compute_power_mw=power_mw(energy.compute.total_pj, result.chip.time_us(result.compute_cycles)),
        outside_layers_pj=outside.total_pj,
        outside_layers_off_chip_pj=outside.off_chip_pj,
        dram_pj=UNSET if result.dram_energy is None else result.dram_energy.by_kind_pj(),
        table=asdict(result.energy_table),
        table_labels=result.energy_table.labels(),
    )


def _plain_timeline(timeline: Timeline) -> dict[str, list[dict[str, Any]]]:
    """Keys in the order of the spans' fields; parts by name instead of tag."""
    plain = {
        kind: [structs.asdict(span) for span in spans]
        for kind, spans in structs.asdict(timeline).items()
        if spans is not None
    }
    names = {part.tag: part.name for part in timeline.parts}
    for span in plain["transfers"]:
        span["part_bytes"] = {names[tag]: count for tag, count in span["part_bytes"].items()}
    return plain


def layer_row(layer: LayerRecord) -> dict[str, Any]:
    """A layer as a row of a table: nested keys with dots, tensors' shapes whole, without the histogram."""
    plain = msgspec.to_builtins(layer) | {"histogram": None}
    lists = {key: "x".join(map(str, value)) for key, value in plain.items() if isinstance(value, (list, tuple))}
    derived = {"cycles": layer.cycles, "main_cause": layer.main_cause, "density": layer.density}
    row = flat(plain | lists) | derived
    del row["histogram"]
    return row


# -- reading ----------------------------------------------------------------------------------------------------------


def as_stored(result: Result) -> RunRecord:
    """A result as its file has it."""
    return msgspec.json.decode(result_json(result), type=RunRecord)


def result_path(path: Path) -> Path:
    """A result file: the path itself, or result.json in that directory."""
    return path / RESULT_NAME if path.is_dir() else path


def load_result(path: str | Path) -> RunRecord:
    """Read a result file or the one in a directory; its attributes are the keys of docs/result.md.

    Raises:
        InputError: missing or unreadable, not a result, of another schema, sums that do not close.
    """
    file = result_path(Path(path))
    remedy = f"give a {RESULT_NAME} that `tlm run -o DIR` wrote"
    try:
        data = msgspec.json.decode(read_file(file))
    except FileNotFoundError:
        raise InputError(f"{file}: no such result; `tlm run SCENARIO -o DIR` writes DIR/{RESULT_NAME}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{file}: not JSON ({error}); {remedy}") from None
    schema = data.get("schema") if isinstance(data, dict) else None
    if not str(schema).startswith("tlm.result/"):
        raise InputError(f"{file}: schema: {schema!r} is no result's; {remedy}")
    if schema != SCHEMA:
        raise InputError(
            f"{file}: schema: {schema!r} is not {SCHEMA!r}, which this version reads; run the scenario again"
        )
    try:
        record = msgspec.convert(data, RunRecord)
    except (msgspec.ValidationError, InputError) as error:
        raise InputError(f"{file}: not a whole result ({error}); run the scenario again") from None
    sums = {"account.causes": (sum(record.account.causes.values()), record.cycles)}
    sums |= {f"layers[{i}].account": (one.account.total, one.compute_cycles) for i, one in enumerate(record.layers)}
    if isinstance(record.batch, BatchRecord):
        images = sum(sum(own.values()) for own in record.batch.image_causes)
        sums["batch.image_causes"] = (images + record.account.waits_at_end.total, record.cycles)
    for key, (found, wanted) in sums.items():
        if found != wanted:
            raise InputError(f"{file}: {key}: sums to {found}, not {wanted} cycles; the file was edited: run it again")
    return record


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Key path -> value, of nested tables and lists such as a result's settings."""
    if isinstance(value, list):
        items = {f"{path}[{index}]": item for index, item in enumerate(value)}
    elif isinstance(value, dict):
        items = {f"{path}.{key}" if path else key: item for key, item in value.items()}
    else:
        return {path: value}
    return {key: one for inner, item in items.items() for key, one in flat(item, inner).items()}
