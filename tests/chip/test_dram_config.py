"""Keys of [chip.dram]: presets, limits, contradictions, labels, files."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tlm
from tlm.chip.config import ChipConfig
from tlm.chip.dram_config import PRESETS, DramConfig
from tlm.core.errors import InputError
from tlm.network.layers import Conv2d
from tlm.network.network import Network
from tlm.results.result_json import result_record
from tlm.scenario.loading import load_scenario

NETWORK = Network((2, 3, 3), [Conv2d("c", np.ones((2, 2, 1, 1), np.int8), multiplier=300, shift=14)])
VALUES = np.ones((2, 3, 3), np.int8)
DDR3L = ChipConfig(memory_model="dram", dram=DramConfig("ddr3l_1600_x16", trcd_clocks=12))


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_fills_the_keys_that_are_left_out(preset: Any) -> None:
    dram = DramConfig(preset)
    assert {key: getattr(dram, key) for key in PRESETS[preset]} == PRESETS[preset]
    assert DramConfig(preset, trcd_clocks=99).trcd_clocks == 99


def test_sizes_and_peaks_of_the_presets() -> None:
    parts = [DramConfig(preset) for preset in PRESETS]  # type: ignore[arg-type]
    assert [one.size_bytes * 8 for one in parts] == [4 << 30] * 3
    assert [one.peak_bytes_per_s for one in parts] == [6_400_000_000, 6_400_000_000, 3_200_000_000]
    assert [one.access_bytes for one in parts] == [32, 32, 16]


def test_the_ratio_of_the_clocks_is_exact() -> None:
    chip = ChipConfig(memory_model="dram", frequency_mhz=97.123)
    assert chip.dram_clock_cycles == Fraction(1250 * 97_123, 10**9)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"preset": "ddr5"}, "chip.dram.preset: 'ddr5' is not one of lpddr3_1600_x32, lpddr4_3200_x16, ddr3l_1600_x16"),
        ({"page_policy": "ajar"}, "chip.dram.page_policy: 'ajar' is not one of open, closed"),
        ({"banks": 3}, "chip.dram.banks: 3 is not one of 1, 2, 4, 8, 16"),
        ({"tck_ps": 1.25}, "chip.dram.tck_ps: 1.25 is not an integer"),
        ({"trcd_clocks": 0}, "chip.dram.trcd_clocks: 0 is outside 1..255"),
        ({"banks": 2, "bank_groups": 4}, "chip.dram.bank_groups: 4 is more than chip.dram.banks = 2"),
        ({"banks": 16, "ranks": 4}, "chip.dram.banks: 16 in 4 ranks are more than 32 in a channel"),
        ({"columns": 16, "burst_length": 32}, "chip.dram.columns: 16 is less than chip.dram.burst_length = 32"),
        ({"tccd_clocks": 3}, "chip.dram.tccd_clocks: 3 is less than the 4 clocks that a burst takes"),
        ({"trtw_clocks": 9}, "chip.dram.trtw_clocks: 9 is less than the 10 (CL + burst - CWL) that keep data apart"),
        ({"trefi_clocks": 200}, "chip.dram.trefi_clocks: 200 is less than 3"),
    ],
)
def test_what_is_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        DramConfig(**keys)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"memory_model": "sram"}, "chip.memory_model: 'sram' is not one of fixed, dram"),
        ({"dram": {"banks": 4}}, "chip.dram: is a dict, but must be DramConfig"),
        (
            {"memory_model": "fixed", "dram": DramConfig(page_policy="closed", trp_clocks=12)},
            "chip.dram.trp_clocks: 12 has no effect with chip.memory_model = 'fixed'; give 'dram' there, or leave",
        ),
        (
            {"memory_model": "fixed", "dram": DramConfig("ddr3l_1600_x16")},
            "chip.dram.preset: 'ddr3l_1600_x16' has no effect",
        ),
        (
            {"memory_latency_ns": 50.0},
            "chip.memory_latency_ns: 50.0 has no effect with chip.memory_model = 'dram'; give 'fixed' there, or",
        ),
        ({"memory_gb_per_s": 6.4}, "chip.memory_gb_per_s: 6.4 has no effect with chip.memory_model = 'dram'"),
        ({"memory_bytes": 1 << 31}, "chip.memory_bytes: 2147483648 is more than the DRAM's 536870912"),
        (
            {"burst_bytes": 256, "dram": DramConfig(width_bits=8)},
            "chip.burst_bytes: 256 is more than 16 accesses of the DRAM's 8 bytes",
        ),
    ],
)
def test_what_a_chip_refuses(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        ChipConfig(**{"memory_model": "dram", **keys})
    assert str(caught.value).startswith(message)


def test_a_file_with_an_unknown_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text('[chip]\nmemory_model = "dram"\n[chip.dram]\ntrdc_clocks = 3\n')
    with pytest.raises(InputError, match=r"s\.toml:4: chip\.dram\.trdc_clocks: unknown key; did you mean trrd_clocks"):
        load_scenario(path)


def test_a_file_says_what_python_says(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text('[chip]\nmemory_model = "dram"\n[chip.dram]\npreset = "ddr3l_1600_x16"\n')
    assert load_scenario(path, ["chip.dram.trcd_clocks=12"]).config.chip == DDR3L


def test_results_and_programs_keep_the_dram(tmp_path: Path) -> None:
    program = tlm.compile(NETWORK, DDR3L)
    tlm.save_program(program, tmp_path / "p.program")
    assert tlm.load_program(tmp_path / "p.program").config == DDR3L
    record = result_record(tlm.simulate(program, VALUES))
    assert record["chip"]["dram"] == json.loads(json.dumps(record["chip"]["dram"]))
    assert ChipConfig(**{**record["chip"], "dram": DramConfig(**record["chip"]["dram"])}) == DDR3L
    labels = record["chip_labels"]
    chosen = {key for key, label in labels.items() if label == "chosen"}
    assert chosen == {"memory_model", "dram.preset", "dram.trcd_clocks"}
    assert (labels["dram.trp_clocks"], labels["dram.page_policy"]) == ("assumed", "assumed")


def test_a_fixed_memory_says_nothing_of_dram() -> None:
    record = result_record(tlm.simulate(NETWORK, VALUES))
    assert not {"memory_model", "dram"} & {*record["chip"], *record["chip_labels"]}
