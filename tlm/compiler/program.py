"""A compiled program: everything that a run needs but the activations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tlm.chip.config import ChipConfig
from tlm.chip.driver import DriverStep, StartEngine, StartTransfer
from tlm.chip.isa import disassemble_word
from tlm.chip.packing import pack_tensor
from tlm.compiler.layout import TensorPlace
from tlm.compiler.tiling import Part
from tlm.integer_arrays import Int8Array
from tlm.network import Network


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes at a place of the off-chip image."""

    offset_bytes: int
    data: bytes
    label: str


@dataclass(frozen=True, slots=True)
class Job:
    """What the engine runs from one start to one interrupt: parts that follow each other."""

    parts: tuple[int, ...]
    """Tags: indices into the program's parts."""
    imem_word: int
    wmem_word: int
    instructions: tuple[int, ...]
    """64-bit words, END included."""


@dataclass(frozen=True, eq=False)
class Program:
    """A network compiled for a chip; picklable, reusable for any input.

    The chip may be changed for a run as long as what the program relies on stays (see tlm.simulate).
    """

    network: Network
    config: ChipConfig
    parts: tuple[Part, ...]
    """By tag, the number in a layer header."""
    jobs: tuple[Job, ...]
    places: Mapping[str, TensorPlace]
    predicted_cycles: tuple[int, ...]
    """Compute cycles of each part, predicted when its place was chosen."""
    chunks: tuple[Chunk, ...]
    """Instructions and weights in the off-chip memory."""
    input_offset_bytes: int
    output_offset_bytes: int
    image_bytes: int
    """Off-chip memory that the program uses, the output included."""
    steps: tuple[DriverStep, ...]

    def image(self, activations: Int8Array) -> bytes:
        """The off-chip memory before a run, up to where the output begins."""
        image = np.zeros(self.output_offset_bytes, np.uint8)
        tensor = pack_tensor(activations, self.config.lanes)
        for chunk in (*self.chunks, Chunk(self.input_offset_bytes, tensor, "input")):
            image[chunk.offset_bytes : chunk.offset_bytes + len(chunk.data)] = np.frombuffer(chunk.data, np.uint8)
        return image.tobytes()

    def part_name(self, tag: int) -> str:
        """A layer's name, with the part's number if the layer is split."""
        part = self.parts[tag]
        name = self.network.layers[part.layer_index].name
        split = sum(other.layer_index == part.layer_index for other in self.parts) > 1
        return f"{name}[{part.part_index}]" if split else name

    def disassemble(self) -> str:
        """The driver's steps and every job's instructions as text, one line each."""
        return "\n".join(self._listing()) + "\n"

    def _listing(self) -> Iterator[str]:
        yield "; driver program of the host"
        for index, step in enumerate(self.steps):
            yield f"{index:6d}  {_describe(step)}"
        for job in self.jobs:
            names = ", ".join(self.part_name(tag) for tag in job.parts)
            yield f"; IMem from word {job.imem_word}: {names}"
            for offset, word in enumerate(job.instructions):
                yield f"{job.imem_word + offset:6d}  {word:016x}  {disassemble_word(word)}"


def _describe(step: DriverStep) -> str:
    match step:
        case StartTransfer(unit, t):
            return (
                f"START {unit.value:<6} {t.label}: {t.rows} x {t.row_words} words, "
                f"off-chip 0x{t.memory_offset_bytes:x}, {t.sram.name} word {t.sram_word}"
            )
        case StartEngine(word):
            return f"START engine at IMem word {word}"
    return f"WAIT  {step.unit.value}"
