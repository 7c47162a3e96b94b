"""Weight capacity against the base ResNet-18, under each reading of the published -88 %."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import NamedTuple

from tlm.networks.resnet18 import STEM_CHANNELS, Resnet18
from tlm.reproduction.published import CAPACITY_CHANGE, rounded

_TAPS = 9
_INT4, _FP16, _FP32 = 4, 16, 32
"""Bits of a weight: INT4 on the chip and FP16 in training are published [P]; 32 is the usual storage of ResNet-18."""


class Weights(NamedTuple):
    """Weights of a network by part; whole numbers."""

    stem: int
    blocks: int
    projections: int
    classifier: int

    @property
    def convolutions(self) -> int:
        """All but the classifier."""
        return self.stem + self.blocks + self.projections


def base_weights(network: Resnet18) -> Weights:
    """The base network: two 3x3 convolutions a block."""
    return _weights(network, lambda inputs, outputs: (inputs + outputs) * outputs * _TAPS)


def factored_weights(network: Resnet18, taps: int) -> Weights:
    """PW, ``taps`` of each depth-wise kernel, PW: the network as it is trained."""
    return _weights(network, lambda inputs, outputs: inputs * outputs + outputs * taps + outputs * outputs)


def fused_weights(network: Resnet18, taps: int) -> Weights:
    """PW, and the second PW's weights for each valid tap: what WMem holds."""
    return _weights(network, lambda inputs, outputs: inputs * outputs + outputs * outputs * taps)


def _weights(network: Resnet18, of_block: Callable[[int, int], int]) -> Weights:
    shapes = [(shape.in_channels, shape.out_channels, shape.stride) for _, shape in network.blocks()]
    return Weights(
        stem=network.input_shape[0] * 7 * 7 * STEM_CHANNELS // network.divisor,
        blocks=sum(of_block(inputs, outputs) for inputs, outputs, _ in shapes),
        projections=sum(inputs * outputs for inputs, outputs, stride in shapes if (outputs, stride) != (inputs, 1)),
        classifier=shapes[-1][1] * network.classes,
    )


class Reading(NamedTuple):
    """One way to read "weight capacity -88 %"."""

    name: str
    kept: int
    """Weights, words or bits of what is counted."""
    base: int
    """The same of the base network."""

    @property
    def change(self) -> Fraction:
        """Negative where less is kept; -1 is nothing left."""
        return Fraction(self.kept, self.base) - 1

    @property
    def distance(self) -> Fraction:
        """From the published change, absolute, in percentage points."""
        return abs(100 * self.change - Fraction(CAPACITY_CHANGE))

    @property
    def rounds_to_published(self) -> bool:
        """Whether the published figure is this one, rounded."""
        return 100 * self.change in rounded(CAPACITY_CHANGE)


def readings(network: Resnet18, wmem_words: Mapping[int, int], base_wmem_words: int) -> list[Reading]:
    """Every reading.

    Args:
        network: of which size; its variant and taps do not matter.
        wmem_words: taps -> words that the compiled network stores in WMem, classifier included.
        base_wmem_words: the same of the base network.
    """
    base, factored = base_weights(network), factored_weights(network, _TAPS)
    pruned = {taps: factored_weights(network, taps).convolutions for taps in (3, 1)}
    fused = {taps: fused_weights(network, taps) for taps in (_TAPS, 3, 1)}
    whole, unfactored = base.convolutions, base.convolutions + base.classifier
    on_both, included = "residual blocks alone on both sides", "projections and stem included"
    counts = [
        (f"factored network (PW, DW, PW), {included}", factored.convolutions, whole),
        ("factored, without projections", factored.stem + factored.blocks, whole),
        ("factored, without stem and projections", factored.blocks, whole),
        (f"factored, {on_both}", factored.blocks, base.blocks),
        ("factored, classifier included on both sides", factored.convolutions + factored.classifier, unfactored),
    ]
    for taps, kept in pruned.items():
        counts.append((f"factored, depth-wise kernels pruned to {taps} of 9 taps", kept, whole))
    for taps, own in fused.items():
        counts.append((f"fused weights at {taps} of 9 taps, {included}", own.convolutions, whole))
        counts.append((f"fused at {taps} of 9 taps, {on_both}", own.blocks, base.blocks))
    for taps, words in sorted(wmem_words.items(), reverse=True):
        counts.append((f"words in WMem as compiled at {taps} of 9 taps, classifier included", words, base_wmem_words))
    int4, base_in_fp16 = "in INT4 against the base in FP16", _FP16 * whole
    counts += [
        ("taps of the depth-wise kernels at 1 of 9", 1, _TAPS),
        ("bits: the base network in INT4 against FP32", _INT4 * whole, _FP32 * whole),
        ("bits: the base network in INT4 against FP16", _INT4 * whole, base_in_fp16),
        (f"bits: fused weights at 9 of 9 {int4}", _INT4 * fused[_TAPS].convolutions, base_in_fp16),
        (f"bits: factored network {int4}", _INT4 * factored.convolutions, base_in_fp16),
    ]
    return [Reading(*one) for one in counts]
