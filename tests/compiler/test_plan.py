"""A planner that has planned for other budgets plans as a new one does, and so with no more words than it used."""

from __future__ import annotations

import numpy as np
import pytest

import tlm
from tlm.chip.config import ChipConfig
from tlm.compiler.bands import segment_words
from tlm.compiler.costs import layer_costs
from tlm.compiler.plan import Planner
from tlm.compiler.workload import Workload
from tlm.core.errors import CompileError

_BUDGETS = (16384, 15000, 8192, 4096, 4000, 3000, 2048, 1500, 1024, 700, 512, 8192, 16384)
"""AMem words; the last ones are larger again."""


def network(channels: tuple[int, ...], side: int, residual: bool) -> tlm.Network:
    rng, layers, before = np.random.default_rng(0), list[tlm.Conv2d](), 32
    for index, outputs in enumerate(channels):
        kernel = 1 + 2 * (index % 2)
        weights = rng.integers(-8, 8, (outputs, before, kernel, kernel))
        own = {"residual": "input", "residual_multiplier": 1} if residual and index == len(channels) - 1 else {}
        layers.append(tlm.Conv2d(f"l{index}", weights, padding=kernel // 2, shift=9, **own))
        before = outputs
    return tlm.Network((32, side, side), layers)


def planned(planner: Planner, words: int, hides: bool) -> tuple[object, int]:
    """The plan, or what a refusal says; the most words of anything that fitted."""
    try:
        plan: object = planner.plan(words, hides=hides)
    except CompileError as error:
        plan = str(error)
    return plan, planner.used_words


@pytest.mark.parametrize(("channels", "side", "residual"), [((64, 64), 40, False), ((64, 64, 32), 28, True)])
def test_a_planner_that_has_planned_before_plans_as_a_new_one(
    channels: tuple[int, ...], side: int, residual: bool
) -> None:
    work = Workload(network(channels, side, residual), ChipConfig())
    costs = [layer_costs(work, index) for index in range(len(channels))]
    planner, plans = Planner(work, costs), set[str]()
    for words in _BUDGETS:
        for hides in (False, True):
            found = planned(planner, words, hides)
            assert found == planned(Planner(work, costs), words, hides)
            assert planned(planner, found[1] or words, hides) == found  # with as many words as it used
            plans.add(str(found[0]))
    assert len(plans) > 5


def test_the_fewest_bands_are_found_where_smaller_ones_need_more_words() -> None:
    """A row has 8 tiles. Bands of 4 see three rows of the input, some bands of 3 see four, and those do not fit."""
    layer = tlm.Conv2d("a", np.ones((32, 8, 3, 3), np.int8), padding=1, shift=9)
    chip = ChipConfig(amem_words=320)
    work = Workload(tlm.Network((8, 28, 256), [layer]), chip)
    (segment,) = Planner(work, [layer_costs(work, 0)]).plan(chip.amem_words).segments
    assert segment.tiles_per_band == 4


def test_bands_of_many_sizes_are_those_of_each_alone() -> None:
    """Of a layer whose bands leave rows unread between them, which the band behind them is to compute."""
    first_layer = tlm.Conv2d("l1", np.ones((32, 8, 3, 3), np.int8), padding=1, shift=9)
    last_layer = tlm.Conv2d("l2", np.ones((32, 32, 1, 1), np.int8), stride=4, shift=9)
    work = Workload(tlm.Network((8, 128, 128), [first_layer, last_layer]), ChipConfig())
    layers, sizes = work.network.layers, (32, 16, 7, 1)
    together, first = segment_words(work, layers, sizes), 0
    for size in sizes:
        alone = segment_words(work, layers, [size])
        end = first + len(alone["l2"][0])
        assert list(together) == list(alone)
        for name, edges in alone.items():
            for found, expected in zip(together[name], edges, strict=True):
                assert found[first:end].tolist() == expected.tolist()
        first = end
    assert first == len(together["l2"][0])
