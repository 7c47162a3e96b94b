"""INT4 layers and their export: what the engine computes is what was trained."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import tlm  # noqa: E402
from tlm.core.errors import InputError  # noqa: E402
from tlm.network.layers import Conv2d  # noqa: E402
from tlm.networks.fixed_point import fixed_point, shared_shift  # noqa: E402
from tlm.training.architecture import MODELS, Architecture, LayerSpec, resnet18  # noqa: E402
from tlm.training.export import export  # noqa: E402
from tlm.training.float_layers import FloatLayer  # noqa: E402
from tlm.training.int4_layers import Int4Layer  # noqa: E402
from tlm.training.networks import FloatNetwork, Int4Network  # noqa: E402
from tlm.training.pruning import mask_of, prune_taps, prune_weights  # noqa: E402


def images(count: int, architecture: Architecture, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 16, (count, *architecture.input_shape), generator=generator).float()


def trained(name: str, taps: int = 9) -> tuple[FloatNetwork, Int4Network]:
    """A network whose norms have seen data and whose biases are not zero, quantised."""
    torch.manual_seed(3)
    architecture = MODELS[name]()
    network = FloatNetwork(architecture)
    for layer in network.depthwise():
        prune_taps(layer, taps)
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(part.weight, 0.5, 1.5)
            torch.nn.init.uniform_(part.bias, -0.3, 0.5)
    for step in range(30):
        network(images(64, architecture, step))
    quantised = Int4Network(architecture)
    quantised.start_from(network, images(64, architecture))
    return network, quantised


def test_a_fixed_point_scale_has_16_significant_bits() -> None:
    assert fixed_point(1.0) == (32768, 15)
    assert fixed_point(0.75) == (49152, 16)
    assert fixed_point(65535.0) == (65535, 0)
    assert fixed_point(0.0)[0] == 0
    assert fixed_point(2.0**-41) == (0, 40) or fixed_point(2.0**-41) == (1, 40)
    for ratio in (0.999999, 0.0123, 3.7e-6, 123.4):
        multiplier, shift = fixed_point(ratio)
        assert 32768 <= multiplier <= 65535
        assert multiplier / 2**shift == pytest.approx(ratio, rel=2**-16)


@pytest.mark.parametrize("ratio", [65536.0, -1.0, float("nan")])
def test_scales_that_no_register_holds_are_refused(ratio: float) -> None:
    with pytest.raises(InputError, match=r"scale .* is not allowed"):
        fixed_point(ratio)


def test_a_shared_shift_suits_the_largest() -> None:
    multipliers, shift = shared_shift(np.array([0.5, 0.001, 0.999]))
    assert shift == 16
    assert multipliers.tolist() == [32768, 66, 65470]


@pytest.mark.parametrize(
    ("name", "taps"), [("tiny_resnet", 9), ("tiny_resnet", 3), ("tiny_resnet", 1), ("tiny_ib_ssl", 9)]
)
def test_every_exported_layer_computes_what_was_trained(name: str, taps: int) -> None:
    """Multipliers are rounded and torch adds in float32, so a value on the edge between two levels may differ."""
    _, quantised = trained(name, taps)
    layers = {layer.name: layer for layer in export(quantised).layers}
    levels = {"input": images(20, quantised.architecture, 99)}
    steps = {"input": 1 / 15}

    def keep(spec: LayerSpec, part: torch.nn.Module, output: torch.Tensor) -> None:
        if part.output is not None:
            steps[spec.name] = part.output.step.item()
            levels[spec.name] = torch.round(output / steps[spec.name])

    for spec, part in zip(quantised.architecture.layers, quantised.parts, strict=True):
        part.register_forward_hook(lambda module, _, output, spec=spec: keep(spec, module, output))
    with torch.no_grad():
        quantised(levels["input"])
    whole = {key: value.numpy().astype(np.int8) for key, value in levels.items()}
    for spec in quantised.architecture.layers[:-1]:
        residuals = [None] * 20 if spec.residual is None else whole[spec.residual]
        pairs = zip(whole[spec.input], residuals, strict=True)
        expected = np.stack([tlm.reference.output(layers[spec.name], *pair) for pair in pairs])
        assert expected.max() > expected.min()
        assert (whole[spec.name] == expected).mean() > 0.999, spec.name


@pytest.mark.parametrize(("name", "taps"), [("tiny_resnet", 3), ("tiny_ib_ssl", 9)])
def test_whole_scores_are_the_engines(name: str, taps: int) -> None:
    _, quantised = trained(name, taps)
    network, batch = export(quantised), images(40, quantised.architecture, 7)
    quantised.eval()
    with torch.no_grad():
        found = quantised.whole_scores(batch).numpy()
    expected = [tlm.reference.run(network, one)["fc"].ravel() for one in batch.numpy().astype(np.int8)]
    assert (found == np.stack(expected)).all(axis=1).mean() > 0.9


def test_sums_half_way_between_two_levels_go_up_as_on_the_engine() -> None:
    """A step of 4/3 makes the multiplier 0.75 of a power of two, so that every second odd sum is a half."""
    _, quantised = trained("tiny_resnet")
    part = quantised.parts[0]
    with torch.no_grad():
        part.weight_step.fill_(1.1)
        part.weight.copy_(torch.randint(-3, 4, part.weight.shape) * 1.1)
        part.bias.zero_()
        part.output.step.fill_(1.1 / 15 / 0.75 * 2**5)
    layer, batch = export(quantised).layers[0], images(10, quantised.architecture, 5)
    sums = [tlm.reference.accumulate(layer, one) for one in batch.numpy().astype(np.int8)]
    halves = np.stack(sums) * layer.multiplier[0] % (1 << layer.shift[0]) == 1 << (layer.shift[0] - 1)
    assert halves.any()
    expected = np.stack([tlm.reference.output(layer, one) for one in batch.numpy().astype(np.int8)])
    with torch.no_grad():
        output = part(batch / 15, None, torch.tensor(1 / 15), None)
    assert np.array_equal(torch.round(output / part.output.step.detach()).numpy(), expected)


def test_folding_the_norm_changes_nothing() -> None:
    network, _ = trained("tiny_resnet")
    network.eval()
    part = network.parts[1]  # a point-wise layer
    weights, bias = part.folded()
    activations = torch.rand(4, part.spec.in_channels, 7, 7)
    with torch.no_grad():
        expected = part.norm(part.conv(activations))
        found = torch.nn.functional.conv2d(activations, weights, bias)
    assert torch.allclose(found, expected, atol=1e-5)


def test_the_fused_kernel_is_the_product_and_pruned_taps_are_zero_for_every_output() -> None:
    network, quantised = trained("tiny_resnet", taps=2)
    pairs = [(a, b) for a, b in zip(network.parts, quantised.parts, strict=True) if a.spec.kind == "fused"]
    assert pairs
    for source, part in pairs:
        mask = mask_of(source.depthwise)[:, 0]
        weights, _ = source.folded()
        product = weights * (source.depthwise.weight.detach()[:, 0] * mask)
        assert torch.allclose(part.real_weights(), product)
        assert part.weights()[:, mask == 0].abs().max() == 0
        assert part.live_weights() == len(weights) * 2 * len(mask)


def after_a_step(network: FloatNetwork) -> Int4Network:
    """Quantised, and trained so that every weight moves that may move."""
    network(images(4, network.architecture))
    quantised = Int4Network(network.architecture)
    quantised.start_from(network, images(4, network.architecture))
    before = [part.real_weights().detach().clone() for part in quantised.parts if isinstance(part, Int4Layer)]
    quantised(images(4, network.architecture)).square().mean().backward()
    with torch.no_grad():
        for parameter in quantised.parameters():
            if parameter.grad is not None:
                parameter -= 0.1 * parameter.grad
    after = [part.real_weights() for part in quantised.parts if isinstance(part, Int4Layer)]
    assert not any(torch.equal(old, new) for old, new in zip(before, after, strict=True))
    return quantised


@pytest.mark.parametrize("masked", [True, False])
def test_int4_training_keeps_dropped_taps_at_zero(masked: bool) -> None:
    """Also where the layer has lost its mask, as in a file of weights that was pruned elsewhere."""
    network = FloatNetwork(MODELS["tiny_resnet"]())
    for layer in network.depthwise():
        prune_taps(layer, 2)
    masks = [mask_of(layer)[:, 0].clone() for layer in network.depthwise()]
    for layer in [] if masked else network.depthwise():
        torch.nn.utils.prune.remove(layer, "weight")
    quantised = after_a_step(network)
    fused = [part for part in quantised.parts if isinstance(part, Int4Layer) and part.spec.kind == "fused"]
    for mask, part in zip(masks, fused, strict=True):
        assert torch.equal(part.mask, mask)
        assert part.real_weights()[:, mask == 0].abs().max() == 0


def test_int4_training_keeps_dropped_weights_at_zero() -> None:
    network = FloatNetwork(MODELS["tiny_standard_resnet"]())
    for part in network.parts:
        if isinstance(part, FloatLayer):
            prune_weights(part.conv, 0.3)
    for source, part in zip(network.parts, after_a_step(network).parts, strict=True):
        if isinstance(source, FloatLayer):
            assert part.real_weights()[mask_of(source.conv) == 0].abs().max() == 0


def test_one_tap_a_channel_is_computed_by_shifting_first_to_the_same_sums() -> None:
    _, quantised = trained("tiny_resnet", taps=1)
    part = next(part for part in quantised.parts if getattr(part, "has_spatial", False))
    assert isinstance(part, Int4Layer)
    activations = images(2, quantised.architecture)[:, :, :9, :9].expand(-1, part.spec.in_channels, -1, -1)
    with torch.no_grad():
        weights = part.weights()
        direct = torch.nn.functional.conv2d(activations, weights, None, part.spec.stride, part.spec.padding)
        assert torch.allclose(part._convolve(activations, weights), direct, atol=1e-4)


def test_exported_layers_stay_within_the_registers() -> None:
    _, quantised = trained("tiny_resnet", 3)
    network = export(quantised)
    for layer in network.layers:
        assert isinstance(layer, Conv2d)
        if layer.residual is not None:
            assert len(set(layer.shift.tolist())) == 1
            assert layer.residual_multiplier > 0
    assert network.layers[-1].accumulator_output
    tlm.compile(network)


def test_a_bias_that_does_not_fit_is_refused() -> None:
    _, quantised = trained("tiny_resnet")
    part = quantised.parts[0]
    with torch.no_grad():
        part.weight_step[3] = 1e-6
        part.bias[3] = 5.0
    with pytest.raises(InputError, match=r"layer 'conv1': bias\[3\] is .* must fit 24 bits"):
        export(quantised)


def test_steps_of_activations_are_chosen_layer_by_layer() -> None:
    _, quantised = trained("tiny_resnet")
    steps = [part.output.step.item() for part in quantised.parts if part.output is not None]
    assert all(step > 0 for step in steps)
    assert len(set(steps)) == len(steps)


def test_dynamic_ranges_follow_the_batch() -> None:
    _, quantised = trained("tiny_resnet")
    batch = images(4, quantised.architecture)
    quantised.set_dynamic(True)
    quantised(batch)
    steps = [part.output.used.item() for part in quantised.parts if part.output is not None]
    quantised(batch / 4)
    assert [part.output.used.item() for part in quantised.parts if part.output is not None] != steps
    quantised.set_dynamic(False)
    quantised(batch)
    learned = [part.output.step.item() for part in quantised.parts if part.output is not None]
    assert [part.output.used.item() for part in quantised.parts if part.output is not None] == learned


def test_the_published_size_has_the_layers_of_the_simulated_resnet18() -> None:
    names = [spec.name for spec in resnet18().layers]
    assert names[:4] == ["conv1", "pool1", "conv2_1.pw1", "conv2_1.dwpw2"]
    assert names[-2:] == ["avgpool", "fc"]
    assert len(names) == 23
    assert resnet18().layers[-2].kernel == 7
    with pytest.raises(InputError, match="size: 100 is not allowed"):
        resnet18(size=100)


def test_imagenet_size_runs_through_the_same_path() -> None:
    """At 32x32 with few classes, to be quick: every kind of layer of the whole ResNet-18."""
    torch.manual_seed(0)
    architecture = resnet18(classes=5, size=32)
    network = FloatNetwork(architecture)
    network(images(8, architecture))
    quantised = Int4Network(architecture)
    quantised.start_from(network, images(8, architecture))
    exported = export(quantised)
    assert exported.output.shape == (5, 1, 1)
    assert {layer.name for layer in exported.layers} == {spec.name for spec in architecture.layers}


def test_the_small_resnet_has_the_size_that_the_documentation_says() -> None:
    assert len(MODELS["small_resnet"]().layers) == 15
