"""Every function that calls C, with arguments that do not belong together: refused, or computed within its buffers.

`make sanitize` runs this against kernels that abort on the first bad access. TLM_FUZZ_SECONDS makes it go on longer.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tlm.chip import kernels
from tlm.chip.config import ChipConfig
from tlm.chip.format.driver import SramName
from tlm.chip.kernels.buffers import KernelError
from tlm.chip.kernels.dma import Channel, DmaTimeline
from tlm.chip.kernels.geometry import Geometry, LayerKind
from tlm.chip.kernels.occupancy import occupy
from tlm.chip.kernels.timing import Placement, predict, predict_placements

SECONDS = float(os.environ.get("TLM_FUZZ_SECONDS", "0"))
ROUNDS = 400

ODD = (0, -1, 1, 2, 3, 7, 9, 31, 33, 63, 65, 128, 255, -(1 << 31), (1 << 31) - 1, 1 << 31, 1 << 40, 1 << 63, 1 << 70)
"""Numbers at and beyond the edges of something."""


class Draw:
    """Arguments that mostly fit, and sometimes do not."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.numpy = np.random.default_rng(seed)

    def number(self, usual: int, odd_share: float = 0.015) -> int:
        return self.rng.choice(ODD) if self.rng.random() < odd_share else usual

    def size(self) -> int:
        return self.number(self.rng.choice((8, 16, 32, 64)), 0.03)

    def data(self, count: int) -> Any:
        """Bytes of about the right number, in some container."""
        count = max(0, count + self.rng.choice((0,) * 20 + (-1, 1, -8, 64)))
        plain = self.numpy.integers(0, 256, count).astype(np.uint8)
        kinds: list[Callable[[], Any]] = [
            plain.tobytes,
            lambda: bytearray(plain),
            lambda: memoryview(plain.tobytes()),
            lambda: plain,
            lambda: np.repeat(plain, 2)[::2],
            lambda: plain.astype(np.int32),
        ]
        return self.rng.choices(kinds, (8, 8, 8, 8, 1, 1))[0]()

    def integers(self, count: int, low: int, high: int) -> Any:
        """A parameter for each of about so many channels."""
        count = max(0, count + self.rng.choice((0,) * 9 + (-1, 1)))
        values = self.numpy.integers(low, high, count)
        if count and self.rng.random() < 0.05:
            values[self.rng.randrange(count)] = self.rng.choice(ODD[:-2])
        if self.rng.random() < 0.05:
            return self.rng.choice((values.astype(float), values.reshape(-1, 1), np.repeat(values, 2)[::2]))
        return values

    def patterns(self, g: Geometry, shape: tuple[int, ...]) -> Any:
        taps, channels = min(g.taps, 60), g.channels_per_pattern
        last = g.channels % g.columns or g.columns if g.kind is LayerKind.MAX_POOLING else g.channels
        bits = taps * min(channels, last % channels or channels)
        found = self.numpy.integers(0, 1 << bits, shape, np.uint64)
        return self.rng.choices((found, found.astype(np.int64), found[..., :-1], found.T), (12, 1, 1, 1))[0]

    def geometry(self) -> Geometry:
        rng, number = self.rng, self.number
        pooling = rng.random() < 0.3
        height, width, channels = rng.randint(1, 9), rng.randint(1, 9), rng.randint(1, 40)
        fields = {
            "lanes": self.size(),
            "columns": self.size(),
            "channels": number(channels),
            "height": number(height),
            "width": number(width),
            "out_channels": number(channels if pooling else rng.randint(1, 70)),
            "out_height": number(rng.randint(1, 9), 0.02),
            "out_width": number(rng.randint(1, 9), 0.02),
            "kernel_h": number(rng.randint(1, 5), 0.03),
            "kernel_w": number(rng.randint(1, 5), 0.03),
            "stride_y": number(rng.randint(1, 3)),
            "stride_x": number(rng.randint(1, 3)),
            "pad_top": number(rng.randint(-2, 3)),
            "pad_left": number(rng.randint(-2, 3)),
            "dilation_y": number(rng.randint(1, 3)),
            "dilation_x": number(rng.randint(1, 3)),
            "input_signed": rng.random() < 0.5,
            "input_base_word": number(rng.randint(0, 20)),
            "kind": LayerKind.MAX_POOLING if pooling else LayerKind.CONVOLUTION,
        }
        if rng.random() < 0.2:
            fields |= {"first_tile": number(0, 0.3), "tile_count": number(1, 0.3)}
        if rng.random() < 0.2:
            fields |= {"input_first_word": number(0, 0.3), "input_plane_words": number(1, 0.3)}
        g = Geometry(**fields)
        if g.tiles * g.groups * g.patterns_per_group > 20_000:  # legal, and too long for a test
            raise KernelError("a large layer")
        return g


