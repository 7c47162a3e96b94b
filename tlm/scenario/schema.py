"""What a scenario file may say: one struct per section, every key with a default.

A section that comes in several kinds (``network``, ``input``) is a union of structs told apart by ``kind``. A new kind
is a new struct with the same methods, added to the union; nothing else needs to know it. Attribute docstrings become
the descriptions in the JSON Schema, so they are written for those who write such files. The kinds of network and of
input have files of their own, ``networks`` and ``inputs``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta, Struct, field, structs

from tlm.chip.config import ChipConfig
from tlm.chip.dram_config import DramConfig
from tlm.compiler.checks import MAX_PARTS
from tlm.inputs.integer_arrays import Int8Array
from tlm.observe.energy_table import EnergyConfig
from tlm.scenario.blame import blaming
from tlm.scenario.inputs import InputSection, RandomInput
from tlm.scenario.networks import BlockNetwork, NetworkSection
from tlm.scenario.sections import Seed
from tlm.traces.trace_options import TraceOptions

DEFAULT_KINDS = {"network": "pw_dw_pw_block", "input": "random"}
"""Section -> the kind that it has where none is given."""

DATACLASS_SECTIONS: dict[str, type[ChipConfig | DramConfig | EnergyConfig]] = {
    "chip": ChipConfig, "chip.dram": DramConfig, "energy": EnergyConfig
}  # fmt: skip
"""Section -> the dataclass that checks its values."""

PATH_KEYS = (("input", "file"), ("network", "weights"), ("network", "patterns"), ("network", "file"))
"""Keys that hold a path, relative to the file in which they stand."""


class TraceSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to record while it runs."""

    wave: str | None = None
    """Waveform to write, .vcd or .fst; a layout for GTKWave is written beside it."""
    level: Literal["pass", "cycle", "rtl"] | None = None
    """What the waveform shows: "pass" (cheap), "cycle" (everything, in fidelity "cycle") or "rtl" (the circuit's
    signals, in fidelity "rtl"); by default "pass", but "cycle" with a window or in
    fidelity "cycle", and "rtl" with a window in fidelity "rtl"."""
    window: str | None = None
    """Which cycles a waveform of every cycle shows: layer:NAME, pass:A..B, layer:NAME,pass:A..B or cycles:A..B."""
    limit_mb: Annotated[int, Meta(ge=1)] = 256
    """A waveform of every cycle ends where it has grown to so many megabytes."""
    timeline: str | None = None
    """Trace for timeline viewers (Perfetto) to write, .json or .json.gz."""
    dram: str | None = None
    """Trace of the requests to the off-chip memory to write, for a DRAM simulator."""
    dram_format: Literal["dramsim3", "ramulator2"] | None = None
    """Whose format that trace has; by default "dramsim3"."""
    dram_clock_mhz: Annotated[float, Meta(ge=1, le=10_000)] | None = None
    """The clock that "dramsim3" counts arrival times in, MHz; by default that of chip.dram, or 800 without DRAM."""
    dram_burst_bytes: Literal[8, 16, 32, 64, 128, 256] | None = None
    """What a request of that simulator moves, bytes; by default a burst of chip.dram, or burst_bytes without DRAM."""

    def options(self) -> TraceOptions:
        """The same for a run.

        Raises:
            InputError: a kind of file, a window or a combination that does not exist.
        """
        return TraceOptions(**structs.asdict(self))


class SweepSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `tlm sweep` varies."""

    over: dict[str, Any] = field(default_factory=dict)
    """Key, e.g. "chip.amem_banks", -> array of its values, or text such as "1..9"."""
    sample: Annotated[int, Meta(ge=1)] | None = None
    """So many draws instead of every combination."""
    method: Literal["lhs", "random"] = "lhs"
    """How a sample is drawn: Latin hypercube or independent draws."""
    seed: Seed = 0
    """Seed of a sample's draws."""
    where: list[str] = field(default_factory=list)
    """Expressions that every point has to meet, e.g. "chip.amem_banks * chip.amem_words <= 65536"."""


class Scenario(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole scenario file."""

    description: str = ""
    """One line for `tlm list` and the head of the report."""
    fidelity: Literal["cycle", "pass", "rtl"] | None = None
    """Which model of the chip runs: "pass" has one transaction per pass and transfer, "cycle" one per SRAM access, step
    and bus beat, with the same cycles; by default "pass", or "cycle" where a waveform is asked for."""
    batch: Annotated[int, Meta(ge=1, le=MAX_PARTS)] = 1
    """So many images run as one program: the input and further ones of its kind. The loads of each overlap the image
    before; weights that fit stay on chip."""
    chip: ChipConfig = field(default_factory=ChipConfig)
    """The chip and what surrounds it; the default is the published chip at 1.1 V."""
    network: NetworkSection = field(default_factory=BlockNetwork)
    """What it computes; without a kind, kind = "pw_dw_pw_block"."""
    input: InputSection = field(default_factory=RandomInput)
    """What the network reads; without a kind, kind = "random"."""
    energy: EnergyConfig = field(default_factory=EnergyConfig)
    """What events cost; the default is calibrated to the published power."""
    trace: TraceSection = field(default_factory=TraceSection)
    """What is recorded. Paths are relative to the output directory (-o), or to the current one without."""
    sweep: SweepSection = field(default_factory=SweepSection)
    """What `tlm sweep` varies; other commands ignore it."""

    def inputs(self, own: Int8Array) -> Int8Array:
        """The input (C, H, W) itself, or that of the whole batch (N, C, H, W).

        Raises:
            InputError: its kind has not as many.
        """
        if self.batch == 1:
            return own
        with blaming("batch"):
            images = self.input.batch(own, self.batch)
        return np.stack([images[index] for index in range(self.batch)])
