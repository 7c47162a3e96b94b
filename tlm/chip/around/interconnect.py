"""The interconnect: initiators on one side, an address map of targets on the other.

Request flow: a payload is decoded by address, crosses to its target with an address relative to the target's
base, and its answer crosses back.
Timing: a request crosses in one cycle and an answer in one. Each target accepts one request per cycle, by fixed
priority (the slots of the ports: host, load channel, store channel); the others try again in the next cycle. A
port's requests to a target are granted in the order in which they were sent.
Only the first beat of a burst needs a request; the target paces the others.
Constraints: an address that no region holds is answered with ADDRESS_ERROR one cycle later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from functools import partial

from tlm.chip.format.address_map import AddressMap, Region
from tlm.chip.payloads import BurstBeat
from tlm.core.kernel import Activity
from tlm.core.module import Module
from tlm.core.payload import MemoryPayload, Response
from tlm.core.sockets import InitiatorSocket, TargetSocket


class Interconnect(Module):
    """A crossbar.

    Args:
        name: of the module.
        parent: the chip.
        address_map: the targets; each region becomes an initiator socket of its name.
        port_slots: name of each initiator's port -> its slot within the cycle, 1 for the highest priority.
    """

    def __init__(self, name: str, parent: Module, address_map: AddressMap, port_slots: Mapping[str, int]) -> None:
        super().__init__(name, parent)
        self.address_map = address_map
        self._last_request: dict[str, int] = {region.name: -1 for region in address_map}
        self._waiting: dict[tuple[str, int], deque[object]] = {
            (region.name, slot): deque() for region in address_map for slot in port_slots.values()
        }
        """For each target and port, the requests that are not yet granted, oldest first."""
        self.targets: dict[str, InitiatorSocket[MemoryPayload]] = {
            region.name: InitiatorSocket(self, f"to_{region.name}", MemoryPayload) for region in address_map
        }
        self.ports = {
            port: TargetSocket(self, port, MemoryPayload, partial(self.cross, slot), self._debug)
            for port, slot in port_slots.items()
        }

    def cross(self, slot: int, payload: MemoryPayload) -> Activity:
        """Carry a payload of a port to its target and the answer back."""
        region = self.address_map.find(payload.address, len(payload.data))
        if region is None:
            yield self.clock.cycles(1)
            payload.status = Response.ADDRESS_ERROR
            return
        if not (isinstance(payload, BurstBeat) and payload.beat):
            yield from self._request(region, slot)
        yield from self.forward(region, payload)
        yield self.clock.cycles(1)

    def forward(self, region: Region, payload: MemoryPayload) -> Activity:
        """Hand a payload to its target, with an address relative to the target's base."""
        payload.address -= region.base
        yield from self.targets[region.name].b_transport(payload)
        payload.address += region.base

    def _request(self, region: Region, slot: int) -> Activity:
        queue, request = self._waiting[region.name, slot], object()
        queue.append(request)
        while True:
            yield self.clock.slot(slot)
            if queue[0] is request and self._last_request[region.name] != self.clock.now:
                break
            yield self.clock.cycles(1)
        queue.popleft()
        self._last_request[region.name] = self.clock.now
        yield self.clock.cycles(1)

    def _debug(self, payload: MemoryPayload) -> int:
        region = self.address_map.find(payload.address, len(payload.data))
        if region is None:
            payload.status = Response.ADDRESS_ERROR
            return 0
        payload.address -= region.base
        moved = self.targets[region.name].debug_transport(payload)
        payload.address += region.base
        return moved
