"""Energy: the calibration to the published power, sums that close, activity that costs, voltages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from chip_cases import NetworkCase, chips, networks
from energy_cases import array_aj, expected_of_run, kernel_layer, output_words, pointwise, steady_state
from examples import examples
from fidelities import both
from hypothesis import HealthCheck, assume, given
from hypothesis import strategies as st
from msgspec import structs

import tlm as package
from tlm.chip.config import ChipConfig
from tlm.chip.fidelity import Fidelity
from tlm.chip.format.isa import HEADER_OPCODES
from tlm.chip.operating_point import PUBLISHED_POINTS_MHZ, PUBLISHED_POWER_MW, power_fit
from tlm.chip.system import System
from tlm.core.errors import CompileError, SimulationError
from tlm.network.network import Conv2d, Network
from tlm.networks.blocks import build_block
from tlm.networks.resnet18 import resnet18_block
from tlm.networks.seeded import seeded_activations
from tlm.observe.energy import EnergyObserver, LayerShare
from tlm.observe.energy_account import Energy, EnergyAccount, added_energies
from tlm.observe.energy_table import ENTRIES, OFF_CHIP, EnergyConfig, normalisation
from tlm.observe.recorder import Recorder
from tlm.results.result import Result

TABLE = EnergyConfig()
COMPONENTS = list(EnergyAccount.__struct_fields__)


def difference(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {key: other[key] - one[key] for key in one if other[key] != one[key]}


# -- the calibration ------------------------------------------------------------------------------------------------


def test_the_fit_goes_through_both_published_points() -> None:
    fit = power_fit()
    assert (round(float(fit.switched_pf), 1), round(float(fit.leakage_ma), 1)) == (524.7, 11.8)
    for volts, power in PUBLISHED_POWER_MW.items():
        assert fit.power_mw(volts, PUBLISHED_POINTS_MHZ[volts]) == pytest.approx(power, rel=1e-12)


@pytest.mark.parametrize(("volts", "published_tops_per_w"), [(1.1, 3.03), (0.8, 5.30)])
def test_a_dense_steady_state_draws_the_published_power(volts: float, published_tops_per_w: float) -> None:
    found = steady_state(volts)
    assert found.power_mw == pytest.approx(PUBLISHED_POWER_MW[volts], rel=1e-5)
    assert found.tops_per_w == pytest.approx(published_tops_per_w, rel=5e-3)
    assert found.shares["leakage"] * found.power_mw == pytest.approx(float(power_fit().leakage_ma) * volts, rel=1e-5)


def test_lower_voltages_take_less_energy_and_leak_a_larger_share() -> None:
    found = [steady_state(volts) for volts in (0.75, 0.8, 0.9, 1.0, 1.1, 1.2)]
    for lower, higher in pairwise(found):
        assert lower.power_mw < higher.power_mw
        assert lower.tops_per_w > higher.tops_per_w
        assert lower.shares["leakage"] > higher.shares["leakage"]


def test_dynamic_energy_goes_with_the_square_of_the_supply_and_leakage_with_time() -> None:
    fast, slow = ChipConfig.at(1.0), replace(ChipConfig.at(1.0), frequency_mhz=200.0)
    assert TABLE.per_event_aj(fast)["clock_pj"] == TABLE.per_event_aj(slow)["clock_pj"]
    assert TABLE.per_event_aj(fast)["leakage_ma"] == pytest.approx(11.769115e9 / 443.05, rel=1e-6)
    assert TABLE.per_event_aj(slow)["leakage_ma"] == pytest.approx(11.769115e9 / 200, rel=1e-6)
    high, low = (TABLE.per_event_aj(ChipConfig.at(volts)) for volts in (1.2, 0.8))
    for entry in ENTRIES:
        if entry.key.endswith("_pj"):
            ratio = 1.0 if entry.component == OFF_CHIP else 2.25
            assert high[entry.key] == pytest.approx(ratio * low[entry.key], rel=2e-5), entry.key


def test_the_estimates_are_not_far_from_the_published_power() -> None:
    """Before normalisation; a factor far from 1 would say that the split is of another chip."""
    assert Fraction(4, 5) < normalisation() < Fraction(7, 5)


def test_entries_scale_with_the_sizes_of_the_chip() -> None:
    full, small = TABLE.per_event_aj(ChipConfig()), TABLE.per_event_aj(ChipConfig(lanes=16, columns=8))
    ratios = {key: small[key] / full[key] for key in full if full[key] and small[key] != full[key]}
    lanes, columns, array = 1 / 2, 1 / 4, 1 / 8
    assert ratios == pytest.approx(
        {
            **dict.fromkeys(("multiply_pj", "accumulate_pj", "broadcast_pj", "clock_pj"), array),
            **dict.fromkeys(("amem_read_pj", "amem_write_pj", "requantise_pj", "compare_pj"), lanes),
            **dict.fromkeys(("wmem_read_pj", "wmem_write_pj"), columns),
            "align_pj": lanes * 5 / 6,
        },
        rel=1e-5,
    )
    assert full["multiply_pj"] == 1024 * round(1e6 * TABLE.multiply_pj)


# -- sums -----------------------------------------------------------------------------------------------------------


def check_sums(result: Result) -> None:
    """Layers and the rest are the run; components follow from the run's account; layers from their own figures."""
    outside, layers = result.energy_outside_layers, result.layers.values()
    assert added_energies([*(layer.energy for layer in layers), outside]) == result.energy
    assert outside.compute == EnergyAccount(imem=outside.compute.imem)
    assert outside.transfers == EnergyAccount(interconnect=outside.transfers.interconnect)
    assert outside.off_chip == 0
    aj = result.energy_table.per_event_aj(result.chip)
    accesses, left = divmod(outside.transfers.interconnect, aj["register_access_pj"])
    assert (accesses > 20, left) == (True, 0)
    core = result.energy.core
    assert {name: getattr(core, name) for name in COMPONENTS if name != "clock"} == expected_of_run(result, accesses)
    check_clock(result.energy, result.cycles, result.compute_cycles, result.account.waits.instructions, aj)
    assert result.energy.off_chip == result.traffic.total_bytes * aj["off_chip_read_pj"]
    for layer in layers:
        own, cycles = layer.energy, layer.compute_cycles + layer.waits.total
        assert own.core.mac_array == array_aj(layer, aj)
        fetched, left = divmod(own.core.aligner, aj["align_pj"])
        read, other = divmod(own.compute.amem - output_words(layer, result) * aj["amem_write_pj"], aj["amem_read_pj"])
        residual = read - fetched
        assert (left, other, residual in (0, output_words(layer, result))) == (0, 0, True)
        assert own.core.leakage == cycles * aj["leakage_ma"]
        assert own.core.requantiser == output_words(layer, result) * aj["requantise_pj"]
        fetched = 0 if layer.kind == "max-pool" else layer.steps
        assert own.compute.wmem == fetched * aj["wmem_read_pj"]
        loaded = layer.weight_load_bytes // result.chip.wmem_word_bytes
        assert own.transfers.wmem == loaded * aj["wmem_write_pj"]
        assert loaded <= layer.weight_words  # fewer if other parts have the same words
        assert own.off_chip == (layer.load_bytes + layer.store_bytes) * aj["off_chip_read_pj"]
        check_clock(own, cycles, layer.compute_cycles, layer.waits.instructions, aj)


