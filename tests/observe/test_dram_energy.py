"""Energy of DRAM from currents: on paper, against another implementation of Micron's method, and its table."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from waves import CHIP, Waves, small_network

import tlm
from tlm.chip.dram_config import PRESETS, DramConfig, Preset
from tlm.chip.kernels.dram import DramCounts
from tlm.chip.system import System
from tlm.observe.dram_energy import DramEnergy, dram_energy, dram_parts
from tlm.results.result_json import result_json

PAGE = Path(__file__).parents[2] / "docs" / "energy.md"
PJ = 10**6
PARTS = tuple(dram_parts())


NOTHING = DramCounts(**dict.fromkeys(DramCounts.__struct_fields__, 0))


def energy(preset: Preset, **counts: int) -> DramEnergy:
    return dram_energy(DramConfig(preset=preset), structs.replace(NOTHING, **counts))


def test_the_worked_example_of_the_page() -> None:
    """docs/energy.md: 64 KiB read from an open LPDDR3."""
    found = energy(
        "lpddr3_1600_x32", activates=16, reads=2048, active_clocks=8400, precharged_clocks=300, refresh_clocks=208
    )
    assert found == DramEnergy(
        background=478_440 * PJ,
        activate=44_688 * PJ,
        read=2_408_448 * PJ,
        write=0,
        refresh=51_417_600_000,
        io=943_718_400_000,
    )
    assert found.total == 3_926_712 * PJ


@pytest.mark.parametrize(
    ("part", "trfc_clocks", "activate_pj", "read_pj", "write_pj", "stand_by_and_refresh_pj"),
    [
        ("lpddr3_1600_x32", 104, 19551.0, 117600.0, 37440.0, 448956.0),
        ("lpddr4_3200_x16", 288, 8432.8125, 134750.0, 39600.0, 220586.25),
        ("ddr3l_1600_x16", 208, 10702.125, 126900.0, 33480.0, 752017.5),
    ],
)
def test_another_implementation_agrees(
    part: str, trfc_clocks: int, activate_pj: float, read_pj: float, write_pj: float, stand_by_and_refresh_pj: float
) -> None:
    """What energydram 0.4.0 (on PyPI) gave for these rails: its VoltageDomain, with bursts of BL/2 clocks."""
    refresh_clocks = 3 * trfc_clocks
    found = energy(
        part,
        activates=7,
        reads=100,
        writes=40,
        active_clocks=5000,
        precharged_clocks=2000 + refresh_clocks,
        refresh_clocks=refresh_clocks,
    )
    assert found.activate == activate_pj * PJ
    assert (found.read, found.write) == (read_pj * PJ, write_pj * PJ)
    assert found.background + found.refresh == stand_by_and_refresh_pj * PJ


COUNTS = st.fixed_dictionaries(dict.fromkeys(DramCounts.__struct_fields__, st.integers(0, 10**9)))


@given(part=st.sampled_from(PARTS), one=COUNTS, two=COUNTS)
def test_nothing_costs_nothing_and_energies_add_up(part: Preset, one: dict[str, int], two: dict[str, int]) -> None:
    apart = [energy(part, **some) for some in (one, two)]
    assert energy(part) == DramEnergy()
    whole = energy(part, **{name: count + two[name] for name, count in one.items()})
    for name in DramEnergy.__struct_fields__:
        assert abs(getattr(whole, name) - sum(getattr(some, name) for some in apart)) <= 1, name
    assert whole.total == sum(getattr(whole, name) for name in DramEnergy.__struct_fields__)


@pytest.mark.parametrize("part", PARTS)
def test_currents_are_in_the_order_that_physics_asks_for(part: str) -> None:
    for rail in dram_parts()[part].rails:
        assert 0 < rail.idd2n_ma <= rail.idd3n_ma <= min(rail.idd0_ma, rail.idd4r_ma, rail.idd4w_ma, rail.idd5_ma)


def test_a_slower_clock_takes_longer() -> None:
    counts = structs.replace(NOTHING, activates=1, reads=2, writes=3, active_clocks=4, precharged_clocks=5)
    config = DramConfig(preset="ddr3l_1600_x16")
    once, twice = (dram_energy(one, counts) for one in (config, replace(config, tck_ps=2500)))
    assert twice.total - twice.io == 2 * (once.total - once.io)
    assert twice.io == once.io


def test_every_preset_has_its_currents() -> None:
    assert set(dram_parts()) == set(PRESETS)


def test_the_off_chip_energy_of_a_run_is_that_of_its_commands(tmp_path: Path) -> None:
    """By kind in both fidelities, divided among layers without a rest, in the result's file and in the waveforms."""
    network, activations = small_network()
    program = tlm.compile(network, replace(CHIP, memory_model="dram"))
    for fidelity in ("pass", "cycle"):
        systems: list[System] = []
        path = tmp_path / f"{fidelity}.vcd"
        result = tlm.simulate(
            program, activations, fidelity=fidelity, trace=tlm.TraceOptions(wave=path),
            observers=[lambda run, seen=systems: seen.append(run.system)],
        )  # fmt: skip
        assert systems[0].dram is not None
        whole = dram_energy(program.config.dram, systems[0].dram.counts(result.cycles))
        assert result.dram_energy == whole
        assert min(getattr(whole, name) for name in DramEnergy.__struct_fields__) >= 0 < whole.read
        parts = [layer.energy.off_chip for layer in result.layers.values()]
        assert sum(parts) + result.energy_outside_layers.off_chip == result.energy.off_chip == whole.total
        assert 0 <= result.energy_outside_layers.off_chip < len(parts)
        record = json.loads(result_json(result))["energy"]
        assert record["dram_pj"] == whole.by_kind_pj()
        assert sum(record["dram_pj"].values()) == pytest.approx(record["off_chip_pj"], rel=1e-12)
        waves = Waves(path)
        shown = dram_energy(program.config.dram, systems[0].dram.counts(waves.last_cycle))  # it may go on after the run
        shown_pj = waves.integral("power.off_chip_mw", waves.last_cycle) / program.config.clock_khz * 1e6
        assert shown_pj == pytest.approx(shown.total / 1e6, rel=1e-3)


def test_a_memory_that_is_no_dram_keeps_its_table() -> None:
    network, activations = small_network()
    result = tlm.simulate(tlm.compile(network, CHIP), activations)
    assert result.dram_energy is None
    assert result.energy.off_chip_pj == 162.5 * result.traffic.total_bytes
    assert "dram_pj" not in json.loads(result_json(result))["energy"]


def test_the_page_shows_what_an_event_costs() -> None:
    rows = {cells[0].strip("`"): cells[1:] for line in PAGE.read_text().splitlines() if len(cells := _cells(line)) == 9}
    for part, currents in dram_parts().items():
        values = [
            energy(part, activates=1).activate,
            energy(part, reads=1).read,
            energy(part, writes=1).write,
            energy(part, active_clocks=1).background,
            energy(part, precharged_clocks=1).background,
            energy(part, precharged_clocks=1, refresh_clocks=1).refresh,
        ]
        io = energy(part, reads=1).io, energy(part, writes=1).io
        assert rows[part] == [
            *(f"{value / PJ:.4g}" for value in values),
            ", ".join(f"{value / PJ:.4g}" for value in io),
            f"{currents.uncertainty_percent} %",
        ]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")[1:-1]]
