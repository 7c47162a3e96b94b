"""Jobs and transfers: what the engine runs from one start, what the DMA moves, and what each waits for.

Blocks go to the words that are free earliest. Weights that are still there are not loaded again. A job or transfer that
overwrites words waits for all users of them. These constraints follow from addresses alone, so they hold at any speed.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from itertools import chain

from msgspec import Struct
from msgspec.structs import replace

from tlm.chip.config import ChipConfig
from tlm.chip.format.descriptor import sram_size
from tlm.chip.format.driver import SramName, Transfer
from tlm.chip.format.isa import END_WORD
from tlm.compiler.memory_image import MemoryImage
from tlm.compiler.operations import Buffer, Drain, Fill, ImageOperation, Run
from tlm.compiler.parts import Part, group_instructions, header_instructions
from tlm.compiler.places import Place, Window
from tlm.compiler.residency import Blocks, StoreUses, Uses
from tlm.compiler.workload import Workload

PartBytes = Mapping[int, int]
"""Tag of a part -> bytes of a transfer that belong to it; in sum the transfer's bytes."""


class Load(Struct, frozen=True):
    """A transfer into an SRAM."""

    transfer: Transfer
    job: int
    """First job that uses it."""
    tensor: str | None
    """What is loaded into AMem."""
    after_job: int
    """Job that must have ended before; -1 if none."""
    after_store: int
    """Store that must have ended before; -1 if none."""


class Store(Struct, frozen=True):
    """A transfer into the off-chip memory."""

    transfer: Transfer
    tensor: str
    after_job: int
    """Job that makes what it stores."""


class Job(Struct, frozen=True):
    """What the engine runs from one start to one interrupt: parts that follow each other."""

    parts: tuple[int, ...]
    """Tags: indices into the program's parts."""
    imem_word: int
    wmem_words: tuple[int, ...]
    """First WMem word of each part's weights."""
    loads_weights: tuple[bool, ...]
    """Whether they are loaded for this job; else they are there, or come with another of its parts."""
    instructions: tuple[int, ...]
    """64-bit words, END included."""
    after_load: int
    """Last load that must have ended before; -1 if none."""
    after_store: int
    """Store that must have ended before; -1 if none."""


def transfer_bytes(transfer: Transfer, config: ChipConfig) -> int:
    """What a descriptor moves."""
    return transfer.rows * transfer.row_words * sram_size(transfer.sram, config)[1]


