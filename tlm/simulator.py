"""``simulate``: compile, build the system, run it, and report. A pure function of picklable inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tlm.chip.chip import System
from tlm.chip.config import ChipConfig
from tlm.chip.driver import SramName
from tlm.chip.fidelity import Fidelity
from tlm.chip.packing import unpack_accumulators, unpack_tensor
from tlm.chip.payloads import LayerPayload
from tlm.compiler.compile import compile_network
from tlm.compiler.program import Program
from tlm.core.errors import InputError, SimulationError
from tlm.core.observation import Phase
from tlm.core.payload import Command, MemoryPayload, Payload
from tlm.core.sockets import InitiatorSocket
from tlm.network import Network, TensorInfo
from tlm.observe.account import ArrayAccount, WaitAccount, added, column_steps, lane_steps
from tlm.observe.energy import EnergyObserver, LayerShare
from tlm.observe.energy_table import EnergyConfig
from tlm.observe.faults import BitFlip, arm
from tlm.observe.passes import PartRecord, PassRecord
from tlm.observe.recorder import Recorder
from tlm.result import LayerResult, Result, Tensor, Traffic, layer_kind

FIDELITIES = tuple(fidelity.value for fidelity in Fidelity)
"""Models of the chip that exist."""

_FIXED_BY_COMPILATION = ("lanes", "columns", "bus_bytes")
_MAY_GROW = ("amem_words", "wmem_words", "imem_words", "memory_bytes")


def simulate(
    network: Network | Program,
    activations: npt.ArrayLike,
    chip: ChipConfig | None = None,
    fidelity: str | None = None,
    vcd: str | Path | None = None,
    faults: Sequence[BitFlip] = (),
    energy: EnergyConfig | None = None,
) -> Result:
    """Run a network on the simulated chip.

    Args:
        network: layers, or a program that was compiled before (``tlm.compile``).
        activations: int array (C, H, W), the network's input.
        chip: parameters; by default the published chip, or the one that a program was compiled for. A program may run
            on another chip than its own as long as lanes, columns and bus are the same and no memory is smaller.
        fidelity: "burst", the default: a pass and a transfer are one transaction each; "beat": every access, step,
            drained word and bus beat is one. Both give the same values and cycles; a waveform needs "beat", which is
            the default then.
        vcd: write a waveform there.
        faults: bits to flip while the program runs.
        energy: what events cost; by default the table of docs/energy.md. It changes no cycle and no value.

    Raises:
        InputError, CompileError: before anything runs.
        SimulationError: something went wrong in the chip; names component, address and cycle.
    """
    model = _fidelity(fidelity, waveform=vcd is not None)
    program = network if isinstance(network, Program) else compile_network(network, chip)
    config = program.config if chip is None else chip
    _check_chip(program, config)
    values = program.network.check_activations(activations)
    system = System(config, model)
    tensors = _TensorCapture(system, program)
    recorder = Recorder(system, tensors.part_done)
    table = energy or EnergyConfig()
    meter = EnergyObserver(system, recorder, table)
    system.preload(program.image(values))
    arm(system, faults)
    if vcd is None:
        system.run(program.steps)
    else:
        from tlm.observe.vcd import VcdWriter  # pyvcd is needed only here

        with VcdWriter(system, program, Path(vcd)):
            system.run(program.steps)
    tensors.check_stored_output()
    return _Report(program, config, model.value, recorder, tensors.tensors, meter, table).result()


def _fidelity(name: str | None, waveform: bool) -> Fidelity:
    if name is None:
        return Fidelity.BEAT if waveform else Fidelity.BURST
    if name not in FIDELITIES:
        raise InputError(f"fidelity: {name!r} is not one of {', '.join(FIDELITIES)}")
    if waveform and name != Fidelity.BEAT.value:
        raise InputError(f"vcd: a waveform shows cycles, but fidelity is {name!r}; use 'beat' or leave fidelity out")
    return Fidelity(name)


def _check_chip(program: Program, config: ChipConfig) -> None:
    for key in _FIXED_BY_COMPILATION:
        compiled, given = getattr(program.config, key), getattr(config, key)
        if compiled != given:
            raise InputError(
                f"chip.{key}: {given}, but the program was compiled for {compiled}; compile it for this chip"
            )
    for key in _MAY_GROW:
        compiled, given = getattr(program.config, key), getattr(config, key)
        if given < compiled:
            raise InputError(
                f"chip.{key}: {given}, but the program was compiled for {compiled}; compile it for this chip"
            )


class _TensorCapture:
    """Every layer's output, read by debug transport in the cycle after its last write, before AMem is used again."""

    def __init__(self, system: System, program: Program) -> None:
        self._system = system
        self._program = program
        self._parts_left = [sum(p.layer_index == i for p in program.parts) for i in range(len(program.network.layers))]
        self._started = 0
        self.tensors: dict[str, Tensor] = {}
        system.engine.sequencer.layers_to_aligner.observe(self._check_tag)  # before anyone looks a tag up

    def _check_tag(self, phase: Phase, _: InitiatorSocket[LayerPayload], payload: Payload) -> None:
        """Parts run in the order of their tags; any other tag is a header that changed on its way."""
        if phase is not Phase.BEGIN_REQ or not isinstance(payload, LayerPayload):
            return
        tag, parts = payload.header.tag, len(self._program.parts)
        if tag != self._started or tag >= parts:
            raise SimulationError(
                f"engine.sequencer: the layer header decoded in cycle {self._system.simulation.clock.now - 1} has tag "
                f"{tag}, but part {self._started} of {parts} (counted from 0) is next; check the program's instructions"
            )
        self._started += 1

    def part_done(self, tag: int) -> None:
        """A part's last word was written."""
        index = self._program.parts[tag].layer_index
        self._parts_left[index] -= 1
        if not self._parts_left[index]:
            name = self._program.network.layers[index].name
            self.tensors[name] = self._unpack(self._program.network.tensors[name], self._read_amem(name))

    def check_stored_output(self) -> None:
        """The network's output as the store channel left it off-chip is what counts.

        Raises:
            SimulationError: it differs from what AMem held when the layer ended, or not every part ran.
        """
        if self._started < len(self._program.parts):
            raise SimulationError(
                f"engine.sequencer: ended after {self._started} of {len(self._program.parts)} parts of the program; "
                "check its instructions"
            )
        output = self._program.network.output
        size = self._program.places[output.name].words * self._system.config.amem_word_bytes
        stored = self._unpack(output, self._system.read_memory(self._program.output_offset_bytes, size))
        if not np.array_equal(stored, self.tensors[output.name]):
            raise SimulationError(
                f"dma.store: the stored output {output.name!r} differs from what the last layer wrote to AMem"
            )
        self.tensors[output.name] = stored

    def _read_amem(self, name: str) -> bytes:
        place = self._program.places[name]
        data = bytearray(place.words * self._system.config.amem_word_bytes)
        self._system.sram_socket(SramName.AMEM).debug_transport(MemoryPayload(Command.READ, place.base_word, data))
        return bytes(data)

    def _unpack(self, info: TensorInfo, data: bytes) -> Tensor:
        lanes = self._system.config.lanes
        if info.accumulator:
            return unpack_accumulators(data, info.shape, lanes)
        return unpack_tensor(data, info.shape, lanes, info.signed)


