"""The address space of the interconnect's targets [A]."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from tlm.core.errors import ElaborationError

LOAD_BASE = 0x0000_0000
STORE_BASE = 0x0000_1000
ENGINE_BASE = 0x0000_2000
BLOCK_BYTES = 0x1000
"""Address space of a register block."""
MEMORY_BASE = 0x8000_0000


class Region(Struct, frozen=True):
    """``size`` bytes from ``base`` belong to ``name``."""

    name: str
    base: int
    size: int

    @property
    def end(self) -> int:
        """First address after the region."""
        return self.base + self.size


class AddressMap:
    """Regions that do not overlap."""

    def __init__(self) -> None:
        self._regions: list[Region] = []

    def add(self, region: Region) -> None:
        """Place a region.

        Raises:
            ElaborationError: empty, or it overlaps another one.
        """
        if region.size <= 0 or region.base < 0:
            raise ElaborationError(
                f"address map: {region.name} at 0x{region.base:x} has {region.size} bytes; give it a base and a size"
            )
        for other in self._regions:
            if region.base < other.end and other.base < region.end:
                raise ElaborationError(
                    f"address map: {region.name} (0x{region.base:x}..0x{region.end - 1:x}) overlaps "
                    f"{other.name} (0x{other.base:x}..0x{other.end - 1:x}); move one of them"
                )
        self._regions.append(region)

    def find(self, address: int, size: int) -> Region | None:
        """The region that contains all ``size`` bytes from ``address``, or None."""
        for region in self._regions:
            if 0 <= address - region.base <= region.size - size:
                return region
        return None

    def __iter__(self) -> Iterator[Region]:
        return iter(self._regions)