def fuzz_array_kernels(draw: Draw) -> None:
    g, rng = draw.geometry(), draw.rng
    amem = draw.data((min(g.input_base_word, 1000) + min(g.channels * g.plane_words, 100_000)) * g.lanes // 2)
    wmem = draw.data(draw.rng.choice((100, 60_000)) * g.columns // 2)
    first, acc = draw.number(rng.randint(0, 4)), kernels.new_accumulators(draw.size(), draw.size())
    if rng.random() < 0.8:
        acc = kernels.new_accumulators(g.lanes, g.columns)
    tile, group = draw.number(rng.randrange(g.tiles)), draw.number(rng.randrange(g.groups))
    one, all_of_them = draw.patterns(g, (g.patterns_per_group,)), draw.patterns(g, (g.groups, g.patterns_per_group))
    if (g.kind is LayerKind.CONVOLUTION) is not (rng.random() < 0.05):
        kernels.MacPass(g)(amem, wmem, first, one, tile, acc)
        kernels.mac_layer(g, amem, wmem, first, all_of_them)
    else:
        kernels.PoolPass(g)(amem, one, group, tile, acc)
        kernels.pool_layer(g, amem, all_of_them)


def fuzz_steps(draw: Draw) -> None:
    g, rng = draw.geometry(), draw.rng
    select = kernels.tap_words(g, draw.number(rng.randrange(g.tiles)), draw.number(rng.randrange(g.taps)))[1]
    lanes, columns = draw.number(g.lanes), draw.number(g.columns)
    word = bytes(draw.data(g.lanes // 2))
    vector = kernels.mask(word, select, rng.random() < 0.5, draw.number(rng.randint(-8, 15)))
    kernels.select_lanes(select, lanes)
    acc = kernels.new_accumulators(g.lanes, g.columns)
    kernels.mac_step(acc, vector, bytes(draw.data(g.columns // 2)), lanes, columns)
    kernels.pool_step(acc, vector, draw.number(rng.randrange(g.columns)), lanes)
    kernels.accumulators_array(acc, lanes)


def fuzz_requantiser(draw: Draw) -> None:
    rng, lanes, columns = draw.rng, draw.size(), draw.rng.choice((8, 16, 32, 64))
    channels, tiles = draw.number(rng.randint(1, columns), 0.02), rng.randint(1, 3)
    pixels = draw.number((tiles - 1) * lanes + rng.randint(1, max(lanes, 1)))
    if not (0 <= channels <= 64 and 0 <= lanes <= 128):
        channels = lanes = 8
    acc = draw.numpy.integers(-(1 << 23), 1 << 23, (channels, tiles * lanes)).astype(np.int32)
    acc = rng.choices((acc, acc.T, acc.astype(np.int64), acc.reshape(-1)), (12, 1, 1, 1))[0]
    given = {
        "bias": draw.integers(channels, -(1 << 23), 1 << 23),
        "multiplier": draw.integers(channels, 0, 1 << 16),
        "shift": draw.integers(channels, 0, 41),
        "low": draw.number(0),
        "high": draw.number(15),
        "lanes": draw.number(lanes),
        "residual_signed": rng.random() < 0.5,
        "residual_multiplier": draw.number(rng.randint(0, 65_535)),
    }
    buffer = kernels.new_accumulators(lanes, columns)
    calls: list[Callable[[], object]] = [
        lambda: kernels.RequantiseKernel(**given).words(
            acc, pixels, rng.choice((None, draw.data(channels * tiles * lanes // 2)))
        ),
        lambda: kernels.accumulator_layer(acc, bias=given["bias"], lanes=given["lanes"], pixels=pixels),
        lambda: kernels.requantise_word(
            buffer,
            draw.number(0),
            bytes(draw.data(lanes // 2)),
            True,
            draw.number(5),
            draw.number(6),
            draw.number(7),
            draw.number(8),
            draw.number(-8),
            draw.number(7),
            draw.number(lanes),
            draw.number(lanes),
        ),
        lambda: kernels.accumulator_plane(
            buffer, draw.number(0), draw.number(5), draw.number(2), draw.number(lanes), draw.number(lanes)
        ),
    ]
    rng.choice(calls)()


def fuzz_timing(draw: Draw) -> None:
    g, rng = draw.geometry(), draw.rng
    chip = ChipConfig(
        lanes=g.lanes,
        columns=g.columns,
        amem_banks=rng.choice((1, 2, 4, 8)),
        wmem_banks=rng.choice((1, 2, 4, 8)),
        imem_banks=rng.choice((1, 2, 4, 8)),
        pass_gap_cycles=rng.randint(1, 5),
        requantiser_cycles=rng.randint(1, 4),
    )
    patterns = draw.patterns(g, (g.groups, g.patterns_per_group))
    residual = rng.choice((None, draw.number(rng.randint(0, 50))))
    layer = {
        "words_per_channel": draw.number(rng.choice((1, 6)), 0.03),
        "output_plane_words": rng.choice((None, draw.number(rng.randint(1, 9)))),
        "residual_plane_words": rng.choice((None, draw.number(rng.randint(1, 9)))),
    }
    durations = {
        "amem_banks": draw.number(chip.amem_banks, 0.03),
        "pass_gap_cycles": chip.pass_gap_cycles,
        "pipeline_cycles": chip.pipeline_cycles,
        "requantiser_cycles": draw.number(chip.requantiser_cycles, 0.02),
    }
    output = draw.number(rng.randint(0, 50))
    kind = rng.randrange(3)
    if kind == 0:
        predict(
            g,
            patterns=patterns,
            output_base_word=output,
            residual_base_word=residual,
            passes=rng.random() < 0.5,
            **durations,
            **layer,
        )
    elif kind == 1:
        placements = [Placement(draw.number(0), draw.number(n), residual) for n in range(rng.randint(0, 5))]
        predict_placements(g, placements, patterns=patterns, **durations, **layer)
    else:
        occupy(
            g,
            chip,
            patterns=patterns,
            output_base_word=output,
            residual_base_word=residual,
            weight_base_word=rng.choice((None, draw.number(0))),
            program_word=draw.number(3),
            header_words=draw.number(5),
            **layer,
        )


def fuzz_dma(draw: Draw) -> None:
    rng = draw.rng
    chip = ChipConfig(
        amem_words=256,
        wmem_words=256,
        imem_words=256,
        memory_bytes=1 << 16,
        dma_bursts_in_flight=rng.choice((1, 2, 64)),
        burst_bytes=rng.choice((32, 64, 256)),
        memory_gb_per_s=rng.choice((0.3, 3.2, 40.0)),
    )
    dma = DmaTimeline(chip)
    for _ in range(rng.randint(1, 6)):
        sram = rng.choice(list(SramName))
        step = rng.randrange(3)
        if step == 0:
            dma.start(
                rng.choice(list(Channel)),
                draw.number(dma.now + rng.randint(0, 9)),
                draw.number(64 * rng.randint(0, 9)),
                sram,
                draw.number(rng.randint(0, 100)),
                draw.number(rng.randint(1, 20)),
                draw.number(rng.randint(1, 5)),
                draw.number(64 * rng.randint(0, 9)),
                draw.number(rng.randint(1, 30)),
            )
        elif step == 1:
            calendar = draw.numpy.integers(0, 256, rng.randint(0, 60))
            dma.set_calendar(sram, draw.number(dma.now), calendar.astype(rng.choice((np.uint8, np.uint8, np.int64))))
        else:
            dma.next_completion()
            dma.earliest_completion()
            dma.advance(draw.number(dma.now + rng.randint(0, 500), 0.02) % (1 << 62))


FUZZERS = (fuzz_array_kernels, fuzz_steps, fuzz_requantiser, fuzz_timing, fuzz_dma)


@pytest.mark.parametrize("fuzz", FUZZERS, ids=[fuzz.__name__ for fuzz in FUZZERS])
def test_no_argument_leads_beyond_a_buffer(fuzz: Callable[[Draw], None]) -> None:
    """Either a KernelError or an answer; both must happen, or the arguments were not worth much."""
    seen: Counter[str] = Counter()
    until = time.monotonic() + SECONDS / len(FUZZERS)
    seed = 0
    while seed < ROUNDS or time.monotonic() < until:
        try:
            fuzz(Draw(seed))
            seen["answered"] += 1
        except KernelError:
            seen["refused"] += 1
        except Exception as error:
            raise AssertionError(f"{fuzz.__name__} with seed {seed}: {error!r}") from error
        seed += 1
    assert min(seen["answered"], seen["refused"]) > ROUNDS // 20, seen
