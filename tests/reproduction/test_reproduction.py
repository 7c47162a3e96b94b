"""The parts of `tlm reproduce`: labels, published intervals, sums that close, counts, readings, text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from fractions import Fraction
from io import StringIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from command import refused
from rich.console import Console

import tlm
from tlm.chip.config import ChipConfig
from tlm.chip.operating_point import PUBLISHED_POWER_MW, power_fit
from tlm.core.errors import SimulationError
from tlm.core.labels import Label
from tlm.networks.resnet18 import Resnet18
from tlm.observe.energy_table import ENTRIES, EnergyConfig, dense_pass_events, normalisation
from tlm.reproduction.capacity import base_weights, factored_weights, fused_weights
from tlm.reproduction.causes import cycles_by_cause
from tlm.reproduction.circuit import counted_gates
from tlm.reproduction.counts import StepCount, derived_steps
from tlm.reproduction.dense import DenseLayer, steady_states
from tlm.reproduction.efficiency import efficiency_of, together
from tlm.reproduction.figures import compared, signed_percent
from tlm.reproduction.formula import PartCycles, compute_cycles, sequencer_cycles
from tlm.reproduction.measure import BLOCK_NAMES, NETWORK, SHOWN_TAPS, Extent, Measurements, chips, measure
from tlm.reproduction.page import page, print_page
from tlm.reproduction.published import ideal_tops_per_w, pass_lengths, rounded, share_of_peak
from tlm.reproduction.uncertainty import energy_range_aj
from tlm.sweeps.executors import workers

TABLE = EnergyConfig()
DIRECT, BY_TABLE = "both powers, directly", "both powers, by way of the table of energies"
SMALL = Extent(taps=SHOWN_TAPS, size=64, divisor=4)


@pytest.fixture(scope="module")
def measured() -> Measurements:
    """A small ResNet-18; the dense layers are the real ones."""
    return measure(SMALL)


@pytest.fixture(scope="module")
def report(measured: Measurements) -> str:
    return page(measured)


@pytest.mark.slow
def test_processes_change_nothing(report: str) -> None:
    with workers(2) as ready:
        assert page(measure(SMALL, ready=ready)) == report


# -- labels ---------------------------------------------------------------------------------------------------------


def figure_rows(text: str) -> dict[str, list[str]]:
    """Figure -> published, simulated, deviation, label, fit and reason, of each row that has a fit."""
    rows = [line[2:-2].split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {row[0]: row[1:] for row in rows if len(row) == 7 and (row[5] == "none" or row[5] in (DIRECT, BY_TABLE))}


def compared_rows(text: str) -> dict[str, list[str]]:
    """The rows of figures that are no parameters."""
    return {name: row for name, row in figure_rows(text).items() if not row[3].startswith("[")}


def test_other_published_powers_would_scale_the_whole_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is how the next test perturbs the calibration."""
    before = (power_fit(), normalisation())
    for volts in PUBLISHED_POWER_MW:
        monkeypatch.setitem(PUBLISHED_POWER_MW, volts, PUBLISHED_POWER_MW[volts] * 1.1)
    after = (power_fit(), normalisation())
    assert float(after[0].leakage_ma / before[0].leakage_ma) == pytest.approx(1.1)
    assert float(after[1] / before[1]) == pytest.approx(1.1)


@pytest.mark.slow
def test_every_figure_that_the_calibration_moves_says_which_fit_reaches_it(report: str) -> None:
    factor = Fraction(11, 10)
    others = {item.name: float(Fraction(str(getattr(TABLE, item.name))) * factor) for item in fields(TABLE)}
    off_chip = {entry.key: getattr(TABLE, entry.key) for entry in ENTRIES if entry.component == "off_chip"}
    moved = compared_rows(page(measure(SMALL, energy=EnergyConfig(**{**others, **off_chip}))))
    rows = compared_rows(report)
    assert rows.keys() == moved.keys()
    assert len(rows) == 20
    for name, (_, simulated, _, label, fit, _) in rows.items():
        moves = simulated != moved[name][1]
        assert (fit != "none") == moves, name
        assert (label in ("calibrated", "predicted")) == moves, name
        assert (label == "calibrated") == ("power" in name or "unpruned" in name), name
        assert (fit == DIRECT) == (label == "calibrated" and "mW" in simulated and "512" in name), name


