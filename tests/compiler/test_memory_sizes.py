"""More memory is never slower: a larger AMem, WMem or IMem, and the compiler's prediction does not rise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import SCENARIOS

import tlm
from tlm.chip.config import ChipConfig
from tlm.core.errors import CompileError
from tlm.scenario.loading import load_scenario

MEMORIES = ("amem_words", "wmem_words", "imem_words")
RISES = {("model2_4of9", "wmem_words"): {12: 1}}
"""Cycles by which the doubling of 2^power words still rises: loads at other words meet the engine at other banks."""

STEM = """
[input]
shape = [3, 1080, 1920]
[network]
kind = "layers"
[[network.layers]]
name = "stem"
out_channels = 32
kernel = 3
stride = 2
padding = 1
"""

BLOCKS = [path for kind in ("resnet18_conv*", "model*", "photograph*", "standard*") for path in SCENARIOS.glob(kind)]


def check(
    network: tlm.Network, chip: ChipConfig, memory: str, powers: range, rises: Mapping[int, int] | None = None
) -> None:
    """Predicted cycles with 2^power words, for sizes in which the network fits."""
    found: dict[int, int] = {}
    for power in powers:
        larger: dict[str, Any] = {memory: 1 << power}
        try:
            found[power] = tlm.compile(network, replace(chip, **larger)).predicted_total_cycles
        except CompileError:
            assert not found, "it fitted a smaller one"
    assert len(found) > 1
    for small, large in pairwise(found):
        assert found[large] <= found[small] + (rises or {}).get(small, 0), f"{memory}: {found}"


@pytest.mark.parametrize(
    ("name", "memory", "powers"),
    [
        ("standard_3x3_64", "amem_words", range(12, 15)),
        ("resnet18_conv4_2_1of9", "wmem_words", range(11, 15)),
        ("model2_1of9", "imem_words", range(11, 13)),
        ("resnet18_3of9", "amem_words", range(14, 16)),
        # sizes at which whole networks once were
        pytest.param("resnet18_1of9", "amem_words", range(14, 19), marks=pytest.mark.slow),
        pytest.param("resnet18_dense", "amem_words", range(14, 17), marks=pytest.mark.slow),
        pytest.param("resnet18_7of9", "imem_words", range(12, 15), marks=pytest.mark.slow),
        pytest.param("resnet18_9of9", "wmem_words", range(16, 19), marks=pytest.mark.slow),
    ],
)
def test_more_memory_is_not_slower(name: str, memory: str, powers: range) -> None:
    job = load_scenario(SCENARIOS / f"{name}.toml").build()
    check(job.network, job.chip, memory, powers)


def layers(*sizes: tuple[int, int, int]) -> list[tlm.Conv2d]:
    """Layers of (output channels, input channels, kernel), without zeros."""
    return [
        tlm.Conv2d(f"l{index}", np.ones((outputs, inputs, kernel, kernel), np.int8), padding=kernel // 2, shift=10)
        for index, (outputs, inputs, kernel) in enumerate(sizes)
    ]


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        ((64, 56, 56), [(256, 64, 1), (128, 256, 1), (32, 128, 3)]),  # a full AMem leaves no choice of banks
        ((16, 28, 28), [(128, 16, 1), (128, 128, 1)]),  # a smaller AMem finds larger bands
    ],
)
def test_a_plan_for_less_amem_is_taken_where_it_is_faster(
    shape: tuple[int, int, int], sizes: list[tuple[int, int, int]]
) -> None:
    check(tlm.Network(shape, layers(*sizes)), ChipConfig(), "amem_words", range(11, 16))


@pytest.mark.slow
@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("path", sorted(BLOCKS), ids=lambda path: path.stem)
def test_more_memory_slows_no_block(path: Path, memory: str) -> None:
    job = load_scenario(path).build()
    check(job.network, job.chip, memory, range(11, 19), RISES.get((path.stem, memory)))


@pytest.mark.slow
def test_more_amem_slows_no_large_picture() -> None:
    """Two layers that both fit a large AMem, where the first gains by bands."""
    rng = np.random.default_rng(0)
    two = [
        tlm.Conv2d("a", rng.integers(-8, 8, (32, 16, 3, 3)), stride=2, padding=1, shift=9),
        tlm.Conv2d("b", rng.integers(-8, 8, (32, 32, 3, 3)), padding=1, shift=9),
    ]
    check(tlm.Network((16, 160, 160), two), ChipConfig(), "amem_words", range(11, 19))


@pytest.mark.slow
@pytest.mark.parametrize("memory", MEMORIES)
def test_more_memory_slows_no_stem(memory: str, tmp_path: Path) -> None:
    """A stem of stride 2 on 1,080 rows, as a scenario with drawn weights."""
    path = tmp_path / "stem.toml"
    path.write_text(STEM)
    job = load_scenario(path).build()
    check(job.network, job.chip, memory, range(11, 19))
