"""Whole networks in torch: the same architecture with FP32 layers, or with INT4 layers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tlm.network.layers import INPUT
from tlm.training.architecture import Architecture, LayerSpec
from tlm.training.float_layers import FloatLayer
from tlm.training.int4_layers import Int4Layer, OutputStep, Pooling
from tlm.training.shifts import LearnedShift

INPUT_STEP = 1.0 / 15.0
"""What one level of the input is worth: images are 0..1."""


class LayeredNetwork(nn.Module):
    """Layers of an architecture, one module each, in the order of execution.

    A layer takes its input, its residual and what a level of each is worth. Its attribute ``output`` is None, or the
    quantiser that says what a level of its output is worth.
    """

    def __init__(self, architecture: Architecture, make: Callable[[LayerSpec], nn.Module], quantised: bool) -> None:
        super().__init__()
        self.architecture = architecture
        self.parts = nn.ModuleList(
            Pooling(spec, quantised) if spec.kind in ("maximum", "average") else make(spec)
            for spec in architecture.layers
        )
        # the layout of kernels in memory in which a processor convolves fastest
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, activations: Tensor) -> Tensor:
        """Class scores (N, classes); an INT4 network's are those of the engine times the scale of its last layer.

        Args:
            activations: floats (N, C, H, W), whole numbers 0..15.
        """
        tensors, steps = {INPUT: activations * INPUT_STEP}, {INPUT: torch.tensor(INPUT_STEP)}
        for spec, part in zip(self.architecture.layers, self.parts, strict=True):
            residual = (None, None) if spec.residual is None else (tensors[spec.residual], steps[spec.residual])
            tensors[spec.name] = part(tensors[spec.input], residual[0], steps[spec.input], residual[1])
            output: OutputStep | None = part.output  # type: ignore[assignment]
            steps[spec.name] = steps[spec.input] if output is None else output.used
        return tensors[self.architecture.layers[-1].name].flatten(1)


class FloatNetwork(LayeredNetwork):
    """What is pretrained and pruned."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture, FloatLayer, quantised=False)

    def depthwise(self) -> list[nn.Conv2d]:
        """The depth-wise layers, whose taps are pruned."""
        return [part.depthwise for part in self.parts if isinstance(part, FloatLayer) and part.depthwise is not None]

    def convolutions(self) -> list[nn.Conv2d]:
        """What densities prune: the convolution of every layer, the point-wise one behind a depth-wise kernel included.

        The classifier is left whole: it is small, and its output channels are the classes.
        """
        return [part.conv for part in self.parts if isinstance(part, FloatLayer) and part.norm is not None]

    def shifts(self) -> dict[str, LearnedShift]:
        """The learned shifts by layer."""
        parts = [part for part in self.parts if isinstance(part, FloatLayer)]
        return {part.spec.name: part.shift for part in parts if part.shift is not None}

    def penalty(self) -> Tensor:
        """Sum of the magnitudes of all learned shifts."""
        return sum((shift.penalty() for shift in self.shifts().values()), torch.zeros(()))


class Int4Network(LayeredNetwork):
    """What the engine runs, while it is trained."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture, Int4Layer, quantised=True)

    def whole_scores(self, activations: Tensor) -> Tensor:
        """The engine's scores, whole numbers (N, classes), so that equal ones are equal; arguments as of forward."""
        last = self.parts[-1]
        assert isinstance(last, Int4Layer)
        scores: Tensor = self(activations)
        before = self.parts[-2].output
        assert isinstance(before, OutputStep)
        return torch.round(scores / (last.weight_step * before.used))

    def start_from(self, trained: FloatNetwork, sample: Tensor) -> None:
        """Take over a trained FP32 network, and choose the ranges of activations layer by layer.

        Each layer's first step is chosen on what the layers before it give once they are quantised.

        Args:
            sample: floats (N, C, H, W), whole numbers 0..15: some training images.
        """
        for mine, other in zip(self.parts, trained.parts, strict=True):
            if isinstance(mine, Int4Layer) and isinstance(other, FloatLayer):
                mine.start_from(other)
        with torch.no_grad():
            self(sample)

    def make_masks(self) -> None:
        """Give the layers whose weights a density prunes a mask, for a checkpoint to fill."""
        for part in self.parts:
            if isinstance(part, Int4Layer) and part.output is not None:
                part.kept = torch.ones_like(part.weight)

    def set_dynamic(self, dynamic: bool) -> None:
        """Ranges of activations from each batch, or the learned ones (:class:`OutputStep`)."""
        for module in self.modules():
            if isinstance(module, OutputStep):
                module.dynamic = dynamic
