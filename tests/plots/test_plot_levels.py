"""Several results in one picture: what they are sorted and called by, and which cannot be compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from plot_results import POOLED, source, write

from tlm.chip.dram_config import DramConfig, Preset
from tlm.core.errors import InputError
from tlm.plots import levels
from tlm.plots.sources import Source, load_sources, names, tap_levels


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
    assert list(shown.rows) == [f"{taps} of 9 taps" for taps in range(1, 10)]
    for row, index in (("1 of 9 taps", 2), ("3 of 9 taps", 0), ("9 of 9 taps", 1)):
        stored, run = sources[index].stored, sources[index].stored.energy
        size = {"thousand cycles": 1000, "cycles": 1}[shown.panels[0].unit]
        cycles = {name: count * size for name, count in shown.amounts(row).items()}
        assert sum(cycles.values()) == pytest.approx(stored.cycles)
        assert cycles["layers: a step starts"] == pytest.approx(stored.account.causes["computing"])
        assert cycles["between layers: waits"] == pytest.approx(stored.cycles - stored.compute_cycles)
        energies = list(shown.amounts(row, 1).values())
        assert energies[0] / energies[1] == pytest.approx(run.total_pj / run.off_chip_pj)
    assert not any(shown.amounts(row) for row in shown.rows[3:8])


def test_other_differences_go_by_name_in_the_order_given(results: Path) -> None:
    sources = load_sources([results / name for name in ("slow3", "block9", "block3")])
    assert tap_levels(sources) is None
    shown = levels.levels_of_each(sources)
    assert shown.title == "Time and energy of 3 results, whose clocks differ"
    assert shown.panels[0].axis == "time, µs [S]"
    for row, one in zip(shown.rows, sources, strict=True):
        assert sum(shown.amounts(row).values()) == pytest.approx(one.stored.chip.time_us(one.stored.cycles))
    assert list(shown.rows) == [
        f"resnet18_conv3_2_3of9 voltage_v={voltage_v} taps={taps}" for voltage_v, taps in ((0.8, 3), (1.1, 9), (1.1, 3))
    ]


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
    assert names([one, other]) == ["resnet18_conv5_x taps=3", "resnet18_conv5_x taps=9"]
    other.stored.settings["network"]["taps"] = [9, 9, 3, 3, 3, 3, 1, 1]
    assert tap_levels([one, other]) is None


def test_results_with_dram_are_named_by_what_was_chosen(results: Path) -> None:
    """A preset's values follow from it, and a fixed memory has none of them."""
    ddr3l: Preset = "ddr3l_1600_x16"

    def named(*memories: dict[str, Any]) -> list[str]:
        stored = source(results / "block3").stored
        chips = [replace(stored.chip, **keys) for keys in memories]
        sources = [Source(results, structs.replace(stored, chip=chip)) for chip in chips]
        return [name.removeprefix("resnet18_conv3_2_3of9 ") for name in names(sources)]

    dram = {"memory_model": "dram"}
    assert named({}, dram) == ["memory_model=fixed", "memory_model=dram"]
    assert named(dram, {**dram, "dram": DramConfig(ddr3l)}) == ["preset=lpddr3_1600_x32", f"preset={ddr3l}"]
    slower = {**dram, "dram": DramConfig(trcd_clocks=30, page_policy="closed")}
    assert named(dram, slower) == ["trcd_clocks=15 page_policy=open", "trcd_clocks=30 page_policy=closed"]


def test_results_of_other_jobs_are_not_compared(results: Path) -> None:
    message = (
        r"block3/result\.json: its network takes 128x28x28 to 128x28x28, that of .*/result\.json 3x32x32 to 10x1x1"
    )
    with pytest.raises(InputError, match=message):
        load_sources([results / "pooled", results / "block3"])
