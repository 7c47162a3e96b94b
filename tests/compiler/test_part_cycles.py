"""Parts that differ in rows alone share answers of the kernels; a question that is asked alone has the same answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from msgspec import structs

import tlm
from tlm.chip.config import ChipConfig
from tlm.chip.format.driver import SramName
from tlm.compiler.cycles import PartCycles
from tlm.compiler.jobs import Job
from tlm.compiler.places import Place
from tlm.compiler.workload import Workload

CHIP = ChipConfig(amem_words=512, wmem_words=256)


def convolution(name: str, kernel: int, **arguments: object) -> tlm.Conv2d:
    weights = np.random.default_rng(kernel).integers(-8, 8, (64, 8, kernel, kernel))
    return tlm.Conv2d(name, weights, shift=9, **arguments)  # type: ignore[arg-type]


def convolution_of_64() -> tlm.Conv2d:
    return tlm.Conv2d("a", np.ones((64, 64, 1, 1), np.int8), shift=9, residual="input", residual_multiplier=1)


NETWORKS = {
    "3x3": ((8, 40, 96), [convolution("a", 3, padding=1)], CHIP),
    "rows of no whole words": ((8, 40, 90), [convolution("a", 3, padding=1)], CHIP),
    "rows of whole words of no such rows": ((8, 40, 90), [convolution("a", 3, padding=((1, 1), (4, 4)))], CHIP),
    "stride 2": ((8, 64, 96), [convolution("a", 3, padding=1, stride=2)], CHIP),
    "dilation and much padding": ((8, 40, 64), [convolution("a", 3, padding=5, dilation=3)], CHIP),
    "no padding": ((8, 40, 96), [convolution("a", 5)], CHIP),
    "pooling": ((64, 64, 96), [tlm.MaxPool2d("a", 3, stride=2, padding=1)], CHIP),
    "residual": ((64, 40, 96), [convolution_of_64()], CHIP),
    "8 lanes, 8 banks": ((8, 40, 40), [convolution("a", 3, padding=1)], replace(CHIP, lanes=8, amem_banks=8)),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_a_part_takes_what_it_takes_alone(name: str) -> None:
    shape, layers, chip = NETWORKS[name]
    program = tlm.compile(tlm.Network(shape, layers), chip)
    work = Workload(program.network, program.config)
    shared = PartCycles(work)
    firsts = {part.first_tile for part in program.parts}
    assert len(firsts) > 2  # a band that sees no padding lies between others
    for job in program.jobs:
        calendars, alone = shared.calendars(job, program.parts), PartCycles(work).calendars(job, program.parts)
        for sram in SramName:
            np.testing.assert_array_equal(calendars[sram], alone[sram])
    for part, predicted in zip(program.parts, program.predicted_cycles, strict=True):
        base = part.output.base_word
        bases = range(base, base + program.config.amem_banks)
        assert shared.compute_cycles(part, bases) == PartCycles(work).compute_cycles(part, bases)
        assert shared.compute_cycles(part, [base]) == [predicted]


@pytest.mark.parametrize("name", NETWORKS)
def test_pieces_of_maps_that_lie_whole_take_what_they_take_alone(name: str) -> None:
    """So nothing but the rows tells apart which of them see padding, or the last tile with fewer pixels."""
    shape, layers, chip = NETWORKS[name]
    work = Workload(tlm.Network(shape, layers), replace(chip, amem_words=1 << 16))
    part = tlm.compile(work.network, work.config).parts[0]
    tiles, places = 4, {"source": Place(work.whole("input"), 0), "output": Place(work.whole("a"), 0)}
    if part.residual is not None:
        places["residual"] = places["source"]
    parts = [
        structs.replace(
            part, first_tile=first, tiles=tiles, banded=True, instruction_words=part.instruction_words + 2, **places
        )
        for first in range(work.plane_words["a"] - tiles + 1)
    ]
    shared = PartCycles(work)
    for tag, one in enumerate(parts):
        alone, job = PartCycles(work), Job((tag,), 0, (0,), (False,), (), -1, -1)
        assert shared.compute_cycles(one, range(8)) == alone.compute_cycles(one, range(8))
        calendars, expected = shared.calendars(job, parts), alone.calendars(job, parts)
        for sram in SramName:
            np.testing.assert_array_equal(calendars[sram], expected[sram])


def test_bands_that_see_no_padding_ask_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from tlm.compiler import cycles

    asked = list[int]()
    kernel = cycles.occupy
    monkeypatch.setattr(cycles, "occupy", lambda *own, **more: asked.append(0) or kernel(*own, **more))
    weights = np.random.default_rng(0).integers(-8, 8, (64, 8, 3, 3))
    network = tlm.Network((8, 160, 256), [tlm.Conv2d("a", weights, padding=1, shift=9)])
    program = tlm.compile(network, ChipConfig(amem_words=320, wmem_words=128))
    assert len(asked) * 5 < len(program.jobs)
