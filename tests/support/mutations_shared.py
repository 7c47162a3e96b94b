"""Mutations of what serves both fidelities; see mutations.py."""

from __future__ import annotations

from mutation_rules import Mutation


def _shared(rule: str, file: str, old: str, new: str) -> Mutation:
    return Mutation(rule, "shared", f"tlm/{file}", old, new)


_ONE = "yield self.clock.cycles(1)"
_TWO = "yield self.clock.cycles(2)"

MUTATIONS = (
    _shared(
        "engine start: first activity in the cycle after START",
        "chip/base/unit.py",
        f"{_ONE}\n            fault = None",
        "yield self.clock.cycles(2 if self.ending_cycles == 0 else 1)\n            fault = None",
    ),
    _shared(
        "channel start: first activity in the cycle after START",
        "chip/base/unit.py",
        f"{_ONE}\n            fault = None",
        "yield self.clock.cycles(2 if self.ending_cycles else 1)\n            fault = None",
    ),
    _shared(
        "the interrupt of a channel comes in the cycle after its last access",
        "chip/base/dma.py",
        "ending_cycles = 1",
        "ending_cycles = 2",
    ),
    _shared(
        "nanoseconds become the cycles that cover them", "chip/config.py", "return math.ceil(", "return math.floor("
    ),
    _shared(
        "the clock is a whole number of kHz",
        "chip/config.py",
        "round(self.frequency_mhz * 1000)",
        "round(self.frequency_mhz * 1000) + 1",
    ),
    _shared("frequency of a supply voltage", "chip/operating_point.py", "khz = int(", "khz = 1 + int("),
    _shared(
        "beat time of the memory: bus_bytes at its bandwidth, at least one cycle",
        "chip/config.py",
        "max(Fraction(1), ",
        "max(Fraction(2), ",
    ),
    _shared(
        "a register access takes host_access_ns before it crosses",
        "chip/around/host.py",
        "yield self.clock.cycles(self._access_cycles)",
        "yield self.clock.cycles(self._access_cycles + 1)",
    ),
    _shared(
        "a register access crosses in one cycle each way",
        "chip/around/interconnect.py",
        f"yield from self.forward(region, payload)\n{_ONE}",
        "yield from self.forward(region, payload)\nyield self.clock.cycles(1 if region.name == 'memory' else 2)",
    ),
    _shared(
        "the start of a transfer is five accesses",
        "chip/around/host.py",
        "        yield from self._write(base + ChannelRegister.MEMORY_ADDRESS, memory_address)\n",
        "        yield from self._write(base + ChannelRegister.MEMORY_ADDRESS, memory_address)\n" * 2,
    ),
    _shared(
        "the start of the engine is two accesses",
        "chip/around/host.py",
        "                    yield from self._write(base + EngineRegister.PROGRAM, step.imem_word)\n",
        "                    yield from self._write(base + EngineRegister.PROGRAM, step.imem_word)\n" * 2,
    ),
    _shared(
        "the driver goes on host_interrupt_ns after an interrupt",
        "chip/around/host.py",
        "self._raised.pop(unit) + self._interrupt_cycles",
        "self._raised.pop(unit) + self._interrupt_cycles + 1",
    ),
    _shared(
        "after a wake-up STATUS is read and cleared",
        "chip/around/host.py",
        "        status = yield from self._read(base + UnitRegister.STATUS)\n",
        "        status = yield from self._read(base + UnitRegister.STATUS)\n" * 2,
    ),
    _shared(
        "after an error three registers are read",
        "chip/around/host.py",
        "        cycle = yield from self._read(base + UnitRegister.ERROR_CYCLE)\n",
        "        cycle = yield from self._read(base + UnitRegister.ERROR_CYCLE)\n" * 2,
    ),
    _shared(
        "an unmapped address is answered after one cycle",
        "chip/around/interconnect.py",
        f"if region is None:\n            {_ONE}",
        f"if region is None:\n            {_TWO}",
    ),
    _shared(
        "a band's tiles count from first_tile", "chip/format/layer_header.py", "(first + tile) * lanes", "tile * lanes"
    ),
    _shared(
        "cycles count to the last interrupt, inclusive",
        "observe/recorder.py",
        "return self.last_interrupt_cycle + 1",
        "return self.last_interrupt_cycle",
    ),
)
