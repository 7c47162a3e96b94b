"""docs/reproduction.md and the whole networks behind it: minutes, so all of it is slow."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import REPOSITORY, tlm

import tlm as package
from tlm.chip.config import ChipConfig
from tlm.networks.blocks import build_block
from tlm.networks.resnet18 import Resnet18, build_resnet18, resnet18_block
from tlm.networks.seeded import seeded_activations
from tlm.reproduction.counts import LARGE_AMEM_WORDS, MOST_EXCESS, executed_steps

pytestmark = pytest.mark.slow

PAGE = REPOSITORY / "docs" / "reproduction.md"


def test_the_page_is_what_the_command_writes(tmp_path: Path) -> None:
    done = tlm("reproduce", "-o", "page.md", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "wrote page.md\n", "")
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8"), (
        "out of date; run `tlm reproduce -o docs/reproduction.md`"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["page.md"]


def test_quick_prints_three_levels() -> None:
    done = tlm("reproduce", "--quick")
    assert (done.returncode, done.stderr) == (0, "")
    assert "levels 9/9, 3/9, 1/9" in done.stdout
    assert "| 2/9 |" not in done.stdout
    whole = PAGE.read_text(encoding="utf-8").splitlines()
    assert [line for line in done.stdout.splitlines() if line not in whole and "a part of it" not in line] == []


@pytest.mark.parametrize(
    ("network", "steps"),
    [
        (Resnet18(taps=1), 397_104),
        (Resnet18(taps=3), 621_360),
        (Resnet18(taps=9), 1_294_128),
        (Resnet18(variant="base"), 1_959_472),
    ],
    ids=["1of9", "3of9", "9of9", "base"],
)
def test_steps_of_whole_networks(network: Resnet18, steps: int) -> None:
    """Exactly the derived ones with a large AMem (chip.md [D]); with the published one less than 3 % more."""
    activations = seeded_activations(network.input_shape, 0)
    built = build_resnet18(activations, network)
    large = package.simulate(built, activations, ChipConfig(amem_words=LARGE_AMEM_WORDS))
    assert executed_steps(large) == (steps, steps)
    executed, unsplit = executed_steps(package.simulate(built, activations))
    assert unsplit == steps
    assert 1 <= executed / steps < 1 + MOST_EXCESS


@pytest.mark.parametrize(("name", "taps"), [("conv2_2", 1), ("conv3_2", 1), ("conv4_2", 3), ("conv5_2", 1)])
def test_blocks_take_the_cycles_of_the_model_of_every_cycle(name: str, taps: int) -> None:
    block = resnet18_block(name, taps)
    activations = seeded_activations(block.input_shape, 0)
    program = package.compile(build_block(block, activations), ChipConfig.at(0.8))
    fast, clear = (package.simulate(program, activations, fidelity=model) for model in ("pass", "cycle"))
    assert fast.passes == clear.passes
    assert fast.energy == clear.energy
    assert fast.account == clear.account
