"""Small pieces of hardware that several blocks use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Mux, ResetSignal, Signal, Value
from amaranth.lib.wiring import Component, In

from tlm.chip.config import ChipConfig
from tlm.chip.format.descriptor import sram_banks, sram_size
from tlm.chip.format.driver import SramName


class SharedModules:
    """The platform that a netlist is written for: one module for all equal components of a block (:func:`copies`).

    Amaranth would write, and look through, each of them.
    """

    def __init__(self) -> None:
        self.components: dict[str, Component] = {}
        """By the name of their module."""


def address_bits(sram: SramName, config: ChipConfig) -> int:
    """Bits of a word address of an SRAM."""
    return (sram_size(sram, config)[0] - 1).bit_length()


def bank_bits(sram: SramName, config: ChipConfig) -> int:
    """Low bits of a word address that choose the bank."""
    return sram_banks(sram, config).bit_length() - 1


def count_bits(most: int) -> int:
    """Bits of a counter from 0 to ``most``."""
    return most.bit_length()


def named(m: Module, name: str, value: Value) -> Signal:
    """A signal that always has a value."""
    signal = Signal(Value.cast(value).shape(), name=name)
    m.d.comb += signal.eq(value)
    return signal


def copies(m: Module, platform: object, name: str, count: int, make: Callable[[], Component]) -> list[Any]:
    """Equal components, ``name_0``, ``name_1`` .. in a module; returns them, or what has the same ports.

    Args:
        m, platform: of the block that has them; a simulator's platform is None.
        name: also of their module in a netlist.
        count: of components.
        make: one of them; its ports are no arrays.
    """
    if not isinstance(platform, SharedModules):
        components = [make() for _ in range(count)]
        for index, component in enumerate(components):
            m.submodules[f"{name}_{index}"] = component
        return components
    assert name not in platform.components, f"two blocks have {name}s"
    platform.components[name] = component = make()
    signature = component.signature
    interfaces = [signature.create(path=(f"{name}_{index}",)) for index in range(count)]
    for index, interface in enumerate(interfaces):
        ports = {
            f"{'i' if member.flow is In else 'o'}_{port}": getattr(interface, port)
            for port, member in signature.members.items()
        }
        m.submodules[f"{name}_{index}"] = Instance(name, i_clk=ClockSignal(), i_rst=ResetSignal(), **ports)
    return interfaces


def delayed(m: Module, value: Value, cycles: int, name: str, reset: bool = False) -> Value:
    """A value as it was some cycles ago; data need no reset, what starts something does."""
    for cycle in range(cycles):
        register = Signal(Value.cast(value).shape(), name=f"{name}_{cycle + 1}", reset_less=not reset)
        m.d.sync += register.eq(value)
        value = register
    return value


def divided(m: Module, dividend: Value, divisor: Value, quotient_bits: int, name: str) -> tuple[Value, Value]:
    """Quotient and remainder by long division, a row of subtractors per bit of the quotient.

    The quotient must fit: what does not gives a meaningless result.
    """
    rest: Value = dividend[quotient_bits:]
    bits: list[Value] = []
    for bit in reversed(range(quotient_bits)):
        row = named(m, f"{name}_row_{bit}", Cat(dividend[bit], rest))
        less = Signal(len(divisor) + 2, name=f"{name}_less_{bit}")
        m.d.comb += less.eq(row - divisor)
        fits = named(m, f"{name}_fits_{bit}", ~less[-1])
        rest = named(m, f"{name}_rest_{bit}", Mux(fits, less, row)[: len(divisor)])
        bits.append(fits)
    return Cat(*reversed(bits)), rest


def smaller_power(value: Value, most: int) -> Value:
    """A value, but ``most + 1`` if it is more than ``most``."""
    return Mux(value > most, Const(most + 1), value)[: count_bits(most + 1)]


def powers(count: int) -> Iterator[int]:
    """1, 2, 4 .. below ``count``."""
    power = 1
    while power < count:
        yield power
        power *= 2
