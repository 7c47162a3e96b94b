"""What a simulation found: frozen records of figures.

Every figure here is simulated [S] (:mod:`tlm.core.labels`) unless its docstring says otherwise. docs/result.md
documents the file's keys. New figures of later versions are new keyword fields with a default, so that the
constructors below never break a caller.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta, Struct

from tlm.chip.config import ChipConfig
from tlm.chip.operating_point import PUBLISHED_POINTS_MHZ
from tlm.core.texts import counted
from tlm.observe.account import ArrayAccount, RunAccount, WaitAccount
from tlm.observe.dram_energy import DramEnergy
from tlm.observe.energy_account import Energy, power_mw, tops_per_w
from tlm.observe.energy_table import EnergyConfig
from tlm.observe.event_counts import RunEvents
from tlm.observe.passes import PassRecord
from tlm.observe.timeline import Timeline
from tlm.results.batch_figures import BatchFigures
from tlm.results.dram_figures import DramFigures

Tensor: TypeAlias = npt.NDArray[np.int8] | npt.NDArray[np.int32]
Count = Annotated[int, Meta(ge=0)]

VERDICTS = {True: "equal", False: "DIFFERS", None: "not compared"}
"""What ``matches_reference`` means."""

PUBLISHED_CHIP_KEYS = frozenset({"lanes", "columns", "amem_words", "wmem_words", "imem_words"})
"""Keys of ChipConfig whose default is published [P]; a test compares this set with the labels in ChipConfig."""


class LayerFigures(Struct, frozen=True, kw_only=True):
    """What a layer's result and its object in result.json have in common.

    Cycles are core clock cycles; a moment is counted from the first host access (cycle 0).
    """

    name: str
    """The layer's name in the network."""
    kind: str
    """See :func:`tlm.results.result_builder.layer_kind`."""
    input_shape: tuple[Count, Count, Count]
    """(C, H, W)."""
    output_shape: tuple[Count, Count, Count]
    """(O, H', W')."""
    kernel: tuple[Count, Count]
    """(kh, kw)."""
    stride: tuple[Count, Count]
    """(y, x)."""
    weight_words: Count
    """Stored WMem words: valid (input channel, group of output channels, tap) triples."""
    dense_weight_words: Count
    """The same count if no weight word were skipped: groups of columns x C x kh x kw."""
    compute_cycles: Count
    """First sequencer cycle s_0 to the last write, inclusive; summed over the parts of a split layer."""
    steps: Count
    """Steps of the array (one input channel and tap for one tile and group)."""
    fetch_cycles: Count
    """Cycles that the steps' fetches took; more than steps where AMem words of a step share a bank."""
    passes: Count
    """Tiles x groups, summed over parts."""
    macs: Count
    """For each executed step: real output pixels x real output channels (padded sources included). The sum of
    ``useful_macs``, ``repeated_macs`` and ``structural_zero_macs``."""
    dense_macs: Count
    """The unpruned layer's H' * W' * O * (C / groups) * kh * kw."""
    peak_macs_per_cycle: Count
    """lanes x columns of the array that ran it."""
    start_cycle: Count
    """s_0 of the first part: the moment of its first sequencer cycle."""
    end_cycle: Count
    """Moment of the last part's last write."""
    predicted_compute_cycles: Count
    """What the compiler expected of ``compute_cycles`` when it chose the base addresses."""
    unsplit_steps: Count = 0
    """Steps if the layer ran as a whole; ``steps`` exceeds them by what bands compute twice (halo)."""
    parts: Count = 1
    """1 where the compiler did not split the layer."""
    bands: Count = 1
    """Ranges of tiles that the compiler cut the layer into."""
    stays_on_chip: bool = True
    """The output never leaves AMem while it is needed: neither spilled nor the network's output."""
    input_base_word: Count | None = None
    """AMem base address of the input; None where the layer is split."""
    output_base_word: Count | None = None
    """AMem base address of the output; None where the layer is split."""
    residual_base_word: Count | None = None
    """AMem base address of the residual; None where the layer is split or has none."""
    input: str | None = None
    """Name of the tensor that it reads: a layer's, or ``input``; None in files of versions that did not say."""
    residual: str | None = None
    """Name of the tensor that it adds to its sums; None where there is none."""
    load_bytes: Count = 0
    """Bytes that the DMA loaded for this layer: the sum of the next three."""
    weight_load_bytes: Count = 0
    """Weights; those that are in WMem already, or equal to others that are, are not loaded."""
    instruction_load_bytes: Count = 0
    """Header, parameter and pattern words of its parts; END with a job's last part."""
    activation_load_bytes: Count = 0
    """Inputs and residuals that were not on chip."""
    store_bytes: Count = 0
    """Bytes that the DMA stored of this layer's output."""
    repeated_macs: Count = 0
    """Those of ``macs`` for output pixels that another band of rows computes too (halo)."""
    structural_zero_macs: Count = 0
    """Those of ``macs`` on zeros that no pruning made: weights between groups, in words that several groups share."""
    lane_steps: Count = 0
    """Real output pixels, summed over the steps."""
    column_steps: Count = 0
    """Real output channels, summed over the steps."""
    account: ArrayAccount = msgspec.field(default_factory=ArrayAccount)
    """Causes of ``compute_cycles``, which is their sum."""
    waits: WaitAccount = msgspec.field(default_factory=WaitAccount)
    """Cycles without computation before this layer's parts, since the part before or the start of the run."""
    histogram: tuple[Count, ...] | None = None
    """How many outputs have each 4-bit value, the lowest first; None for accumulator output."""

    @property
    def cycles(self) -> int:
        """Compute cycles and the waits before."""
        return self.compute_cycles + self.waits.total

    def by_cause(self) -> dict[str, int]:
        """Cause -> cycles, computing and waits; in sum ``cycles``."""
        return {**self.account.by_cause(), **self.waits.by_cause()}

    @property
    def main_cause(self) -> str:
        """The cause that takes most of ``cycles``."""
        by_cause = self.by_cause()
        return max(by_cause, key=by_cause.__getitem__)

    @property
    def density(self) -> float:
        """Stored weight words as a share of all: 0..1."""
        return _share(self.weight_words, self.dense_weight_words)


