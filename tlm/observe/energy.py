"""The energy observer: counts the events of each part and of the whole run, and computes their energy.

What the engine reads and writes for a part lies between the ends of two layers, in every fidelity: the words of the
next part are read only then. So a snapshot of the bank counter there separates the parts without another count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from tlm.chip.engine import Port
from tlm.chip.format.driver import SramName, Unit
from tlm.chip.system import System
from tlm.core.errors import SimulationError
from tlm.core.payload import Payload
from tlm.core.sockets import InitiatorSocket, Phase
from tlm.observe.account import WaitAccount, wait_accounts
from tlm.observe.energy_account import Energy, added_energies, priced
from tlm.observe.energy_table import EnergyConfig
from tlm.observe.passes import PartRecord
from tlm.observe.recorder import Recorder

Served = Mapping[tuple[SramName, Port], int]
"""(SRAM, initiator) -> accesses that were served."""

_OF_ACCESS: Mapping[tuple[SramName, Port], tuple[str, ...]] = {
    (SramName.AMEM, Port.ALIGNER): ("amem_read_pj", "align_pj"),
    (SramName.AMEM, Port.RESIDUAL): ("amem_read_pj",),
    (SramName.AMEM, Port.WRITE_BACK): ("amem_write_pj", "requantise_pj"),
    (SramName.WMEM, Port.FETCH): ("wmem_read_pj",),
    (SramName.IMEM, Port.FETCH): ("imem_read_pj",),
}
"""Access of the engine -> its events. A refused access costs no energy: the SRAM does nothing for it [A]."""

_OF_STEP = ("multiply_pj", "accumulate_pj", "broadcast_pj")
_OF_POOLING_STEP = ("compare_pj",)
"""Max pooling multiplies nothing and has one row of accumulators at work [A]."""

_ALWAYS = ("leakage_ma", "off_chip_background_mw")


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerShare:
    """What belongs to a layer."""

    tags: Sequence[int]
    """Of its parts."""
    load_bytes: int
    """What DMA loaded for it: ``wmem_words`` and ``imem_words``, and into AMem the rest."""
    store_bytes: int
    """What DMA stored of its output."""
    wmem_words: int
    imem_words: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnergy:
    """Energy of a whole run and of its parts; the parts add up to the run."""

    layers: tuple[Energy, ...]
    """Of each layer's share: its parts, the waits before them, its transfers."""
    outside_layers: Energy
    """Of what belongs to no layer: behind the last one, the host's register accesses."""
    run: Energy
    """From the totals of the run alone."""
    compute_events: Mapping[str, int]
    """Key of the table -> how many events while layers computed."""
    events: Mapping[str, int]
    """The same of the whole run."""


