"""Masks and schedules of pruning."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from tlm.training.gradual import cubic, share_left, stepwise, taps_left  # noqa: E402
from tlm.training.pruning import kept_weights, mask_of, prune_taps, prune_weights, prune_words  # noqa: E402


def depthwise(channels: int = 5, seed: int = 0) -> nn.Conv2d:
    torch.manual_seed(seed)
    return nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)


def train(layer: nn.Conv2d, steps: int = 3) -> None:
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.5, momentum=0.9, weight_decay=1e-2)
    for _ in range(steps):
        optimiser.zero_grad()
        layer(torch.randn(2, layer.in_channels, 6, 6)).square().sum().backward()
        optimiser.step()


def test_each_channel_loses_its_smallest_taps() -> None:
    layer = depthwise()
    before = layer.weight.detach().clone().flatten(1)
    prune_taps(layer, 4)
    mask = mask_of(layer).flatten(1)
    assert mask.sum(1).tolist() == [4] * 5
    for weights, kept in zip(before.abs(), mask.bool(), strict=True):
        assert weights[kept].min() > weights[~kept].max()


def test_dropped_taps_stay_exactly_zero_while_training_goes_on() -> None:
    layer = depthwise()
    prune_taps(layer, 4)
    train(layer)
    assert kept_weights(layer)[mask_of(layer) == 0].abs().max() == 0
    layer(torch.randn(1, 5, 6, 6))
    assert layer.weight[mask_of(layer) == 0].abs().max() == 0
    assert (layer.weight[mask_of(layer) == 1] != 0).all()


def test_pruning_again_keeps_a_subset_chosen_by_the_weights_as_they_are_now() -> None:
    layer = depthwise(32)
    prune_taps(layer, 6)
    first = mask_of(layer).clone()
    train(layer)
    now = kept_weights(layer).abs().flatten(1)
    prune_taps(layer, 2)
    second = mask_of(layer)
    assert second.flatten(1).sum(1).tolist() == [2] * 32
    assert (second <= first).all()
    assert torch.equal(second.flatten(1), torch.zeros_like(now).scatter_(1, now.topk(2, 1).indices, 1.0))


def test_a_tap_that_is_zero_still_counts_before_one_that_was_dropped() -> None:
    layer = depthwise(1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([0.0, 5, 4, 3, 2, 1, 0.5, 0.4, 0.3]).reshape(1, 1, 3, 3))
    prune_taps(layer, 8)
    assert mask_of(layer).flatten().tolist() == [0, 1, 1, 1, 1, 1, 1, 1, 1]
    with torch.no_grad():
        layer.weight_orig.zero_()
    prune_taps(layer, 3)
    assert mask_of(layer).flatten().tolist() == [0, 1, 1, 1, 0, 0, 0, 0, 0]


def test_weight_words_are_kept_or_dropped_whole() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(6, 80, 3, bias=False)
    strength = torch.stack([part.abs().mean(0) for part in layer.weight.detach().split(32)])
    prune_words(layer, 0.25)
    mask = mask_of(layer)
    groups = [part.mean(0) for part in mask.split(32)]
    words = torch.stack(groups)
    assert set(words.flatten().tolist()) == {0.0, 1.0}
    assert int(words.sum()) == round(0.25 * 3 * 6 * 9)
    assert strength[words == 1].min() > strength[words == 0].max()


def test_single_weights_are_kept_by_magnitude_twice() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 8, 3, bias=False)
    magnitudes = layer.weight.detach().abs().flatten()
    prune_weights(layer, 0.5)
    prune_weights(layer, 0.25)
    kept = mask_of(layer).flatten().bool()
    assert int(kept.sum()) == 72
    assert magnitudes[kept].min() > magnitudes[~kept].max()


def test_weights_and_words_that_are_zero_still_count_before_those_that_were_dropped() -> None:
    weights = nn.Conv2d(1, 4, 1, bias=False)
    words = nn.Conv2d(4, 32, 1, bias=False)
    for layer, prune in ((weights, prune_weights), (words, prune_words)):
        with torch.no_grad():
            layer.weight.copy_(torch.tensor([1.0, 4.0, 3.0, 2.0]).reshape(layer.weight.shape[0] // 32 or 4, -1, 1, 1))
        prune(layer, 0.75)
        with torch.no_grad():
            layer.weight_orig.zero_()
        prune(layer, 0.5)
        live = mask_of(layer).flatten()[:4] if layer is weights else mask_of(layer)[0].flatten()
        assert live.tolist() == [0, 1, 1, 0]


def test_the_smallest_of_tiny_weights_go_first() -> None:
    layer = nn.Conv2d(1, 4, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1e-9, 4e-9, 3e-9, 2e-9]).reshape(4, 1, 1, 1))
    prune_weights(layer, 0.5)
    assert mask_of(layer).flatten().tolist() == [0, 1, 1, 0]


def test_the_cubic_schedule_is_zhu_and_guptas() -> None:
    assert [cubic(9, 1, p) for p in (-1, 0, 0.5, 1, 2)] == [9, 9, 1 + 8 / 8, 1, 1]
    assert [taps_left("cubic", 9, 3, p) for p in (0, 0.1, 0.25, 0.5, 0.7, 1)] == [9, 8, 6, 4, 4, 3]


def test_the_stepwise_schedule_falls_by_one_at_equal_distances() -> None:
    assert [taps_left("stepwise", 9, 6, p) for p in (0, 0.3, 0.34, 0.6, 0.67, 1, 3)] == [8, 8, 7, 7, 6, 6, 6]
    assert stepwise(8, 4, 0.5, falls=2) == 4
    assert taps_left("stepwise", 4, 4, 0.5) == 4


def test_shares_fall_by_either_schedule() -> None:
    assert [share_left("cubic", 0.8, 0.3, p) for p in (-1, 0, 0.5, 1, 2)] == pytest.approx([0.8, 0.8, 0.3625, 0.3, 0.3])
    found = [share_left("stepwise", 0.8, 0.3, p) for p in (0, 0.09, 0.1, 0.85, 0.9, 1)]
    assert found == pytest.approx([0.75, 0.75, 0.7, 0.35, 0.3, 0.3])
