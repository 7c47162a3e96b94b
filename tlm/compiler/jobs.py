"""Jobs and transfers: what the engine runs from one start, what the DMA moves, and what each waits for.

Blocks go to the words that are free earliest. Weights that are still there are not loaded again. A job or transfer that
overwrites words waits for all users of them. These constraints follow from addresses alone, so they hold at any speed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tlm.chip.config import ChipConfig
from tlm.chip.format.descriptor import sram_size
from tlm.chip.format.driver import SramName, Transfer
from tlm.chip.format.isa import END_WORD
from tlm.compiler.costs import load_cycles, restart_cycles
from tlm.compiler.emit import part_instructions
from tlm.compiler.memory_image import MemoryImage
from tlm.compiler.operations import Buffer, Drain, Fill, Operation, Run
from tlm.compiler.parts import Part
from tlm.compiler.places import Place, Window, planes_per_channel
from tlm.compiler.residency import Blocks, Piece, StoreUses, Uses
from tlm.compiler.weights import LayerWeights
from tlm.network.network import Network

_SMALL = 8
"""A job of several parts takes at most this fraction of WMem and of IMem."""


@dataclass(frozen=True, slots=True)
class Load:
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


@dataclass(frozen=True, slots=True)
class Store:
    """A transfer into the off-chip memory."""

    transfer: Transfer
    tensor: str
    after_job: int
    """Job that makes what it stores."""


@dataclass(frozen=True, slots=True)
class Job:
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


class JobPlanner:
    """Turns operations into jobs, loads and stores.

    Args:
        network, config: what is compiled for what.
        places: of every buffer.
        parts: by tag, in the order of their runs.
        part_cycles: predicted compute cycles of each part.
        weights: of each layer.
        image: takes up weights, instructions and tensors that lie off-chip.
    """

    def __init__(
        self,
        network: Network,
        config: ChipConfig,
        places: Mapping[Buffer, Place],
        parts: Sequence[Part],
        part_cycles: Sequence[int],
        weights: Sequence[LayerWeights],
        image: MemoryImage,
    ) -> None:
        self._network = network
        self._config = config
        self._places = places
        self._image = image
        self._parts = parts
        self._part_cycles = part_cycles
        self._weights = weights
        self._job_uses = {sram: Uses(sram_size(sram, config)[0]) for sram in SramName}
        self._wmem = Blocks(config.wmem_words, self._job_uses[SramName.WMEM])
        self._imem = Blocks(config.imem_words, self._job_uses[SramName.IMEM])
        self._store_uses = StoreUses(config.amem_words)
        self._last_store: dict[str, int] = {}
        self._blocks: dict[bytes, int] = {}
        self._keys: dict[tuple[int, int, int], int] = {}
        self._uses_left: Counter[int] = Counter()
        self._open: list[int] = []
        """Tags of the parts of the job that is being put together."""
        self._cycles_before = 0
        """Compute cycles of the last job that was closed."""
        self._fills: list[Fill] = []
        self.jobs: list[Job] = []
        self.loads: list[Load] = []
        self.stores: list[Store] = []

    def plan(self, operations: Sequence[Operation]) -> None:
        """Go through all operations, once.

        Raises:
            CompileError: the off-chip memory is too small.
        """
        self._uses_left.update(map(self._key_of, self._parts))
        for operation in operations:
            match operation:
                case Run():
                    if self._open and not self._joins(operation.moment):
                        self._close()
                    self._open.append(operation.moment)
                case Fill():
                    self._close()
                    self._fills.append(operation)
                case Drain():
                    self._close()
                    self._drain(operation)
        self._close()
        self._place_tensors()

    # -- runs -----------------------------------------------------------------------------------------------------

    def _joins(self, tag: int) -> bool:
        """A part joins the job before it if loading for it takes no longer than another start of the engine.

        It also does if all that the job then needs can be loaded while the job before it runs and is a small part of
        WMem and IMem, so that the next jobs' words have room beside it.
        """
        config, part = self._config, self._parts[tag]
        before = [self._parts[one] for one in self._open]
        together = [*before, part]
        blocks = {self._key_of(one): one.weight_words for one in together}
        weights, instructions = sum(blocks.values()), sum(one.instruction_words for one in together) + 1
        if weights > config.wmem_words or instructions > config.imem_words:
            return False
        missing = {key: words for key, words in blocks.items() if self._wmem.find(key) is None}
        own = part.instruction_words * config.imem_word_bytes
        if self._key_of(part) in missing and all(self._key_of(one) != self._key_of(part) for one in before):
            own += part.weight_words * config.wmem_word_bytes
        if load_cycles(own, config) <= restart_cycles(config):
            return True
        total = sum(missing.values()) * config.wmem_word_bytes + instructions * config.imem_word_bytes
        small = _SMALL * weights <= config.wmem_words and _SMALL * instructions <= config.imem_words
        return small and not self._fills and load_cycles(total, config) <= self._cycles_before

    def _close(self) -> None:
        """End the open job, if any: load what it needs, and note what it uses."""
        if not self._open:
            return
        tags, job = self._open, len(self.jobs)
        self._open = []
        self._cycles_before = sum(self._part_cycles[tag] for tag in tags)
        parts = [self._parts[tag] for tag in tags]
        wmem_words, loaded, weight_loads = self._place_weights(parts)
        pieces = [
            part_instructions(self._network, part, tag, wmem_word, self._weights[part.layer_index], self._config)
            for tag, part, wmem_word in zip(tags, parts, wmem_words, strict=True)
        ]
        instructions = np.concatenate([*pieces, np.array([END_WORD], np.uint64)])
        imem_word = self._imem.take(len(instructions), lambda _: False)
        label, data = f"instructions of {self._names(parts)}", instructions.astype("<u8").tobytes()
        for transfer in (self._image.chunk(SramName.IMEM, imem_word, data, label), *weight_loads):
            self._load(transfer, job)
        for fill in self._fills:
            self._fill(fill, job)
        self._fills = []
        after_store = max(
            self._store_uses.last(part.output.base_word, part.output.end_word, self._written(part)) for part in parts
        )
        for part, wmem_word in zip(parts, wmem_words, strict=True):
            for place in (part.source, part.output, part.residual):
                if place is not None:
                    self._job_uses[SramName.AMEM].add(place.base_word, place.end_word, job)
            self._job_uses[SramName.WMEM].add(wmem_word, wmem_word + part.weight_words, job)
        self._job_uses[SramName.IMEM].add(imem_word, imem_word + len(instructions), job)
        self.jobs.append(
            Job(
                parts=tuple(tags),
                imem_word=imem_word,
                wmem_words=tuple(wmem_words),
                loads_weights=tuple(loaded),
                instructions=tuple(instructions.tolist()),
                after_load=len(self.loads) - 1,
                after_store=after_store,
            )
        )

    def _place_weights(self, parts: Sequence[Part]) -> tuple[list[int], list[bool], list[Transfer]]:
        """First WMem word of each part's weights, which are loaded, and their loads; new ones lie side by side."""
        wanted: dict[int, Part] = {}
        for part in parts:
            self._uses_left[self._key_of(part)] -= 1
            if part.weight_words:
                wanted.setdefault(self._key_of(part), part)
        missing = {key: part for key, part in wanted.items() if self._wmem.find(key) is None}
        transfers = []
        if missing:
            first = self._take_wmem(missing, wanted)
            if any(self._wmem.find(key) is None for key in wanted if key not in missing):
                missing = wanted  # the new ones overwrote others that this job needs
                first = self._take_wmem(missing, wanted)
            at = first
            for key, part in missing.items():
                self._wmem.put(key, at, part.weight_words)
                at += part.weight_words
            data = b"".join(map(self._weight_words, missing.values()))
            label = f"weights of {self._names(missing.values())}"
            transfers.append(self._image.chunk(SramName.WMEM, first, data, label, tuple(missing)))
        words = [self._wmem.find(self._key_of(part)) if part.weight_words else 0 for part in parts]
        loaded = [part is missing.get(self._key_of(part)) for part in parts]
        return [0 if word is None else word for word in words], loaded, transfers

    def _take_wmem(self, missing: Mapping[int, Part], wanted: Mapping[int, Part]) -> int:
        """Room for what is missing, if possible beside all else that the job wants or that is used later."""
        words = sum(part.weight_words for part in missing.values())
        return self._wmem.take(words, lambda key: self._uses_left[key] > 0 or key in wanted)

    def _key_of(self, part: Part) -> int:
        """Same key, same weight words: those of different parts may be equal too."""
        where = part.layer_index, part.first_group, part.groups
        if where not in self._keys:
            self._keys[where] = self._blocks.setdefault(self._weight_words(part), len(self._blocks))
        return self._keys[where]

    def _weight_words(self, part: Part) -> bytes:
        return b"".join(self._weights[part.layer_index].words[part.first_group : part.first_group + part.groups])

    def _names(self, parts: Iterable[Part]) -> str:
        return "+".join(dict.fromkeys(self._network.layers[part.layer_index].name for part in parts))

    def _written(self, part: Part) -> Piece:
        """What a part writes of its output's buffer."""
        info = self._network.tensors[part.output.window.tensor]
        planes = planes_per_channel(info)
        window = Window(info.name, part.first_channel * planes, part.channels * planes, part.first_tile, part.tiles)
        return Piece(part.output, window)

    # -- transfers ------------------------------------------------------------------------------------------------

    def _load(self, transfer: Transfer, job: int, tensor: str | None = None) -> None:
        first, end = _sram_span(transfer)
        after_store = -1 if tensor is None else self._last_store.get(tensor, -1)
        if transfer.sram is SramName.AMEM:
            after_store = max(after_store, self._store_uses.last(first, end))
        self.loads.append(Load(transfer, job, tensor, self._job_uses[transfer.sram].last(first, end), after_store))

    def _fill(self, fill: Fill, job: int) -> None:
        place = self._places[fill.buffer]
        self._load(self._image.tensor_transfer(place, place.window), job, place.window.tensor)

    def _drain(self, drain: Drain) -> None:
        place, tensor = self._places[drain.buffer], drain.window.tensor
        transfer = self._image.tensor_transfer(place, drain.window)
        first, end = _sram_span(transfer)
        self._last_store[tensor] = len(self.stores)
        self.stores.append(Store(transfer, tensor, self._job_uses[SramName.AMEM].last(first, end)))
        self._store_uses.add(first, end, Piece(place, drain.window))

    def _place_tensors(self) -> None:
        """Tensors get their places off-chip, and their transfers the offsets that follow."""
        names = [load.tensor for load in self.loads] + [store.tensor for store in self.stores]
        self._image.place_tensors(name for name in names if name is not None)
        self.loads = [
            load if load.tensor is None else replace(load, transfer=self._image.moved(load.transfer, load.tensor))
            for load in self.loads
        ]
        self.stores = [
            replace(store, transfer=self._image.moved(store.transfer, store.tensor)) for store in self.stores
        ]


def _sram_span(transfer: Transfer) -> tuple[int, int]:
    """First SRAM word of a transfer and the one behind its last."""
    first = transfer.sram_word
    return first, first + (transfer.rows - 1) * transfer.sram_stride_words + transfer.row_words
