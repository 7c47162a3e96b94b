"""What memory contents mean (engine.md, Layout and Values), so that a flipped bit's effect can be predicted.

It plays a driver program on plain bytes: loads copy words, the engine decodes IMem words and computes whole layers with
the golden model's sums, stores copy words back. It knows no cycles and shares no code with the chip.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tlm import reference
from tlm.chip.driver import SramName, StartEngine, StartTransfer, Unit
from tlm.compiler.program import Program
from tlm.layers import Conv2d
from tlm.observe.faults import BitFlip, FaultTarget

END, PARAMETER, PATTERN = 1, 8, 9
HEADER: tuple[tuple[int, tuple[tuple[str, int], ...]], ...] = (
    (2, (("kind", 4), ("input_signed", 1), ("output_signed", 1), ("accumulator", 1), ("has_residual", 1),
         ("residual_signed", 1), ("tag", 16), ("channels", 16), ("outputs", 16))),
    (3, (("height", 16), ("width", 16), ("kh", 6), ("kw", 6), ("sy", 8), ("sx", 8))),
    (4, (("top", 10), ("bottom", 10), ("left", 10), ("right", 10), ("dy", 10), ("dx", 10))),
    (5, (("input", 20), ("output", 20), ("residual", 20))),
    (6, (("weight", 20), ("residual_multiplier", 16))),
)  # fmt: skip
"""Opcode and fields, lowest bits first, of the five header words."""


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

    def run(self) -> npt.NDArray[Any]:
        """The network's output as the store channel leaves it off-chip; SRAM flips happen before the first start."""
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
        output = self.program.network.output
        at = self.program.output_offset_bytes
        nibbles = _nibbles(bytes(self.image[at:]), output.signed and not output.accumulator)
        outputs, rows, columns = output.shape
        lanes, planes = self.config.lanes, 6 if output.accumulator else 1
        plane = -(-rows * columns // lanes) * lanes
        values = nibbles[: outputs * planes * plane].reshape(outputs, planes, plane)[:, :, : rows * columns]
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
        for i in range(transfer.row_words):
            word, at = transfer.sram_word + i, transfer.memory_offset_bytes + i * size
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
            header: dict[str, int] = {}
            for index, (expected, fields) in enumerate(HEADER):
                payload = self._instruction(address + index, expected)[1]
                header |= _decode(payload, fields)
            address = self._layer(_Shape(header, self.config.lanes, self.config.columns), address + len(HEADER))

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
            for channel, tap in self._steps(h, address):
                nibbles = _nibbles(self._read(SramName.WMEM, weight_word), signed=True)
                weights[first : first + count, channel, tap // h.kw, tap % h.kw] = nibbles[:count]
                h.touch(channel, tap)
                weight_word += 1
            address += h.pattern_words
        self._compute(h, weights, parameters)
        return address

    def _steps(self, h: Any, address: int) -> list[tuple[int, int]]:
        steps, per_word = [], 60 // h.taps
        for index in range(h.pattern_words):
            payload = self._instruction(address + index, PATTERN)[1]
            for bit in range(60):
                if payload >> bit & 1:
                    channel = index * per_word + bit // h.taps
                    if bit >= per_word * h.taps or channel >= h.channels:
                        raise ExpectedError("a pattern bit beyond the last channel or tap")
                    steps.append((channel, bit % h.taps))
        return steps

    def _compute(self, h: Any, weights: npt.NDArray[np.int8], parameters: Sequence[tuple[int, int, int]]) -> None:
        reads = {h.input + word for word in h.touched_words()}
        writes = set(range(h.output, h.output + h.outputs * h.slots * h.plane_out))
        residuals = set(range(h.residual, h.residual + h.outputs * h.plane_out)) if h.has_residual else set()
        for word in sorted((reads | residuals) - writes):
            self._read(SramName.AMEM, word)
        if reads & writes or (residuals & writes and h.residual != h.output):
            raise UnpredictableError
        for word in sorted(residuals):
            self._read(SramName.AMEM, word)
        acc = reference.accumulate(h.layer(weights), self._tensor(h.input, h.channels, h.height * h.width, h))
        acc = acc.reshape(h.outputs, -1).astype(np.int64)
        bias, multiplier, shift = np.array(parameters).T[:, :, None]
        if h.accumulator:
            planes = (acc + bias)[:, None] >> (4 * np.arange(6))[:, None] & 15
            self._write(h, planes.reshape(h.outputs * 6, -1))
            return
        scaled = (acc + bias) * multiplier
        if h.has_residual:
            size = h.out_h * h.out_w
            values = _tensor_of(self.srams[SramName.AMEM], h.residual, h.outputs, size, h.lanes, h.residual_signed)
            scaled = scaled + values * h.residual_multiplier
        divisor = np.int64(1) << (shift + 1)
        rounded = np.floor_divide(2 * scaled + divisor // 2, divisor)
        self._write(h, np.clip(rounded, *((-8, 7) if h.output_signed else (0, 15))) & 15)

    def _tensor(self, base: int, channels: int, pixels: int, h: Any) -> npt.NDArray[np.int64]:
        values = _tensor_of(self.srams[SramName.AMEM], base, channels, pixels, h.lanes, h.input_signed)
        return values.reshape(channels, h.height, h.width)

    def _write(self, h: Any, rows: npt.NDArray[np.int64]) -> None:
        padded = np.zeros((len(rows), h.plane_out * h.lanes), np.int64)
        padded[:, : rows.shape[1]] = rows
        for index, word in enumerate(padded.reshape(-1, h.lanes)):
            data = (word[0::2] | word[1::2] << 4).astype(np.uint8).tobytes()
            self.srams[SramName.AMEM][h.output + index] = data


class _Shape:
    """A decoded header and what follows from it; attributes are the fields of HEADER."""

    def __init__(self, fields: dict[str, int], lanes: int, columns: int) -> None:
        self.__dict__.update(fields)
        self.lanes, self.columns = lanes, columns
        self._touched: set[tuple[int, int]] = set()

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)

    def check(self, amem_words: int) -> None:
        sizes = ("channels", "outputs", "height", "width", "kh", "kw", "sy", "sx", "dy", "dx")
        if self.kind or not all(getattr(self, size) for size in sizes) or self.kh * self.kw > 60:
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
        self.plane_in = -(-self.height * self.width // self.lanes)
        self.plane_out = -(-self.out_h * self.out_w // self.lanes)
        self.pattern_words = -(-self.channels // (60 // self.taps))
        ends = [self.input + self.channels * self.plane_in, self.output + self.outputs * self.slots * self.plane_out]
        if self.has_residual:
            ends.append(self.residual + self.outputs * self.plane_out)
        if max(ends) > amem_words:
            raise ExpectedError("a tensor leaves AMem")

    def touch(self, channel: int, tap: int) -> None:
        self._touched.add((channel, tap))

    def touched_words(self) -> set[int]:
        """Words, counted from the input's base, that the steps read."""
        words: set[int] = set()
        ys, xs = np.divmod(np.arange(self.out_h * self.out_w), self.out_w)
        for tap in {tap for _, tap in self._touched}:
            y = ys * self.sy + tap // self.kw * self.dy - self.top
            x = xs * self.sx + tap % self.kw * self.dx - self.left
            inside = (y >= 0) & (y < self.height) & (x >= 0) & (x < self.width)
            seen = np.unique((y * self.width + x)[inside] // self.lanes).tolist()
            words |= {c * self.plane_in + word for c, t in self._touched if t == tap for word in seen}
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


def _tensor_of(
    amem: dict[int, bytes], base: int, channels: int, pixels: int, lanes: int, signed: int
) -> npt.NDArray[np.int64]:
    """(channels, pixels); words that were never written count as zeros (who needs them has checked)."""
    plane, empty = -(-pixels // lanes), bytes(lanes // 2)
    data = b"".join(amem.get(base + i, empty) for i in range(channels * plane))
    return _nibbles(data, bool(signed)).reshape(channels, -1)[:, :pixels]
