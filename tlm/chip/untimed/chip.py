"""The untimed chip: it runs a driver program's steps on bytes, one after another.

Transfers and jobs of the engine complete as soon as they start; a wait does nothing. The first run decodes the steps
and their instructions in IMem. Later runs only move bytes and call kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from tlm.chip.config import ChipConfig
from tlm.chip.format.driver import DriverStep, SramName, StartEngine, StartTransfer
from tlm.chip.format.packing import Image
from tlm.chip.format.registers import ERROR_TEXT, UnitFaultError
from tlm.chip.untimed.engine import UntimedEngine, UntimedLayer
from tlm.chip.untimed.memories import Copy, new_off_chip_memory, new_srams, prepare_copy
from tlm.core.errors import SimulationError


class UntimedChip:
    """Off-chip memory, AMem, WMem and IMem, and what a program does to them.

    All runs need the same instructions in the off-chip memory: they are decoded in the first.

    Args:
        config: of the chip.
        steps: the driver program.
    """

    def __init__(self, config: ChipConfig, steps: Sequence[DriverStep]) -> None:
        self._config = config
        self._steps = tuple(steps)
        self._memory = new_off_chip_memory(config)
        self._srams = new_srams(config)
        self._engine = UntimedEngine(config, self._srams)
        self._copies: dict[int, Copy] = {}
        self._jobs: dict[int, tuple[UntimedLayer, ...]] = {}

    def write_memory(self, offset_bytes: int, data: Image) -> None:
        """Put bytes into the off-chip memory.

        Raises:
            SimulationError: they do not fit there.
        """
        values = np.frombuffer(data, np.uint8)
        end = offset_bytes + len(values)
        self._check_range(offset_bytes, end)
        self._memory.data[offset_bytes:end] = values
        self._memory.written[offset_bytes // self._config.bus_bytes : -(-end // self._config.bus_bytes)] = True

    def read_memory(self, offset_bytes: int, size_bytes: int) -> bytes:
        """Bytes of the off-chip memory, written or not.

        Raises:
            SimulationError: they leave it.
        """
        self._check_range(offset_bytes, offset_bytes + size_bytes)
        return self._memory.data[offset_bytes : offset_bytes + size_bytes].tobytes()

    def read_amem(self, word: int, words: int) -> npt.NDArray[np.uint8]:
        """A copy of AMem words, (words * bytes of a word,), written or not."""
        size = self._config.amem_word_bytes
        return self._srams[SramName.AMEM].data[word * size : (word + words) * size].copy()

    def run(self, layer_done: Callable[[int], None] | None = None) -> None:
        """All steps.

        What an earlier run left in the memories does not matter: every run writes the same words in the same order, so
        one that reads a word too early has failed the first time.

        Args:
            layer_done: called with the tag of each layer's header when its output is in AMem.

        Raises:
            SimulationError: an illegal instruction, an address outside a memory, a read of a word that was never
                written; names component and address.
        """
        for index, step in enumerate(self._steps):
            if isinstance(step, StartTransfer):
                self._copy(index, step).run()
            elif isinstance(step, StartEngine):
                for layer in self._layers(index, step):
                    layer.run()
                    if layer_done is not None:
                        layer_done(layer.tag)

    def _copy(self, index: int, step: StartTransfer) -> Copy:
        if index not in self._copies:
            with _named(f"dma.{step.unit.value}"):
                self._copies[index] = prepare_copy(step.transfer, step.unit, self._config, self._srams, self._memory)
        return self._copies[index]

    def _layers(self, index: int, step: StartEngine) -> tuple[UntimedLayer, ...]:
        if index not in self._jobs:
            with _named("engine.sequencer"):
                self._jobs[index] = self._engine.decode(step.imem_word)
        return self._jobs[index]

    def _check_range(self, first: int, end: int) -> None:
        if first < 0 or end > self._config.memory_bytes:
            raise SimulationError(
                f"memory: bytes 0x{first:x} to 0x{end:x} leave the off-chip memory of "
                f"{self._config.memory_bytes} bytes (chip.memory_bytes)"
            )


@contextmanager
def _named(component: str) -> Iterator[None]:
    """What a unit would report through its status registers."""
    try:
        yield
    except UnitFaultError as error:
        raise SimulationError(
            f"{component}: {ERROR_TEXT[error.code]} {error.address} (0x{error.address:x}); "
            "check the program and the off-chip image"
        ) from None
