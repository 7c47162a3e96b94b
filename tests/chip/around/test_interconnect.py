"""The interconnect and its address map."""

from __future__ import annotations

import itertools
from typing import TypeAlias

import pytest
from transaction_bench import Initiator, Target, read, run_together, watch, write

from tlm.chip.around.interconnect import Interconnect
from tlm.chip.config import ChipConfig
from tlm.chip.format import address_map as am
from tlm.chip.format.address_map import AddressMap, Region
from tlm.chip.payloads import BurstBeat
from tlm.chip.system import System
from tlm.core.errors import ElaborationError
from tlm.core.kernel import Activity
from tlm.core.payload import Command, MemoryPayload, Response
from tlm.core.simulation import Simulation
from tlm.core.sockets import InitiatorSocket, Phase

Answers: TypeAlias = list[tuple[int, str]]
"""Cycle and port of each answer."""

PORTS = {"host": 1, "load": 2, "store": 3}


class Bench:
    """Three initiators, and the targets ``low`` at 0x1000 and ``high`` at 0x4000, 0x100 bytes each."""

    def __init__(self) -> None:
        self.simulation = Simulation()
        regions = AddressMap()
        regions.add(Region("low", 0x1000, 0x100))
        regions.add(Region("high", 0x4000, 0x100))
        self.interconnect = Interconnect("bus", self.simulation, regions, PORTS)
        self.sockets: dict[str, InitiatorSocket[MemoryPayload]] = {}
        for port in PORTS:
            self.sockets[port] = Initiator(port, self.simulation).out
            self.sockets[port].bind(self.interconnect.ports[port])
        self.arrivals: list[tuple[int, str, int]] = []
        """Cycle, target and relative address of everything that reached a target."""
        for name in ("low", "high"):
            target = Target(name, self.simulation, self._serve(name), debug=self._debug)
            self.interconnect.targets[name].bind(target.port)

    def _serve(self, name: str):
        def serve(payload: MemoryPayload) -> None:
            self.arrivals.append((self.simulation.clock.now, name, payload.address))
            payload.status = Response.OK

        return serve

    def _debug(self, payload: MemoryPayload) -> int:
        payload.status = Response.OK
        return payload.address

    def send(self, port: str, payload: MemoryPayload, cycle: int, answers: Answers | None = None) -> Activity:
        yield self.simulation.clock.cycles(cycle)
        yield from self.sockets[port].b_transport(payload)
        if answers is not None:
            answers.append((self.simulation.clock.now, port))


# -- address map --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("base", "size"), [(0x1080, 0x10), (0xFF0, 0x11), (0x10FF, 1), (0x0, 0x9000), (0x1000, 0x100)])
def test_overlapping_regions_are_refused_with_both_ranges(base: int, size: int) -> None:
    regions = AddressMap()
    regions.add(Region("low", 0x1000, 0x100))
    with pytest.raises(ElaborationError) as error:
        regions.add(Region("new", base, size))
    assert str(error.value) == (
        f"address map: new (0x{base:x}..0x{base + size - 1:x}) overlaps low (0x1000..0x10ff); move one of them"
    )
    assert [region.name for region in regions] == ["low"]


def test_regions_may_touch() -> None:
    regions = AddressMap()
    for region in (Region("b", 0x1000, 0x100), Region("a", 0xF00, 0x100), Region("c", 0x1100, 1)):
        regions.add(region)
    assert [regions.find(address, 1).name for address in (0xFFF, 0x1000, 0x10FF, 0x1100)] == ["a", "b", "b", "c"]  # type: ignore[union-attr]
    assert regions.find(0x1101, 1) is None
    assert regions.find(0xEFF, 1) is None


@pytest.mark.parametrize(("base", "size"), [(0, 0), (0, -1), (-8, 16)])
def test_a_region_has_a_base_and_a_size(base: int, size: int) -> None:
    with pytest.raises(ElaborationError, match=r"address map: odd at .* give it a base and a size"):
        AddressMap().add(Region("odd", base, size))


def test_an_access_lies_within_one_region() -> None:
    regions = AddressMap()
    regions.add(Region("a", 0x0, 0x100))
    regions.add(Region("b", 0x100, 0x100))
    assert regions.find(0xF8, 8) is not None
    assert regions.find(0xFC, 8) is None


# -- requests and answers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("address", "target"), [(0x1000, "low"), (0x10F8, "low"), (0x4010, "high")])
def test_a_request_crosses_in_one_cycle_and_its_answer_in_one(address: int, target: str) -> None:
    """Uncontended: at the target in t + 1, answered by a target that takes d cycles in t + 2 + d."""
    bench, payload = Bench(), read(address)
    answers: Answers = []
    run_together(bench.simulation, bench.send("load", payload, 5, answers))
    assert bench.arrivals == [(6, target, address - {"low": 0x1000, "high": 0x4000}[target])]
    assert answers == [(7, "load")]
    assert payload.address == address  # the initiator gets its own address back
    assert payload.status is Response.OK


CONTENDERS = [order for size in (2, 3) for order in itertools.permutations(PORTS, size)]