def test_the_512_step_passes_have_the_published_power(measured: Measurements) -> None:
    states = [one for one in measured.dense if one.layer.is_calibrated]
    assert {one.voltage_v: round(one.power_mw, 2) for one in states} == {1.1: 352, 0.8: 88}


def test_dense_figures_are_near_the_published_ones(report: str) -> None:
    rows = compared_rows(report).items()
    throughput = [row[1] for name, row in rows if name.startswith("sustained")]
    assert throughput == ["1.067 TOPS", "0.467 TOPS", "1.069 TOPS", "0.469 TOPS"]
    efficiencies = [row[1] for name, row in rows if name.startswith("efficiency")]
    assert efficiencies == ["3.03 TOPS/W", "5.31 TOPS/W", "3.04 TOPS/W", "5.33 TOPS/W"]
    assert len([name for name, row in rows if row[0] == "26.5 TOPS/W [P]"]) == 4


def test_the_published_sizes_and_clocks_have_rows(report: str) -> None:
    rows = {name: tuple(row[:2]) for name, row in figure_rows(report).items()}
    assert rows["SRAM in total"] == ("5 Mbit [P]", "5 Mbit")
    assert rows["clock at 1.1 V"] == ("534 MHz [P]", "534 MHz")
    assert rows["clock at 0.8 V"] == ("234 MHz [P]", "234 MHz")
    assert "| core area: SRAM 3.6 mm2 | open, not simulated yet: " in report
    assert "| core area: logic 0.9 mm2 | the only price of a gate in this technology is the published one" in report
    gates_k = counted_gates()["total"]["gates"] / 1000
    deviation = f"{100 * (gates_k / 746 - 1):+.1f} %"
    assert f"| gates of the logic | 746 k [P] | {gates_k:,.0f} k | {deviation} | predicted | " in report


# -- the assumed split of energy --------------------------------------------------------------------------------------


def energy_with(factors: Mapping[str, float], events: Mapping[str, int], chip: ChipConfig) -> float:
    """Attojoules of events under a table whose entries are scaled and then normalised again: by hand."""
    dense, plain = dense_pass_events(), TABLE.per_event_aj(chip)
    core = {entry.key for entry in ENTRIES if entry.is_normalised}
    scaled = {key: plain[key] * factors.get(key, 1.0) for key in core}
    again = sum(plain[key] * dense.get(key, 0) for key in core) / sum(scaled[key] * dense.get(key, 0) for key in core)
    return again * sum(scaled[key] * events[key] for key in core) + plain["leakage_ma"] * events["leakage_ma"]


def test_the_range_is_the_least_and_the_most_that_the_bounds_allow(measured: Measurements) -> None:
    chip = ChipConfig.at(0.8)
    run = together([measured.runs[name][1, 0.8] for name in BLOCK_NAMES]).within
    low, high = (float(one) for one in energy_range_aj(run.events, run.per_event_aj))
    assert energy_with({}, run.events, chip) == pytest.approx(run.core_aj)
    assert low < run.core_aj < high
    keys = [entry.key for entry in ENTRIES if entry.is_normalised]
    rng = np.random.default_rng(0)
    tried = [
        energy_with(dict(zip(keys, rng.choice([0.5, 2.0], len(keys)), strict=True)), run.events, chip)
        for _ in range(400)
    ]
    assert low <= min(tried) * (1 + 1e-9)
    assert max(tried) <= high * (1 + 1e-9)
    assert max(tried) - min(tried) > 0.7 * (high - low)
    least, most = run.span
    assert least < run.tops_per_w < most


