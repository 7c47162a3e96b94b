"""What memory contents mean (engine.md, Layout and Values), so that a flipped bit's effect can be predicted.

It plays a driver program on plain bytes: loads copy words, the engine decodes IMem words and computes whole layers with
the golden model's sums, stores copy words back. It knows no cycles and shares no code with the chip.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tlm.chip.format.driver import SramName, StartEngine, StartTransfer, Unit
from tlm.compiler.program import Program
from tlm.network import golden as reference
from tlm.network.layers import Conv2d
from tlm.observe.faults import BitFlip, FaultTarget

END, PARAMETER, PATTERN = 1, 8, 9
HEADER: tuple[tuple[int, tuple[tuple[str, int], ...]], ...] = (
    (2, (("kind", 4), ("input_signed", 1), ("output_signed", 1), ("accumulator", 1), ("has_residual", 1),
         ("residual_signed", 1), ("tag", 16), ("channels", 16), ("outputs", 16), ("banded", 1))),
    (3, (("height", 16), ("width", 16), ("kh", 6), ("kw", 6), ("sy", 8), ("sx", 8))),
    (4, (("top", 10), ("bottom", 10), ("left", 10), ("right", 10), ("dy", 10), ("dx", 10))),
    (5, (("input", 20), ("output", 20), ("residual", 20))),
    (6, (("weight", 20), ("residual_multiplier", 16))),
)  # fmt: skip
"""Opcode and fields, lowest bits first, of the five header words."""
BAND: tuple[tuple[int, tuple[tuple[str, int], ...]], ...] = (
    (7, (("first_tile", 20), ("tiles", 20), ("plane_out", 20))),
    (10, (("input_first", 20), ("plane_in", 20), ("plane_residual", 20))),
)
"""The two behind them if the layer is banded."""


class ExpectedError(Exception):
    """The chip must stop with a named error."""


class UnpredictableError(Exception):
    """Tensors overlap so that the outcome depends on what is read before it is overwritten."""


class Machine:
    """Memories as dictionaries from word address to bytes; a word that is not there was never written."""

    def __init__(self, program: Program, activations: npt.NDArray[Any], flips: Iterable[BitFlip] = ()) -> None:
        self.program, self.config = program, program.config
        self.image = bytearray(program.image(program.network.check_activations(activations)))
        self.image += bytes(program.image_bytes - len(self.image))
        self.srams: dict[SramName, dict[int, bytes]] = {name: {} for name in SramName}
        self.sram_flips = [flip for flip in flips if flip.target is not FaultTarget.MEMORY]
        self._parts_run = 0
        for flip in flips:
            if flip.target is FaultTarget.MEMORY:
                self.image[flip.address] ^= 1 << flip.bit

    def play(self) -> None:
        """The driver's steps; SRAM flips happen before the first start of the engine."""
        for step in self.program.steps:
            if isinstance(step, StartTransfer):
                self._transfer(step)
            elif isinstance(step, StartEngine):
                for flip in self.sram_flips:
                    self._flip(flip)
                self.sram_flips = []
                self._execute(step.imem_word)
        if self._parts_run < len(self.program.parts):
            raise ExpectedError("not every part ran")

    def run(self) -> npt.NDArray[Any]:
        """The network's output as the store channel leaves it off-chip."""
        self.play()
        output = self.program.network.output
        outputs, rows, columns = output.shape
        planes = 6 if output.accumulator else 1
        place = self.program.tensors[output.name]
        data = bytes(self.image[place.offset_bytes : place.offset_bytes + outputs * planes * place.plane_bytes])
        nibbles = _nibbles(data, output.signed and not output.accumulator)
        values = nibbles.reshape(outputs, planes, -1)[:, :, : rows * columns]
        if output.accumulator:
            total = (values.astype(np.int64) << (4 * np.arange(6)[:, None])).sum(axis=1)
            return (np.where(total >= 1 << 23, total - (1 << 24), total)).reshape(output.shape)
        return values[:, 0].reshape(output.shape)

    def _flip(self, flip: BitFlip) -> None:
        name = {FaultTarget.AMEM: SramName.AMEM, FaultTarget.WMEM: SramName.WMEM, FaultTarget.IMEM: SramName.IMEM}
        sram = self.srams[name[flip.target]]
        word = bytearray(sram[flip.address])
        word[flip.bit // 8] ^= 1 << flip.bit % 8
        sram[flip.address] = bytes(word)

    def _transfer(self, step: StartTransfer) -> None:
        transfer = step.transfer
        size = {SramName.AMEM: self.config.lanes // 2, SramName.WMEM: self.config.columns // 2, SramName.IMEM: 8}[
            transfer.sram
        ]
        for row, i in np.ndindex(transfer.rows, transfer.row_words):
            word = transfer.sram_word + row * transfer.sram_stride_words + i
            at = transfer.memory_offset_bytes + row * transfer.memory_stride_bytes + i * size
            if step.unit is Unit.LOAD:
                self.srams[transfer.sram][word] = bytes(self.image[at : at + size])
            else:
                self.image[at : at + size] = self._read(transfer.sram, word)

    def _read(self, sram: SramName, word: int) -> bytes:
        if word not in self.srams[sram]:
            raise ExpectedError(f"{sram.name} word {word} was never written")
        return self.srams[sram][word]

    # -- the engine -----------------------------------------------------------------------------------------------

    def _instruction(self, address: int, opcode: int | None = None) -> tuple[int, int]:
        word = int.from_bytes(self._read(SramName.IMEM, address), "little")
        if opcode is not None and word >> 60 != opcode:
            raise ExpectedError(f"opcode {word >> 60} where {opcode} belongs")
        return word >> 60, word & ((1 << 60) - 1)

    def _execute(self, address: int) -> None:
        while True:
            opcode, payload = self._instruction(address)
            if opcode == END:
                _decode(payload, ())
                return
            header, words = dict[str, int](), HEADER
            if opcode == 2 and payload >> 57 & 1:
                words += BAND
            for index, (expected, fields) in enumerate(words):
                payload = self._instruction(address + index, expected)[1]
                header |= _decode(payload, fields)
            address = self._layer(_Shape(header, self.config.lanes, self.config.columns), address + len(words))

    def _layer(self, h: Any, address: int) -> int:
        h.check(self.config.amem_words)
        if h.tag != self._parts_run or h.tag >= len(self.program.parts):
            raise ExpectedError("a part that is not the next one")
        self._parts_run += 1
        weights = np.zeros((h.outputs, h.channels, h.kh, h.kw), np.int8)
        parameters: list[tuple[int, int, int]] = []
        weight_word = h.weight
        for first in range(0, h.outputs, h.columns):
            count = min(h.columns, h.outputs - first)
            parameters += [_parameter(self._instruction(address + i, PARAMETER)[1]) for i in range(count)]
            address += count
            spoken_of = range(first, first + count) if h.kind else range(h.channels)
            pattern_words = -(-len(spoken_of) // (60 // h.taps or 1)) * -(-h.taps // 60)
            for channel, tap in self._steps(h, address, pattern_words, spoken_of):
                h.touch(channel, tap)
                if h.kind:
                    continue
                nibbles = _nibbles(self._read(SramName.WMEM, weight_word), signed=True)
                weights[first : first + count, channel, tap // h.kw, tap % h.kw] = nibbles[:count]
                weight_word += 1
            address += pattern_words
        self._compute(h, weights, parameters)
        return address

    def _steps(self, h: Any, address: int, pattern_words: int, spoken_of: range) -> list[tuple[int, int]]:
        # the words as one row of bits: a word holds whole channels, or a channel takes whole words
        steps, per_channel = [], 60 * -(-h.taps // 60) if h.taps > 60 else h.taps
        per_word = 60 if h.taps > 60 else 60 // h.taps * h.taps
        for index in range(pattern_words):
            payload = self._instruction(address + index, PATTERN)[1]
            for bit in range(60):
                if payload >> bit & 1:
                    channel, tap = divmod(index * per_word + bit, per_channel)
                    channel += spoken_of.start
                    if bit >= per_word or tap >= h.taps or channel not in spoken_of:
                        raise ExpectedError("a pattern bit beyond the last channel or tap")
                    steps.append((channel, tap))
        return steps

    def _compute(self, h: Any, weights: npt.NDArray[np.int8], parameters: Sequence[tuple[int, int, int]]) -> None:
        reads = {h.input + word for word in h.touched_words()}
        writes = h.tile_words(h.output, h.outputs * h.slots, h.plane_out)
        residuals = h.tile_words(h.residual, h.outputs, h.plane_residual) if h.has_residual else set()
        for word in sorted((reads | residuals) - writes):
            self._read(SramName.AMEM, word)
        same = h.residual == h.output and h.plane_residual == h.plane_out
        if reads & writes or (residuals & writes and not same):
            raise UnpredictableError
        for word in sorted(residuals):
            self._read(SramName.AMEM, word)
        acc = self._maxima(h) if h.kind else reference.accumulate(h.layer(weights), self._tensor(h))
        acc = acc.reshape(h.outputs, -1)[:, h.pixels].astype(np.int64)
        bias, multiplier, shift = np.array(parameters).T[:, :, None]
        if h.accumulator:
            planes = (acc + bias)[:, None] >> (4 * np.arange(6))[:, None] & 15
            self._write(h, planes.reshape(h.outputs * 6, -1))
            return
        scaled = (acc + bias) * multiplier
        if h.has_residual:
            words = [[h.residual + o * h.plane_residual + t for t in range(h.tiles)] for o in range(h.outputs)]
            values = self._pixels(words, h.lanes, h.residual_signed)[:, : acc.shape[1]]
            scaled = scaled + values * h.residual_multiplier
        divisor = np.int64(1) << (shift + 1)
        rounded = np.floor_divide(2 * scaled + divisor // 2, divisor)
        self._write(h, np.clip(rounded, *((-8, 7) if h.output_signed else (0, 15))) & 15)

    def _maxima(self, h: Any) -> npt.NDArray[np.int64]:
        """(channels, out_h * out_w): of the taps that the patterns name, as if each were a layer of its own."""
        source = self._tensor(h)
        found = np.full((h.channels, h.out_h * h.out_w), -8 if h.input_signed else 0, np.int64)
        for channel, tap in h.touched:
            y, x, inside = h.sources(tap)
            seen = source[channel, y[inside], x[inside]]
            found[channel, inside] = np.maximum(found[channel, inside], seen)
        return found

    def _tensor(self, h: Any) -> npt.NDArray[np.int64]:
        """The whole input (channels, height, width); what AMem does not hold is 0 (who needs it has checked)."""
        values = np.zeros((h.channels, -(-h.height * h.width // h.lanes) * h.lanes), np.int64)
        words = [[h.input + c * h.plane_in + w for w in range(h.plane_in)] for c in range(h.channels)]
        first = h.input_first * h.lanes
        values[:, first : first + h.plane_in * h.lanes] = self._pixels(words, h.lanes, h.input_signed)
        return values[:, : h.height * h.width].reshape(h.channels, h.height, h.width)

    def _pixels(self, words: Sequence[Sequence[int]], lanes: int, signed: int) -> npt.NDArray[np.int64]:
        """(rows, words * lanes); words that were never written count as zeros."""
        empty, amem = bytes(lanes // 2), self.srams[SramName.AMEM]
        data = b"".join(amem.get(word, empty) for row in words for word in row)
        return _nibbles(data, bool(signed)).reshape(len(words), -1)

    def _write(self, h: Any, rows: npt.NDArray[np.int64]) -> None:
        padded = np.zeros((len(rows), h.tiles * h.lanes), np.int64)
        padded[:, : rows.shape[1]] = rows
        for slot, row in enumerate(padded.reshape(len(rows), h.tiles, h.lanes)):
            for tile, word in enumerate(row):
                data = (word[0::2] | word[1::2] << 4).astype(np.uint8).tobytes()
                self.srams[SramName.AMEM][h.output + slot * h.plane_out + tile] = data


class _Shape:
    """A decoded header and what follows from it; attributes are the fields of HEADER and BAND."""

    def __init__(self, fields: dict[str, int], lanes: int, columns: int) -> None:
        self.__dict__.update(fields)
        self.lanes, self.columns = lanes, columns
        self.touched: set[tuple[int, int]] = set()

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)

    def check(self, amem_words: int) -> None:
        sizes = ("channels", "outputs", "height", "width", "kh", "kw", "sy", "sx", "dy", "dx")
        if self.kind > 1 or not all(getattr(self, size) for size in sizes) or max(self.kh, self.kw) > 63:
            raise ExpectedError("no layer")
        self.taps, self.slots = self.kh * self.kw, 6 if self.accumulator else 1
        self.out_h = (self.height + self.top + self.bottom - self.dy * (self.kh - 1) - 1) // self.sy + 1
        self.out_w = (self.width + self.left + self.right - self.dx * (self.kw - 1) - 1) // self.sx + 1
        if self.out_h < 1 or self.out_w < 1:
            raise ExpectedError("no output")
        if self.has_residual and self.accumulator:
            raise ExpectedError("a residual without a requantiser")
        if not self.has_residual and (self.residual_signed or self.residual or self.residual_multiplier):
            raise ExpectedError("residual fields without a residual")
        if self.kind and (self.has_residual or self.accumulator or self.channels != self.outputs):
            raise ExpectedError("pooling that is no layer")
        if self.banded:
            self._check_band()
        else:
            self.first_tile = self.input_first = 0
            self.plane_in = -(-self.height * self.width // self.lanes)
            self.tiles = self.plane_out = self.plane_residual = -(-self.out_h * self.out_w // self.lanes)
        first, size = self.first_tile * self.lanes, self.out_h * self.out_w
        self.pixels = slice(first, min(first + self.tiles * self.lanes, size))
        ends = [self.input + self.channels * self.plane_in]
        ends.append(max(self.tile_words(self.output, self.outputs * self.slots, self.plane_out)) + 1)
        if self.has_residual:
            ends.append(max(self.tile_words(self.residual, self.outputs, self.plane_residual)) + 1)
        if max(ends) > amem_words:
            raise ExpectedError("a tensor leaves AMem")

    def _check_band(self) -> None:
        tiles, plane = -(-self.out_h * self.out_w // self.lanes), -(-self.height * self.width // self.lanes)
        legal = (
            0 < self.tiles <= tiles - self.first_tile
            and self.tiles <= self.plane_out
            and (self.plane_residual >= self.tiles if self.has_residual else not self.plane_residual)
            and 0 < self.plane_in <= plane - self.input_first
        )
        if not legal:
            raise ExpectedError("no band")
        last = min((self.first_tile + self.tiles) * self.lanes, self.out_h * self.out_w) - 1
        top = self.first_tile * self.lanes // self.out_w * self.sy - self.top
        bottom = last // self.out_w * self.sy - self.top + self.dy * (self.kh - 1)
        seen = [row for row in range(top, bottom + 1) if 0 <= row < self.height]
        if seen:
            words = seen[0] * self.width // self.lanes, (seen[-1] * self.width + self.width - 1) // self.lanes
            if words[0] < self.input_first or words[1] >= self.input_first + self.plane_in:
                raise ExpectedError("the input lacks a row")

    def tile_words(self, base: int, slots: int, plane: int) -> set[int]:
        """Words of the tiles that are computed."""
        return {base + slot * plane + tile for slot in range(slots) for tile in range(self.tiles)}

    def sources(self, tap: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
        """For every output pixel the row and column that a tap sees, and whether that is inside."""
        ys, xs = np.divmod(np.arange(self.out_h * self.out_w), self.out_w)
        y = ys * self.sy + tap // self.kw * self.dy - self.top
        x = xs * self.sx + tap % self.kw * self.dx - self.left
        return y, x, (y >= 0) & (y < self.height) & (x >= 0) & (x < self.width)

    def touch(self, channel: int, tap: int) -> None:
        self.touched.add((channel, tap))

    def touched_words(self) -> set[int]:
        """Words, counted from the input's base, that the steps read."""
        words: set[int] = set()
        for tap in {tap for _, tap in self.touched}:
            y, x, inside = (of_pixels[self.pixels] for of_pixels in self.sources(tap))
            seen = (np.unique((y * self.width + x)[inside] // self.lanes) - self.input_first).tolist()
            words |= {c * self.plane_in + word for c, t in self.touched if t == tap for word in seen}
        return words

    def layer(self, weights: npt.NDArray[np.int8]) -> Conv2d:
        """For the golden model's sums only."""
        padding = ((self.top, self.bottom), (self.left, self.right))
        return Conv2d("c", weights, stride=(self.sy, self.sx), dilation=(self.dy, self.dx), padding=padding)


def _decode(payload: int, fields: tuple[tuple[str, int], ...]) -> dict[str, int]:
    values = {}
    for name, bits in fields:
        values[name] = payload & ((1 << bits) - 1)
        payload >>= bits
    if payload:
        raise ExpectedError("reserved bits")
    return values


def _parameter(payload: int) -> tuple[int, int, int]:
    """Bias, multiplier, shift."""
    values = _decode(payload, (("bias", 24), ("multiplier", 16), ("shift", 6)))
    if values["shift"] > 40:
        raise ExpectedError("shift")
    bias = values["bias"] - (values["bias"] >> 23 << 24)
    return bias, values["multiplier"], values["shift"]


def _nibbles(data: bytes, signed: bool) -> npt.NDArray[np.int64]:
    packed = np.frombuffer(data, np.uint8).astype(np.int64)
    values = np.stack((packed & 15, packed >> 4), axis=1).ravel()
    return np.where(values > 7, values - 16, values) if signed else values
