"""What messages advise is tried: every remedy that the compiler offers makes the network compile."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tlm
from tlm.core.errors import CompileError


def compiled(chip: dict[str, Any], taken: int = 1, **changed: Any) -> tlm.ChipConfig:
    """Compile a layer of so many channels, pixels and taps; ``taken`` of each group of inputs have weights."""
    size = {"inputs": 64, "outputs": 64, "kernel": 3, "height": 16, "width": 16} | changed
    weights = np.ones((size["outputs"], size["inputs"], size["kernel"], size["kernel"]), np.int8)
    weights[:, np.arange(size["inputs"]) % taken != 0] = 0
    layer = tlm.Conv2d("c", weights, padding=size["kernel"] // 2, shift=8)
    config = tlm.ChipConfig(**chip)
    tlm.compile(tlm.Network((size["inputs"], size["height"], size["width"]), [layer]), config)
    return config


Change = Callable[[dict[str, Any]], dict[str, Any]]

WMEM: dict[str, Change] = {
    "prune the layer to 22 % of each group's weight words": lambda chip: {"chip": chip, "taken": 5},
    "fewer input channels": lambda chip: {"chip": chip, "inputs": 8},
    "smaller kernel": lambda chip: {"chip": chip, "kernel": 1},
    "enlarge the memory": lambda chip: {"chip": dict.fromkeys(chip, 1024)},
}
IMEM = {key: change for key, change in WMEM.items() if not key.startswith("prune")}
AMEM: dict[str, Change] = {
    "narrower maps": lambda chip: {"chip": chip, "width": 4},
    "fewer input channels": lambda chip: {"chip": chip, "inputs": 2},
    "smaller kernel": lambda chip: {"chip": chip, "kernel": 1},
    "enlarge the memory": lambda chip: {"chip": dict.fromkeys(chip, 16384)},
}
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Change]]] = {
    "a group's weights": ({"wmem_words": 128}, {}, WMEM),
    "a group's patterns": ({"imem_words": 48}, {}, IMEM),
    "a group's parameters": (
        {"imem_words": 32},
        {},
        {
            "fewer output channels": lambda chip: {"chip": chip, "outputs": 8, "inputs": 8},
            "enlarge the memory": IMEM["enlarge the memory"],
        },
    ),
    "a band's rows": ({"amem_words": 192}, {}, AMEM),
    "a band's output": (
        {"amem_words": 24},
        {"inputs": 1},
        {
            "fewer output channels": lambda chip: {"chip": chip, "outputs": 8, "inputs": 1},
            "enlarge the memory": AMEM["enlarge the memory"],
        },
    ),
}


@pytest.mark.parametrize(("chip", "size", "remedies"), CASES.values(), ids=CASES)
def test_every_remedy_works(chip: dict[str, Any], size: dict[str, Any], remedies: dict[str, Change]) -> None:
    with pytest.raises(CompileError) as refused:
        compiled(chip, **size)
    offered = str(refused.value).rpartition("; ")[2]
    words = re.split(r", or | or |, ", re.sub(r"\b(use|give the layer|a) ", "", offered))
    assert [one for one in words if one] == list(remedies), offered
    for change in remedies.values():
        compiled(**{**size, **change(chip)})