def test_the_dense_pass_itself_has_no_range() -> None:
    per_event, dense = TABLE.per_event_aj(ChipConfig.at(0.8)), dense_pass_events()
    low, high = energy_range_aj(dense, per_event)
    assert low == high == sum(per_event[key] * count for key, count in dense.items())


def test_single_weights_at_random_save_nothing_and_taps_much(report: str, measured: Measurements) -> None:
    before, after = measured.base
    assert 0 <= 1 - after.cycles / before.cycles < 0.03
    assert measured.runs[NETWORK][1, 0.8].cycles < 0.75 * measured.runs[NETWORK][9, 0.8].cycles
    (section,) = (one for one in report.split("## ") if "88% pruning" in one.splitlines()[0])
    assert "different directions" in section


def test_the_calibrated_pass_is_the_point_wise_one_of_512_steps() -> None:
    chip = ChipConfig.at(1.1)
    (state,) = steady_states(DenseLayer(512, 1), (chip,))
    assert (state.steps, state.cycles, state.overhead_cycles) == (512, 525, 13)
    assert state.layer.is_calibrated
    assert not DenseLayer(64, 3).is_calibrated
    assert DenseLayer(1024, 1).steps == 2 * state.steps


@pytest.mark.parametrize("label", list(Label))
def test_every_label_is_explained(label: Label) -> None:
    assert len(label.meaning.split()) > 5


def test_a_figure_shows_unit_label_and_deviation() -> None:
    assert compared(1200.0, 1234.5, "mW", digits=1) == "1,200.0 mW [P] | 1,234.5 mW | +2.9 %"
    spanned = compared(1200.0, 1234.5, "mW", digits=1, published_digits=0, label="[D]", span=(1200.04, 1300.0))
    assert spanned == "1,200 mW [D] | 1,234.5 (1200.0 to 1300.0) mW | +2.9 %"
    assert [signed_percent(value) for value in (-0.0004, 0.0004, -0.01)] == ["0.0 %", "0.0 %", "-1.0 %"]


# -- published figures -----------------------------------------------------------------------------------------------


def test_rounding_of_the_published_figures() -> None:
    """docs/chip.md, Derived: 97.1-97.9 %, 96.5-98.2 %, all three 97.3-97.9 %."""
    assert rounded("5.30") == (Fraction("5.295"), Fraction("5.305"))
    assert rounded("-88") == (Fraction("-88.5"), Fraction("-87.5"))

    def shown(interval: tuple[Fraction, Fraction]) -> list[str]:
        return [f"{100 * float(end):.1f}" for end in interval]

    assert shown(share_of_peak(1.1).by_efficiency) == ["97.1", "97.9"]
    assert shown(share_of_peak(0.8).by_efficiency) == ["96.5", "98.2"]
    assert shown(share_of_peak(1.1).by_all) == ["97.3", "97.9"]
    low, high = pass_lengths(Fraction(13), share_of_peak(1.1).by_all)
    assert low <= 469 < 605 <= high
    for steps in (low, high):
        assert Fraction(steps, steps + 13) in share_of_peak(1.1).by_all
    for steps in (low - 1, high + 1):
        assert Fraction(steps, steps + 13) not in share_of_peak(1.1).by_all
    assert Fraction(1000, 1024) in share_of_peak(1.1).by_all


def test_the_ideal_is_the_published_sparse_figure() -> None:
    assert [ideal_tops_per_w(taps, 0.8) for taps in (9, 3, 1)] == [5.30, 13.25, 26.5]


# -- steps -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "steps"),
    [
        (Resnet18(taps=1), 397_104),
        (Resnet18(taps=3), 621_360),
        (Resnet18(taps=9), 1_294_128),
        (Resnet18(variant="base"), 1_959_472),
    ],
)
def test_steps_from_the_shapes_are_those_of_chip_md(network: Resnet18, steps: int) -> None:
    assert derived_steps(network, ChipConfig()) == steps


