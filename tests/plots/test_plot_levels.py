"""Several results in one picture: what they are sorted and called by, and which cannot be compared."""

from __future__ import annotations

from pathlib import Path

import pytest
from plot_results import POOLED, source, write

from tlm.core.errors import InputError
from tlm.plots import levels
from tlm.plots.sources import load_sources, names, tap_levels


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of results: "block1", "block3", "block9", "slow3" at a lower supply, "pooled" of another network."""
    directory = tmp_path_factory.mktemp("results")
    for taps in (1, 3, 9):
        write(directory / f"block{taps}", "resnet18_conv3_2_3of9", f"network.taps={taps}")
    write(directory / "slow3", "resnet18_conv3_2_3of9", "chip.voltage_v=0.8")
    (directory / "pooled.toml").write_text(POOLED)
    write(directory / "pooled", directory / "pooled.toml")
    return directory


def test_levels_are_sorted_by_taps(results: Path) -> None:
    sources = load_sources([results / f"block{taps}" for taps in (3, 9, 1)])
    shown = levels.levels_of_each(sources)
    assert shown.axis == "valid taps of each depth-wise kernel, of 9"
    assert [bar.taps for bar in shown.bars] == [1, 3, 9]
    for bar, index in zip(shown.bars, (2, 0, 1), strict=True):
        stored, run = sources[index].stored, sources[index].energy
        assert bar.cycles == stored.cycles
        assert bar.computing_cycles == stored.account.causes["computing"]
        assert bar.computing_cycles + bar.stalled_cycles == stored.compute_cycles
        assert (bar.core_pj, bar.off_chip_pj) == (run.total_pj, run.off_chip_pj)


def test_other_differences_go_by_name_in_the_order_given(results: Path) -> None:
    sources = load_sources([results / name for name in ("slow3", "block9", "block3")])
    assert tap_levels(sources) is None
    shown = levels.levels_of_each(sources)
    assert [bar.taps for bar in shown.bars] == [None] * 3
    assert shown.title == "Time and energy of 3 results, whose clocks differ"
    count, sizes = levels.cycles_unit(shown)
    assert count == "time, µs"
    for bar, size, one in zip(shown.bars, sizes, sources, strict=True):
        assert bar.cycles / size == pytest.approx(one.stored.chip.time_us(one.stored.cycles))
    block = "resnet18_conv3_2_3of9"
    assert [bar.name for bar in shown.bars] == [block, f"{block} voltage_v=1.1 taps=9", f"{block} voltage_v=1.1"]


def test_levels_on_different_chips_are_not_on_one_axis(results: Path) -> None:
    sources = load_sources([results / "slow3", results / "block9"])
    assert tap_levels(sources) is None
    assert tap_levels(load_sources([results / "block3", results / "block9"])) == [3, 9]


def test_equal_results_are_numbered(results: Path) -> None:
    sources = load_sources([results / "block3", results / "block3"])
    assert names(sources) == ["resnet18_conv3_2_3of9 (1)", "resnet18_conv3_2_3of9 (2)"]
    assert tap_levels(sources) is None


def test_the_default_of_taps_is_a_level(tmp_path: Path) -> None:
    write(tmp_path / "stage", "resnet18_conv5_x")
    one, other = source(tmp_path / "stage"), source(tmp_path / "stage")
    assert one.stored.settings["network"]["taps"] is None
    other.stored.settings["network"]["taps"] = 9
    assert tap_levels([one, other]) == [3, 9]
    other.stored.settings["network"]["taps"] = [9, 9, 3, 3, 3, 3, 1, 1]
    assert tap_levels([one, other]) is None


def test_results_of_other_jobs_are_not_compared(results: Path) -> None:
    message = (
        r"block3/result\.json: its network takes 128x28x28 to 128x28x28, that of .*/result\.json 3x32x32 to 10x1x1"
    )
    with pytest.raises(InputError, match=message):
        load_sources([results / "pooled", results / "block3"])