@pytest.mark.parametrize("order", CONTENDERS, ids="+".join)
def test_a_target_accepts_one_request_a_cycle_by_priority(order: tuple[str, ...]) -> None:
    """Contender i of host > load > store, all asking in t, reaches the target in t + 1 + i."""
    bench = Bench()
    answers: Answers = []
    run_together(bench.simulation, *(bench.send(port, read(0x1000), 3, answers) for port in order))
    assert answers == [(5 + i, port) for i, port in enumerate(sorted(order, key=PORTS.__getitem__))]


def test_targets_accept_requests_independently() -> None:
    bench = Bench()
    run_together(bench.simulation, bench.send("host", read(0x1000), 0), bench.send("load", read(0x4000), 0))
    assert [(cycle, target) for cycle, target, _ in bench.arrivals] == [(1, "low"), (1, "high")]


def test_a_port_s_requests_are_granted_in_the_order_in_which_they_were_sent() -> None:
    """The host takes the target in cycles 0, 1, 2; the load channel's requests of cycles 0, 1, 2 follow in 3, 4, 5."""
    bench = Bench()
    later = [bench.send("load", read(0x1010 + 8 * i), i) for i in range(3)]
    run_together(bench.simulation, *(bench.send("host", read(0x1000), i) for i in range(3)), *later)
    assert bench.arrivals == [
        (1, "low", 0x0),
        (2, "low", 0x0),
        (3, "low", 0x0),
        (4, "low", 0x10),
        (5, "low", 0x18),
        (6, "low", 0x20),
    ]


def test_beats_behind_the_first_take_no_request_slot() -> None:
    bench = Bench()
    beats = [BurstBeat(Command.READ, 0x1000 + 8 * i, bytearray(8), i, 4) for i in range(4)]

    def burst() -> Activity:
        for beat in beats:
            yield from bench.send("store", beat, 0)

    hosts = [bench.send("host", read(0x1080), cycle) for cycle in range(1, 9)]
    run_together(bench.simulation, burst(), *hosts)
    # answers cross in one cycle, and the next beat leaves at once: one beat a cycle, beside one request a cycle
    assert [(cycle, at) for cycle, _, at in bench.arrivals if at < 0x80] == [(1, 0), (2, 8), (3, 16), (4, 24)]
    assert [cycle for cycle, _, at in bench.arrivals if at == 0x80] == list(range(2, 10))


@pytest.mark.parametrize("address", [0x0, 0xFFF, 0x10F9, 0x1100, 0x3FFF, 0x4100, 1 << 40])
def test_an_unmapped_address_is_answered_one_cycle_later(address: int) -> None:
    """ADDRESS_ERROR in t + 1, and no target sees anything."""
    bench, payload = Bench(), read(address)
    answers: Answers = []
    run_together(bench.simulation, bench.send("host", payload, 4, answers))
    assert payload.status is Response.ADDRESS_ERROR
    assert answers == [(5, "host")]
    assert bench.arrivals == []


def test_an_unmapped_address_takes_no_request_from_others() -> None:
    bench = Bench()
    answers: Answers = []
    run_together(
        bench.simulation, bench.send("host", read(0x0), 0, answers), bench.send("load", read(0x1000), 0, answers)
    )
    assert answers == [(1, "host"), (2, "load")]


def test_debug_transport_is_routed_with_a_relative_address_in_no_time() -> None:
    bench, payload = Bench(), write(0x4020, b"12345678")
    assert bench.sockets["host"].debug_transport(payload) == 0x20
    assert payload.address == 0x4020
    assert bench.sockets["host"].debug_transport(write(0x2000, b"1")) == 0


# -- in the chip --------------------------------------------------------------------------------------------------


def test_the_chip_s_map_holds_the_register_blocks_and_the_memory() -> None:
    config = ChipConfig(memory_bytes=1 << 20)
    system = System(config)
    assert {region.name: (region.base, region.size) for region in system.interconnect.address_map} == {
        "load": (am.LOAD_BASE, 0x1000),
        "store": (am.STORE_BASE, 0x1000),
        "engine": (am.ENGINE_BASE, 0x1000),
        "memory": (am.MEMORY_BASE, 1 << 20),
    }


def test_in_the_chip_the_load_channel_comes_before_the_store_channel() -> None:
    """Host > load > store at one target; burst requests of one cycle reach the memory in consecutive cycles."""
    system = System(ChipConfig(memory_bytes=1 << 16, memory_latency_ns=0.0))
    system.preload(bytes(64))
    arrivals: list[tuple[int, Phase]] = []
    watch(system.interconnect.targets["memory"], arrivals)
    answered: list[str] = []

    def ask(name: str, socket: InitiatorSocket[MemoryPayload]) -> Activity:
        yield from socket.b_transport(BurstBeat(Command.READ, am.MEMORY_BASE, bytearray(8), 0, 1))
        answered.append(name)

    run_together(
        system.simulation,
        ask("store", system.dma.store.memory),
        ask("load", system.dma.load.memory),
        ask("host", system.host.bus),
    )
    assert answered == ["host", "load", "store"]
    assert [cycle for cycle, phase in arrivals if phase is Phase.BEGIN_REQ] == [1, 2, 3]


def test_a_refused_request_waits_as_long_as_it_must() -> None:
    bench = Bench()
    answers: Answers = []
    hosts = [bench.send("host", read(0x1000), cycle) for cycle in range(20)]
    run_together(
        bench.simulation,
        *hosts,
        bench.send("store", read(0x1000), 0, answers),
    )
    assert answers == [(22, "store")]
