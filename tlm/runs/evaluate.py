"""``evaluate``: many inputs through a compiled program's exact arithmetic, without time.

When something happens on the chip depends on addresses, never on values (docs/timing.md), so one ``tlm.simulate`` tells
the cycles of every input, and this module the values. They are those of the program itself: its transfers, its
instruction bits, its placement, by the C kernels that the simulation calls as well.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tlm.chip.config import ChipConfig
from tlm.chip.untimed.chip import UntimedChip
from tlm.compiler.compile import program_of
from tlm.compiler.program import Program
from tlm.core.arguments import shown
from tlm.core.errors import InputError
from tlm.inputs.integer_arrays import integers
from tlm.network.network import Network
from tlm.results.part_tensors import PartOrder, PartTensors, stored_output
from tlm.results.result import Tensor


class Evaluator:
    """A compiled program that gives the outputs of one input after the other.

    It holds one off-chip image, one AMem, WMem and IMem, and decodes the program once. Threads may share it: they take
    turns, input by input. To compute side by side, give each its own.

    Args:
        network: layers, or a program that was compiled before (``tlm.compile``).
        chip: as in ``tlm.simulate``. Of its parameters only the sizes can change a value's way, and none a value.

    Raises:
        InputError, CompileError: a network or chip that cannot run.
    """

    def __init__(self, network: Network | Program, chip: ChipConfig | None = None) -> None:
        self.program, self._config = program_of(network, chip)
        if self.program.batch > 1:
            raise InputError("network: a program for a batch runs by tlm.simulate; give the network, or compile for 1")
        self._turn = threading.Lock()
        self._chip = UntimedChip(self._config, self.program.steps)
        for chunk in self.program.chunks:
            self._chip.write_memory(chunk.offset_bytes, chunk.data)

    def __reduce__(self) -> tuple[Any, ...]:
        return Evaluator, (self.program, self._config)

    def output(self, activations: npt.ArrayLike) -> Tensor:
        """The network's output for one input: int8 (O, H', W'), or int32 for accumulator output.

        Args:
            activations: int array (C, H, W).

        Raises:
            InputError: activations of another shape or kind, or out of range.
            SimulationError: the program does something that the chip cannot; names component and address.
        """
        return self._run(activations, None)

    def outputs(self, batch: Iterable[npt.ArrayLike]) -> Iterator[Tensor]:
        """:meth:`output` for one input after the other, each computed when it is asked for."""
        try:
            return map(self.output, batch)
        except TypeError:  # a single number in an array claims to be iterable
            raise InputError(f"batch: {shown(batch)} is no sequence of inputs; give a list, or (N, C, H, W)") from None

    def tensors(self, activations: npt.ArrayLike) -> dict[str, Tensor]:
        """Every layer's output for one input by name, as in ``Result.tensors``.

        Arguments and errors are those of :meth:`output`.
        """
        parts = PartTensors(self.program, self._chip.read_amem)
        stored = self._run(activations, parts)
        return {layer.name: parts.tensors[layer.name] for layer in self.program.network.layers[:-1]} | {
            self.program.network.output.name: stored
        }

    def _run(self, activations: npt.ArrayLike, parts: PartTensors | None) -> Tensor:
        program, order = self.program, PartOrder(self.program)
        chunk = program.input_chunk(program.network.check_activations(activations))
        place = program.tensors[program.network.output.name]

        def layer_done(tag: int) -> None:
            order.check(tag)
            if parts is not None:
                parts.part_done(tag)

        with self._turn:
            self._chip.write_memory(chunk.offset_bytes, chunk.data)
            self._chip.run(layer_done)
            stored = self._chip.read_memory(place.offset_bytes, place.size_bytes)
        order.check_end()
        return stored_output(program, stored)


def evaluate(network: Network | Program, activations: npt.ArrayLike, chip: ChipConfig | None = None) -> Tensor:
    """The network's outputs for many inputs: those that ``tlm.simulate`` would give for each of them.

    Use :class:`Evaluator` to see one output after the other, or every layer's.

    Args:
        network: layers, or a program that was compiled before (``tlm.compile``).
        activations: int array (N, C, H, W) of N >= 1 inputs, or (C, H, W) for one.
        chip: parameters; by default the published chip, or the one that a program was compiled for.

    Returns:
        int8 (N, O, H', W'), or int32 for accumulator output.

    Raises:
        InputError, CompileError: before anything runs.
        SimulationError: the program does something that the chip cannot; names component and address.
    """
    evaluator = Evaluator(network, chip)
    wanted = evaluator.program.network
    batch = integers("activations", activations)
    if batch.ndim == 3:
        batch = batch[None]
    if batch.ndim != 4 or not len(batch):
        raise InputError(
            f"activations: shape is {np.shape(activations)}, but the network's input_shape is {wanted.input_shape}; "
            "give (N, C, H, W) with N of at least 1, or (C, H, W) for one input"
        )
    for index, one in enumerate(batch):
        try:
            wanted.check_activations(one)
        except InputError as error:
            raise InputError(f"input {index} of {len(batch)}: {error}") from None
    info = wanted.output
    found = np.empty((len(batch), *info.shape), np.int32 if info.accumulator else np.int8)
    for index, output in enumerate(evaluator.outputs(batch)):
        found[index] = output
    return found