class LayerResult(LayerFigures, frozen=True, kw_only=True):
    """Figures of one layer."""

    columns: int = 0
    """Output channels that the array computes side by side; ``peak_macs_per_cycle`` is lanes x columns."""
    energy: Energy = msgspec.field(default_factory=Energy)
    """Its parts', that of the waits before them, and that of its transfers [A] (docs/energy.md)."""

    def __repr__(self) -> str:
        """One line; the attributes have the rest."""
        shapes = " -> ".join("x".join(map(str, shape)) for shape in (self.input_shape, self.output_shape))
        return (
            f"<LayerResult {self.name}: {self.kind}, {shapes}, {self.compute_cycles:,} compute cycles [S], "
            f"utilisation {self.utilization:.1%} [S], {self.energy.total_pj / 1e6:.2f} uJ [A]>"
        )

    @property
    def useful_macs(self) -> int:
        """Those of ``macs`` that the layer asks for: at most ``dense_macs``."""
        return self.macs - self.repeated_macs - self.structural_zero_macs

    @property
    def step_utilization(self) -> float:
        """Share of the compute cycles that start a step: 0..1; times the next two it gives ``utilization``."""
        return _share(self.steps, self.compute_cycles)

    @property
    def lane_utilization(self) -> float:
        """Share of the lanes that hold a real output pixel, mean over the steps: 0..1; below 1 for partial tiles."""
        lanes = self.peak_macs_per_cycle // self.columns if self.columns else 0
        return _share(self.lane_steps, self.steps * lanes)

    @property
    def column_utilization(self) -> float:
        """Share of the columns that hold a real output channel, mean over the steps: 0..1."""
        return _share(self.column_steps, self.steps * self.columns)

    @property
    def utilization(self) -> float:
        """``macs`` over the array's multiplier slots while the layer computed: 0..1."""
        return _share(self.macs, self.compute_cycles * self.peak_macs_per_cycle)


