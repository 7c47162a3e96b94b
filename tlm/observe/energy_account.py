"""Accounts of energy, in whole attojoules: parts add up to the whole exactly, on every machine (docs/energy.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct, field

from tlm.observe.account import added
from tlm.observe.energy_table import AJ_PER_PJ, ENTRIES, OFF_CHIP


class EnergyAccount(Struct, frozen=True, kw_only=True):
    """Energy of the core by component, attojoules (1e-18 J)."""

    mac_array: int = 0
    """Multipliers, accumulators, and the wires to them."""
    aligner: int = 0
    """Routing networks and mask."""
    amem: int = 0
    """AMem words read and written."""
    wmem: int = 0
    """WMem words read and written."""
    imem: int = 0
    """IMem words read and written."""
    requantiser: int = 0
    """Words of output."""
    clock: int = 0
    """Clock tree and registers, gated or not."""
    interconnect: int = 0
    """DMA and interconnect: bytes moved, register accesses of the host."""
    leakage: int = 0
    """Whether anything happens or not."""

    @property
    def total(self) -> int:
        """Sum of all components, attojoules."""
        return sum(getattr(self, name) for name in self.__struct_fields__)

    @property
    def total_pj(self) -> float:
        """The same in pJ."""
        return self.total / AJ_PER_PJ

    def by_component_pj(self) -> dict[str, float]:
        """Component -> pJ, in the order of the fields; each is a whole multiple of 1e-6 pJ."""
        return {name: getattr(self, name) / AJ_PER_PJ for name in self.__struct_fields__}


class Energy(Struct, frozen=True, kw_only=True):
    """Where energy went, of a run, a layer, or what lies outside layers. The core is the sum of the three accounts."""

    compute: EnergyAccount = field(default_factory=EnergyAccount)
    """While layers computed, with the instruction and parameter words that they read before."""
    waits: EnergyAccount = field(default_factory=EnergyAccount)
    """Clock and leakage in the cycles in which no layer computed."""
    transfers: EnergyAccount = field(default_factory=EnergyAccount)
    """SRAM words of the DMA, and what went over the interconnect."""
    off_chip: int = 0
    """Off-chip memory, attojoules; in no other sum."""

    @property
    def core(self) -> EnergyAccount:
        """All of the core by component."""
        return added(EnergyAccount, [self.compute, self.waits, self.transfers])

    @property
    def total_pj(self) -> float:
        """All of the core, pJ."""
        return self.core.total_pj

    @property
    def off_chip_pj(self) -> float:
        """Off-chip memory, pJ."""
        return self.off_chip / AJ_PER_PJ


def added_energies(energies: Iterable[Energy]) -> Energy:
    """Sum, account by account."""
    found = list(energies)
    return Energy(
        compute=added(EnergyAccount, [one.compute for one in found]),
        waits=added(EnergyAccount, [one.waits for one in found]),
        transfers=added(EnergyAccount, [one.transfers for one in found]),
        off_chip=sum(one.off_chip for one in found),
    )


def priced(events: Mapping[str, int], per_event_aj: Mapping[str, int]) -> tuple[EnergyAccount, int]:
    """Energy of counted events.

    Args:
        events: key of the table -> how many.
        per_event_aj: see :meth:`tlm.observe.energy_table.EnergyConfig.per_event_aj`.

    Returns:
        (the core's account, the off-chip memory's attojoules).
    """
    found: dict[str, int] = dict.fromkeys(EnergyAccount.__struct_fields__, 0) | {OFF_CHIP: 0}
    for entry in ENTRIES:
        found[entry.component] += events.get(entry.key, 0) * per_event_aj[entry.key]
    off_chip = found.pop(OFF_CHIP)
    return EnergyAccount(**found), off_chip


def power_mw(energy_pj: float, time_us: float) -> float:
    """Average power; 0 of nothing."""
    return energy_pj / time_us / 1000 if time_us else 0.0


def tops_per_w(macs: int, energy_pj: float) -> float:
    """Two operations a multiply-accumulate over the energy: operations per pJ are TOPS/W; 0 of nothing."""
    return 2 * macs / energy_pj if energy_pj else 0.0
