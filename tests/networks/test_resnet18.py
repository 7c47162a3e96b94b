"""ResNet-18, whole: geometry, step counts from the weights alone, use of the 4-bit range, what it refuses."""

from typing import Any

import numpy as np
import pytest
from command import SCENARIOS

import tlm
from tlm.core.errors import InputError
from tlm.inputs.images import load_image
from tlm.network.layers import Conv2d, MaxPool2d
from tlm.network.network import Network
from tlm.networks.builder import NetworkBuilder
from tlm.networks.resnet18 import BLOCKS, Resnet18, add_resnet18, build_resnet18
from tlm.networks.seeded import SeededBits, seeded_activations

PHOTOGRAPH = SCENARIOS / "images" / "astronaut.png"
SMALL: dict[str, Any] = {"size": 32, "divisor": 8, "classes": 10}


def built(**keys: Any) -> NetworkBuilder:
    spec = Resnet18(**keys)
    builder = NetworkBuilder(seeded_activations(spec.input_shape, 0))
    add_resnet18(builder, spec)
    return builder


# -- steps ------------------------------------------------------------------------------------------------------


def weight_words(layer: Conv2d) -> int:
    """Words of 32 output channels x input channel x tap with a non-zero weight."""
    weights = layer.full_weights()
    missing = -len(weights) % 32
    padded = np.concatenate([weights, np.zeros((missing, *weights.shape[1:]), np.int8)])
    return int(np.count_nonzero(np.bitwise_or.reduce(padded.reshape(-1, 32, *weights.shape[1:]), axis=1)))


def steps(network: Network) -> int:
    """Of all layers but pooling and classifier, if none is split: tiles of 32 pixels x words."""
    total = 0
    for layer in network.layers:
        if isinstance(layer, Conv2d) and layer.name not in ("avgpool", "fc"):
            _, height, width = network.tensors[layer.name].shape
            total += -(-height * width // 32) * weight_words(layer)
    return total


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"taps": 1}, 397_104),
        ({"taps": 3}, 621_360),
        ({"taps": 9}, 1_294_128),
        ({"variant": "base"}, 1_959_472),
    ],
)
def test_steps_are_the_derived_ones(keys: dict[str, Any], expected: int) -> None:
    """chip.md [D], counted in the weights that are really there."""
    network = built(**keys).network()
    assert steps(network) == expected
    assert weight_words(network.layers[0]) * 392 == 115_248  # the stem


def test_random_pruning_saves_weights_but_hardly_a_step() -> None:
    """Of 32 weights in a word one is left nearly always: 1 - 0.88^32 = 98 %."""
    network = built(variant="base", density=0.12).network()
    blocks = [layer for layer in network.layers if ".conv" in layer.name]
    assert len(blocks) == 16
    for layer in blocks:
        assert abs(np.count_nonzero(layer.weights) / layer.weights.size - 0.12) < 1e-4
    assert 0.97 < (steps(network) - 115_248) / (1_959_472 - 115_248) < 0.99


def test_taps_by_block() -> None:
    network = built(**SMALL, taps=[1, 2, 3, 4, 5, 6, 7, 9]).network()
    for name, taps in zip(BLOCKS, (1, 2, 3, 4, 5, 6, 7, 9), strict=True):
        layer = next(layer for layer in network.layers if layer.name == f"{name}.dwpw2")
        kept = layer.weights.any(axis=0)
        assert (kept.sum(axis=(1, 2)) == taps).all(), name