class Traffic(Struct, frozen=True, kw_only=True):
    """Bytes that crossed the interface to the off-chip memory by DMA."""

    load_bytes: int
    """Off-chip memory to SRAM."""
    store_bytes: int
    """SRAM to off-chip memory."""

    @property
    def total_bytes(self) -> int:
        """Both directions."""
        return self.load_bytes + self.store_bytes


class TransferOverlap(Struct, frozen=True, kw_only=True):
    """Cycles in which a DMA channel had a transfer."""

    hidden_cycles: int
    """While a layer computed."""
    exposed_cycles: int
    """While none did."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Result:
    """Values and figures of one simulated run; picklable.

    Construct it with keywords; ``tensors`` and ``layers`` in the order of execution.
    """

    tensors: Mapping[str, Tensor]
    """Every layer's output by name: int8 (O, H', W'), int32 where the layer has accumulator output; (N, O, H', W') of
    a batch."""
    layers: Mapping[str, LayerResult]
    """By layer name."""
    cycles: int
    """First host access to the last interrupt, inclusive."""
    chip: ChipConfig
    """What it ran on."""
    fidelity: str
    """Which model of the chip ran ("cycle", ...)."""
    traffic: Traffic
    """DMA bytes of the whole run."""
    bank_conflicts: Mapping[str, int] = field(default_factory=dict)
    """Initiator (e.g. "aligner") -> cycles lost because a bank was taken."""

    passes: Mapping[str, tuple[PassRecord, ...]] = field(default_factory=dict)
    """By layer name, every pass as it happened, parts one after another; not in result.json."""
    account: RunAccount = field(default_factory=RunAccount)
    """Where all of ``cycles`` went, and what DMA channels and SRAM banks did meanwhile."""
    predicted_cycles: int = 0
    """What the compiler expected of ``cycles`` when it ordered the driver's steps."""
    overlap: Mapping[str, TransferOverlap] = field(default_factory=dict)
    """DMA channel ("load", "store") -> how much of its work the computation hid."""
    energy: Energy = field(default_factory=Energy)
    """Of the whole run [A] (docs/energy.md): the layers' and ``energy_outside_layers``, exactly."""
    energy_outside_layers: Energy = field(default_factory=Energy)
    """Of what belongs to no layer: after the last one, and the host's register accesses."""
    dram_energy: DramEnergy | None = None
    """Of off-chip DRAM by kind [A]: ``energy.off_chip``; None if the memory is not DRAM."""
    energy_table: EnergyConfig = field(default_factory=EnergyConfig)
    """What an event cost."""
    counts: RunEvents = field(default_factory=RunEvents)
    """How many events of ``energy_table`` the run and its layers had; not in result.json."""
    timeline: Timeline = field(default_factory=Timeline)
    """When host, DMA channels and engine did what."""
    scenario: str | None = None
    """Name of what ran; None for a network from Python."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The scenario's network and input, for the record."""
    matches_reference: bool | None = None
    """Whether every output equals the golden model's; None if they were not compared."""
    dram: DramFigures | None = None
    """What the off-chip DRAM did, if there is one."""
    batch: BatchFigures | None = None
    """What each image took, if it was a batch; all other figures are those of all images."""

    def __repr__(self) -> str:
        """One line; the attributes have the rest."""
        chip = self.chip
        return (
            f"<Result of {self.scenario or 'a network'}, {counted(len(self.layers), 'layer')}, on "
            f"{chip.lanes}x{chip.columns} MACs at {chip.frequency_mhz:g} MHz, fidelity {self.fidelity}: "
            f"{self.cycles:,} cycles = {self.time_us:,.2f} us [S], utilisation {self.utilization:.1%} [S], "
            f"{self.energy.total_pj / 1e6:,.2f} uJ [A]; golden model {VERDICTS[self.matches_reference]}>"
        )

    @property
    def outputs(self) -> Tensor:
        """The last layer's output: int8 (O, H', W'), or int32 for accumulator output."""
        return self.tensors[self.output_name]

    @property
    def output_name(self) -> str:
        """The last layer's name."""
        return list(self.layers)[-1]

    @property
    def images(self) -> int:
        """Of the batch; 1 without."""
        return 1 if self.batch is None else self.batch.count

    @property
    def images_per_s(self) -> float:
        """Over the whole run, the first loads and the last store included."""
        return 1e6 * self.images / self.time_us

    @property
    def steady_images_per_s(self) -> float:
        """As if every image took what those after a batch's first do."""
        cycles = self.cycles if self.batch is None else self.batch.steady_cycles_per_image
        return self.chip.clock_khz * 1000 / cycles

    @property
    def time_us(self) -> float:
        """``cycles`` at the chip's clock, in microseconds."""
        return self.chip.time_us(self.cycles)

    @property
    def compute_cycles(self) -> int:
        """Sum over the layers; what is left of ``cycles`` is host, loading and storing that nothing hid."""
        return sum(layer.compute_cycles for layer in self.layers.values())

    @property
    def macs(self) -> int:
        """Executed multiply-accumulates, all layers."""
        return sum(layer.macs for layer in self.layers.values())

    @property
    def repeated_macs(self) -> int:
        """Those of ``macs`` for output pixels that another band computes too."""
        return sum(layer.repeated_macs for layer in self.layers.values())

    @property
    def structural_zero_macs(self) -> int:
        """Those of ``macs`` on zeros between the groups of grouped layers."""
        return sum(layer.structural_zero_macs for layer in self.layers.values())

    @property
    def useful_macs(self) -> int:
        """What is left of ``macs``: at most ``dense_macs``."""
        return self.macs - self.repeated_macs - self.structural_zero_macs

    @property
    def dense_macs(self) -> int:
        """Multiply-accumulates of the unpruned network."""
        return sum(layer.dense_macs for layer in self.layers.values())

    @property
    def utilization(self) -> float:
        """``macs`` over all multiplier slots of the whole run, transfers and host included: 0..1."""
        return _share(self.macs, self.cycles * self.chip.peak_macs_per_cycle)

    @property
    def compute_utilization(self) -> float:
        """``macs`` over the multiplier slots of the layers' compute cycles only: 0..1."""
        return _share(self.macs, self.compute_cycles * self.chip.peak_macs_per_cycle)

    @property
    def power_mw(self) -> float:
        """Average power of the core over the whole run, mW."""
        return power_mw(self.energy.total_pj, self.time_us)

    @property
    def tops_per_w(self) -> float:
        """Two operations for each of ``macs``, over the energy of the core."""
        return tops_per_w(self.macs, self.energy.total_pj)

    @property
    def outputs_sha256(self) -> str:
        """:func:`tensor_sha256` of ``outputs``."""
        return tensor_sha256(self.outputs)


