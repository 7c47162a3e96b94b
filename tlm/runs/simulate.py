"""``simulate``: compile, build the system, run it, and report. A pure function of picklable inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tlm.chip.config import ChipConfig
from tlm.chip.fidelity import DataFlow, Fidelity, renamed
from tlm.chip.format.driver import SramName
from tlm.chip.system import System
from tlm.compiler.compile import program_of
from tlm.compiler.program import Program
from tlm.core.arguments import expect, expect_each, shown
from tlm.core.errors import InputError
from tlm.core.payload import Command, MemoryPayload
from tlm.inputs.integer_arrays import integers
from tlm.network.network import Network
from tlm.observe.energy import EnergyObserver
from tlm.observe.energy_table import EnergyConfig
from tlm.observe.faults import BitFlip, arm, whole_passes_show
from tlm.observe.recorder import Recorder
from tlm.observe.watched import Watched
from tlm.results.capture import TensorCapture
from tlm.results.part_tensors import PartOrder
from tlm.results.result import Result, Tensor
from tlm.results.result_builder import ResultBuilder
from tlm.runs.order import values_are_timeless
from tlm.traces.trace_options import TraceOptions, WaveLevel
from tlm.traces.tracing import traced

Observer: TypeAlias = Callable[[Watched], None]
"""Called with a run that has not started, so that it can subscribe to sockets and probes; it must change nothing."""

FIDELITIES = tuple(fidelity.value for fidelity in Fidelity)
"""Models of the chip that exist."""


def simulate(
    network: Network | Program,
    activations: npt.ArrayLike,
    chip: ChipConfig | None = None,
    fidelity: str | None = None,
    trace: TraceOptions | None = None,
    faults: Sequence[BitFlip] = (),
    energy: EnergyConfig | None = None,
    observers: Sequence[Observer] = (),
    progressed: Callable[[int], None] | None = None,
) -> Result:
    """Run a network on the simulated chip.

    Args:
        network: layers, or a program that was compiled before (``tlm.compile``).
        activations: int array (C, H, W), the network's input; or (N, C, H, W), a batch of N >= 2 images, which run
            as one program. Then ``tensors`` are (N, O, H', W'), and ``Result.batch`` says what an image takes.
        chip: parameters; by default the published chip, or the one that a program was compiled for. A program may run
            on another chip than its own as long as lanes, columns and bus are the same and no memory is smaller.
        fidelity: "pass", the default: a pass and a transfer are one transaction each; "cycle": every access, step,
            drained word and bus beat is one. Both give the same values and cycles; a waveform of every cycle needs
            "cycle", which is the default then, and one of the circuit's signals "rtl". "rtl": the engine is a circuit
            compiled by Verilator, with the same values and cycles (docs/rtl.md). A run with faults that asks for "pass"
            is made at "cycle", unless all of them change data off-chip before it begins; the result names the model
            that ran.
        trace: waveforms and timelines to write.
        faults: bits to flip while the program runs.
        energy: what events cost; by default the table of docs/energy.md. It changes no cycle and no value.
        observers: who else watches; each is called once, before the run starts. Where there are none, no faults and no
            trace, fidelity "pass" moves values a layer at a time, with the same result in less time.
        progressed: called now and then with the number of cycles simulated until now.

    Raises:
        InputError, CompileError: before anything runs.
        SimulationError: something went wrong in the chip; names component, address and cycle.
    """
    nothing = type(None)
    expect("trace", trace, (TraceOptions, nothing))
    expect("energy", energy, (EnergyConfig, nothing))
    expect_each("faults", faults, BitFlip)
    expect_each("observers", observers, Callable)  # type: ignore[arg-type]
    expect("progressed", progressed, (Callable, nothing))  # type: ignore[arg-type]
    model = _fidelity(fidelity, trace)
    shape = np.shape(integers("activations", activations))
    program, config = program_of(network, chip, shape[0] if len(shape) == 4 and shape[0] else 1)
    values = program.check_activations(activations)
    if model is Fidelity.PASS and not whole_passes_show(faults, program):
        model = Fidelity.CYCLE
    shows_circuit = trace is not None and trace.wave is not None and trace.wave_level(model) is WaveLevel.RTL
    by_passes = observers or faults or (trace is not None and trace.files())
    whole_layers = model is Fidelity.PASS and not by_passes and values_are_timeless(program)
    system = System(config, model, traced=shows_circuit, flow=DataFlow.LAYERS if whole_layers else DataFlow.PASSES)
    tensors = TensorCapture(system, program)
    recorder = Recorder(system, tensors.part_done)
    table = energy or EnergyConfig()
    meter = EnergyObserver(system, recorder, table)
    system.preload(program.image(values))
    arm(system, faults)
    watched = Watched(system, program, recorder, meter)
    for observer in observers:
        observer(watched)
    if progressed is not None:
        _tell(progressed, system)
    with nullcontext() if trace is None else traced(watched, trace):
        system.run(program.steps)
    tensors.check_stored_output()
    return ResultBuilder(program, config, model.value, recorder, tensors.tensors, meter, table, system.dram).result()


def simulate_timing(
    program: Program,
    activations: npt.ArrayLike,
    tensors: Mapping[str, Tensor],
    chip: ChipConfig | None = None,
    energy: EnergyConfig | None = None,
) -> Result:
    """Run a program whose outputs are known from another run (:class:`tlm.runs.values_once.ValuesOnce`), for its time.

    The result is that of :func:`simulate` in fidelity "pass".

    Args:
        program: what runs.
        activations: its input, as in :func:`simulate`.
        tensors: every layer's output.
        chip, energy: as in :func:`simulate`.

    Raises:
        InputError: the program cannot run on this chip.
        SimulationError: as in :func:`simulate`.
    """
    program, config = program_of(program, chip, program.batch)
    system = System(config, Fidelity.PASS, flow=DataFlow.NONE)
    order = PartOrder(program)
    recorder = Recorder(system, order.check)
    table = energy or EnergyConfig()
    meter = EnergyObserver(system, recorder, table)
    system.preload(program.image(program.check_activations(activations)))
    every_word = bytes(config.amem_words * config.amem_word_bytes)
    system.sram_socket(SramName.AMEM).debug_transport(MemoryPayload(Command.WRITE, 0, every_word))  # none is unwritten
    system.run(program.steps)
    order.check_end()
    return ResultBuilder(
        program, config, Fidelity.PASS.value, recorder, dict(tensors), meter, table, system.dram
    ).result()


def _tell(progressed: Callable[[int], None], system: System) -> None:
    """Of the cycles until now, whenever a pass or a layer is written and when a program has ended."""
    events, clock = system.engine.events, system.simulation.clock
    for event in (events.pass_written, events.layer_timed, events.program_ended):
        event.listen(lambda _: progressed(clock.now))


def _fidelity(name: str | None, trace: TraceOptions | None) -> Fidelity:
    if name is not None and (not isinstance(name, str) or name not in FIDELITIES):
        raise InputError(f"fidelity: {shown(name)} is not one of {', '.join(FIDELITIES)}{renamed(name)}")
    asked = None if name is None else Fidelity(name)
    level = WaveLevel.PASS if trace is None or trace.wave is None else trace.wave_level(asked)
    needed = level.fidelity
    if asked is not None and needed not in (None, asked):
        what = "every cycle" if needed is Fidelity.CYCLE else "the circuit's signals"
        raise InputError(
            f"trace: a waveform of level {level.value!r} shows {what}, but fidelity is {name!r}; "
            f"use {level.value!r}, leave fidelity out, or take level 'pass'"
        )
    return asked or needed or Fidelity.PASS
