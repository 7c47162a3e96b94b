"""The untimed engine: it decodes IMem words once, and then the C kernels compute whole layers."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from tlm.chip import kernels
from tlm.chip.config import ChipConfig
from tlm.chip.format.decode import DecodedLayer, decode_layer, is_end
from tlm.chip.format.driver import SramName
from tlm.chip.format.isa import IllegalInstructionError
from tlm.chip.format.layer_header import LayerHeader
from tlm.chip.format.registers import ErrorCode, UnitFaultError
from tlm.chip.untimed.memories import MemoryBytes, rows_of


class UntimedEngine:
    """Sequencer, aligner, MAC array and requantiser as functions of AMem and WMem bytes.

    Args:
        config: of the chip.
        srams: its memories.
    """

    def __init__(self, config: ChipConfig, srams: dict[SramName, MemoryBytes]) -> None:
        self._config = config
        self._srams = srams

    def decode(self, address: int) -> tuple[UntimedLayer, ...]:
        """The layers from an IMem word to END, as IMem holds them now.

        Raises:
            UnitFaultError: an illegal instruction, or words outside IMem or WMem.
            UnwrittenReadError: an IMem word that was never written.
        """
        layers = []
        while not self._is_end(address):
            decoded = decode_layer(self._fetch, address, self._config)
            layers.append(
                UntimedLayer(decoded, self._config, self._srams[SramName.AMEM], self._srams[SramName.WMEM])
            )
            address = decoded.end_word
        return tuple(layers)

    def _is_end(self, address: int) -> bool:
        try:
            return is_end(int(self._fetch(address, 1)[0]))
        except IllegalInstructionError:
            raise UnitFaultError(ErrorCode.ILLEGAL_INSTRUCTION, address) from None

    def _fetch(self, address: int, count: int) -> npt.NDArray[np.uint64]:
        imem, config = self._srams[SramName.IMEM], self._config
        end = address + count
        if end > config.imem_words:
            raise UnitFaultError(ErrorCode.PROGRAM_ADDRESS, max(address, config.imem_words))
        imem.check_written(address, end)
        size = config.imem_word_bytes
        return imem.data[address * size : end * size].view("<u8").astype(np.uint64)


class UntimedLayer:
    """A decoded layer, or a band of one, that can run as often as its words are there.

    All of it is computed before any of it is written, so what it reads must not be overwritten by its own output;
    a residual may be, by the words at its own place (engine.md, Layout).
    """

    def __init__(self, decoded: DecodedLayer, config: ChipConfig, amem: MemoryBytes, wmem: MemoryBytes) -> None:
        header, lanes = decoded.header, config.lanes
        self._decoded = decoded
        self._lanes = lanes
        self._amem, self._wmem = amem, wmem
        self._parameters = decoded.parameters
        tiles, word_bytes = header.tiles(lanes), config.amem_word_bytes
        first_tile = 0 if header.band is None else header.band.first_tile
        self._pixels = min(header.out_pixels - first_tile * lanes, tiles * lanes)
        slots, plane = header.out_channels * header.slots_per_channel, header.output_plane_words(lanes)
        at = header.output_base_word
        self._output = rows_of(amem.data, at * word_bytes, slots, tiles * word_bytes, plane * word_bytes)
        self._output_written = rows_of(amem.written, at, slots, tiles, plane)
        self._residual = None
        if header.has_residual:
            at, plane = header.residual_base_word, header.residual_plane_words(lanes)
            self._residual = rows_of(
                amem.data, at * word_bytes, header.out_channels, tiles * word_bytes, plane * word_bytes
            )
            self._residual_words = (at + np.arange(header.out_channels)[:, None] * plane + np.arange(tiles)).ravel()

    @property
    def header(self) -> LayerHeader:
        """What its header words say."""
        return self._decoded.header

    @property
    def tag(self) -> int:
        """The number in the layer's header."""
        return self.header.tag

    def run(self) -> None:
        """Read AMem and WMem, compute, write AMem.

        Raises:
            UnwrittenReadError: a word is read that was never written.
        """
        decoded, header = self._decoded, self._decoded.header
        self._check_input()
        if header.pooling:
            acc = kernels.pool_layer(decoded.geometry, self._amem.data, decoded.patterns)
        else:
            self._wmem.check_written(header.weight_base_word, decoded.weights_end_word)
            acc, _ = kernels.mac_layer(
                decoded.geometry, self._amem.data, self._wmem.data, header.weight_base_word, decoded.patterns
            )
        words = self._words(acc)
        np.copyto(self._output, np.frombuffer(words, np.uint8).reshape(self._output.shape))
        self._output_written[...] = True

    def _words(self, acc: npt.NDArray[np.int32]) -> bytes | bytearray:
        """The output words, one entry slot's tiles after the other's."""
        header, own = self._decoded.header, self._parameters
        if header.accumulator_output:
            return kernels.accumulator_layer(acc, bias=own.bias, lanes=self._lanes, pixels=self._pixels)
        residual = None
        if self._residual is not None:
            self._check(self._residual_words)
            residual = np.ascontiguousarray(self._residual)
        low, high = header.output_range
        kernel = kernels.RequantiseKernel(
            bias=own.bias, multiplier=own.multiplier, shift=own.shift, low=low, high=high, lanes=self._lanes,
            residual_signed=header.residual_signed, residual_multiplier=header.residual_multiplier,
        )  # fmt: skip
        return kernel.words(acc, self._pixels, residual)

    def _check_input(self) -> None:
        """Words that no step reads (of rows that a stride passes over, say) need not be there."""
        header = self._decoded.header
        first = header.input_base_word
        if not self._amem.written[first : first + header.channels * header.input_plane_words(self._lanes)].all():
            self._check(self._seen_words)

    def _check(self, words: npt.NDArray[np.int64]) -> None:
        written = self._amem.written[words]
        if not written.all():
            raise self._amem.unwritten(int(words[np.argmin(written)]))

    @cached_property
    def _seen_words(self) -> npt.NDArray[np.int64]:
        """The AMem words that the steps read, ascending."""
        decoded, header, geometry = self._decoded, self._decoded.header, self._decoded.geometry
        taps_of_channel: list[set[int]] = [set() for _ in range(header.channels)]
        for group, patterns in enumerate(decoded.patterns.tolist()):
            for index, pattern in enumerate(patterns):
                channels, taps = header.pattern_channels(group, index, geometry.columns), header.pattern_taps(index)
                for bit in (bit for bit in range(pattern.bit_length()) if pattern >> bit & 1):
                    taps_of_channel[channels[bit // len(taps)]].add(taps[bit % len(taps)])
        words_of_tap = {
            tap: {word for tile in range(geometry.tiles) for word in kernels.tap_words(geometry, tile, tap)[0]}
            for tap in set().union(*taps_of_channel)
        }
        plane = header.input_plane_words(self._lanes)
        words = {
            header.input_base_word + channel * plane + word
            for channel, taps in enumerate(taps_of_channel)
            for tap in taps
            for word in words_of_tap[tap]
        }
        return np.array(sorted(words), np.int64)