class JobPlanner:
    """Turns operations into jobs, loads and stores.

    Args:
        work: what is compiled.
        places: of every buffer.
        parts: by tag, in the order of their runs.
        part_cycles: predicted compute cycles of each part.
        begins: tags of the parts with which a job begins, even if nothing is loaded or stored in front of them.
        image: takes up weights, instructions and tensors that lie off-chip.

    Attributes:
        jobs, loads, stores: in the order in which each unit does them.
        job_cycles: predicted, of each job from start to interrupt.
        load_uses: of each load; instructions belong to their part (END to a job's last), weights to the first part that
            they are loaded for, activations to the first part that reads them.
        store_uses: of each store; its bytes belong to the last part that made some of them.
    """

    def __init__(
        self,
        work: Workload,
        places: Mapping[Buffer, Place],
        parts: Sequence[Part],
        part_cycles: Sequence[int],
        begins: Set[int],
        image: MemoryImage,
    ) -> None:
        self._work = work
        self._config = work.config
        self._places = places
        self._image = image
        self._parts = parts
        self._part_cycles = part_cycles
        self._begins = begins
        self._job_uses = {sram: Uses(sram_size(sram, self._config)[0]) for sram in SramName}
        self._word_bytes = {sram: sram_size(sram, self._config)[1] for sram in SramName}
        self._wmem = Blocks(self._config.wmem_words, self._job_uses[SramName.WMEM])
        self._imem = Blocks(self._config.imem_words, self._job_uses[SramName.IMEM])
        self._reads_of_stores = StoreUses(self._config.amem_words)
        self._last_store: dict[tuple[int, str], int] = {}
        """(image, tensor) -> the last store of it."""
        self._instructions: dict[tuple[int, int, int], tuple[tuple[int, ...], bytes]] = {}
        self._uses: Counter[tuple[int, int]] = Counter()
        """(image, key of weight words) -> parts of the image that need them."""
        self._uses_left: Counter[tuple[int, int]] = Counter()
        """The same of those parts that are in no job yet."""
        self._open: list[int] = []
        """Tags of the parts of the job that is being put together."""
        self._wanted: dict[int, Part] = {}
        """Key of weight words that they use -> the first of these parts."""
        self._fills: list[tuple[int, Fill]] = []
        self._tags: dict[tuple[int, int], int] = {}
        """(image, moment of a run) -> its part."""
        self._images: list[int] = []
        """Of each part."""
        self.jobs: list[Job] = []
        self.job_cycles: list[int] = []
        self.loads: list[Load] = []
        self.load_uses: list[PartBytes] = []
        self.stores: list[Store] = []
        self.store_uses: list[PartBytes] = []

    def plan(self, operations: Sequence[ImageOperation]) -> None:
        """Go through all operations, once.

        Raises:
            CompileError: the off-chip memory is too small.
        """
        runs = [(image, one.moment) for image, one in operations if isinstance(one, Run)]
        self._tags = {run: tag for tag, run in enumerate(runs)}
        self._images = [image for image, _ in runs]
        self._uses.update(zip(self._images, map(self._key_of, self._parts), strict=True))
        self._uses_left.update(self._uses)
        for image, operation in operations:
            tag = self._tags[image, operation.moment] if isinstance(operation, Run) else None
            if tag is None or tag in self._begins:
                self._close()
            match operation:
                case Run():
                    assert tag is not None
                    part = self._parts[tag]
                    self._open.append(tag)
                    self._wanted.setdefault(self._key_of(part), part)
                case Fill():
                    self._fills.append((image, operation))
                case Drain():
                    self._drain(image, operation)
        self._close()
        names = [load.tensor for load in self.loads] + [store.tensor for store in self.stores]
        self._image.place_tensors(name for name in names if name is not None)
        moved = self._image.moved
        self.loads = [
            one if one.tensor is None else replace(one, transfer=moved(one.transfer, one.tensor)) for one in self.loads
        ]
        self.stores = [replace(one, transfer=moved(one.transfer, one.tensor)) for one in self.stores]

    # -- runs -----------------------------------------------------------------------------------------------------

    def _close(self) -> None:
        """End the open job, if any: load what it needs, and note what it uses."""
        if not self._open:
            return
        work, tags, job, self._open = self._work, self._open, len(self.jobs), []
        parts = [self._parts[tag] for tag in tags]
        weight_load, wmem_words, loaded = self._place_weights(parts, self._images[tags[0]])
        instructions, pieces = list[int](), list[bytes]()
        for tag, part, wmem_word in zip(tags, parts, wmem_words, strict=True):
            header, (behind, packed) = header_instructions(work, part, tag, wmem_word), self._group_instructions(part)
            instructions += header
            instructions += behind
            pieces += _packed(header), packed
        instructions.append(END_WORD)
        imem_word = self._imem.take(len(instructions))
        label, data = f"instructions of {self._names(parts)}", b"".join([*pieces, _packed([END_WORD])])
        words = {tag: part.instruction_words + (tag == tags[-1]) for tag, part in zip(tags, parts, strict=True)}
        self._load(self._image.chunk(SramName.IMEM, imem_word, data, label), job, words)
        if weight_load is not None:
            self._load(weight_load, job, {tags[at]: part.weight_words for at, part in enumerate(parts) if loaded[at]})
        for image, fill in self._fills:
            place, tensor = self._places[fill.buffer], fill.window.tensor
            words = {self._tags[image, fill.buffer.readers[0].moment]: place.words}
            stored = self._last_store.get((image, tensor), -1)
            self._load(self._image.tensor_transfer(place, fill.window, image), job, words, tensor, stored)
        self._fills = []
        after_store = max(self._reads_of_stores.last_before(part.output, self._written(part)) for part in parts)
        for part, wmem_word in zip(parts, wmem_words, strict=True):
            for place in filter(None, (part.source, part.output, part.residual)):
                self._job_uses[SramName.AMEM].add(place.base_word, place.end_word, job)
            self._job_uses[SramName.WMEM].add(wmem_word, wmem_word + part.weight_words, job)
        self._job_uses[SramName.IMEM].add(imem_word, imem_word + len(instructions), job)
        self.jobs.append(
            Job(
                parts=tuple(tags),
                imem_word=imem_word,
                wmem_words=tuple(wmem_words),
                loads_weights=tuple(loaded),
                instructions=tuple(instructions),
                after_load=len(self.loads) - 1,
                after_store=after_store,
            )
        )
        compute_cycles = sum(self._part_cycles[tag] for tag in tags)
        self.job_cycles.append(1 + compute_cycles + sum(map(self._start_cycles, parts)))

    def _start_cycles(self, part: Part) -> int:
        """Header, parameters of the first group, its first pattern word."""
        layer = self._work.network.layers[part.layer_index]
        slots = min(part.channels, self._config.columns) * self._work.per_channel[layer.name]
        return part.header_words + slots + 1

    def _place_weights(self, parts: Sequence[Part], image: int) -> tuple[Transfer | None, list[int], list[bool]]:
        """Weights that are not there yet, side by side: their load, each part's first WMem word, which are loaded."""
        keys = [self._key_of(part) for part in parts]
        for key in keys:
            self._uses_left[image, key] -= 1
        wanted = {key: part for key, part in self._wanted.items() if part.weight_words}
        self._wanted = {}
        missing = {key: part for key, part in wanted.items() if self._wmem.find(key) is None}
        transfer = None
        if missing:
            first = self._take_wmem(missing, wanted, image)
            if any(self._wmem.find(key) is None for key in wanted if key not in missing):
                missing = wanted  # the new ones overwrote others that this job needs
                first = self._take_wmem(missing, wanted, image)
            at = first
            for key, part in missing.items():
                self._wmem.put(key, at, part.weight_words)
                at += part.weight_words
            data = b"".join(chain.from_iterable(map(self._weight_words, missing.values())))
            label = f"weights of {self._names(missing.values())}"
            transfer = self._image.chunk(SramName.WMEM, first, data, label, tuple(missing))
        words = [self._wmem.find(key) or 0 for key in keys]  # 0 where there are none
        return transfer, words, [part is missing.get(key) for key, part in zip(keys, parts, strict=True)]

    def _take_wmem(self, missing: Mapping[int, Part], wanted: Mapping[int, Part], image: int) -> int:
        """Room for what is missing, if possible beside all else that the job wants or that the image will use again."""

        def needed(key: int) -> bool:
            return key in wanted or 0 < self._uses_left[image, key] < self._uses[image, key]

        words = sum(part.weight_words for part in missing.values())
        return self._wmem.take(words, needed)

    def _group_instructions(self, part: Part) -> tuple[tuple[int, ...], bytes]:
        """The words behind a header, and their bytes; the same for all bands."""
        where = part.layer_index, part.first_group, part.groups
        if where not in self._instructions:
            words = group_instructions(self._work, part)
            self._instructions[where] = tuple(words.tolist()), words.astype("<u8").tobytes()
        return self._instructions[where]

    def _key_of(self, part: Part) -> int:
        """Same key, same weight words: those of different parts may be equal too."""
        return self._work.block(part.layer_index, part.first_group, part.groups)

    def _weight_words(self, part: Part) -> tuple[bytes, ...]:
        return self._work.weights[part.layer_index].words[part.first_group : part.first_group + part.groups]

    def _names(self, parts: Iterable[Part]) -> str:
        return "+".join(dict.fromkeys(self._work.network.layers[part.layer_index].name for part in parts))

    def _written(self, part: Part) -> Window:
        """What a part writes of its output's buffer."""
        name = part.output.window.tensor
        planes = self._work.per_channel[name]
        return Window(name, part.first_channel * planes, part.channels * planes, part.first_tile, part.tiles)

    # -- transfers ------------------------------------------------------------------------------------------------

    def _load(
        self, transfer: Transfer, job: int, words: Mapping[int, int], tensor: str | None = None, after_store: int = -1
    ) -> None:
        first, end = _sram_span(transfer)
        if tensor is not None:
            after_store = max(after_store, self._reads_of_stores.last(first, end))
        self.loads.append(Load(transfer, job, tensor, self._job_uses[transfer.sram].last(first, end), after_store))
        word_bytes = self._word_bytes[transfer.sram]
        self.load_uses.append({tag: count * word_bytes for tag, count in words.items() if count})

    def _drain(self, image: int, drain: Drain) -> None:
        place, tensor = self._places[drain.buffer], drain.window.tensor
        transfer = self._image.tensor_transfer(place, drain.window, image)
        first, end = _sram_span(transfer)
        self._last_store[image, tensor] = len(self.stores)
        self.stores.append(Store(transfer, tensor, self._job_uses[SramName.AMEM].last(first, end)))
        size_bytes = drain.window.size_words * self._word_bytes[SramName.AMEM]
        self.store_uses.append({self._tags[image, drain.writer.moment]: size_bytes})
        self._reads_of_stores.add_store(first, end, place, drain.window)


def _packed(words: Sequence[int]) -> bytes:
    """Instruction words as they lie in the off-chip memory."""
    return struct.pack(f"<{len(words)}Q", *words)


def _sram_span(transfer: Transfer) -> tuple[int, int]:
    """First SRAM word of a transfer and the one after its last."""
    first = transfer.sram_word
    return first, first + (transfer.rows - 1) * transfer.sram_stride_words + transfer.row_words
