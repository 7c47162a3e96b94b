"""MobileNetV2 and ResNet-50: the sizes that are published of them, and small ones through the engine."""

from __future__ import annotations

from functools import cache
from math import prod

import numpy as np
import pytest

import tlm
from tlm.core.errors import InputError
from tlm.network.network import Network
from tlm.networks.builder import NetworkBuilder
from tlm.networks.imagenet import ImageNet, Model, add_imagenet
from tlm.networks.seeded import seeded_activations


@cache
def built(model: Model, size: int, classes: int = 1000) -> NetworkBuilder:
    network = ImageNet(model, size=size, classes=classes)
    builder = NetworkBuilder(seeded_activations(network.input_shape, 0))
    add_imagenet(builder, network)
    return builder


def convolutions(network: Network) -> list[tlm.Conv2d]:
    return [layer for layer in network.layers if isinstance(layer, tlm.Conv2d) and layer.name != "avgpool"]


PICTURE: dict[Model, int] = {"mobilenet_v2": 224, "resnet50": 32}
"""Side in pixels; a whole ResNet-50 of the published one takes long to build."""


@pytest.mark.parametrize(
    ("model", "parameters", "layers", "gmacs"),
    [("mobilenet_v2", 3_504_872, 53, 0.301), pytest.param("resnet50", 25_557_032, 54, 4.089, marks=pytest.mark.slow)],
)
def test_sizes_are_those_of_torchvision(model: Model, parameters: int, layers: int, gmacs: float) -> None:
    """``num_params`` and ``_ops`` of its weights' metadata. Batch norms have two numbers a channel, the scores one."""
    size = PICTURE[model]
    network = built(model, size).network()
    found = convolutions(network)
    assert len(found) == layers
    channels = sum(len(layer.weights) for layer in found[:-1])
    assert sum(layer.weights.size for layer in found) == parameters - 2 * channels - 1000
    pixels = {layer.name: prod(network.tensors[layer.name].shape[1:]) for layer in found}
    scale = (224 // size) ** 2  # all maps but that of the classifier grow with the picture
    macs = sum(layer.weights.size * pixels[layer.name] * scale for layer in found[:-1]) + found[-1].weights.size
    assert round(macs / 1e9, 3) == gmacs


@pytest.mark.parametrize("model", ["mobilenet_v2", pytest.param("resnet50", marks=pytest.mark.slow)])
def test_blocks_end_as_published(model: Model) -> None:
    """Linear and added in MobileNetV2; added before the ReLU in ResNet-50."""
    network = built(model, PICTURE[model]).network()
    ends = [layer for layer in convolutions(network) if layer.name.endswith((".pw2", ".conv3"))]
    assert {network.tensors[layer.name].signed for layer in ends} == {model == "mobilenet_v2"}
    assert sum(layer.residual is not None for layer in ends) == (10 if model == "mobilenet_v2" else 16)
    for layer in ends:
        if layer.residual is not None:
            assert network.tensors[layer.residual].shape == network.tensors[layer.name].shape


@pytest.mark.slow
def test_a_small_one_on_the_engine() -> None:
    builder = built("mobilenet_v2", 32, 10)
    result = tlm.simulate(builder.network(), builder.activations)
    for name, expected in builder.tensors().items():
        assert np.array_equal(result.tensors[name], expected)
        assert len(np.unique(expected)) > 4, name


def test_another_input_is_refused() -> None:
    builder = NetworkBuilder(seeded_activations((3, 64, 64), 0))
    with pytest.raises(InputError, match=r"shape is \(3, 64, 64\), but resnet50 takes \(3, 32, 32\)"):
        add_imagenet(builder, ImageNet("resnet50", size=32))
