"""Seeded networks: equal everywhere, pruned exactly, calibrated to the whole 4-bit range."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

import tlm
from tlm.core.errors import InputError
from tlm.networks.blocks import PwDwPw, build_block
from tlm.networks.builder import NetworkBuilder
from tlm.networks.calibration import fit
from tlm.networks.resnet18 import BLOCKS, resnet18_block
from tlm.networks.seeded import SeededBits, seeded_activations
from tlm.networks.stack import StackLayer, build_stack
from tlm.networks.weights import dense_weights, fused_weights, keep_taps, prune_taps, prune_weights, prune_words


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(array.astype("<i8").tobytes()).hexdigest()[:16]


# -- seeds ------------------------------------------------------------------------------------------------------


def test_values_are_pinned() -> None:
    """A change here changes every scenario's outputs."""
    bits = SeededBits(7, "conv3_2.pw1")
    assert bits.below(1000, (6,)).tolist() == [542, 734, 926, 631, 543, 488]
    assert digest(dense_weights(SeededBits(0, "a"), (16, 8, 3, 3))) == "c44efb517c8c7308"
    assert digest(fused_weights(SeededBits(0, "a"), 16, 8, (3, 3), 3)) == "8acd9d27af8cbe5f"
    assert digest(seeded_activations((8, 9, 10), 0)) == "eb4072869df1ff7c"
    assert digest(seeded_activations((8, 9, 10), 0, signed=True)) == "8ba3072a3486ebb6"


def test_streams_differ_by_seed_and_by_name() -> None:
    draws = [SeededBits(seed, name).below(1 << 30, (4,)).tolist() for seed in (0, 1, 1 << 62) for name in ("a", "b")]
    assert len({tuple(draw) for draw in draws}) == 6


def test_draws_are_uniform_and_bell_shaped() -> None:
    counts = np.bincount(SeededBits(0, "u").below(5, (50_000,)))
    assert counts.size == 5
    assert abs(counts - 10_000).max() < 400
    bell = SeededBits(0, "b").bell(2, (50_000,))
    assert (bell.min(), bell.max()) == (-8, 8)
    assert abs(bell.mean()) < 0.05
    assert abs(bell.var() - 8.0) < 0.2  # 4 * 2 * 3 / 3


@pytest.mark.parametrize(("signed", "low", "high"), [(False, 0, 15), (True, -8, 7)])
def test_activations_use_every_level(signed: bool, low: int, high: int) -> None:
    values = seeded_activations((32, 30, 30), 3, signed)
    assert values.dtype == np.int8
    assert np.unique(values).tolist() == list(range(low, high + 1))
    share = (values == 0).mean()
    assert share < 0.25


# -- pruning ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("taps", [1, 3, 9])
def test_fused_weights_store_exactly_the_kept_words(taps: int) -> None:
    weights = fused_weights(SeededBits(0, "w"), 64, 20, (3, 3), taps)
    words = (weights.reshape(2, 32, 20, 9) != 0).any(axis=1)
    assert (words.sum(axis=2) == taps).all()
    assert (np.count_nonzero(weights, axis=0).sum(axis=(1, 2)) == taps * 64).all()  # every kept weight is non-zero
    assert len({tuple(row) for row in words[0]}) > 1 or taps == 9  # patterns differ between channels


def test_fewer_taps_are_a_subset() -> None:
    one, three, nine = (fused_weights(SeededBits(0, "w"), 8, 16, (3, 3), taps) for taps in (1, 3, 9))
    assert np.array_equal(three[one != 0], one[one != 0])
    assert np.array_equal(nine[three != 0], three[three != 0])


def test_largest_taps_stay() -> None:
    kernels = np.array([[1, -9, 3, 9], [0, 0, 2, -2]])
    assert keep_taps(kernels, 2).tolist() == [[False, True, False, True], [False, False, True, True]]
    assert keep_taps(kernels, 1).tolist() == [[False, True, False, False], [False, False, True, False]]


def test_pruning_in_three_patterns() -> None:
    bits = SeededBits(0, "w")
    dense = dense_weights(bits, (64, 10, 3, 3))
    assert np.count_nonzero(dense) == dense.size
    assert np.count_nonzero(prune_weights(bits, dense, 0.25)) == dense.size // 4
    words = prune_words(bits, dense, 1 / 3)
    kept = (words.reshape(2, 32, 90) != 0).all(axis=1)
    assert kept.sum() == 60
    assert np.count_nonzero(words) == 60 * 32
    taps = (prune_taps(dense, 2) != 0).any(axis=0).reshape(10, 9)
    assert (taps.sum(axis=1) == 2).all()
    assert np.count_nonzero(prune_words(bits, dense, 0.0)) == 0