def test_patterns_say_which_taps() -> None:
    shapes = {name: (shape.out_channels // 8, 3, 3) for name, shape in BLOCKS.items()}
    patterns = {name: SeededBits(0, name).below(3, shape) == 0 for name, shape in shapes.items()}
    patterns["conv4_1"][:] = False  # nothing is left but the residual
    patterns["conv2_2"][1] = False
    builder = built(**SMALL, patterns=patterns)
    for name, pattern in patterns.items():
        layer = next(layer for layer in builder.layers if layer.name == f"{name}.dwpw2")
        assert np.array_equal(layer.weights.any(axis=0), pattern), name
    assert len(np.unique(builder.tensors()["conv4_1.dwpw2"])) > 4


# -- geometry ---------------------------------------------------------------------------------------------------


def test_layers_of_the_chips_network() -> None:
    network = built(taps=1).network()
    names = [layer.name for layer in network.layers]
    assert names == [
        "conv1", "pool1",
        "conv2_1.pw1", "conv2_1.dwpw2", "conv2_2.pw1", "conv2_2.dwpw2",
        "conv3_1.shortcut", "conv3_1.pw1", "conv3_1.dwpw2", "conv3_2.pw1", "conv3_2.dwpw2",
        "conv4_1.shortcut", "conv4_1.pw1", "conv4_1.dwpw2", "conv4_2.pw1", "conv4_2.dwpw2",
        "conv5_1.shortcut", "conv5_1.pw1", "conv5_1.dwpw2", "conv5_2.pw1", "conv5_2.dwpw2",
        "avgpool", "fc",
    ]  # fmt: skip
    shapes = {name: info.shape for name, info in network.tensors.items()}
    assert (shapes["input"], shapes["conv1"]) == ((3, 224, 224), (64, 112, 112))
    assert shapes["pool1"] == shapes["conv2_2.dwpw2"] == (64, 56, 56)
    assert shapes["conv3_1.pw1"] == (128, 56, 56)
    assert shapes["conv3_1.shortcut"] == shapes["conv3_2.dwpw2"] == (128, 28, 28)
    assert (shapes["conv5_2.dwpw2"], shapes["avgpool"]) == ((512, 7, 7), (512, 1, 1))
    assert (network.output.shape, network.output.accumulator) == ((1000, 1, 1), True)
    residuals = {layer.name: layer.residual for layer in network.layers if layer.residual}
    assert residuals["conv2_1.dwpw2"] == "pool1"
    assert residuals["conv2_2.dwpw2"] == "conv2_1.dwpw2"
    assert residuals["conv5_1.dwpw2"] == "conv5_1.shortcut"
    assert len(residuals) == 8
    assert isinstance(network.layers[1], MaxPool2d)
    signed = [name for name, info in network.tensors.items() if info.signed and not info.accumulator]
    assert signed == ["conv3_1.shortcut", "conv4_1.shortcut", "conv5_1.shortcut"]


def test_layers_of_the_base_network() -> None:
    network = built(**SMALL, variant="base").network()
    assert [layer.name for layer in network.layers][6:9] == ["conv3_1.shortcut", "conv3_1.conv1", "conv3_1.conv2"]
    by_name = {layer.name: layer for layer in network.layers}
    assert by_name["conv3_1.conv1"].stride == (2, 2)
    assert by_name["conv3_1.conv2"].stride == (1, 1)
    assert by_name["conv3_1.conv2"].residual == "conv3_1.shortcut"
    assert network.input_of(by_name["conv3_1.conv1"]).name == "conv2_2.conv2"
    assert by_name["conv3_2.conv2"].residual == "conv3_1.conv2"


@pytest.mark.parametrize(("stage", "shape"), [("conv2_x", (64, 56, 56)), ("conv5_x", (256, 14, 14))])
def test_a_stage_alone(stage: str, shape: tuple[int, int, int]) -> None:
    spec = Resnet18(stage=stage, taps=2, seed=3)
    assert spec.input_shape == shape
    network = build_resnet18(seeded_activations(shape, 0), spec)
    assert network.layers[0].input == "input"
    blocks = dict.fromkeys(layer.name.split(".")[0] for layer in network.layers)
    assert list(blocks) == [f"{stage[:-1]}1", f"{stage[:-1]}2"]
    block = tlm.networks.resnet18.resnet18_block(f"{stage[:-1]}1", 2)
    alone = tlm.networks.blocks.build_block(block, seeded_activations(shape, 0), seed=3)
    for mine, theirs in zip(network.layers, alone.layers, strict=False):
        assert np.array_equal(mine.weights, theirs.weights)


@pytest.mark.parametrize("size", [32, 64, 96])
def test_small_pictures(size: int) -> None:
    builder = built(**{**SMALL, "size": size})
    assert builder.network().tensors["conv5_2.dwpw2"].shape == (64, size // 32, size // 32)
    assert builder.network().tensors["avgpool"].shape == (64, 1, 1)


# -- values -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keys", [{}, {"variant": "base"}])
def test_tensors_are_the_golden_models(keys: dict[str, Any]) -> None:
    builder = built(**SMALL, **keys)
    wanted = tlm.reference.run(builder.network(), builder.activations)
    found = builder.tensors()
    assert list(found) == list(wanted)
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype, name
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.mark.parametrize("source", ["seeded", "photograph"])
def test_every_layer_uses_the_range(source: str) -> None:
    spec = Resnet18(taps=3)
    photograph = load_image(PHOTOGRAPH, 224, 224) if source == "photograph" else None
    builder = NetworkBuilder(seeded_activations(spec.input_shape, 0) if photograph is None else photograph)
    add_resnet18(builder, spec)
    network, tensors = builder.network(), builder.tensors()
    scores = tensors.pop("fc").ravel()
    for name, values in tensors.items():
        low = -8 if network.tensors[name].signed else 0
        share = np.bincount(values.ravel().astype(int) - low, minlength=16) / values.size
        assert np.count_nonzero(share) >= 12, name
        assert share.max() < 0.6, name
        # The largest of nine pixels saturates more often than one pixel.
        assert share[-1] < (0.15 if name == "pool1" else 0.1), name
    best = np.sort(scores)[-2:]
    assert best[0] < best[1], "class scores must not tie"
    assert len(np.unique(scores)) > 500


# -- refusals ---------------------------------------------------------------------------------------------------

EIGHT = "conv2_1, conv2_2, conv3_1, conv3_2, conv4_1, conv4_2, conv5_1, conv5_2"
WHOLE = {name: np.ones((shape.out_channels, 3, 3), bool) for name, shape in BLOCKS.items()}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"patterns": {"conv6_1": 0}}, f"patterns: 'conv6_1' is no block; the blocks are {EIGHT}"),
        ({"patterns": {}}, "patterns: block conv2_1 is missing; give a pattern for every block of the network"),
        (
            {"patterns": {**WHOLE, "conv3_2": np.ones((64, 3, 3), bool)}},
            "patterns: block conv3_2 has bool (64, 3, 3), but must be bool (128, 3, 3): (mid channels, 3, 3)",
        ),
        (
            {"patterns": {**WHOLE, "conv3_2": np.ones((128, 3, 3), np.int8)}},
            "patterns: block conv3_2 has int8 (128, 3, 3), but must be bool (128, 3, 3): (mid channels, 3, 3)",
        ),
        (
            {"patterns": WHOLE, "variant": "base"},
            "patterns: only for the pw_dw_pw network; the base network has no depth-wise kernels",
        ),
    ],
)
def test_refusals(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Resnet18(**keys)
    assert str(caught.value) == message


def test_a_picture_of_another_size_is_refused() -> None:
    message = r"^activations: shape is \(3, 32, 32\), but ResNet-18 takes \(3, 224, 224\)$"
    with pytest.raises(InputError, match=message):
        build_resnet18(np.zeros((3, 32, 32), np.int8))
    with pytest.raises(InputError, match=r"but ResNet-18 stage conv3_x takes \(64, 56, 56\)$"):
        build_resnet18(np.zeros((3, 32, 32), np.int8), Resnet18(stage="conv3_x"))
