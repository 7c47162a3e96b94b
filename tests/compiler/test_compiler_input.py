"""Bad input of the Python API: one message with the place, the value, what is allowed and the remedy."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tlm
from tlm.chip.config import ChipConfig
from tlm.core.errors import CompileError, InputError
from tlm.network.layers import Conv2d
from tlm.network.network import Network

ONES = np.ones((4, 3, 1, 1), np.int8)
INPUT_OF_ONES = np.ones((3, 5, 5), np.int8)


def conv(**keys: Any) -> Conv2d:
    return Conv2d(**{"name": "c1", "weights": ONES, **keys})


def network(*layers: Conv2d, **keys: Any) -> Network:
    return Network(**{"input_shape": (3, 5, 5), "layers": layers or (conv(),), **keys})


def with_weight(value: Any, dtype: Any = np.int64) -> Any:
    weights = np.ones((4, 3, 2, 2), dtype)
    weights[2, 1, 0, 1] = value
    return weights


LAYERS: dict[str, tuple[Callable[[], object], str]] = {
    "float weights": (
        lambda: conv(weights=np.ones((4, 3, 1, 1))),
        "layer 'c1': weights: dtype is float64, but must be an integer type; quantise first",
    ),
    "NaN weights": (lambda: conv(weights=with_weight(np.nan, np.float32)), "layer 'c1': weights: dtype is float32"),
    "weight above": (
        lambda: conv(weights=with_weight(8)),
        "layer 'c1': weights[2, 1, 0, 1] is 8, but must be in -8..7 (4 bits, signed)",
    ),
    "weight below": (lambda: conv(weights=with_weight(-9)), "layer 'c1': weights[2, 1, 0, 1] is -9, but must be in"),
    "weight beyond int8": (lambda: conv(weights=with_weight(257)), "layer 'c1': weights[2, 1, 0, 1] is 257"),
    "weights of three dimensions": (lambda: conv(weights=np.ones((4, 3, 1), int)), "weights' shape is (4, 3, 1)"),
    "no weights": (lambda: conv(weights=np.ones((0, 3, 1, 1), int)), "weights' shape is (0, 3, 1, 1)"),
    "64 columns": (lambda: conv(weights=np.ones((1, 3, 1, 64), int)), "kernel size is (1, 64), but must be at most 63"),
    "bias of 25 bits": (lambda: conv(bias=1 << 23), "bias[0] is 8388608, but must be in -8388608..8388607"),
    "float bias": (lambda: conv(bias=np.zeros(4)), "layer 'c1': bias: dtype is float64"),
    "bias of another length": (lambda: conv(bias=np.zeros(3, int)), "bias's shape is (3,), but must be (4,)"),
    "multiplier": (lambda: conv(multiplier=[1, 2, 65_536, 0]), "multiplier[2] is 65536, but must be in 0..65535"),
    "shift above": (lambda: conv(shift=41), "shift[0] is 41, but must be in 0..40"),
    "shift below": (lambda: conv(shift=-1), "shift[0] is -1, but must be in 0..40"),
    "unequal shifts with a residual": (
        lambda: conv(shift=[3, 3, 4, 3], residual="input", residual_multiplier=1),
        "layer 'c1': shift is [3, 4], but must be one number for all channels where there is a residual",
    ),
    "residual without a multiplier": (lambda: conv(residual="input"), "residual_multiplier is None, but must be given"),
    "residual multiplier": (
        lambda: conv(residual="input", residual_multiplier=65_536),
        "residual_multiplier is 65536, but must be an integer in 0..65535",
    ),
    "multiplier without a residual": (
        lambda: conv(residual_multiplier=2),
        "residual_multiplier is 2, but must be 0 in a layer without a residual; name the residual tensor",
    ),
    "residual with accumulator output": (
        lambda: conv(residual="input", residual_multiplier=1, accumulator_output=True),
        "residual is 'input', but must be left out in a layer with accumulator output",
    ),
    "groups": (lambda: conv(groups=3), "groups is 3, but must be a divisor of the 4 output channels"),
    "stride 0": (lambda: conv(stride=(1, 0)), "stride is 0, but must be an integer in 1..255"),
    "stride of three": (lambda: conv(stride=(1, 1, 1)), "stride is (1, 1, 1), but must be one integer or a pair"),
    "negative padding": (lambda: conv(padding=((0, -1), (0, 0))), "padding is -1, but must be an integer in 0..1023"),
    "float padding": (lambda: conv(padding=0.5), "padding is 0.5, but must be"),
    "dilation": (lambda: conv(dilation=1024), "dilation is 1024, but must be an integer in 1..1023"),
    "signs": (lambda: conv(signed_output="no"), "signed_output is 'no', but must be True or False"),
    "accumulator": (lambda: conv(accumulator_output=1), "accumulator_output is 1, but must be True or False"),
    "name": (lambda: conv(name="a b"), "layer name 'a b': use letters, digits"),
    "name of the input": (lambda: conv(name="input"), "layer name 'input' is the name of the network's own input"),
}


@pytest.mark.parametrize("what", LAYERS)
def test_layer(what: str) -> None:
    make, message = LAYERS[what]
    with pytest.raises(InputError, match=re.escape(message)):
        make()


SMALL = conv(name="small", weights=np.ones((3, 4, 3, 3), np.int8), residual="input", residual_multiplier=1)
NETWORKS: dict[str, tuple[Callable[[], object], str]] = {
    "channels": (
        lambda: network(input_shape=(5, 4, 4)),
        "layer 'c1': weights (4, 3, 1, 1) with groups=1 read 3 channels, but its input 'input' has 5",
    ),
    "input shape": (lambda: network(input_shape=(3, 0, 4)), "network: input_shape is (3, 0, 4), but must be three"),
    "one number as shape": (lambda: network(input_shape=5), "network: input_shape is 5, but must be three integers"),
    "sign of the input": (lambda: network(signed_input="x"), "network: signed_input is 'x', but must be True or False"),
    "a layer as layers": (lambda: Network((3, 4, 4), conv()), "network: layers is a Conv2d, but must be a list of"),  # type: ignore[arg-type]
    "no layers": (lambda: Network((3, 4, 4), []), "network: layers is empty; give at least one layer"),
    "same names": (lambda: network(conv(), conv(weights=np.ones((4, 4, 1, 1), int))), "layer 'c1': this name is used"),
    "unknown input": (lambda: network(conv(input="c0")), "layer 'c1': input is 'c0', but the tensors before it are"),
    "own output": (lambda: network(conv(input="c1")), "input is 'c1', but the tensors before it are input"),
    "residual's shape": (
        lambda: network(conv(), SMALL),
        "layer 'small': residual 'input' has shape (3, 5, 5), but the output has (3, 3, 3)",
    ),
    "kernel larger than the input": (
        lambda: network(conv(weights=np.ones((4, 3, 3, 3), int), dilation=(3, 1))),
        "layer 'c1': a kernel of (3, 3) (dilation (3, 1)) does not fit into its input 5x5",
    ),
    "an accumulator as input": (
        lambda: network(conv(accumulator_output=True), conv(name="c2", weights=np.ones((4, 4, 1, 1), int))),
        "layer 'c2': input is 'c1', whose accumulator output (24-bit) no layer can read",
    ),
}


@pytest.mark.parametrize("what", NETWORKS)
def test_network(what: str) -> None:
    make, message = NETWORKS[what]
    with pytest.raises(InputError, match=re.escape(message)):
        make()


def spoilt(value: int) -> Any:
    activations = INPUT_OF_ONES.astype(int)
    activations[2, 0, 4] = value
    return activations


ACTIVATIONS: dict[str, tuple[Any, bool, str]] = {
    "floats": (
        INPUT_OF_ONES.astype(float),
        False,
        "activations: dtype is float64, but must be an integer type; quantise first",
    ),
    "NaN": (
        np.full((3, 5, 5), np.nan),
        False,
        "activations: dtype is float64, but must be an integer type; quantise first",
    ),
    "booleans": (INPUT_OF_ONES.astype(bool), False, "activations: dtype is bool"),
    "shape": (np.ones((3, 5, 6), int), False, "activations: shape is (3, 5, 6), but the network's input_shape is"),
    "flat": (np.ones(75, int), False, "activations: shape is (75,), but the network's input_shape is (3, 5, 5)"),
    "above": (spoilt(16), False, "activations[2, 0, 4]: 16 is outside 0..15 (unsigned 4-bit input; see signed_input)"),
    "below": (spoilt(-1), False, "activations[2, 0, 4]: -1 is outside 0..15"),
    "above signed": (spoilt(8), True, "activations[2, 0, 4]: 8 is outside -8..7 (signed 4-bit input"),
    "beyond int8": (spoilt(257), False, "activations[2, 0, 4]: 257 is outside 0..15"),
}


@pytest.mark.parametrize("what", ACTIVATIONS)
def test_activations(what: str) -> None:
    activations, signed, message = ACTIVATIONS[what]
    for run in (tlm.simulate, tlm.reference.run):
        with pytest.raises(InputError, match=re.escape(message)):
            run(network(signed_input=signed), activations)


def wide(channels: int, weight: int = 7, **keys: Any) -> Network:
    """One output pixel of ``channels`` x 60 equal weights."""
    layer = conv(weights=np.full((2, channels, 1, 60), weight, np.int8), **keys)
    return Network((channels, 1, 60), [layer])


ADDS_C1 = conv(name="c2", weights=np.ones((4, 4, 1, 1), np.int8), residual="c1", residual_multiplier=1)
COMPILES: dict[str, tuple[Callable[[], Network], ChipConfig, str]] = {
    "positive overflow": (
        lambda: wide(1400),
        ChipConfig(),
        "layer 'c1': a partial sum of output channel 0 can reach 8820000, but the accumulator has 24 bits",
    ),
    "negative overflow": (lambda: wide(1400, -8), ChipConfig(), "can reach -10080000, but the accumulator has 24 bits"),
    "overflow by the bias": (
        lambda: wide(1, bias=[0, 8_382_308], accumulator_output=True),
        ChipConfig(),
        "layer 'c1': the sum with its bias of output channel 1 can reach 8388608",
    ),
    "a group larger than WMem": (
        lambda: network(conv(weights=np.ones((4, 3, 3, 3), int))),
        ChipConfig(wmem_words=24),
        "layer 'c1': group 0 of 32 output channels needs 27 WMEM words, but chip.wmem_words leaves room for 24",
    ),
    "a group larger than IMem": (
        lambda: Network((3, 2, 2), [conv(weights=np.ones((40, 3, 1, 1), int))]),
        ChipConfig(imem_words=32),
        "layer 'c1': group 0 of 32 output channels needs 33 IMEM words, but chip.imem_words leaves room for 24",
    ),
    "an input larger than AMem": (
        lambda: network(),
        ChipConfig(lanes=8, amem_words=8),
        "layer 'c1': even in bands of 2 tiles of 8 pixels it needs 12 AMem words for the rows of 'input' that a band "
        "sees (3 channels of 4 words), 8 for the output of one group of channels, but chip.amem_words is 8; use",
    ),
    "an output that finds no room": (
        lambda: network(),
        ChipConfig(lanes=8, amem_words=16),
        "(3 channels of 4 words), 8 for the output of one group of channels, but chip.amem_words is 16; use narrower "
        "maps, fewer input channels or a smaller kernel, or enlarge the memory",
    ),
    "a residual, its own input, that finds no room": (
        lambda: network(conv(), ADDS_C1),
        ChipConfig(lanes=8, amem_words=20),
        "layer 'c2': even in bands of 2 tiles of 8 pixels it needs 16 AMem words for the rows of 'c1' that a band sees "
        "(4 channels of 4 words), 8 for the output of one group of channels, but chip.amem_words is 20; use",
    ),
    "an off-chip memory that is too small": (
        lambda: Network((64, 16, 16), [conv(weights=np.ones((4, 64, 1, 1), int))]),
        ChipConfig(memory_bytes=8960),
        "network: weights, instructions and tensors take 9984 bytes off-chip, but chip.memory_bytes is 8960; enlarge",
    ),
    "an off-chip memory too small for the instructions of all parts": (
        lambda: Network((8, 32, 256), [conv(weights=np.ones((64, 8, 1, 1), int))]),
        ChipConfig(amem_words=320, wmem_words=128, memory_bytes=300_000),
        "network: its input (8, 32, 256) and output (64, 32, 256) and at least",
    ),
    "an off-chip memory too small for input and output alone": (
        lambda: Network((64, 16, 16), [conv(weights=np.ones((4, 64, 1, 1), int))]),
        ChipConfig(memory_bytes=4096),
        "network: its input (64, 16, 16) and output (4, 16, 16) take 8704 bytes off-chip, but chip.memory_bytes is",
    ),
}


@pytest.mark.parametrize("what", COMPILES)
def test_compilation(what: str) -> None:
    make, chip, message = COMPILES[what]
    given = make()
    for run in (lambda: tlm.compile(given, chip), lambda: tlm.simulate(given, np.ones(given.input_shape, int), chip)):
        with pytest.raises(CompileError, match=re.escape(message)):
            run()


@pytest.mark.parametrize(
    ("given", "chip"),
    [
        (network(), ChipConfig(lanes=8, amem_words=20)),  # 12 words of input and 8 of output
        (network(conv(), ADDS_C1), ChipConfig(lanes=8, amem_words=24)),  # the output takes the residual's words
        (Network((3, 2, 2), [conv(weights=np.ones((40, 3, 1, 1), int))]), ChipConfig(imem_words=48)),
        (network(conv(weights=np.ones((4, 3, 3, 3), int))), ChipConfig(wmem_words=28)),
    ],
    ids=("input and output", "residual", "IMem", "WMem"),
)
def test_what_just_fits_is_compiled(given: Network, chip: ChipConfig) -> None:
    result = tlm.simulate(given, np.ones(given.input_shape, np.int8), chip, fidelity="pass")
    golden = tlm.reference.run(given, np.ones(given.input_shape, np.int8))
    assert all(np.array_equal(result.tensors[layer.name], golden[layer.name]) for layer in given.layers)


def test_the_largest_sum_with_its_bias_that_can_be_proved_is_compiled() -> None:
    tlm.compile(wide(1, bias=[0, 8_382_307], accumulator_output=True), ChipConfig())


def test_a_fidelity_s_former_name_is_refused_with_the_new_one() -> None:
    for former, name in (("beat", "cycle"), ("burst", "pass")):
        with pytest.raises(InputError, match=f"cycle, pass, rtl; what was called '{former}' is '{name}' now"):
            tlm.simulate(network(), INPUT_OF_ONES, fidelity=former)


@pytest.mark.parametrize("fidelity", ["", "Cycle", "gate", 3])
def test_unknown_fidelity(fidelity: Any) -> None:
    with pytest.raises(InputError, match=rf"fidelity: {fidelity!r} is not one of cycle"):
        tlm.simulate(network(), INPUT_OF_ONES, fidelity=fidelity)


CHIPS: dict[str, tuple[dict[str, Any], str]] = {
    "lanes": ({"lanes": 12}, "chip.lanes: 12 is not one of 8, 16, 32, 64"),
    "columns": ({"columns": 128}, "chip.columns: 128 is not one of 8, 16, 32, 64"),
    "banks": ({"amem_banks": 3}, "chip.amem_banks: 3 is not one of 1, 2, 4, 8"),
    "words": ({"wmem_words": 102}, "chip.wmem_words: 102 is not a multiple of chip.wmem_banks = 4"),
    "voltage": ({"voltage_v": 1.3}, "chip.voltage_v: 1.3 is outside 0.75..1.2"),
    "NaN": ({"voltage_v": float("nan")}, "chip.voltage_v: nan is not a finite number"),
    "infinity": ({"memory_latency_ns": float("inf")}, "chip.memory_latency_ns: inf is not a finite number"),
    "frequency": ({"voltage_v": 0.8, "frequency_mhz": 235}, "chip.frequency_mhz: 235 MHz is more than the 234 MHz"),
    "bandwidth": ({"memory_gb_per_s": 0}, "chip.memory_gb_per_s: 0 is outside 0.001..1000"),
    "latency": ({"memory_latency_ns": -1}, "chip.memory_latency_ns: -1 is outside 0..100000"),
    "depth": ({"requantiser_cycles": 0}, "chip.requantiser_cycles: 0 is outside 1..16"),
    "a string": ({"lanes": "32"}, "chip.lanes: '32' is not an integer"),
    "a boolean": ({"amem_banks": True}, "chip.amem_banks: True is not an integer"),
    "burst": ({"burst_bytes": 48}, "chip.burst_bytes: 48 is not one of 32, 64, 128, 256"),
}


@pytest.mark.parametrize("what", CHIPS)
def test_chip(what: str) -> None:
    keys, message = CHIPS[what]
    with pytest.raises(InputError, match=re.escape(message)):
        ChipConfig(**keys)


def test_arrays_are_read_only_and_not_the_callers() -> None:
    """A layer that was checked stays what it was."""
    weights = ONES.copy()
    layer = conv(weights=weights)
    weights[0, 0, 0, 0] = 5
    assert layer.weights[0, 0, 0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        layer.weights[0, 0, 0, 0] = 3
