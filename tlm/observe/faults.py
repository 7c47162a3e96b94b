"""Fault injection: bits of a memory that flip at a given cycle."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from tlm.chip.format import address_map as am
from tlm.chip.format.descriptor import sram_size
from tlm.chip.format.driver import SramName
from tlm.chip.system import System
from tlm.compiler.program import Program
from tlm.compiler.transfer_uses import transfer_bytes
from tlm.core.arguments import expect, shown
from tlm.core.errors import InputError
from tlm.core.kernel import Activity
from tlm.core.payload import Command, MemoryPayload
from tlm.core.sockets import InitiatorSocket


class FaultTarget(enum.Enum):
    """Memories whose bits can flip."""

    MEMORY = "memory"
    """Off-chip; an address counts bytes."""
    AMEM = "amem"
    WMEM = "wmem"
    IMEM = "imem"


@dataclass(frozen=True, slots=True)
class BitFlip:
    """One bit that changes at the start of a cycle; in an SRAM word that was never written nothing changes.

    Args:
        target: which memory.
        address: byte of the off-chip memory, or word of an SRAM.
        bit: 0 is the lowest bit of the byte or of the word.
        cycle: when; 0 is before the first host access.
    """

    target: FaultTarget
    address: int
    bit: int
    cycle: int = 0

    def __post_init__(self) -> None:
        expect("fault.target", self.target, FaultTarget)
        for key in ("address", "bit", "cycle"):
            value = getattr(self, key)
            expect(f"fault.{key}", value, int)
            if abs(value) >> 63:
                raise InputError(f"fault.{key}: {shown(value)} is beyond 64 bits")

    @property
    def sram(self) -> SramName | None:
        """The SRAM that is meant; None for the off-chip memory."""
        return None if self.target is FaultTarget.MEMORY else SramName[self.target.name]


def whole_passes_show(faults: Sequence[BitFlip], program: Program) -> bool:
    """Whether a model that moves all words of a pass or transfer at once shows the effect of the flips correctly.

    It does if all flips change off-chip data before the run begins. A flip during the run may come between two
    accesses of one pass. A flipped instruction may make a pass and a transfer meet at a word, where order matters.
    """
    instructions = [load.transfer for load in program.loads if load.transfer.sram is SramName.IMEM]
    return all(
        fault.target is FaultTarget.MEMORY
        and fault.cycle == 0
        and not any(
            0 <= fault.address - one.memory_offset_bytes < transfer_bytes(one, program.config) for one in instructions
        )
        for fault in faults
    )


def arm(system: System, faults: Sequence[BitFlip]) -> None:
    """Schedule the flips for the run (debug transport: no time, no arbitration).

    Raises:
        InputError: an address, bit or cycle that does not exist.
    """
    for fault in faults:
        socket, base, size_bytes = _place(system, fault)
        payload = MemoryPayload(Command.READ, base + fault.address, bytearray(size_bytes))
        if (
            fault.address < 0
            or not 0 <= fault.bit < 8 * size_bytes
            or fault.cycle < 0
            or not socket.debug_transport(payload)
        ):
            raise InputError(
                f"fault {fault}: there is no such bit; "
                f"{fault.target.value} words have bits 0..{8 * size_bytes - 1}, cycles start at 0"
            )
        if fault.cycle:
            system.simulation.add_process(partial(_flip_at, system, fault))
        else:
            _flip(system, fault)


def _place(system: System, fault: BitFlip) -> tuple[InitiatorSocket[MemoryPayload], int, int]:
    """Socket, base address and bytes of an addressed unit."""
    sram = fault.sram
    if sram is None:
        return system.host.bus, am.MEMORY_BASE, 1
    return system.sram_socket(sram), 0, sram_size(sram, system.config)[1]


def _flip_at(system: System, fault: BitFlip) -> Activity:
    yield system.simulation.clock.cycles(fault.cycle)
    _flip(system, fault)


def _flip(system: System, fault: BitFlip) -> None:
    socket, base, size_bytes = _place(system, fault)
    if fault.sram is not None and not system.engine.written(fault.sram, fault.address):
        return  # a word without a value has no bit to flip, and must stay unwritten
    word = bytearray(size_bytes)
    socket.debug_transport(MemoryPayload(Command.READ, base + fault.address, word))
    word[fault.bit // 8] ^= 1 << fault.bit % 8
    socket.debug_transport(MemoryPayload(Command.WRITE, base + fault.address, bytes(word)))