def check_clock(energy: Energy, cycles: int, computing: int, instructions: int, aj: Mapping[str, int]) -> None:
    """The clock runs while layers compute, and in no more cycles than the engine can have run a program in."""
    assert energy.compute.clock == computing * aj["clock_pj"]
    more, left = divmod(
        energy.waits.clock - (cycles - computing) * aj["idle_clock_pj"], aj["clock_pj"] - aj["idle_clock_pj"]
    )
    assert (left, 0 <= more <= instructions) == (0, True)


@examples(40, suppress_health_check=list(HealthCheck))
@given(case=networks(), chip=chips(), wmem_words=st.sampled_from((None, 64, 256)))
def test_sums_close_in_both_fidelities(case: NetworkCase, chip: ChipConfig, wmem_words: int | None) -> None:
    try:
        program = package.compile(case.network, replace(chip, wmem_words=wmem_words or chip.wmem_words))
    except CompileError:
        assume(False)
    beat, burst = both(program, case.activations)
    check_sums(burst)
    assert beat.energy == burst.energy
    assert beat.energy_outside_layers == burst.energy_outside_layers
    assert [layer.energy for layer in beat.layers.values()] == [layer.energy for layer in burst.layers.values()]


@pytest.mark.parametrize("taps", [1, 9])
def test_the_main_block_adds_up(taps: int) -> None:
    block = resnet18_block("conv3_2", taps)
    values = seeded_activations(block.input_shape, 0, signed=False)
    result = package.simulate(build_block(block, values), values)
    check_sums(result)
    for layer in result.layers.values():
        assert layer.weight_load_bytes == layer.weight_words * result.chip.wmem_word_bytes


