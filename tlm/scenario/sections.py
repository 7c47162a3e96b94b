"""What the sections of a scenario file are made of: their base, and types of keys with bounds."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from tlm.inputs.integer_arrays import Int8Array
from tlm.networks.builder import NetworkBuilder
from tlm.scenario.batch_inputs import BatchInputs

Shape: TypeAlias = tuple[int, int, int]

MAX_SEED = 2**63 - 1
Seed: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_SEED)]
Size: TypeAlias = Annotated[int, Meta(ge=1, le=65_535)]
Share: TypeAlias = Annotated[float, Meta(ge=0.0, le=1.0)]
# Pairs are tuple[X, ...] of length 2: msgspec 0.22 crashes in the garbage collector on `bounded int | tuple[X, X]`.
TWO = Meta(min_length=2, max_length=2)


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """Base of all sections that come in several kinds."""


class InputKind(Section, frozen=True):
    """What every kind of input does; each has a key or a constant ``signed``, too: -8..7 instead of 0..15."""

    @abstractmethod
    def activations(self, wanted: Shape | None) -> Int8Array:
        """int8 (C, H, W), of the shape that the network wants, if it wants one.

        Raises:
            InputError: a file that cannot be read or holds something else; another shape than the wanted one.
        """

    @abstractmethod
    def batch(self, own: Int8Array, count: int) -> BatchInputs:
        """``own``, which :meth:`activations` gave, and further inputs, ``count`` in all.

        Raises:
            InputError: there are not so many.
        """


class NetworkKind(Section, frozen=True):
    """What every kind of network does."""

    @property
    def input_shape(self) -> Shape | None:
        """(C, H, W) that the network takes; None: whatever the input gives."""
        return None

    @abstractmethod
    def add_to(self, builder: NetworkBuilder) -> None:
        """Add the layers, calibrated on the builder's input where the file does not give their requantisation.

        Raises:
            InputError: keys or files that do not fit each other or the input.
        """