@dataclass(frozen=True)
class _Report:
    """Turns what was recorded into the result."""

    program: Program
    config: ChipConfig
    fidelity: str
    recorder: Recorder
    tensors: dict[str, Tensor]
    meter: EnergyObserver
    energy_table: EnergyConfig

    def result(self) -> Result:
        """Everything, layers in the order of execution."""
        network = self.program.network
        load_bytes, store_bytes = self.recorder.moved_bytes.values()
        layers = [self._layer(index) for index in range(len(network.layers))]
        energy = self.meter.account([self._share(index, layer) for index, layer in enumerate(layers)])
        return Result(
            tensors={layer.name: self.tensors[layer.name] for layer in network.layers},
            layers={layer.name: replace(layer, energy=own) for layer, own in zip(layers, energy.layers, strict=True)},
            cycles=self.recorder.cycles,
            chip=self.config,
            fidelity=self.fidelity,
            traffic=Traffic(load_bytes=load_bytes, store_bytes=store_bytes),
            bank_conflicts=self.recorder.bank_conflicts(),
            passes={layer.name: self._passes(index) for index, layer in enumerate(network.layers)},
            account=self.recorder.account(),
            energy=energy.run,
            energy_outside_layers=energy.outside_layers,
            energy_table=self.energy_table,
        )

    def _tags(self, index: int) -> list[int]:
        return [tag for tag, part in enumerate(self.program.parts) if part.layer_index == index]

    def _passes(self, index: int) -> tuple[PassRecord, ...]:
        return tuple(one for tag in self._tags(index) for one in self.recorder.parts[tag].passes)

    def _instruction_words(self, tags: Sequence[int]) -> int:
        """Those that are loaded for parts; the END word of a job is loaded for its last part."""
        ends = sum(job.parts[-1] in tags for job in self.program.jobs)
        return sum(self.program.parts[tag].instruction_words for tag in tags) + ends

    def _share(self, index: int, layer: LayerResult) -> LayerShare:
        tags = self._tags(index)
        return LayerShare(
            tags=tags,
            load_bytes=layer.load_bytes,
            store_bytes=layer.store_bytes,
            wmem_words=layer.weight_words,
            imem_words=self._instruction_words(tags),
        )

    def _layer(self, index: int) -> LayerResult:
        program, layer = self.program, self.program.network.layers[index]
        network, config = program.network, self.config
        source, output = network.input_of(layer), network.tensors[layer.name]
        tags = self._tags(index)
        records: list[PartRecord] = [self.recorder.parts[tag] for tag in tags]
        parts = [program.parts[tag] for tag in tags]
        passes, waits = self._passes(index), self.recorder.waits_before()
        whole = len(parts) == 1
        places = program.places
        groups, taps = -(-layer.out_channels // config.columns), layer.kernel[0] * layer.kernel[1]
        weight_words = sum(part.weight_words for part in parts)
        instruction_words = self._instruction_words(tags)
        pixels = output.shape[1] * output.shape[2]
        return LayerResult(
            name=layer.name,
            kind=layer_kind(layer, source.shape),
            input_shape=source.shape,
            output_shape=output.shape,
            kernel=layer.kernel,
            stride=layer.stride,
            weight_words=weight_words,
            dense_weight_words=groups * source.shape[0] * taps,
            compute_cycles=sum(record.compute_cycles for record in records),
            steps=sum(record.steps for record in records),
            fetch_cycles=sum(record.fetch_cycles for record in records),
            passes=len(passes),
            macs=sum(one.macs for one in passes),
            dense_macs=pixels * layer.weights.size,
            peak_macs_per_cycle=config.peak_macs_per_cycle,
            start_cycle=records[0].first_cycle,
            end_cycle=records[-1].last_write_cycle,
            predicted_compute_cycles=sum(program.predicted_cycles[tag] for tag in tags),
            parts=len(parts),
            input_base_word=places[source.name].base_word if whole else None,
            output_base_word=places[layer.name].base_word if whole else None,
            residual_base_word=places[layer.residual].base_word if whole and layer.residual is not None else None,
            load_bytes=weight_words * config.wmem_word_bytes
            + instruction_words * config.imem_word_bytes
            + (places[source.name].words * config.amem_word_bytes if index == 0 else 0),
            store_bytes=places[layer.name].words * config.amem_word_bytes if layer is network.layers[-1] else 0,
            columns=config.columns,
            lane_steps=lane_steps(passes),
            column_steps=column_steps(passes),
            account=added(ArrayAccount, [self.recorder.array_account(tag) for tag in tags]),
            waits=added(WaitAccount, [waits[tag] for tag in tags]),
        )