def tensor_sha256(tensor: npt.NDArray[Any]) -> str:
    """SHA-256 (hex) over the ASCII line ``"<dtype> <n0>x<n1>x...\\n"`` and the values, C order, little-endian."""
    header = f"{tensor.dtype.name} {'x'.join(map(str, tensor.shape))}\n"
    data = np.ascontiguousarray(tensor, dtype=tensor.dtype.newbyteorder("<")).tobytes()
    return hashlib.sha256(header.encode() + data).hexdigest()


def chip_labels(chip: ChipConfig) -> dict[str, str]:
    """For each key of the chip: "published", "assumed" (our default where the sources are silent), or "chosen".

    "chosen" is a value that differs from the default chip's. Voltage and frequency are published at the two published
    operating points; elsewhere the supply is chosen and the clock that follows from it is assumed, since the
    curve through both points is.
    """
    labels = {}
    for item in fields(chip):
        if item.name in ("memory_model", "dram"):
            continue
        default = item.default == getattr(chip, item.name)
        labels[item.name] = ("published" if item.name in PUBLISHED_CHIP_KEYS else "assumed") if default else "chosen"
    at_point = chip.voltage_v in PUBLISHED_POINTS_MHZ
    labels["voltage_v"] = "published" if at_point else "chosen"
    if chip.frequency_mhz == ChipConfig.at(chip.voltage_v).frequency_mhz:
        labels["frequency_mhz"] = "published" if at_point else "assumed"
    else:
        labels["frequency_mhz"] = "chosen"
    return labels | ({"memory_model": "chosen", **chip.dram.labels()} if chip.uses_dram else {})


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