@pytest.mark.parametrize(
    ("large", "published", "message"),
    [
        (101, 100, "101 steps with an AMem of 262144 words and 100 unsplit ones, but the"),
        (100, 103, r"103 steps with the published AMem exceed 100 by 3.00 %, which must"),
        (100, 99, "99 steps with the published AMem exceed 100 by -1.00 %"),
    ],
)
def test_wrong_steps_are_an_error(large: int, published: int, message: str) -> None:
    with pytest.raises(SimulationError, match=f"^reproduction: n: {message}"):
        StepCount("n", derived=100, unsplit=100, large=large, published=published)


# -- cycles and energy by cause --------------------------------------------------------------------------------------


def test_causes_add_up_to_the_cycles(measured: Measurements) -> None:
    for of_taps in measured.breakdowns.values():
        dense = of_taps[9]
        for taps, one in of_taps.items():
            assert sum(one.parts.values()) == one.total
            assert one.units("ideal") == 1 + taps
            assert sum(one.beyond(dense, cause) for cause in one.parts) == one.beyond(dense)
            assert one.beyond(dense, "ideal") == 0
            with pytest.raises(SimulationError, match=r"^reproduction: the causes of .* but the run took \d+ cycles$"):
                replace(one, total=one.total + 1)
    network = measured.breakdowns[NETWORK]
    assert all(network[1].parts[cause] == network[9].parts[cause] > 0 for cause in ("stem", "projections", "first_pw"))


def test_causes_add_up_to_the_energy(measured: Measurements) -> None:
    for taps, split in measured.energy.items():
        run = measured.runs[NETWORK][taps, 0.8]
        assert sum(split.parts.values()) == split.total == run.whole.core_aj
        assert float(split.units()) == pytest.approx(1000 / run.whole.tops_per_w)
        with pytest.raises(SimulationError, match=rf"^reproduction: the causes of energy at {taps} of 9 taps"):
            replace(split, total=split.total + 1)


def test_runs_together_are_between_their_extremes(measured: Measurements) -> None:
    runs = [measured.runs[name][1, 0.8] for name in BLOCK_NAMES]
    every = together(runs)
    efficiencies = [run.within.tops_per_w for run in runs]
    assert min(efficiencies) < every.within.tops_per_w < max(efficiencies)
    assert every.cycles == sum(run.cycles for run in runs)
    assert every.whole.with_off_chip < every.whole.tops_per_w < every.within.tops_per_w
    assert min(run.power_mw for run in runs) < every.power_mw < max(run.power_mw for run in runs)


def test_counted_events_cost_what_the_run_took() -> None:
    layer = tlm.Conv2d("c", np.ones((40, 4, 1, 1), np.int8))
    result = tlm.simulate(tlm.Network((4, 4, 8), [layer]), np.ones((4, 4, 8), np.int8))
    found, energy = efficiency_of(result), result.energy
    assert found.within.core_aj == energy.compute.total
    assert (found.whole.core_aj, found.whole.off_chip_aj) == (energy.core.total, energy.off_chip)


def test_a_layer_of_another_network_is_refused() -> None:
    layer = tlm.Conv2d("other", np.ones((8, 4, 1, 1), np.int8))
    result = tlm.simulate(tlm.Network((4, 4, 8), [layer]), np.ones((4, 4, 8), np.int8))
    with pytest.raises(SimulationError, match=r"^reproduction: layer 'other' \(pointwise\) belongs to no part"):
        cycles_by_cause("n", result, 1)


# -- the formula -----------------------------------------------------------------------------------------------------


