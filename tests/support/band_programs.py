"""Programs of one layer written by hand, word by word: bands and max pooling, on windows of planes of any stride.

They share the encoder of header words with the chip, and nothing else: what a band is stands here once more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from chip_cases import chips, circuits
from cycle_oracle import Pass, play
from hypothesis import strategies as st
from images import pattern_place, pattern_word_count, weight_image, word
from strategies import fitting_requantisation, random_activations, random_weights

from tlm.chip.config import ChipConfig
from tlm.chip.fidelity import DataFlow, Fidelity
from tlm.chip.format.driver import DriverStep, SramName, StartEngine, StartTransfer, Transfer, Unit, Wait
from tlm.chip.format.isa import (
    END_WORD,
    Band,
    LayerHeader,
    LayerKind,
    Parameter,
    encode_header,
    encode_parameter,
    encode_pattern,
)
from tlm.chip.system import System
from tlm.network import golden as reference
from tlm.network.layers import Conv2d, MaxPool2d
from tlm.observe.account import RunAccount
from tlm.observe.faults import BitFlip, arm
from tlm.observe.passes import PartRecord
from tlm.observe.recorder import Recorder

ALIGNMENT = 64


def pattern_image(valid: npt.NDArray[Any], columns: int) -> npt.NDArray[np.uint64]:
    """Pooling's pattern words (groups, words of a full group) from the valid taps (channels, taps)."""
    channels, taps = valid.shape
    words = np.zeros((-(-channels // columns), pattern_word_count(min(columns, channels), taps)), np.uint64)
    for channel, tap in np.argwhere(valid).tolist():
        group, row = divmod(channel, columns)
        index, bit = pattern_place(row, tap, taps)
        words[group, index] |= np.uint64(1 << bit)
    return words


@dataclass(eq=False)
class BandCase:
    """A layer, what is in the memories, and where; tiles and windows in words of the whole planes."""

    config: ChipConfig
    layer: Conv2d | MaxPool2d
    activations: npt.NDArray[np.int8]
    signed: bool
    residual: npt.NDArray[np.int8] | None
    residual_signed: bool
    band: Band | None
    bases: dict[str, int]
    """ "input", "output", "residual": AMem words."""
    valid: npt.NDArray[Any] | None = None
    """Of pooling: (channels, taps), the taps that its patterns name; all of them in a real layer."""
    weight_base: int = 0
    imem_base: int = 0

    def __repr__(self) -> str:
        return (
            f"BandCase({self.layer}, input {self.activations.shape} signed={self.signed}, {self.band}, {self.bases}, "
            f"array {self.config.lanes}x{self.config.columns}, {self.config.amem_banks} banks)"
        )

    # -- sizes ------------------------------------------------------------------------------------------------------

    @property
    def out_size(self) -> tuple[int, int]:
        return self.layer.output_size(*self.activations.shape[1:])

    @property
    def tiles(self) -> int:
        return -(-self.out_size[0] * self.out_size[1] // self.config.lanes)

    @property
    def plane_in(self) -> int:
        return -(-self.activations.shape[1] * self.activations.shape[2] // self.config.lanes)

    @property
    def slots(self) -> int:
        """Entry slots of all channels."""
        return self.layer.out_channels * (6 if self.layer.accumulator_output else 1)

    @property
    def whole(self) -> Band:
        """The band, or the one that says what holds without one."""
        tiles, residual = self.tiles, self.residual is not None
        return self.band or Band(0, tiles, tiles, 0, self.plane_in, tiles if residual else 0)

    # -- words ------------------------------------------------------------------------------------------------------

    def header(self) -> LayerHeader:
        layer, pads = self.layer, self.layer.pads
        return LayerHeader(
            kind=LayerKind.MAX_POOLING if isinstance(layer, MaxPool2d) else LayerKind.CONVOLUTION,
            input_signed=self.signed, output_signed=bool(layer.signed_output),
            accumulator_output=layer.accumulator_output, has_residual=self.residual is not None,
            residual_signed=self.residual_signed, tag=0, channels=self.activations.shape[0],
            out_channels=layer.out_channels, height=self.activations.shape[1], width=self.activations.shape[2],
            kernel_h=layer.kernel[0], kernel_w=layer.kernel[1], stride_y=layer.stride[0], stride_x=layer.stride[1],
            pad_top=pads.top, pad_bottom=pads.bottom, pad_left=pads.left, pad_right=pads.right,
            dilation_y=layer.dilation[0], dilation_x=layer.dilation[1], input_base_word=self.bases["input"],
            output_base_word=self.bases["output"],
            residual_base_word=0 if self.residual is None else self.bases["residual"],
            weight_base_word=self.weight_base,
            residual_multiplier=0 if self.residual is None else layer.residual_multiplier, band=self.band,
        )  # fmt: skip

    def weights(self) -> tuple[bytes, npt.NDArray[np.uint64]]:
        """WMem bytes and pattern payloads (groups, words)."""
        if isinstance(self.layer, Conv2d):
            return weight_image(self.layer, self.config.columns)
        assert self.valid is not None
        return b"", pattern_image(self.valid, self.config.columns)

    def instructions(self) -> list[int]:
        layer, columns, patterns = self.layer, self.config.columns, self.weights()[1]
        words = encode_header(self.header())
        for group, payloads in enumerate(patterns.tolist()):
            channels = range(group * columns, min((group + 1) * columns, layer.out_channels))
            for o in channels:
                three = (0, 1, 0)
                if isinstance(layer, Conv2d):
                    three = int(layer.bias[o]), int(layer.multiplier[o]), int(layer.shift[o])
                words.append(encode_parameter(Parameter(*three)))
            if isinstance(layer, MaxPool2d):  # a last, partial group has fewer words
                payloads = payloads[: pattern_word_count(len(channels), layer.kernel[0] * layer.kernel[1])]
            words += map(encode_pattern, payloads)
        return [*words, END_WORD]

    def amem(self) -> npt.NDArray[np.uint8]:
        """(amem_words, bytes a word): the tensors' windows, and rubbish everywhere else."""
        rng, lanes, band = np.random.default_rng(self.activations.size), self.config.lanes, self.whole
        memory = rng.integers(0, 256, (self.config.amem_words, lanes // 2)).astype(np.uint8)
        window = range(band.input_first_word, band.input_first_word + band.input_plane_words)
        self._put(memory, self.activations, window, self.bases["input"], band.input_plane_words)
        if self.residual is not None:
            tiles = range(band.first_tile, band.first_tile + band.tile_count)
            self._put(memory, self.residual, tiles, self.bases["residual"], band.residual_plane_words)
        return memory

    def _put(self, memory: Any, tensor: Any, words: range, base: int, stride: int) -> None:
        lanes = self.config.lanes
        for channel, plane in enumerate(tensor.reshape(len(tensor), -1).tolist()):
            for index, at in enumerate(words):
                pixels = plane[at * lanes : (at + 1) * lanes]
                values = word(pixels + [0] * (lanes - len(pixels)))
                memory[base + channel * stride + index] = np.frombuffer(values, np.uint8)

    # -- what must come out -----------------------------------------------------------------------------------------

    def golden(self) -> npt.NDArray[Any]:
        """The band's output pixels of the golden model, (slots, pixels) nibbles."""
        layer, lanes, band = self.layer, self.config.lanes, self.whole
        if isinstance(layer, MaxPool2d):
            rows = reference.largest(layer, self.activations).reshape(layer.out_channels, -1).astype(np.int64)
        else:
            acc = reference.wrap(reference.accumulate(layer, self.activations))
            if layer.accumulator_output:
                sums = (acc.astype(np.int64) + layer.bias[:, None, None]).reshape(layer.out_channels, 1, -1)
                rows = (sums >> (4 * np.arange(6))[:, None]).reshape(self.slots, -1)
            else:
                rows = reference.requantise(layer, acc, self.residual).reshape(layer.out_channels, -1).astype(np.int64)
        return rows[:, band.first_tile * lanes : (band.first_tile + band.tile_count) * lanes] & 15

    def oracle(self) -> list[Pass]:
        """The per-cycle script's passes."""
        layer, pads, chip, band = self.layer, self.layer.pads, self.config, self.whole
        weights, groups, pooling = None, 1, isinstance(layer, MaxPool2d)
        if isinstance(layer, Conv2d):
            weights, groups = layer.weights, layer.groups
        else:
            assert self.valid is not None
            weights, groups = self.valid.reshape(layer.out_channels, 1, *layer.kernel), layer.out_channels
        return play(
            weights, *self.activations.shape[1:], pads=(pads.top, pads.bottom, pads.left, pads.right),
            stride=layer.stride, dilation=layer.dilation, groups=groups, input_base=self.bases["input"],
            output_base=self.bases["output"], residual_base=None if self.residual is None else self.bases["residual"],
            accumulator_output=layer.accumulator_output, lanes=chip.lanes, columns=chip.columns,
            banks=chip.amem_banks, pipeline=chip.pipeline_cycles, gap=chip.pass_gap_cycles,
            requantiser=chip.requantiser_cycles, pooling=pooling, first_tile=band.first_tile,
            tile_count=band.tile_count, output_plane=band.output_plane_words,
            residual_plane=band.residual_plane_words, input_first=band.input_first_word,
            input_plane=band.input_plane_words,
        )  # fmt: skip


@dataclass
class Outcome:
    """What a run gave."""

    output: npt.NDArray[np.int64]
    """(slots, tile_count * lanes) nibbles."""
    cycles: int
    part: PartRecord
    account: RunAccount
    conflicts: dict[str, int]


@dataclass
class BandProgram:
    """A case's off-chip image and driver steps."""

    case: BandCase
    data: bytes = b""
    steps: tuple[DriverStep, ...] = ()
    output_offset_bytes: int = 0
    instructions_offset_bytes: int = 0
    loads: list[Transfer] = field(default_factory=list)

    def __post_init__(self) -> None:
        case, image = self.case, bytearray()
        weights, words = case.weights()[0], case.instructions()
        code = b"".join(one.to_bytes(8, "little") for one in words)
        sources = [(SramName.AMEM, 0, case.amem().tobytes()), (SramName.IMEM, case.imem_base, code)]
        sources += [(SramName.WMEM, case.weight_base, weights)] if weights else []
        for sram, at, data in sources:
            if sram is SramName.IMEM:
                self.instructions_offset_bytes = len(image)
            size = {SramName.AMEM: case.config.lanes // 2, SramName.WMEM: case.config.columns // 2, SramName.IMEM: 8}
            self.loads.append(Transfer(sram, at, len(image), len(data) // size[sram]))
            image += data + bytes(-len(data) % ALIGNMENT)
        self.data, self.output_offset_bytes = bytes(image), len(image)
        band, word_bytes = case.whole, case.config.lanes // 2
        row_bytes = -(-band.tile_count * word_bytes // ALIGNMENT) * ALIGNMENT
        store = Transfer(
            SramName.AMEM, case.bases["output"], len(image), band.tile_count, case.slots, row_bytes,
            band.output_plane_words,
        )  # fmt: skip
        loads = [step for load in self.loads for step in (StartTransfer(Unit.LOAD, load), Wait(Unit.LOAD))]
        run = (StartEngine(case.imem_base), Wait(Unit.ENGINE), StartTransfer(Unit.STORE, store), Wait(Unit.STORE))
        self.steps = (*loads, *run)
        self.row_bytes = row_bytes

    def output(self, image: bytes) -> npt.NDArray[np.int64]:
        """The stored output rows out of what lies from output_offset_bytes on."""
        rows = np.frombuffer(image, np.uint8)[: self.case.slots * self.row_bytes].reshape(self.case.slots, -1)
        packed = rows[:, : self.case.whole.tile_count * self.case.config.lanes // 2].astype(np.int64)
        return np.stack((packed & 15, packed >> 4), axis=-1).reshape(self.case.slots, -1)

    def run(
        self, fidelity: Fidelity | str, flips: tuple[BitFlip, ...] = (), flow: DataFlow = DataFlow.PASSES
    ) -> Outcome:
        """Simulate."""
        system = System(self.case.config, Fidelity(fidelity), flow=flow)
        recorder = Recorder(system)
        system.preload(self.data)
        arm(system, flips)
        system.run(self.steps)
        stored = system.read_memory(self.output_offset_bytes, self.case.slots * self.row_bytes)
        part = next(iter(recorder.parts.values()))
        return Outcome(self.output(stored), recorder.cycles, part, recorder.account(), recorder.bank_conflicts())


# -- generated cases ------------------------------------------------------------------------------------------------


def seen_rows(case: BandCase, first_tile: int, tile_count: int) -> range:
    """Input rows that the tiles' outputs can see (engine.md, Bands)."""
    lanes, layer, (rows, width) = case.config.lanes, case.layer, case.out_size
    last = min((first_tile + tile_count) * lanes, rows * width) - 1
    top = first_tile * lanes // width * layer.stride[0] - layer.pads.top
    bottom = last // width * layer.stride[0] - layer.pads.top + layer.dilation[0] * (layer.kernel[0] - 1)
    return range(max(0, top), min(case.activations.shape[1] - 1, bottom) + 1)


@st.composite
def band_cases(draw: st.DrawFn, config: ChipConfig, pooling: bool | None = None, banded: bool = True) -> BandCase:
    """Layers of both kinds with random bands, windows, strides and bases."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pooling = draw(st.booleans()) if pooling is None else pooling
    kernel = draw(st.sampled_from(((1, 1), (3, 3), (2, 2), (1, 4), (5, 3), (7, 9))))
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    channels = draw(st.integers(1, 20 if pooling else 12))
    stride, dilation = (tuple(draw(st.integers(1, most)) for _ in range(2)) for most in (3, 2))
    padding = [[draw(st.integers(0, 3)) for _ in range(2)] for _ in range(2)]
    for axis, size in enumerate((height, width)):
        padding[axis][1] += max(0, dilation[axis] * (kernel[axis] - 1) + 1 - size - sum(padding[axis]))
    window: dict[str, Any] = {"stride": stride, "dilation": dilation, "padding": tuple(map(tuple, padding))}
    signed, residual, residual_signed, valid = draw(st.booleans()), None, False, None
    layer: Conv2d | MaxPool2d
    if pooling:
        layer = MaxPool2d("p", kernel, channels=channels, signed_output=signed, **window)
        valid = np.ones((channels, kernel[0] * kernel[1]), np.int8)
    else:
        outputs, accumulator = draw(st.integers(1, 20)), draw(st.sampled_from((False, False, True)))
        shape = (outputs, channels, *kernel)
        weights = random_weights(rng, shape, draw(st.sampled_from((0.1, 0.5, 1.0))), by_tap=True)
        keys: dict[str, Any] = {"signed_output": draw(st.booleans()), "accumulator_output": accumulator}
        with_residual = not accumulator and draw(st.booleans())
        if with_residual:
            keys |= {"residual": "r", "residual_multiplier": int(rng.integers(1, 4000))}
        layer = Conv2d("c", weights, **keys, **window, **fitting_requantisation(rng, weights, keys["signed_output"]))
        if with_residual:
            residual_signed = draw(st.booleans())
            residual = random_activations(rng, (outputs, *layer.output_size(height, width)), residual_signed)
    activations = random_activations(rng, (channels, height, width), signed)
    case = BandCase(config, layer, activations, signed, residual, residual_signed, None, {}, valid)
    case.weight_base, case.imem_base = draw(st.integers(0, 9)), draw(st.integers(0, 9))
    if banded:
        case.band = draw(_bands(case))
    _place(draw, case)
    return case


@st.composite
def _bands(draw: st.DrawFn, case: BandCase) -> Band:
    first_tile = draw(st.integers(0, case.tiles - 1))
    tile_count = draw(st.integers(1, case.tiles - first_tile))
    rows, width = seen_rows(case, first_tile, tile_count), case.activations.shape[2]
    first, end = draw(st.integers(0, case.plane_in - 1)), 0
    if rows:
        first = draw(st.integers(0, rows.start * width // case.config.lanes))
        end = -(-rows.stop * width // case.config.lanes)
    end = draw(st.integers(max(end, first + 1), case.plane_in))
    strides = [tile_count + draw(st.integers(0, 9)) for _ in range(2)]
    return Band(first_tile, tile_count, strides[0], first, end - first, 0 if case.residual is None else strides[1])


def _place(draw: st.DrawFn, case: BandCase) -> None:
    """The tensors one behind the other, with gaps."""
    band, at = case.whole, 0
    sizes = {"input": len(case.activations) * band.input_plane_words}
    if case.residual is not None:
        sizes["residual"] = (case.slots - 1) * band.residual_plane_words + band.tile_count
    sizes["output"] = (case.slots - 1) * band.output_plane_words + band.tile_count
    for name, size in sizes.items():
        case.bases[name] = at + draw(st.integers(0, 7))
        at = case.bases[name] + size


FAST = {
    "amem_words": 4096, "memory_gb_per_s": 1000.0, "memory_latency_ns": 0.0, "host_access_ns": 0.0,
    "host_interrupt_ns": 0.0,
}  # fmt: skip
"""Room for every stride, and short loads."""


@st.composite
def generated(draw: st.DrawFn, pooling: bool | None = None, banded: bool = True) -> BandCase:
    config = draw(chips(**FAST, lanes=draw(st.sampled_from((8, 16, 32))), columns=draw(st.sampled_from((8, 16)))))
    return draw(band_cases(config, pooling, banded))


@st.composite
def generated_for_circuits(draw: st.DrawFn) -> BandCase:
    return draw(band_cases(draw(circuits(**{key: value for key, value in FAST.items() if key != "amem_words"}))))
