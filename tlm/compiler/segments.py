"""A plan consists of segments: a few consecutive layers that are computed together, band by band.

A tensor between segments is either whole in AMem or whole in the off-chip memory. Inside a segment every tensor but the
last one exists only as the window that the present band needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, combinations

from msgspec import Struct

from tlm.compiler.checks import check_parts
from tlm.compiler.liveness import reads
from tlm.compiler.workload import Workload
from tlm.core.errors import CompileError
from tlm.network.network import Network


class Segment(Struct, frozen=True):
    """How layers ``first`` .. ``last`` run."""

    first: int
    last: int
    tiles_per_band: int
    """Of the last layer; all of them if the segment is not cut in space."""
    evict: tuple[str, ...] = ()
    """Tensors that give up their AMem before, stored off-chip unless they are there already."""
    load: tuple[str, ...] = ()
    """Inputs that are loaded whole before, and stay."""
    stream: tuple[str, ...] = ()
    """Inputs that are loaded window by window, by name."""
    keep_output: bool = True
    """The last tensor is written whole into AMem; else it is stored off-chip piece by piece."""
    most_groups: int | None = None
    """Groups of output channels of the last layer that a part may have, where its output is stored piece by piece."""
    double: bool = False
    """Room for two windows of each streamed tensor: one moves while the other is worked on."""
    weights_outer: bool = False
    """Each part's weights stay for all bands, instead of all parts' for each band (single layers only)."""


def shared_from(network: Network, segments: Sequence[Segment]) -> int:
    """The first of the segments at the end whose parts a batch can run for all images, one part after another.

    Each is a single layer. It leaves nothing in AMem, and finds nothing there but what it loads for each part.
    """
    first = len(segments)
    for index in range(len(segments) - 1, -1, -1):
        one = segments[index]
        alone = one.first == one.last and one.weights_outer and not (one.keep_output or one.load)
        if not alone or set(reads(network, one.first)) - set(one.stream):
            break
        first = index
        if one.evict:
            break
    return first


def check_segments(work: Workload, segments: Sequence[Segment]) -> None:
    """Check segments that come from a file.

    Raises:
        CompileError: they are not all layers in order, or cut where no load can begin, or cut into too many bands.
    """
    layers, following, parts = work.network.layers, 0, 0
    for segment in segments:
        if segment.first != following or not segment.first <= segment.last < len(layers):
            raise CompileError(f"network: layers {segment.first} to {segment.last} are no segment of it here")
        tiles, cut = work.plane_words[layers[segment.last].name], segment.tiles_per_band
        if cut < 1 or (cut < tiles and cut % work.grain) or (segment.most_groups or 1) < 1:
            raise CompileError(f"network: layers {segment.first} to {segment.last} cannot be cut as said")
        following = segment.last + 1
        parts += -(-tiles // cut) * (following - segment.first)
        check_parts(parts)
    if following != len(layers):
        raise CompileError(f"network: layers from {following} on are in no segment")


def subsets(names: Sequence[str]) -> list[tuple[str, ...]]:
    """All subsets, the largest first."""
    sizes = range(len(names), -1, -1)
    return list(chain.from_iterable(combinations(names, size) for size in sizes))