def finished_run() -> tuple[EnergyObserver, LayerShare]:
    """An observer whose run has ended, and the share of its only layer."""
    program = package.compile(Network((4, 4, 8), [Conv2d("c", np.ones((8, 4, 1, 1), np.int8))]))
    system = System(program.config, Fidelity.PASS)
    meter = EnergyObserver(system, Recorder(system), TABLE)
    system.preload(program.image(np.ones((4, 4, 8), np.int8)))
    system.run(program.steps)
    return meter, LayerShare(tags=[0], load_bytes=64, store_bytes=128, wmem_words=4, imem_words=0)


def test_what_no_layer_has_lies_outside_layers() -> None:
    meter, share = finished_run()
    for shares in ([share], []):
        whole = meter.counted(shares).energy(meter.per_event_aj)
        assert added_energies([*whole.layers, whole.outside_layers]) == whole.run


def test_bytes_that_were_never_moved_are_an_error() -> None:
    meter, share = finished_run()
    with pytest.raises(SimulationError, match=r"^energy: .* events were billed, but there were"):
        meter.counted([structs.replace(share, store_bytes=129)])


def test_the_clock_runs_while_the_engine_runs_its_program() -> None:
    """Header, first parameters, first pattern word, the layer, END."""
    result = pointwise(2, ChipConfig())
    aj = TABLE.per_event_aj(ChipConfig())
    running = len(HEADER_OPCODES) + 32 + 1 + result.compute_cycles + 1
    wanted = running * aj["clock_pj"] + (result.cycles - running) * aj["idle_clock_pj"]
    assert result.energy.core.clock == wanted


# -- energy follows activity ----------------------------------------------------------------------------------------


def test_idle_time_costs_leakage_and_the_gated_clock_alone() -> None:
    quick, slow = (kernel_layer(memory_latency_ns=ns) for ns in (60.0, 6000.0))
    more = slow.cycles - quick.cycles
    assert more > 10_000
    aj = TABLE.per_event_aj(ChipConfig())
    before, after = structs.asdict(quick.energy.core), structs.asdict(slow.energy.core)
    assert difference(before, after) == {"clock": more * aj["idle_clock_pj"], "leakage": more * aj["leakage_ma"]}
    assert aj["idle_clock_pj"] < aj["clock_pj"] / 20
    assert slow.energy.off_chip == quick.energy.off_chip


def test_a_step_of_max_pooling_costs_one_row_of_the_array() -> None:
    """32 comparisons, no product, no weight word: a 32nd of a convolution's step but for its multiplications."""
    aj = TABLE.per_event_aj(ChipConfig())
    pooling = kernel_layer().layers["p"]
    assert pooling.energy.core.mac_array == pooling.steps * aj["compare_pj"] > 0
    assert pooling.energy.core.wmem == 0
    # 2x2 windows of 8x8 pixels with stride 2: each of the two taps in a row sees both words of the plane
    assert pooling.energy.core.aligner == 2 * pooling.steps * aj["align_pj"]
    assert aj["compare_pj"] == pytest.approx((aj["accumulate_pj"] + aj["broadcast_pj"]) / 32, rel=2e-3)


def test_fewer_taps_cost_less() -> None:
    half, whole = (kernel_layer(taps).layers["a"] for taps in (4, 8))
    assert whole.steps == 2 * half.steps
    few, many = half.energy, whole.energy
    assert many.core.mac_array == 2 * few.core.mac_array
    assert few.core.aligner < many.core.aligner <= 2 * few.core.aligner  # taps at the rim see fewer words
    assert many.compute.wmem == 2 * few.compute.wmem
    assert many.core.requantiser == few.core.requantiser
    assert few.compute.total < many.compute.total < 2 * few.compute.total
    assert few.off_chip < many.off_chip


def test_the_off_chip_memory_is_in_no_sum_of_the_core() -> None:
    plain = kernel_layer()
    dear = kernel_layer(energy=replace(TABLE, off_chip_read_pj=1000.0, off_chip_background_mw=3.0))
    assert dear.energy.core == plain.energy.core
    loaded, stored = plain.traffic.load_bytes, plain.traffic.store_bytes
    wanted_pj = 1000.0 * loaded + TABLE.off_chip_write_pj * stored + 3.0 * 1000 * plain.time_us
    assert dear.energy.off_chip_pj == pytest.approx(wanted_pj, rel=1e-9)
