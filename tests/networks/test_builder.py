"""The calibrating builder: its golden tensors are those of the golden model, and it calibrates what it should."""

import numpy as np
import pytest

import tlm
from tlm.core.errors import InputError
from tlm.network.layers import AvgPool2d, Conv2d, MaxPool2d
from tlm.networks.blocks import PwDwPw, add_block, add_standard_block
from tlm.networks.builder import NetworkBuilder
from tlm.networks.calibration import calibrated, fit
from tlm.networks.seeded import SeededBits, seeded_activations
from tlm.networks.stack import StackLayer, add_stack


def check(builder: NetworkBuilder) -> dict[str, np.ndarray]:
    """The builder's tensors, equal in values, dtype and order to what the golden model says of the finished network."""
    found = builder.tensors()
    wanted = tlm.reference.run(builder.network(), builder.activations)
    assert list(found) == list(wanted)
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype, name
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    return found


def test_tensors_of_a_list_of_layers() -> None:
    """Branches, residuals, groups, signed outputs, accumulator output, a layer that nobody reads."""
    builder = NetworkBuilder(seeded_activations((8, 12, 12), 0, signed=True), signed_input=True)
    layers = [
        StackLayer("a", 16, (3, 3), padding=(1, 1), density=0.5),
        StackLayer("b", 16, groups=4, signed_output=True),
        StackLayer("unread", 5, (2, 5), stride=(2, 1), input="a"),
        StackLayer("c", 16, (3, 3), padding=(1, 1), input="b", residual="a"),
        StackLayer("d", 16, (3, 3), padding=(1, 1), groups=16, residual="b", signed_output=True),
        StackLayer("e", 10, accumulator_output=True),
    ]
    add_stack(builder, layers, seed=3)
    assert check(builder)["e"].dtype == np.int32


def test_tensors_of_layers_that_are_not_calibrated() -> None:
    builder = NetworkBuilder(seeded_activations((4, 5, 5), 0))
    weights = SeededBits(0, "w").bell(1, (6, 4, 3, 3))
    builder.add(Conv2d("a", weights, padding=1, multiplier=3, shift=4), calibrate=False)
    builder.add(Conv2d("b", weights, padding=1, input="input", residual="a", residual_multiplier=7), calibrate=False)
    builder.add(AvgPool2d("mean", 5), calibrate=False)
    given = builder.layers[-1]
    check(builder)
    assert isinstance(given, Conv2d)
    assert given.multiplier.tolist() == [41944] * 6  # 2^20 / 25, rounded up: the mean itself


@pytest.mark.parametrize("signed", [False, True])
def test_tensors_of_blocks_and_pooling(signed: bool) -> None:
    builder = NetworkBuilder(seeded_activations((6, 16, 14), 1, signed), signed)
    builder.add(MaxPool2d("pool", 3, stride=1, padding=1))
    add_block(builder, PwDwPw("b1", 6, 16, 14, 12, 8, stride=2, taps=2), seed=4)
    add_block(builder, PwDwPw("b2", 8, 8, 7, 8, 8, taps=9), seed=4)
    add_standard_block(builder, "b3", 16, 2, seed=4)
    builder.add(AvgPool2d("mean", (4, 4), padding=((0, 0), (0, 0))))
    found = check(builder)
    assert list(found) == [
        "pool", "b1.shortcut", "b1.pw1", "b1.dwpw2", "b2.pw1", "b2.dwpw2", "b3.shortcut", "b3.conv1", "b3.conv2",
        "mean",
    ]  # fmt: skip
    assert (found["pool"].min() < 0) == signed


def test_a_layer_that_does_not_fit_leaves_the_builder_as_it_was() -> None:
    builder = NetworkBuilder(seeded_activations((4, 5, 5), 0))
    builder.add(Conv2d("a", np.ones((4, 4, 1, 1), np.int8)))
    with pytest.raises(InputError, match="read 5 channels"):
        builder.add(Conv2d("b", np.ones((4, 5, 1, 1), np.int8)))
    builder.add(Conv2d("b", np.ones((4, 4, 1, 1), np.int8)))
    assert list(check(builder)) == ["a", "b"]


def test_an_average_has_one_scale_for_all_channels() -> None:
    activations = seeded_activations((40, 6, 6), 0)
    activations[:20] //= 3
    builder = NetworkBuilder(activations)
    builder.add(AvgPool2d("mean", 6))
    (layer,) = builder.layers
    assert isinstance(layer, Conv2d)
    assert all(len(set(row.tolist())) == 1 for row in (layer.bias, layer.multiplier, layer.shift))
    found = check(builder)["mean"].ravel()
    assert (found.min(), found.max()) == (0, 15)
    sums = activations.reshape(40, -1).sum(axis=1)
    assert (np.diff(found[np.argsort(sums, kind="stable")]) >= 0).all(), "the order of the channels is kept"


def test_of_a_large_map_a_sample_decides() -> None:
    sums = (SeededBits(1, "acc").below(2000, (3, 60, 70)) - 700).astype(np.int32)
    layer = Conv2d("c", np.ones((3, 1, 1, 1), np.int8))
    found = calibrated(layer, sums)
    sample = fit(sums.reshape(3, -1)[:, ::5], signed=False)  # 4,200 pixels: 840 of them
    assert found.multiplier.tolist() == sample["multiplier"].tolist()
    assert found.bias.tolist() == sample["bias"].tolist()
    whole = fit(sums.reshape(3, -1), signed=False)
    assert abs(found.multiplier / whole["multiplier"] - 1).max() < 0.1


def test_of_a_small_map_every_pixel_counts() -> None:
    sums = (SeededBits(1, "acc").below(2000, (3, 32, 32)) - 700).astype(np.int32)
    residual = seeded_activations((3, 32, 32), 0)
    layer = Conv2d("c", np.ones((3, 1, 1, 1), np.int8), residual="input", residual_multiplier=1)
    found, wanted = calibrated(layer, sums, residual), fit(sums.reshape(3, -1), False, residual.reshape(3, -1))
    assert found.multiplier.tolist() == wanted["multiplier"].tolist()
    assert found.bias.tolist() == wanted["bias"].tolist()
