"""The energy observer: counts the events of each part and of the whole run (event_counts.py says what they cost).

What the engine reads and writes for a part lies between the ends of two layers, in every fidelity: the words of the
next part are read only then. So a snapshot of the bank counter there separates the parts without another count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from msgspec import Struct

from tlm.chip.contract import Port
from tlm.chip.format.driver import SramName, Unit
from tlm.chip.system import System
from tlm.core.errors import SimulationError
from tlm.core.payload import Payload
from tlm.core.sockets import InitiatorSocket, Phase
from tlm.observe.account import wait_accounts
from tlm.observe.dram_energy import DramEnergy, dram_energy
from tlm.observe.energy_table import EnergyConfig
from tlm.observe.event_counts import EventCounts, Events, RunEvents
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


class LayerShare(Struct, frozen=True, kw_only=True):
    """What belongs to a layer."""

    tags: Sequence[int]
    """Of its parts."""
    load_bytes: int
    """What DMA loaded for it: ``wmem_words`` and ``imem_words``, and into AMem the rest."""
    store_bytes: int
    """What DMA stored of its output."""
    wmem_words: int
    imem_words: int


class EnergyObserver:
    """Subscribes to a system before it runs; its figures can be asked for when the run has ended.

    Args:
        system: what is watched.
        recorder: of the same system; its counts are used, not counted again.
        table: energies of events.
    """

    def __init__(self, system: System, recorder: Recorder, table: EnergyConfig) -> None:
        self._config = system.config
        self._dram = system.dram
        self._recorder = recorder
        self.per_event_aj = table.per_event_aj(system.config)
        """Key of the table -> attojoules of one event."""
        self._served_for: dict[int, Counter[tuple[SramName, Port]]] = {}
        """Tag -> accesses that were served for the part."""
        self._billed: Counter[tuple[SramName, Port]] = Counter()
        self.register_accesses = 0
        """Of the host, until now."""
        system.engine.events.layer_ended.listen(self._see_layer_end)
        system.host.bus.observe(self._see_host, (Phase.END_RESP,))

    def counted(self, shares: Sequence[LayerShare]) -> RunEvents:
        """Events of the run and of its layers.

        Raises:
            SimulationError: the layers have more than the run.
        """
        recorder, parts = self._recorder, list(self._recorder.parts.values())
        cycles = sum(part.compute_cycles for part in parts)
        run = Events(
            engine_events(recorder.banks.served()) + step_events(parts) + cycle_events(cycles, cycles),
            cycle_events(recorder.cycles - cycles, recorder.running.cycles - cycles),
            self.transfers_until_now(),
        )
        # with nothing to wait for, "instructions" is when a program ran
        waits = dict(zip(recorder.parts, wait_accounts(recorder.cycles, parts, recorder.running, {}), strict=False))
        layers = [
            Events(
                _summed([self._part_compute(tag) for tag in share.tags]),
                _summed([cycle_events(waits[tag].total, waits[tag].instructions) for tag in share.tags]),
                self._layer_transfers(share),
            )
            for share in shares
        ]
        return RunEvents(
            layers=tuple(layers),
            layer_bytes=tuple(share.load_bytes + share.store_bytes for share in shares),
            outside_layers=Events(*(_less(own, _summed(kinds)) for own, *kinds in zip(run, *layers, strict=True))),
            run=run,
            moved_bytes=sum(recorder.moved_bytes.values()),
            dram=self.dram_energy(recorder.cycles),
        )

    def dram_energy(self, cycles: int) -> DramEnergy | None:
        """What the off-chip DRAM took in the cycles before this one; None if the memory is not DRAM."""
        return None if self._dram is None else dram_energy(self._config.dram, self._dram.counts(cycles))

    def part_activity(self, tag: int) -> Counter[str]:
        """Events of a part that has ended, without its cycles: words that the engine moved for it, and its steps."""
        return engine_events(self._served_for[tag]) + step_events([self._recorder.parts[tag]])

    def activity_behind_parts(self) -> Counter[str]:
        """Words that the engine moved after the last part that has ended."""
        return engine_events(_less(self._recorder.banks.served(), self._billed))

    def transfers_until_now(self) -> Counter[str]:
        """Events of the DMA and of the host."""
        moved = self._recorder.moved_bytes
        events = transfer_events(moved[Unit.LOAD], moved[Unit.STORE], self._recorder.banks.served())
        events["register_access_pj"] = self.register_accesses
        return events

    def _see_layer_end(self, tag: int) -> None:
        served = Counter(self._recorder.banks.served())
        self._served_for[tag] = _less(served, self._billed)
        self._billed = served

    def _see_host(self, _phase: Phase, _: InitiatorSocket[Any], __: Payload) -> None:
        self.register_accesses += 1

    def _part_compute(self, tag: int) -> Counter[str]:
        cycles = self._recorder.parts[tag].compute_cycles
        return self.part_activity(tag) + cycle_events(cycles, cycles)

    def _layer_transfers(self, share: LayerShare) -> Counter[str]:
        chip, wmem, imem = self._config, share.wmem_words, share.imem_words
        amem_bytes = share.load_bytes - wmem * chip.wmem_word_bytes - imem * chip.imem_word_bytes
        words = {
            (SramName.AMEM, Port.DMA_LOAD): amem_bytes // chip.amem_word_bytes,
            (SramName.WMEM, Port.DMA_LOAD): wmem,
            (SramName.IMEM, Port.DMA_LOAD): imem,
            (SramName.AMEM, Port.DMA_STORE): share.store_bytes // chip.amem_word_bytes,
        }
        return transfer_events(share.load_bytes, share.store_bytes, words)


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


def transfer_events(load_bytes: int, store_bytes: int, served: Served) -> Counter[str]:
    """DMA: bytes on the interconnect and off-chip, words in each SRAM."""
    events = Counter(transfer_pj=load_bytes + store_bytes, off_chip_read_pj=load_bytes, off_chip_write_pj=store_bytes)
    for sram in SramName:
        events[f"{sram.name.lower()}_write_pj"] = served.get((sram, Port.DMA_LOAD), 0)
        events[f"{sram.name.lower()}_read_pj"] = served.get((sram, Port.DMA_STORE), 0)
    return events


def _summed(events: Iterable[EventCounts]) -> Counter[str]:
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
