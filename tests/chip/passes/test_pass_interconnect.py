"""The interconnect of fidelity "pass" alone: transfers cross in no time, all else as in fidelity "cycle"."""

from __future__ import annotations

import pytest
from transaction_bench import Initiator, Target, answer_ok, run_together

from tlm.chip.format.address_map import AddressMap, Region
from tlm.chip.passes.interconnect import Interconnect
from tlm.chip.passes.payloads import BulkPayload
from tlm.core.kernel import Activity
from tlm.core.payload import Command, MemoryPayload, Response
from tlm.core.simulation import Simulation

BASE = 0x1000


class Bench:
    def __init__(self) -> None:
        self.simulation = Simulation()
        regions = AddressMap()
        regions.add(Region("memory", BASE, 0x1000))
        self.interconnect = Interconnect("interconnect", self.simulation, regions, {"host": 1, "dma_load": 2})
        self.seen: list[tuple[int, int]] = []
        self.interconnect.targets["memory"].bind(Target("memory", self.simulation, self._serve).port)
        self.ports = {}
        for name in ("host", "dma_load"):
            self.ports[name] = Initiator(name, self.simulation).out
            self.ports[name].bind(self.interconnect.ports[name])

    def _serve(self, payload: MemoryPayload) -> Activity:
        self.seen.append((self.simulation.clock.now, payload.address))
        answer_ok(payload)
        yield from ()

    def send(self, port: str, payload: MemoryPayload, answered: list[int]) -> Activity:
        yield self.simulation.clock.cycles(5)
        yield from self.ports[port].b_transport(payload)
        answered.append(self.simulation.clock.now)


def test_a_bulk_payload_crosses_in_no_time_with_a_relative_address() -> None:
    bench, answered = Bench(), list[int]()
    payload = BulkPayload(Command.READ, BASE + 0x40, bytearray(256))
    run_together(bench.simulation, bench.send("dma_load", payload, answered))
    assert (bench.seen, answered, payload.address) == ([(5, 0x40)], [5], BASE + 0x40)


def test_an_access_crosses_in_a_cycle_each_way_beside_it() -> None:
    """The host's access is not delayed by a transfer: its requests were counted when it was worked out."""
    bench, answered = Bench(), list[int]()
    bulk, access = BulkPayload(Command.READ, BASE, bytearray(64)), MemoryPayload(Command.READ, BASE, bytearray(8))
    run_together(bench.simulation, bench.send("dma_load", bulk, []), bench.send("host", access, answered))
    assert (bench.seen, answered) == ([(5, 0), (6, 0)], [7])


@pytest.mark.parametrize("bulk", [False, True])
def test_an_address_that_nothing_holds_is_answered_a_cycle_later(bulk: bool) -> None:
    bench, answered = Bench(), list[int]()
    payload = (BulkPayload if bulk else MemoryPayload)(Command.READ, BASE + 0x1000, bytearray(8))
    run_together(bench.simulation, bench.send("host", payload, answered))
    assert (payload.status, answered, bench.seen) == (Response.ADDRESS_ERROR, [6], [])
