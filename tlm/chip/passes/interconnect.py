"""The interconnect that lets whole transfers through."""

from __future__ import annotations

from tlm.chip.around import interconnect
from tlm.chip.format.address_map import Region
from tlm.chip.passes.payloads import BulkPayload
from tlm.core.kernel import Activity
from tlm.core.payload import MemoryPayload


class Interconnect(interconnect.Interconnect):
    """A bulk payload crosses in no time: its initiator has worked out when the accesses happen that it stands for."""

    def cross(self, slot: int, payload: MemoryPayload) -> Activity:
        """Carry a payload of a port to its target and the answer back."""
        if isinstance(payload, BulkPayload) and (region := self.address_map.find(payload.address, len(payload.data))):
            return self.forward(region, payload)
        return super().cross(slot, payload)

    def _request(self, region: Region, slot: int) -> Activity:
        """The host's register accesses have no competitors: all else moves in bulk."""
        yield self.clock.cycles(1)
