"""What a scenario file may say: one struct per section, every key with a default.

A section that comes in several kinds (``network``, ``input``) is a union of structs told apart by ``kind``. A new kind
is a new struct with the same methods, added to the union; nothing else needs to know it. Attribute docstrings become
the descriptions in the JSON Schema. The kinds of network and of input have files of their own, ``networks`` and
``inputs``.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from tlm.chip.config import ChipConfig
from tlm.observe.energy_table import EnergyConfig
from tlm.scenario.inputs import InputSection, RandomInput
from tlm.scenario.networks import BlockNetwork, NetworkSection

DEFAULT_KINDS = {"network": "pw_dw_pw_block", "input": "random"}
"""Section -> the kind that it has where none is given."""

DATACLASS_SECTIONS: dict[str, type[ChipConfig] | type[EnergyConfig]] = {"chip": ChipConfig, "energy": EnergyConfig}
"""Section -> the dataclass that checks its values."""

PATH_KEYS = (("input", "file"), ("network", "weights"), ("network", "patterns"))
"""Keys that hold a path, relative to the file in which they stand."""


class TraceSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to record while it runs."""

    vcd: str | None = None
    """Value change dump to write: a path, relative to the output directory (-o), or to the current one without -o."""


class Scenario(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole scenario file."""

    description: str = ""
    """One line for `tlm list` and the head of the report."""
    fidelity: Literal["beat", "burst"] | None = None
    """Which model of the chip runs: "burst" has one transaction per pass and transfer, "beat" one per SRAM access, step
    and bus beat, with the same cycles; by default "burst", or "beat" where a waveform is asked for."""
    chip: ChipConfig = field(default_factory=ChipConfig)
    """The chip and what surrounds it; the default is the published chip at 1.1 V."""
    network: NetworkSection = field(default_factory=BlockNetwork)
    """What it computes."""
    input: InputSection = field(default_factory=RandomInput)
    """What the network reads."""
    energy: EnergyConfig = field(default_factory=EnergyConfig)
    """What events cost; the default is calibrated to the published power."""
    trace: TraceSection = field(default_factory=TraceSection)
    """What is recorded."""
