"""Weight capacity against the base ResNet-18, under each reading of the published -88 %."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from tlm.networks.resnet18 import STEM_CHANNELS, Resnet18
from tlm.reproduction.published import CAPACITY_CHANGE, rounded

_TAPS = 9
_INT4, _FP16, _FP32 = 4, 16, 32
"""Bits of a weight: INT4 on the chip and FP16 in training are published [P]; 32 is the usual storage of ResNet-18."""


@dataclass(frozen=True)
class Weights:
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
    """Of the base network: two 3x3 convolutions a block."""
    return _weights(network, lambda inputs, outputs: (inputs + outputs) * outputs * _TAPS)


def factored_weights(network: Resnet18, taps: int) -> Weights:
    """PW, ``taps`` of each depth-wise kernel, PW: the network as it is trained."""
    return _weights(network, lambda inputs, outputs: inputs * outputs + outputs * taps + outputs * outputs)


def fused_weights(network: Resnet18, taps: int) -> Weights:
    """PW, and the second PW's weights for each valid tap: what WMem holds."""
    return _weights(network, lambda inputs, outputs: inputs * outputs + outputs * outputs * taps)


def _weights(network: Resnet18, of_block: Callable[[int, int], int]) -> Weights:
    shapes = [shape for _, shape in network.blocks()]
    return Weights(
        stem=network.input_shape[0] * 7 * 7 * STEM_CHANNELS // network.divisor,
        blocks=sum(of_block(shape.in_channels, shape.out_channels) for shape in shapes),
        projections=sum(
            shape.in_channels * shape.out_channels
            for shape in shapes
            if shape.stride != 1 or shape.in_channels != shape.out_channels
        ),
        classifier=shapes[-1].out_channels * network.classes,
    )


@dataclass(frozen=True)
class Reading:
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


def readings(network: Resnet18, wmem_words: Mapping[int, int], base_wmem_words: int) -> Iterator[Reading]:
    """Every reading.

    Args:
        network: of which size; its variant and taps do not matter.
        wmem_words: taps -> words that the compiled network stores in WMem, classifier included.
        base_wmem_words: the same of the base network.
    """
    base, factored = base_weights(network), factored_weights(network, _TAPS)
    whole = base.convolutions
    yield Reading("factored network (PW, DW, PW), projections and stem included", factored.convolutions, whole)
    yield Reading("factored, without projections", factored.stem + factored.blocks, whole)
    yield Reading("factored, without stem and projections", factored.blocks, whole)
    yield Reading("factored, residual blocks alone on both sides", factored.blocks, base.blocks)
    yield Reading(
        "factored, classifier included on both sides",
        factored.convolutions + factored.classifier,
        whole + base.classifier,
    )
    for taps in (3, 1):
        pruned = factored_weights(network, taps)
        yield Reading(f"factored, depth-wise kernels pruned to {taps} of 9 taps", pruned.convolutions, whole)
    for taps in (_TAPS, 3, 1):
        fused = fused_weights(network, taps)
        yield Reading(f"fused weights at {taps} of 9 taps, projections and stem included", fused.convolutions, whole)
        yield Reading(f"fused at {taps} of 9 taps, residual blocks alone on both sides", fused.blocks, base.blocks)
    for taps, words in sorted(wmem_words.items(), reverse=True):
        yield Reading(f"words in WMem as compiled at {taps} of 9 taps, classifier included", words, base_wmem_words)
    yield Reading("taps of the depth-wise kernels at 1 of 9", 1, _TAPS)
    yield Reading("bits: the base network in INT4 against FP32", _INT4 * whole, _FP32 * whole)
    yield Reading("bits: the base network in INT4 against FP16", _INT4 * whole, _FP16 * whole)
    fused = fused_weights(network, _TAPS)
    yield Reading(
        "bits: fused weights at 9 of 9 in INT4 against the base in FP16", _INT4 * fused.convolutions, _FP16 * whole
    )
    yield Reading(
        "bits: factored network in INT4 against the base in FP16", _INT4 * factored.convolutions, _FP16 * whole
    )


def nearest(found: list[Reading]) -> Reading:
    """The reading that comes nearest to the published figure; of equal ones the first."""
    return min(found, key=lambda one: one.distance)