class EnergyObserver:
    """Subscribes to a system before it runs; its figures can be asked for when the run has ended.

    Args:
        system: what is watched.
        recorder: of the same system; its counts are used, not counted again.
        table: energies of events.
    """

    def __init__(self, system: System, recorder: Recorder, table: EnergyConfig) -> None:
        self._config = system.config
        self._recorder = recorder
        self.per_event_aj = table.per_event_aj(system.config)
        """Key of the table -> attojoules of one event."""
        self._at_ends: list[Served] = []
        self._order: dict[int, int] = {}
        self.register_accesses = 0
        """Of the host, until now."""
        system.engine.events.layer_ended.listen(self._see_layer_end)
        system.host.bus.observe(self._see_host)

    def account(self, shares: Sequence[LayerShare]) -> RunEnergy:
        """Energy of the run and of its layers.

        Raises:
            SimulationError: the layers' shares do not add up to the run.
        """
        of_run = (self._run_compute(), self._run_waits(), self._run_transfers())
        run = self._energy(*of_run)
        transfers = [self._layer_transfers(share) for share in shares]
        layers = tuple(
            self._energy(
                _summed([self._part_compute(tag) for tag in share.tags]),
                _summed([_wait_events(self._waits[self._order_of(tag)]) for tag in share.tags]),
                moved,
            )
            for share, moved in zip(shares, transfers, strict=True)
        )
        outside = self._energy(
            self.activity_behind_parts(),
            _wait_events(self._waits[-1]),
            _less(self._run_transfers(), _summed(transfers)),
        )
        if added_energies([*layers, outside]) != run:
            raise SimulationError(
                f"energy: layers and what lies outside them give {added_energies([*layers, outside])}, but the run "
                f"{run}; somebody was counted twice or not at all"
            )
        return RunEnergy(
            layers=layers, outside_layers=outside, run=run, compute_events=of_run[0], events=_summed(of_run)
        )

    def part_activity(self, tag: int) -> Counter[str]:
        """Events of a part that has ended, without its cycles: words that the engine moved for it, and its steps."""
        index = self._order_of(tag)
        before = self._at_ends[index - 1] if index else {}
        return engine_events(_less(self._at_ends[index], before)) + step_events([self._recorder.parts[tag]])

    def activity_behind_parts(self) -> Counter[str]:
        """Words that the engine moved behind the last part that has ended."""
        return engine_events(_less(self._recorder.banks.served(), self._at_ends[-1] if self._at_ends else {}))

    # -- what is counted ------------------------------------------------------------------------------------------

    def _see_layer_end(self, _: int) -> None:
        self._at_ends.append(self._recorder.banks.served())

    def _see_host(self, phase: Phase, _: InitiatorSocket[Any], __: Payload) -> None:
        self.register_accesses += phase is Phase.END_RESP

    def _order_of(self, tag: int) -> int:
        """Which part, in the order of execution."""
        if len(self._order) < len(self._recorder.parts):
            self._order = {tag: index for index, tag in enumerate(self._recorder.parts)}
        return self._order[tag]

    @cached_property
    def _waits(self) -> list[WaitAccount]:
        """Before each part and behind the last: with nothing to wait for, "instructions" is when a program ran."""
        recorder = self._recorder
        return wait_accounts(recorder.cycles, list(recorder.parts.values()), recorder.activity.running, {})

    def _part_compute(self, tag: int) -> Counter[str]:
        cycles = self._recorder.parts[tag].compute_cycles
        return self.part_activity(tag) + cycle_events(cycles, cycles)

    def _run_compute(self) -> Counter[str]:
        parts = self._recorder.parts.values()
        cycles = sum(part.compute_cycles for part in parts)
        events = engine_events(self._recorder.banks.served())
        return events + step_events(parts) + cycle_events(cycles, cycles)

    def _run_waits(self) -> Counter[str]:
        cycles = sum(part.compute_cycles for part in self._recorder.parts.values())
        return cycle_events(self._recorder.cycles - cycles, self._recorder.activity.running.cycles - cycles)

    def _run_transfers(self) -> Counter[str]:
        served, moved = self._recorder.banks.served(), self._recorder.moved_bytes
        loaded = {name: served.get((name, Port.DMA_LOAD), 0) for name in SramName}
        stored = {name: served.get((name, Port.DMA_STORE), 0) for name in SramName}
        events = transfer_events(moved[Unit.LOAD], moved[Unit.STORE], loaded, stored)
        events["register_access_pj"] = self.register_accesses
        return events

    def _layer_transfers(self, share: LayerShare) -> Counter[str]:
        chip, wmem, imem = self._config, share.wmem_words, share.imem_words
        amem_bytes = share.load_bytes - wmem * chip.wmem_word_bytes - imem * chip.imem_word_bytes
        loaded = {SramName.AMEM: amem_bytes // chip.amem_word_bytes, SramName.WMEM: wmem, SramName.IMEM: imem}
        stored = {SramName.AMEM: share.store_bytes // chip.amem_word_bytes}
        return transfer_events(share.load_bytes, share.store_bytes, loaded, stored)

    def _energy(self, compute: Counter[str], waits: Counter[str], transfers: Counter[str]) -> Energy:
        accounts = [priced(events, self.per_event_aj) for events in (compute, waits, transfers)]
        return Energy(
            compute=accounts[0][0],
            waits=accounts[1][0],
            transfers=accounts[2][0],
            off_chip=sum(off_chip for _, off_chip in accounts),
        )


def engine_events(served: Served) -> Counter[str]:
    """What the engine's accesses are in the table."""
    events: Counter[str] = Counter()
    for access, keys in _OF_ACCESS.items():
        for key in keys:
            events[key] += served.get(access, 0)
    return events


def step_events(parts: Iterable[PartRecord]) -> Counter[str]:
    """What the steps of parts are in the table."""
    return _summed([step_kind_events(part.steps, part.pooling) for part in parts])


def step_kind_events(steps: int, pooling: bool) -> Counter[str]:
    """What so many steps of max pooling, or of convolutions, are in the table."""
    return Counter(dict.fromkeys(_OF_POOLING_STEP if pooling else _OF_STEP, steps))


def cycle_events(cycles: int, running: int) -> Counter[str]:
    """Cycles, in ``running`` of which the engine ran a program."""
    return Counter({"clock_pj": running, "idle_clock_pj": cycles - running, **dict.fromkeys(_ALWAYS, cycles)})


def _wait_events(waits: WaitAccount) -> Counter[str]:
    return cycle_events(waits.total, waits.instructions)


def transfer_events(
    load_bytes: int, store_bytes: int, loaded: Mapping[SramName, int], stored: Mapping[SramName, int]
) -> Counter[str]:
    """DMA: bytes on the interconnect and off-chip, words in each SRAM."""
    events = Counter(transfer_pj=load_bytes + store_bytes, off_chip_read_pj=load_bytes, off_chip_write_pj=store_bytes)
    events.update({f"{name.name.lower()}_write_pj": words for name, words in loaded.items()})
    events.update({f"{name.name.lower()}_read_pj": words for name, words in stored.items()})
    return events


def _summed(events: Sequence[Counter[str]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for one in events:
        total.update(one)
    return total


Key = TypeVar("Key")


def _less(whole: Mapping[Key, int], part: Mapping[Key, int]) -> Counter[Key]:
    """What is left of counts.

    Raises:
        SimulationError: the part is more than the whole.
    """
    left = Counter({key: whole.get(key, 0) - part.get(key, 0) for key in {**whole, **part}})
    if any(count < 0 for count in left.values()):
        raise SimulationError(f"energy: {dict(part)} events were billed, but there were {dict(whole)}")
    return left
