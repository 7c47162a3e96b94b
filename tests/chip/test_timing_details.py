"""Rules of docs/timing.md that no other test could tell from their neighbours (found by `make mutations`)."""

from fractions import Fraction
from typing import Any

import pytest

from tlm.chip.config import ChipConfig
from tlm.chip.format import address_map as am
from tlm.chip.format.driver import SramName, StartEngine, Unit, Wait
from tlm.chip.format.registers import UnitRegister
from tlm.chip.operating_point import ALPHA, max_frequency_mhz
from tlm.chip.system import System
from tlm.core.errors import DriverError
from tlm.core.payload import Command, MemoryPayload
from tlm.core.sockets import Phase


@pytest.mark.parametrize("voltage_v", [0.75, 0.9, 0.95, 1.0, 1.05, 1.2])
def test_the_frequency_of_a_voltage_is_rounded_down_to_1_khz(voltage_v: float) -> None:
    """Against the alpha-power law with Vt found by bisection: f(1.1) / f(0.8) must be 534 / 234."""

    def over_k(v: float, threshold_v: float) -> float:
        return (v - threshold_v) ** ALPHA / v

    low, high = 0.0, 0.8
    for _ in range(200):
        middle = (low + high) / 2
        too_flat = over_k(1.1, middle) / over_k(0.8, middle) < 534 / 234
        low, high = (middle, high) if too_flat else (low, middle)
    exact_khz = 534_000 * over_k(voltage_v, low) / over_k(1.1, low)
    khz = Fraction(str(max_frequency_mhz(voltage_v))) * 1000
    assert khz.denominator == 1
    assert 0 <= exact_khz - int(khz) < 1


def test_after_an_error_the_driver_reads_status_and_three_registers() -> None:
    system, seen = System(ChipConfig()), []
    system.sram_socket(SramName.IMEM).debug_transport(MemoryPayload(Command.WRITE, 0, bytes(8)))  # opcode 0 is illegal

    def access(phase: Phase, _: Any, payload: Any) -> None:
        if phase is Phase.BEGIN_REQ:
            seen.append((payload.command, payload.address - am.ENGINE_BASE))

    system.host.bus.observe(access)
    with pytest.raises(DriverError, match="illegal instruction at IMem word 0"):
        system.run([StartEngine(0), Wait(Unit.ENGINE)])
    assert seen[2:] == [
        (Command.READ, UnitRegister.STATUS),
        (Command.READ, UnitRegister.ERROR_CODE),
        (Command.READ, UnitRegister.ERROR_ADDRESS),
        (Command.READ, UnitRegister.ERROR_CYCLE),
    ]
