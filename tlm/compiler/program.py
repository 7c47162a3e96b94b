"""A compiled program: everything that a run needs except the activations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from tlm.chip.config import ChipConfig
from tlm.chip.format.driver import DriverStep, SramName, StartEngine, StartTransfer, Unit
from tlm.chip.format.isa import disassemble_word
from tlm.chip.format.packing import pack_tensor
from tlm.compiler.jobs import Job, Load, PartBytes, Store
from tlm.compiler.memory_image import Chunk
from tlm.compiler.parts import Part
from tlm.compiler.places import OffChipTensor, Place
from tlm.compiler.segments import Segment
from tlm.core.errors import InputError
from tlm.core.texts import counted
from tlm.inputs.integer_arrays import Int8Array
from tlm.network.layers import INPUT
from tlm.network.network import Network

_FIXED_BY_COMPILATION = ("lanes", "columns", "bus_bytes")
_MAY_GROW = ("amem_words", "wmem_words", "imem_words", "memory_bytes")


class Choices(Struct, frozen=True):
    """The results of a compilation's search. The rest of a program follows from them, the network and the chip."""

    segments: tuple[Segment, ...]
    part_words: int | None
    """Of WMem that a part may take; None: all."""
    overlap: bool
    """Whether there are moments between a buffer's transfers and its use."""
    bases: tuple[int, ...]
    """First AMem word of each buffer, in the order in which they come to be."""
    cycles: tuple[int, ...]
    """Predicted compute cycles of each part where it lies."""


