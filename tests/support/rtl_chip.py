"""The chip whose circuit the RTL tests build, and how they compare it with fidelity "cycle"."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy.typing as npt
from fidelities import assert_equal

import tlm
from tlm.chip.config import ChipConfig
from tlm.chip.contract import Accessed, Port
from tlm.chip.format.descriptor import sram_size
from tlm.chip.format.driver import SramName
from tlm.chip.system import System
from tlm.compiler.program import Program
from tlm.core.errors import TlmError
from tlm.core.payload import Command, MemoryPayload
from tlm.core.sockets import Phase
from tlm.observe.faults import BitFlip
from tlm.results.result import Result

CHIP = ChipConfig(lanes=8, columns=8, amem_words=1024, wmem_words=512, imem_words=512, memory_bytes=1 << 20)
"""Small, so that its circuit is built in seconds; tests change only what lies around the circuit."""

DEEP_CHIP = ChipConfig(
    lanes=8, columns=16, amem_words=1024, wmem_words=512, imem_words=512, amem_banks=2, wmem_banks=1, imem_banks=1,
    sram_read_cycles=3, mask_cycles=2, multiply_cycles=2, accumulate_cycles=3, pass_gap_cycles=1, requantiser_cycles=1,
    memory_bytes=1 << 20,
)  # fmt: skip
"""Unequal sides, few banks, and every latency another than the default."""


def assert_same_run(program: Program, activations: npt.ArrayLike) -> None:
    """Outputs, every pass, and every figure of result.json."""
    assert_equal(*(tlm.simulate(program, activations, fidelity=fidelity) for fidelity in ("cycle", "rtl")))


def outcome(program: Program, activations: npt.ArrayLike, fidelity: str, flips: Sequence[BitFlip]) -> Result | str:
    """The result, or the error's text up to who asked for the word."""
    try:
        return tlm.simulate(program, activations, fidelity=fidelity, faults=flips)
    except TlmError as error:
        return f"{type(error).__name__}: {str(error).partition(' for ')[0].partition(', but was never')[0]}"


def assert_same_outcome(program: Program, activations: npt.ArrayLike, *flips: BitFlip) -> Result | str:
    """With flipped bits: the same result, or the same error at the same address in the same cycle."""
    clear, circuit = (outcome(program, activations, fidelity, flips) for fidelity in ("cycle", "rtl"))
    if isinstance(clear, Result) and isinstance(circuit, Result):
        assert (clear.fidelity, circuit.fidelity) == ("cycle", "rtl")
        assert_equal(clear, circuit)
    else:
        assert clear == circuit, f"{flips}: {clear!s:.200} and {circuit!s:.200}"
    return clear


@dataclass
class Observed:
    """What a system did and what it holds, seen from its sockets."""

    memory: bytes = b""
    srams: dict[SramName, bytes] = field(default_factory=dict)
    interrupts: list[tuple[str, int]] = field(default_factory=list)
    """(unit, cycle)."""
    refusals: Counter[Port] = field(default_factory=Counter)
    words: Counter[tuple[SramName, Port, int]] = field(default_factory=Counter)
    """(SRAM, initiator, bank) -> accesses."""


def observed(system: System, program: Program, activations: npt.NDArray[Any]) -> Observed:
    """Run a program: interrupts, refusals, accesses, and every byte of all memories when the driver has ended."""
    found, clock = Observed(), system.simulation.clock

    def interrupted(unit: str, *_: Any) -> None:
        found.interrupts.append((unit, clock.now))

    def accessed(event: Accessed) -> None:
        found.refusals[event.port] += event.refused
        found.words.update({(event.sram, event.port, bank): count for bank, count in enumerate(event.words)})

    units = {"load": system.dma.load.registers, "store": system.dma.store.registers, "engine": system.engine}
    for unit, registers in units.items():
        registers.interrupt.observe(partial(interrupted, unit), [Phase.BEGIN_REQ])
    system.engine.events.accessed.listen(accessed)
    system.preload(program.image(activations))
    system.run(program.steps)
    found.memory = system.read_memory(0, program.config.memory_bytes)
    for sram in SramName:
        words, word_bytes = sram_size(sram, program.config)
        data = bytearray(words * word_bytes)
        system.sram_socket(sram).debug_transport(MemoryPayload(Command.READ, 0, data))
        found.srams[sram] = bytes(data)
    return found