def test_the_formula_is_engine_md_s() -> None:
    chip = ChipConfig()
    assert compute_cycles([512], [32], 1, chip) == 512 + 9 + 4 + 32
    assert compute_cycles([512], [32], 3, chip) == 3 * 512 + 2 * 13 + 9 + 4 + 32
    assert compute_cycles([2], [32], 2, chip) == 2 + 9 + (32 + 4) + 4 + 32  # the write-back takes longer
    assert compute_cycles([512, 512], [32, 8], 1, chip) == 512 + 9 + (512 + 10 + 9) + 4 + 8


def test_sequencer_cycles_count_words_and_empty_patterns() -> None:
    weights = np.zeros((33, 13, 3, 3), np.int8)  # 6 channels a pattern word: 3 words
    weights[0, 0, 0, :2] = weights[31, 0, 0, 0] = weights[32, 12] = 1
    assert sequencer_cycles(weights, 32) == [2 + 1 + 1, 1 + 1 + 9]


def test_parts_equal_the_formula_unless_something_is_refused(measured: Measurements) -> None:
    parts = [one for of_taps in measured.parts.values() for own in of_taps.values() for one in own]
    assert len(parts) >= 24
    assert all(one.measured == one.formula for one in parts if not one.refused and not one.conflicts)
    for measured_cycles, refused_accesses in ((101, 0), (99, 1)):
        with pytest.raises(SimulationError, match=r"^reproduction: p took \d+ cycles, but engine.md's formula"):
            PartCycles("p", 100, measured_cycles, refused_accesses, 0)


# -- weights ---------------------------------------------------------------------------------------------------------


def test_weight_counts_are_those_of_chip_md() -> None:
    network = Resnet18()
    base = base_weights(network)
    assert base.convolutions == 11_166_912
    assert base.convolutions + base.classifier == 11_678_912
    changes = [100 * fused_weights(network, taps).convolutions / base.convolutions - 100 for taps in (9, 3, 1)]
    assert [round(change) for change in changes] == [-38, -75, -87]
    factored = factored_weights(network, 1)
    assert (factored.convolutions, factored.convolutions - factored.projections) == (1_403_968, 1_231_936)


def test_every_reading_has_its_distance(measured: Measurements) -> None:
    assert all(one.distance == abs(100 * one.change + 88) for one in measured.capacity)
    bits = next(one for one in measured.capacity if "INT4 against FP32" in one.name)
    assert (bits.change, bits.rounds_to_published) == (Fraction(-7, 8), True)


# -- text ------------------------------------------------------------------------------------------------------------


def test_the_page_has_every_table_with_a_label_and_equal_columns(measured: Measurements, report: str) -> None:
    assert report == page(measured)
    assert report.startswith("# Reproduction")
    assert "$" not in report
    assert not [line for line in report.splitlines() if line != line.rstrip()]
    blocks = report.rstrip("\n").split("\n\n")
    tables = [(caption, block.splitlines()) for caption, block in pairwise(blocks) if block.startswith("|")]
    assert len(tables) > 15
    for caption, lines in tables:
        assert caption.endswith(":")
        assert len({line.count("|") for line in lines}) == 1
        assert any(label.value in caption for label in Label) or "label" in lines[0], caption
    assert "-4.6 %" in report
    assert "it stays open" in report


def test_the_terminal_shows_the_same_figures(report: str) -> None:
    shown = StringIO()
    print_page(report, Console(file=shown, width=200))
    for text in ("352.00 mW", "calibrated", "26.5 TOPS/W [P]", "Weight capacity"):
        assert text in shown.getvalue(), text
    assert not [mark for mark in ("##", "---", "|") if mark in shown.getvalue()]


def test_both_chips_are_the_published_points() -> None:
    assert [(chip.voltage_v, chip.frequency_mhz) for chip in chips()] == [(0.8, 234), (1.1, 534)]


def test_the_command_refuses_a_directory(tmp_path: Path) -> None:
    assert refused("reproduce", "-o", tmp_path) == f"-o: {tmp_path} is a directory; give a file"
