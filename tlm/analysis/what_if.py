"""What a change of the chip would buy: found by running the simulator, never by a guess."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any, get_args

from tlm.analysis.rebuild import Rerun
from tlm.chip.config import ChipConfig, allowed_range, allowed_values
from tlm.chip.dram_config import AddressOrder, PagePolicy
from tlm.core.errors import CompileError, InputError, SimulationError


@dataclass(frozen=True)
class Change:
    """A key of the chip with a new value."""

    name: str
    """Such as "AMem banks"."""
    key: str
    """Of the chip; of its DRAM with "dram." before it."""
    value: int | float | str
    """The new one."""
    kind: str = ""
    """What a wait for a transfer is bound by if this change shortens it most."""

    def text(self, chip: ChipConfig) -> str:
        """For a table: ``AMem banks 4 -> 8``."""
        old, new = (one if isinstance(one, str) else f"{one:g}" for one in (attrgetter(self.key)(chip), self.value))
        return f"{self.name} {old} -> {new}"

    def applied(self, chip: ChipConfig) -> ChipConfig:
        """The changed chip.

        Raises:
            InputError: the value does not fit the other keys.
        """
        section, _, key = self.key.rpartition(".")
        changed: dict[str, Any] = {key: self.value}
        return replace(chip, dram=replace(chip.dram, **changed)) if section else replace(chip, **changed)


@dataclass(frozen=True)
class Outcome:
    """A change and what came of it."""

    change: Change
    cycles: int | None = None
    """Of the whole run."""
    causes: Mapping[str, int] = field(default_factory=dict)
    """Cycles by cause of the account."""
    transfer_waits: Mapping[str, int] = field(default_factory=dict)
    """Layer -> cycles in which it waits for transfers."""
    problem: str = ""
    """Why there are no figures."""


_CHANGES: tuple[tuple[str, str, float, str], ...] = (
    ("AMem banks", "amem_banks", 2, ""),
    ("memory GB/s", "memory_gb_per_s", 2, "memory bandwidth"),
    ("memory latency ns", "memory_latency_ns", 0.5, "memory latency"),
    ("bursts in flight", "dma_bursts_in_flight", 2, "memory latency"),  # which they hide
    ("bus bytes", "bus_bytes", 2, "interconnect bandwidth"),
    ("gap cycles", "pass_gap_cycles", 0, ""),
    ("WMem words", "wmem_words", 2, ""),
    ("host access ns", "host_access_ns", 0.5, ""),
    ("host interrupt ns", "host_interrupt_ns", 0.5, ""),
)
"""(name, key, factor, kind); of the factor 0 comes the least value that is allowed."""

_OF_DRAM: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("address", "dram.address_order", get_args(AddressOrder)),
    ("page", "dram.page_policy", get_args(PagePolicy)),
)
"""(name, key, values), each of which is tried."""

_OF_FIXED_MEMORY = frozenset({"memory_gb_per_s", "memory_latency_ns"})


def changes(chip: ChipConfig) -> list[Change]:
    """The changes that make sense for a chip: those that alter a value and stay within its limits."""
    found = []
    for name, key, factor, kind in _CHANGES:
        if chip.uses_dram and key in _OF_FIXED_MEMORY:
            continue
        old = getattr(chip, key)
        limits = allowed_values(key) or allowed_range(key)
        assert limits  # every key is limited in one way or the other
        new = type(old)(max(min(limits), old * factor))
        if new != old and new <= max(limits):
            found.append(Change(name, key, new, kind))
    if chip.uses_dram:
        for name, key, values in _OF_DRAM:
            others = (value for value in values if value != attrgetter(key)(chip))
            found += [Change(name, key, value, "DRAM rows") for value in others]
    return found


def outcome(rerun: Rerun, chip: ChipConfig, outputs_sha256: str, change: Change) -> Outcome:
    """Simulate a change, compiled for the changed chip.

    Args:
        rerun: runs the network on a chip.
        chip: the unchanged one.
        outputs_sha256: of the unchanged chip's outputs.
        change: what to change.

    Raises:
        SimulationError: the change altered the outputs, which no change of timing may.
    """
    try:
        result = rerun(change.applied(chip))
    except (InputError, CompileError) as error:
        return Outcome(change, problem=str(error))
    if result.outputs_sha256 != outputs_sha256:
        raise SimulationError(f"{change.text(chip)}: the outputs differ from those of the unchanged chip")
    waits = {name: layer.waits.total - layer.waits.host for name, layer in result.layers.items()}
    return Outcome(change, result.cycles, result.account.by_cause(), waits)
