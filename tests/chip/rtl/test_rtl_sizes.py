"""Ends of the configuration's ranges give a circuit; circuits of other sides, banks and latencies are equal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rtl_chip import CHIP, assert_same_run

import tlm
from tlm.chip.config import ChipConfig, allowed_range
from tlm.chip.rtl.build import rtlil
from tlm.chip.rtl.engine import EngineCircuit
from tlm.network.layers import Conv2d, MaxPool2d
from tlm.network.network import Network
from tlm.networks.seeded import seeded_activations

EIGHT_BANKS = {"amem_banks": 8, "wmem_banks": 8, "imem_banks": 8}
STAGES = ("sram_read_cycles", "mask_cycles", "multiply_cycles", "accumulate_cycles")
GAPS = ("pass_gap_cycles", "requantiser_cycles")


def most(key: str) -> int:
    found = allowed_range(key)
    assert found is not None
    return int(found[1])


CORNERS: dict[str, dict[str, Any]] = {
    "smallest memories": {"amem_words": 8, "wmem_words": 8, "imem_words": 8, **EIGHT_BANKS},
    "shortest": dict.fromkeys((*STAGES, *GAPS), 1),
    "longest": {key: most(key) for key in (*STAGES, *GAPS)},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CORNERS)
def test_corners_of_the_configuration_elaborate(name: str) -> None:
    assert "module \\engine" in rtlil(EngineCircuit(ChipConfig(**{"lanes": 8, "columns": 8, **CORNERS[name]})))


def network() -> Network:
    """Groups of output channels, bank conflicts, pooling, a residual."""
    weights = seeded_activations((12, 6, 9), 1, signed=True).reshape(12, 6, 3, 3)
    square = seeded_activations((12, 12, 9), 2, signed=True).reshape(12, 12, 3, 3)
    scale: dict[str, Any] = {"multiplier": 300, "shift": 14}
    return Network(
        (6, 11, 13),
        [
            Conv2d("strided", weights, stride=(2, 2), padding=(1, 1), **scale),
            Conv2d("kept", square, padding=(1, 1), residual="strided", residual_multiplier=400, **scale),
            MaxPool2d("p", 2),
        ],
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"lanes": 16, **EIGHT_BANKS, "requantiser_cycles": 5},
        {"columns": 16, "amem_banks": 1, "sram_read_cycles": 2, "requantiser_cycles": 2},
    ],
    ids=str,
)
def test_another_circuit(changes: dict[str, Any]) -> None:
    program = tlm.compile(network(), replace(CHIP, **changes))
    assert_same_run(program, seeded_activations(program.network.input_shape, 3, signed=False))
