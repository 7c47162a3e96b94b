"""The engine's contract, met by a tiny engine of this suite's own: all observers work on it as on the real ones."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import pytest

import tlm
from tlm.chip.base.unit import UnitModule
from tlm.chip.config import ChipConfig
from tlm.chip.contract import Accessed, DmaPorts, Engine, PassFetched, PassId, PassStarted, Port
from tlm.chip.fidelity import Fidelity
from tlm.chip.format.driver import SramName
from tlm.chip.format.registers import EngineRegister, ErrorCode, UnitFaultError
from tlm.chip.payloads import InterruptPayload
from tlm.chip.system import System
from tlm.chip.untimed.engine import UntimedEngine, UntimedLayer
from tlm.chip.untimed.memories import new_srams
from tlm.core.errors import DriverError
from tlm.core.kernel import Activity
from tlm.core.module import Module
from tlm.core.payload import Command, MemoryPayload, Response
from tlm.core.sockets import InitiatorSocket, TargetSocket
from tlm.observe.energy import EnergyObserver
from tlm.observe.energy_table import EnergyConfig
from tlm.observe.recorder import Recorder
from tlm.results.capture import TensorCapture
from tlm.results.result import Result
from tlm.results.result_builder import ResultBuilder

CHIP = ChipConfig(lanes=8, columns=8)
FETCHED = {SramName.AMEM: Port.ALIGNER, SramName.WMEM: Port.FETCH, SramName.IMEM: Port.FETCH}


class TinyEngine(Engine):
    """Computes a layer at once and then says that each of its passes has one step; nothing contends for a bank."""

    def __init__(self, name: str, parent: Module, config: ChipConfig) -> None:
        super().__init__(name, parent)
        self.config = config
        self._srams = new_srams(config)
        self._control = Control("control", self, self)
        self._ports = {
            sram: DmaPorts(self._port(sram, Port.DMA_LOAD), self._port(sram, Port.DMA_STORE)) for sram in SramName
        }

    @property
    def registers(self) -> TargetSocket[MemoryPayload]:
        return self._control.registers.target

    @property
    def interrupt(self) -> InitiatorSocket[InterruptPayload]:
        return self._control.registers.interrupt

    @property
    def ports(self) -> Mapping[SramName, DmaPorts]:
        return self._ports

    def written(self, sram: SramName, address: int) -> bool:
        return bool(self._srams[sram].written[address])

    def program(self, address: int) -> Activity:
        for layer in UntimedEngine(self.config, self._srams).decode(address):
            yield self.clock.cycles(1)
            self.events.layer_started(layer.header)
            layer.run()
            yield from self._passes(layer)
            self.events.layer_ended(layer.tag)
        yield self.clock.cycles(1)

    def _passes(self, layer: UntimedLayer) -> Activity:
        header, config, events = layer.header, self.config, self.events
        tiles = header.tiles(config.lanes)
        for index in range(header.groups(config.columns) * tiles):
            group, tile = divmod(index, tiles)
            yield self.clock.cycles(config.pass_gap_cycles)
            which, channels = PassId(layer.tag, index), header.group_channels(group, config.columns)
            started = PassStarted(which, group, tile, header.tile_pixels(tile, config.lanes), channels)
            events.pass_started(started)
            for sram, port in FETCHED.items():
                events.accessed(Accessed(sram, port, self._one_word(sram), 0, None))
            events.pass_fetched(PassFetched(started, self.clock.now, steps=1, fetch_cycles=1))
            yield self.clock.cycles(1 + config.pipeline_cycles)
            events.pass_handed_over(which)
            yield self.clock.cycles(config.requantiser_cycles + 1)
            events.accessed(Accessed(SramName.AMEM, Port.WRITE_BACK, self._one_word(SramName.AMEM), 0, which))
            events.pass_written(which)
            yield self.clock.cycles(1)

    def _one_word(self, sram: SramName) -> list[int]:
        banks = {SramName.AMEM: self.config.amem_banks, SramName.WMEM: self.config.wmem_banks}
        return [1] + [0] * (banks.get(sram, self.config.imem_banks) - 1)

    def _port(self, sram: SramName, port: Port) -> TargetSocket[MemoryPayload]:
        name, serve = f"{sram.name.lower()}_{port}", partial(self._serve, sram, port)
        return TargetSocket(self, name, MemoryPayload, serve, partial(self._move, sram))

    def _serve(self, sram: SramName, port: Port, payload: MemoryPayload) -> None:
        self._move(sram, payload)
        self.events.accessed(Accessed(sram, port, self._one_word(sram), 0, None))

    def _move(self, sram: SramName, payload: MemoryPayload) -> int:
        memory = self._srams[sram]
        size = len(memory.data) // len(memory.written)
        first, count = payload.address * size, len(payload.data)
        if payload.command is Command.WRITE:
            memory.data[first : first + count] = np.frombuffer(payload.data, np.uint8)
            memory.written[payload.address : payload.address + count // size] = True
        else:
            assert not isinstance(payload.data, bytes)
            payload.data[:] = memory.data[first : first + count].tobytes()
        payload.status = Response.OK
        return count


class Control(UnitModule):
    def __init__(self, name: str, parent: Module, engine: TinyEngine) -> None:
        super().__init__(name, parent, EngineRegister)
        self._engine = engine

    def work(self) -> Activity:
        address, _ = self.registers.operand(EngineRegister.PROGRAM)
        self._engine.events.program_started(address)
        yield from self._engine.program(address)

    def rest(self, fault: UnitFaultError | None) -> None:
        self._engine.events.program_ended(fault)


def network() -> tlm.Network:
    weights = np.random.default_rng(1).integers(-8, 8, (16, 8, 1, 1))
    layers = [tlm.Conv2d("a", weights, multiplier=9000, shift=20), tlm.MaxPool2d("p", 3, padding=1)]
    return tlm.Network((8, 6, 6), layers)


def simulated(activations: np.ndarray) -> Result:
    """What ``tlm.simulate`` does, with another engine."""
    program = tlm.compile(network(), CHIP)
    system = System(CHIP, Fidelity.CYCLE, TinyEngine)
    tensors = TensorCapture(system, program)
    recorder = Recorder(system, tensors.part_done)
    meter = EnergyObserver(system, recorder, EnergyConfig())
    system.preload(program.image(activations))
    system.run(program.steps)
    tensors.check_stored_output()
    return ResultBuilder(program, CHIP, "tiny", recorder, tensors.tensors, meter, EnergyConfig()).result()


ACTIVATIONS = np.arange(8 * 6 * 6).reshape(8, 6, 6) % 16


def test_another_engine_gives_a_whole_result() -> None:
    found, real = simulated(ACTIVATIONS), tlm.simulate(network(), ACTIVATIONS, CHIP)
    for name, golden in tlm.reference.run(network(), ACTIVATIONS).items():
        np.testing.assert_array_equal(found.tensors[name], golden)
    assert found.traffic == real.traffic
    passes = {name: len(layer) for name, layer in real.passes.items()}
    assert {name: len(layer) for name, layer in found.passes.items()} == passes
    for layer in found.layers.values():
        assert layer.steps == layer.account.computing == passes[layer.name]
    assert found.account.array.total + found.account.waits.total == found.cycles  # each checked by the account itself
    assert sum(found.account.sram["amem"].busy["write_back"]) == sum(passes.values())
    assert found.energy.compute.total > 0


def test_an_error_of_another_engine_stops_the_driver() -> None:
    class Failing(TinyEngine):
        def program(self, address: int) -> Activity:
            yield self.clock.cycles(1)
            raise UnitFaultError(ErrorCode.ILLEGAL_INSTRUCTION, 7)

    program, faults = tlm.compile(network(), CHIP), list[UnitFaultError | None]()
    system = System(CHIP, Fidelity.CYCLE, Failing)
    system.engine.events.program_ended.listen(faults.append)
    system.preload(program.image(ACTIVATIONS))
    with pytest.raises(DriverError, match="illegal instruction at IMem word 7"):
        system.run(program.steps)
    assert [(fault.code, fault.address) for fault in faults if fault is not None] == [
        (ErrorCode.ILLEGAL_INSTRUCTION, 7)
    ]