@dataclass(frozen=True, eq=False, repr=False)
class Program:
    """A network compiled for a chip; picklable, reusable for any input.

    The chip may be changed for a run as long as what the program relies on stays (see tlm.simulate).
    """

    network: Network
    config: ChipConfig
    choices: Choices
    batch: int
    """Images that one run computes."""
    parts: tuple[Part, ...]
    """By tag, the number in a layer header."""
    runs: tuple[tuple[int, int], ...]
    """For each part its image, and the run that it comes from (``Choices.cycles``)."""
    jobs: tuple[Job, ...]
    loads: tuple[Load, ...]
    stores: tuple[Store, ...]
    load_uses: tuple[PartBytes, ...]
    """For each load the parts that use it, and how many bytes of it."""
    store_uses: tuple[PartBytes, ...]
    """For each store the part that completed what it stores."""
    places: Mapping[str, Place]
    """Tensors that lie whole at one place in AMem while they are needed."""
    predicted_total_cycles: int
    """First host access to the last interrupt, predicted when the driver's steps were ordered."""
    chunks: tuple[Chunk, ...]
    """Instructions and weights in the off-chip memory."""
    tensors: Mapping[str, OffChipTensor]
    """The network's input and output in the off-chip memory, and tensors that do not stay on chip."""
    image_bytes: int
    """Off-chip memory that the program uses, all tensors included."""
    weight_words: tuple[int, ...]
    """Of each layer, every word once."""
    unsplit_steps: tuple[int, ...]
    """Steps of each layer if it ran as a whole."""
    steps: tuple[DriverStep, ...]

    def __repr__(self) -> str:
        """One line; ``tlm compile`` prints the plan."""
        images = f", {self.batch} images" if self.batch > 1 else ""
        return (
            f"<Program of {counted(len(self.network.layers), 'layer')} for "
            f"{self.config.lanes}x{self.config.columns} MACs{images}: {counted(len(self.parts), 'part')} in "
            f"{counted(len(self.jobs), 'job')}, {self.predicted_total_cycles:,} cycles predicted [S]>"
        )

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Which layers run together, and what stays on chip between them."""
        return self.choices.segments

    @cached_property
    def predicted_cycles(self) -> tuple[int, ...]:
        """Compute cycles of each part, predicted when its place was chosen."""
        return tuple(self.choices.cycles[moment] for _, moment in self.runs)

    @property
    def input_offset_bytes(self) -> int:
        """Where the network's input lies off-chip."""
        return self.tensors[INPUT].offset_bytes

    @property
    def output_offset_bytes(self) -> int:
        """Where the network's output lies off-chip."""
        return self.tensors[self.network.output.name].offset_bytes

    def check_activations(self, activations: npt.ArrayLike) -> Int8Array:
        """The input as a read-only int8 array: (C, H, W), or (N, C, H, W) for a batch of N images.

        Raises:
            InputError: as :meth:`tlm.network.network.Network.check_activations`, or not as many images.
        """
        if self.batch == 1:
            return self.network.check_activations(activations)
        images = np.asarray(activations)
        if images.ndim != 4 or len(images) != self.batch:
            raise InputError(
                f"activations: shape is {images.shape}, but the program was compiled for a batch of {self.batch}; "
                f"give ({self.batch}, C, H, W), or compile it for another batch"
            )
        return np.stack([self.network.check_activations(image) for image in images])

    def image(self, activations: Int8Array) -> bytearray:
        """The off-chip memory before a run, up to where the output begins; for what :meth:`check_activations` gave."""
        image = bytearray(self.output_offset_bytes)
        inputs = [activations] if self.batch == 1 else activations
        for chunk in (*self.chunks, *(self.input_chunk(own, number) for number, own in enumerate(inputs))):
            image[chunk.offset_bytes : chunk.offset_bytes + len(chunk.data)] = chunk.data
        return image

    def input_chunk(self, activations: Int8Array, image: int = 0) -> Chunk:
        """The part of the off-chip memory that another input (C, H, W) of an image changes."""
        place = self.tensors[INPUT]
        planes = np.frombuffer(pack_tensor(activations, self.config.lanes), np.uint8).reshape(place.planes, -1)
        tensor = np.zeros((place.planes, place.plane_bytes), np.uint8)
        tensor[:, : planes.shape[1]] = planes
        return Chunk(place.offset_of(image), tensor.tobytes(), INPUT)

    @cached_property
    def parts_of_layer(self) -> Mapping[int, tuple[int, ...]]:
        """Layer index -> tags of its parts, in the order of execution; those of all images."""
        tags: dict[int, list[int]] = {index: [] for index in range(len(self.network.layers))}
        for tag, part in enumerate(self.parts):
            tags[part.layer_index].append(tag)
        return {index: tuple(own) for index, own in tags.items()}

    def check_chip(self, chip: ChipConfig) -> None:
        """Check that the program can run on a chip.

        Raises:
            InputError: lanes, columns or bus differ from those that it was compiled for, or a memory is smaller.
        """
        for key in (*_FIXED_BY_COMPILATION, *_MAY_GROW):
            compiled, given = getattr(self.config, key), getattr(chip, key)
            if given < compiled or (given != compiled and key in _FIXED_BY_COMPILATION):
                raise InputError(
                    f"chip.{key}: {given}, but the program was compiled for {compiled}; compile it for this chip"
                )

    def part_name(self, tag: int) -> str:
        """A layer's name, with the part's number if the layer is split, and the image's in a batch."""
        part = self.parts[tag]
        name = self.network.layers[part.layer_index].name
        if len(self.parts_of_layer[part.layer_index]) > self.batch:
            name = f"{name}[{part.part_index}]"
        return f"{name} of image {self.runs[tag][0]}" if self.batch > 1 else name

    @cached_property
    def _loaded_bytes(self) -> Counter[tuple[SramName, int]]:
        """(SRAM, layer index) -> bytes that are loaded for the layer."""
        found: Counter[tuple[SramName, int]] = Counter()
        for load, uses in zip(self.loads, self.load_uses, strict=True):
            for tag, count in uses.items():
                found[load.transfer.sram, self.parts[tag].layer_index] += count
        return found

    def load_bytes_of_layer(self, index: int) -> tuple[int, int, int]:
        """Bytes that are loaded for a layer: weights, instructions (END with a job's last part), activations."""
        found = self._loaded_bytes
        return found[SramName.WMEM, index], found[SramName.IMEM, index], found[SramName.AMEM, index]

    def moved_bytes(self, unit: Unit, tensor: str | None = None) -> int:
        """Bytes that the loads or the stores move by their descriptors; of one tensor or of all."""
        uses = {Unit.LOAD: self.load_uses, Unit.STORE: self.store_uses}[unit]
        transfers: Sequence[Load | Store] = self.loads if unit is Unit.LOAD else self.stores
        moved = zip(transfers, uses, strict=True)
        return sum(sum(own.values()) for one, own in moved if tensor in (None, one.tensor))

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