# -- blocks -----------------------------------------------------------------------------------------------------

STEM_STEPS = 115_248


@pytest.mark.parametrize(("taps", "steps"), [(1, 397_104), (3, 621_360), (9, 1_294_128)])
def test_blocks_add_up_to_the_derived_step_counts(taps: int, steps: int) -> None:
    """chip.md [S]: steps of ResNet-18 in PW-DW-PW form, unsplit, without pooling and classifier."""
    total = STEM_STEPS
    for stage in BLOCKS:
        block = resnet18_block(stage, taps)
        pixels_in = block.height * block.width
        tiles_in, tiles_out = -(-pixels_in // 32), -(-pixels_in // block.stride**2 // 32)
        groups, mid_groups = block.out_channels // 32, block.mid_channels // 32
        total += tiles_in * mid_groups * block.in_channels + tiles_out * groups * block.mid_channels * taps
        total += tiles_out * groups * block.in_channels if block.projects else 0
    assert total == steps


CASES = [("conv3_2", 1), ("conv3_2", 3), ("conv3_2", 9), ("conv4_1", 3), ("conv5_2", 3)]


@pytest.mark.parametrize(("stage", "taps"), CASES)
def test_blocks_use_the_whole_range(stage: str, taps: int) -> None:
    """Neither dead nor saturated: all 16 levels occur, about a third of the ReLU outputs is 0, few are at the top."""
    block = resnet18_block(stage, taps)
    activations = seeded_activations(block.input_shape, 0)
    network = build_block(block, activations)
    for name, values in tlm.reference.run(network, activations).items():
        low, high = (-8, 7) if network.tensors[name].signed else (0, 15)
        assert np.unique(values).tolist() == list(range(low, high + 1)), name
        share = np.bincount(values.ravel().astype(int) - low, minlength=16) / values.size
        assert share[-1] < 0.06, name
        assert share[0] < 0.45, name
        spans = np.ptp(values.reshape(len(values), -1), axis=1)
        assert spans.min() >= 6, f"{name}: channel {spans.argmin()} is nearly dead"
        assert share[4:8].min() > 0.03, name


def test_block_geometry() -> None:
    activations = seeded_activations((128, 28, 28), 0)
    network = build_block(resnet18_block("conv4_1", 3), activations, seed=5)
    shortcut, pw1, dwpw2 = network.layers
    assert [layer.name for layer in network.layers] == ["conv4_1.shortcut", "conv4_1.pw1", "conv4_1.dwpw2"]
    assert (shortcut.stride, shortcut.signed_output, shortcut.kernel) == ((2, 2), True, (1, 1))
    assert network.tensors["conv4_1.pw1"].shape == (256, 28, 28)
    assert (dwpw2.stride, dwpw2.residual) == ((2, 2), "conv4_1.shortcut")
    assert network.output.shape == (256, 14, 14)
    assert network.input_of(pw1).name == "input"


def test_residual_block_adds_its_input() -> None:
    block = PwDwPw("b", 8, 6, 6, 12, 8, taps=9)
    activations = seeded_activations(block.input_shape, 0)
    network = build_block(block, activations)
    assert [(layer.name, layer.residual) for layer in network.layers] == [("b.pw1", None), ("b.dwpw2", "input")]
    last = network.layers[-1]
    assert last.residual_multiplier == (1 << int(last.shift[0])) // 2  # counts half
    without = build_block(replace(block, residual=False), activations)
    assert without.layers[-1].residual is None


def test_unknown_stage() -> None:
    with pytest.raises(InputError, match=r"^stage 'conv6_1' is not one of conv2_1, conv2_2, .*conv5_2$"):
        resnet18_block("conv6_1")


# -- calibration ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1, 50, 100_000])
@pytest.mark.parametrize("signed", [False, True])
def test_fit_maps_percentiles_to_the_ends(scale: int, signed: bool) -> None:
    sums = SeededBits(1, "acc").below(101, (3, 5000)) * scale + np.array([[0], [-500_000], [70]])
    found = fit(sums, signed)
    real = (sums + found["bias"][:, None]) * found["multiplier"][:, None] / 2.0 ** found["shift"][:, None]
    ends = (-8, 7) if signed else (0, 15)
    low = np.percentile(real, 1 if signed else 30, axis=1)
    high = np.percentile(real, 99, axis=1)
    assert abs(low - ends[0]).max() < 0.4
    assert abs(high - ends[1]).max() < 0.4


def test_constant_and_tiny_maps_do_not_break_the_fit() -> None:
    constant = fit(np.full((2, 100), 7), signed=False)
    assert constant["multiplier"].min() >= 1
    mixed = fit(np.stack([np.full(100, 7), np.arange(100)]), signed=False)
    assert mixed["multiplier"].min() >= 1
    linear = fit(np.arange(40).reshape(40, 1) * 100, signed=True)  # one pixel a channel: the layer's distribution
    values = (np.arange(40) * 100 + linear["bias"]) * linear["multiplier"] >> linear["shift"]
    assert values.min() <= -7
    assert values.max() >= 6


# -- lists of layers --------------------------------------------------------------------------------------------


def test_stack_calibrates_through_the_layers() -> None:
    activations = seeded_activations((8, 12, 12), 0)
    layers = [
        StackLayer("a", 16, (3, 3), padding=(1, 1), density=0.5),
        StackLayer("b", 16, groups=4, signed_output=True),
        StackLayer("c", 16, (3, 3), padding=(1, 1), residual="a"),
        StackLayer("d", 10, accumulator_output=True),
    ]
    network = build_stack(layers, activations, seed=3)
    tensors = tlm.reference.run(network, activations)
    for name in "abc":
        assert len(np.unique(tensors[name])) == 16, name
    assert tensors["d"].dtype == np.int32
    assert network.layers[1].in_channels == 16


def test_a_layer_keeps_its_weights_when_others_come() -> None:
    activations = seeded_activations((8, 6, 6), 0)
    alone = build_stack([StackLayer("b", 8)], activations)
    behind = build_stack([StackLayer("a", 8), StackLayer("b", 8)], activations)
    assert np.array_equal(alone.layers[0].weights, behind.layers[1].weights)


def test_arrays_replace_seeds() -> None:
    activations = seeded_activations((4, 6, 6), 0)
    weights = np.ones((3, 4, 1, 1), np.int64)
    numbers = {"a.bias": np.array([1, 2, 3]), "a.multiplier": np.full(3, 5), "a.shift": np.full(3, 6)}
    given = build_stack([StackLayer("a", 3)], activations, arrays={"a.weights": weights, **numbers}).layers[0]
    assert np.array_equal(given.weights, weights)
    assert given.bias.tolist() == [1, 2, 3]
    assert (given.multiplier.tolist(), given.shift.tolist()) == ([5] * 3, [6] * 3)
    calibrated = build_stack([StackLayer("a", 3)], activations, arrays={"a.weights": weights}).layers[0]
    assert calibrated.multiplier.tolist() != [5] * 3


def test_half_of_a_requantisation_is_refused() -> None:
    arrays = {"a.bias": np.zeros(3, int), "a.shift": np.zeros(3, int)}
    message = r"^layer 'a': a\.multiplier missing beside bias, shift; give all of them or none$"
    with pytest.raises(InputError, match=message):
        build_stack([StackLayer("a", 3)], seeded_activations((4, 6, 6), 0), arrays=arrays)


def test_groups_must_divide() -> None:
    with pytest.raises(InputError, match=r"groups is 3, but must divide its 4 input channels and its 6 output"):
        build_stack([StackLayer("a", 6, groups=3)], seeded_activations((4, 6, 6), 0))


def test_unknown_tensor_is_named() -> None:
    with pytest.raises(InputError, match=r"^tensor 'x' does not exist here; the tensors so far are input$"):
        build_stack([StackLayer("a", 6, input="x")], seeded_activations((4, 6, 6), 0))


def test_builder_without_calibration_keeps_the_layer() -> None:
    builder = NetworkBuilder(seeded_activations((4, 3, 3), 0))
    layer = tlm.Conv2d("a", np.ones((2, 4, 1, 1), np.int8), shift=2)
    builder.add(layer, calibrate=False)
    builder.add(tlm.Conv2d("b", np.ones((2, 2, 1, 1), np.int8)))
    first, second = builder.network().layers
    assert first is layer
    assert second.multiplier.min() > 1
