"""Plays a driver program and refuses whatever could go wrong at some speed of engine, memory or host.

Two things are checked step by step: what is under way at the same time never touches the same words unless all of it
only reads, and every word that is read holds what it should, put there by something that the driver has waited for.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tlm.chip.format.driver import SramName, StartEngine, StartTransfer, Transfer, Unit, Wait
from tlm.chip.format.packing import plane_words
from tlm.compiler.jobs import Job
from tlm.compiler.parts import Part
from tlm.compiler.places import Place
from tlm.compiler.program import Program
from tlm.network.layers import INPUT, Conv2d, MaxPool2d
from tlm.network.network import Network, TensorInfo

NOTHING = -1


@dataclass
class Access:
    """Words of a memory that something under way reads or writes."""

    memory: object
    words: npt.NDArray[np.int64]
    writes: bool


@dataclass
class Driver:
    """The state of every memory, as names of what each word holds."""

    program: Program
    under_way: dict[Unit, list[Access]] = field(default_factory=dict)
    jobs_started: int = 0
    stored_words: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        program, config = self.program, self.program.config
        self.ids = {name: index for index, name in enumerate(program.network.tensors)}
        sizes = {SramName.AMEM: config.amem_words, SramName.WMEM: config.wmem_words, SramName.IMEM: config.imem_words}
        self.held = {sram: np.full(words, NOTHING, np.int64) for sram, words in sizes.items()}
        self.outside = {
            (name, image): self.tags(name, image) if name == INPUT else np.full(self.tags(name).shape, NOTHING)
            for name in program.tensors
            for image in range(program.batch)
        }

    def tags(self, name: str, image: int = 0) -> npt.NDArray[np.int64]:
        """A number for each word of an image's tensor, (planes, P)."""
        info = self.program.network.tensors[name]
        planes, words = tensor_planes(info), p_of(info, self.program.config.lanes)
        place = np.arange(planes)[:, None] * (1 << 20) + np.arange(words)
        return (self.ids[name] * self.program.batch + image << 44) + place

    def play(self) -> None:
        """Every step; at the end everything has ended and the output is stored."""
        for step in self.program.steps:
            match step:
                case StartTransfer(unit, transfer):
                    self.begin(unit, self.load(transfer) if unit is Unit.LOAD else self.store(transfer))
                case StartEngine(word):
                    self.begin(Unit.ENGINE, self.run(word))
                case Wait(unit):
                    assert self.under_way.pop(unit), step
        assert not self.under_way
        assert self.jobs_started == len(self.program.jobs)
        output = self.program.network.output.name
        for image in range(self.program.batch):
            np.testing.assert_array_equal(self.outside[output, image], self.tags(output, image))

    def begin(self, unit: Unit, accesses: list[Access]) -> None:
        assert unit not in self.under_way
        for other in (access for others in self.under_way.values() for access in others):
            for access in accesses:
                if access.memory == other.memory and (access.writes or other.writes):
                    assert not np.intersect1d(access.words, other.words).size, (unit, access, other)
        self.under_way[unit] = accesses

    # -- transfers ----------------------------------------------------------------------------------------------

    def load(self, transfer: Transfer) -> list[Access]:
        words = sram_words(transfer)
        if transfer.sram is SramName.AMEM:
            name, planes, columns = self.find(transfer)
            content = self.outside[name][planes, columns]
            assert (content != NOTHING).all(), (transfer, "was never stored")
            outside = [Access(("off-chip", name), (planes * (1 << 20) + columns).ravel(), writes=False)]
        else:
            chunk = next(one for one in self.program.chunks if one.offset_bytes == transfer.memory_offset_bytes)
            assert len(chunk.data) == len(words) * {SramName.WMEM: self.program.config.columns // 2}.get(
                transfer.sram, 8
            )
            content = chunk.offset_bytes * (1 << 24) + np.arange(len(words))
            outside = []
        self.held[transfer.sram][words] = content.ravel()
        return [Access(transfer.sram, words, writes=True), *outside]

    def store(self, transfer: Transfer) -> list[Access]:
        words = sram_words(transfer)
        name, planes, columns = self.find(transfer)
        content = self.held[SramName.AMEM][words].reshape(planes.shape)
        np.testing.assert_array_equal(content, self.tags(*name)[planes, columns])
        self.outside[name][planes, columns] = content
        place = (planes * (1 << 20) + columns).ravel()
        return [Access(transfer.sram, words, writes=False), Access(("off-chip", name), place, writes=True)]

    def find(self, transfer: Transfer) -> tuple[tuple[str, int], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Which words of which image's tensor an off-chip address range is: planes and words of planes, in order."""
        word_bytes = self.program.config.lanes // 2
        for name, image in self.outside:
            place = self.program.tensors[name]
            offset = transfer.memory_offset_bytes - place.offset_of(image)
            if 0 <= offset < place.size_bytes:
                rows = np.arange(transfer.rows)[:, None] * transfer.memory_stride_bytes
                at = offset + rows + np.arange(transfer.row_words) * word_bytes
                planes, rest = np.divmod(at, place.plane_bytes)
                assert (rest % word_bytes == 0).all()
                assert (rest // word_bytes < self.tags(name).shape[1]).all()
                return (name, image), planes.reshape(-1), (rest // word_bytes).reshape(-1)
        raise AssertionError(f"{transfer} touches no tensor")

    # -- the engine -----------------------------------------------------------------------------------------------

    def run(self, imem_word: int) -> list[Access]:
        job = self.program.jobs[self.jobs_started]
        self.jobs_started += 1
        assert job.imem_word == imem_word
        instructions = np.arange(imem_word, imem_word + len(job.instructions))
        self.check_chunk(SramName.IMEM, instructions, np.array(job.instructions, "<u8").tobytes())
        accesses = [Access(SramName.IMEM, instructions, writes=False)]
        for number, tag in enumerate(job.parts):
            accesses += self.run_part(self.program.parts[tag], job, number, self.program.runs[tag][0])
        return accesses

    def check_chunk(self, sram: SramName, words: npt.NDArray[np.int64], wanted: bytes) -> None:
        """The words hold what the image has at one place, and that is this."""
        content = self.held[sram][words]
        assert (content != NOTHING).all()
        offset, first = divmod(int(content[0]), 1 << 24)
        np.testing.assert_array_equal(content, content[0] + np.arange(len(words)))
        chunk = next(one for one in self.program.chunks if one.offset_bytes == offset)
        word_bytes = len(wanted) // len(words)
        assert chunk.data[first * word_bytes : first * word_bytes + len(wanted)] == wanted

    def run_part(self, part: Part, job: Job, number: int, image: int) -> list[Access]:
        program = self.program
        layer, network = program.network.layers[part.layer_index], program.network
        amem, accesses = self.held[SramName.AMEM], []
        if part.weight_words:
            first = job.wmem_words[number]
            weights = np.arange(first, first + part.weight_words)
            self.check_chunk(SramName.WMEM, weights, b"".join(packed(network, part, program.config.columns)))
            accesses.append(Access(SramName.WMEM, weights, writes=False))
        pooled = range(part.first_channel, part.first_channel + part.channels)
        read = pooled if isinstance(layer, MaxPool2d) else seen_channels(layer, pooled)
        wanted = range(part.first_in_channel, part.first_in_channel + part.in_channels)
        assert wanted.start <= read.start
        assert read.stop <= wanted.stop
        self.expect(part.source, image, wanted, part.source.window.first_word, part.source.window.end_word)
        accesses.append(Access(SramName.AMEM, span_of(part.source), writes=False))
        per_channel = 6 if layer.accumulator_output else 1
        planes = range(part.first_channel * per_channel, (part.first_channel + part.channels) * per_channel)
        if part.residual is not None:
            self.expect(part.residual, image, pooled, part.first_tile, part.first_tile + part.tiles)
            accesses.append(Access(SramName.AMEM, span_of(part.residual), writes=False))
        words = self.addresses(part.output, planes, part.first_tile, part.first_tile + part.tiles)
        for place, kind in ((part.source, "input"), (part.residual, "residual")):
            if place is not None and np.intersect1d(words, span_of(place)).size:
                assert kind == "residual", (part, kind)
                own = self.addresses(place, pooled, part.first_tile, part.first_tile + part.tiles)
                np.testing.assert_array_equal(own, words)
        amem[words] = self.tags(layer.name, image)[
            np.array(planes)[:, None], np.arange(part.first_tile, part.first_tile + part.tiles)
        ].ravel()
        accesses.append(Access(SramName.AMEM, np.sort(words), writes=True))
        return accesses

    def expect(self, place: Place, image: int, planes: range, first: int, end: int) -> None:
        wanted = self.tags(place.window.tensor, image)[np.array(planes)[:, None], np.arange(first, end)].ravel()
        found = self.held[SramName.AMEM][self.addresses(place, planes, first, end)]
        np.testing.assert_array_equal(found, wanted, err_msg=f"{place}")

    @staticmethod
    def addresses(place: Place, planes: range, first: int, end: int) -> npt.NDArray[np.int64]:
        window = place.window
        assert window.first_plane <= planes.start
        assert planes.stop <= window.first_plane + window.planes
        assert window.first_word <= first < end <= window.first_word + window.words
        rows = (np.array(planes) - window.first_plane)[:, None] * window.words
        return (place.base_word + rows + np.arange(first, end) - window.first_word).ravel()


def span_of(place: Place) -> npt.NDArray[np.int64]:
    return np.arange(place.base_word, place.end_word)


def sram_words(transfer: Transfer) -> npt.NDArray[np.int64]:
    rows = np.arange(transfer.rows)[:, None] * transfer.sram_stride_words
    return (transfer.sram_word + rows + np.arange(transfer.row_words)).ravel()


def seen_channels(layer: Conv2d, outputs: range) -> range:
    """Input channels that some output channels see."""
    out_per, in_per = layer.out_channels // layer.groups, layer.in_channels // layer.groups
    return range(outputs.start // out_per * in_per, ((outputs.stop - 1) // out_per + 1) * in_per)


def tensor_planes(info: TensorInfo) -> int:
    return info.shape[0] * (6 if info.accumulator else 1)


def p_of(info: TensorInfo, lanes: int) -> int:
    return plane_words(info.shape[1], info.shape[2], lanes)


def packed(network: Network, part: Part, columns: int) -> tuple[bytes, ...]:
    """The weight words of a part's groups, cut out by hand."""
    weights = network.layers[part.layer_index].full_weights()  # type: ignore[union-attr]
    outputs = weights.shape[0]
    flat = np.zeros((-(-outputs // columns) * columns, weights[0].size), np.int8)
    flat[:outputs] = weights.reshape(outputs, -1)
    words = []
    for group in range(part.first_group, part.first_group + part.groups):
        own = flat[group * columns : (group + 1) * columns]
        nibbles = (own[:, own.any(axis=0)].T & 15).astype(np.uint8)
        words.append((nibbles[:, 0::2] | nibbles[:, 1::2] << 4).tobytes())
    return tuple(words)
