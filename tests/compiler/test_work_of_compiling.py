"""Compiling takes work in proportion to a network, counted in calls of functions: these are equal on all machines."""

from __future__ import annotations

import cProfile
import pstats

import numpy as np
import pytest

import tlm
from tlm.chip.config import ChipConfig

_MORE_THAN_DOUBLE = 2.1
"""A doubled network may take so many times the calls."""


def convolution(name: str, outputs: int) -> tlm.Conv2d:
    weights = np.random.default_rng(0).integers(-8, 8, (outputs, 8, 3, 3))
    return tlm.Conv2d(name, weights, padding=1, shift=9)


def bands(count: int) -> tuple[tlm.Network, ChipConfig]:
    """A layer whose map fits AMem only in bands, and its weights WMem only in parts."""
    return tlm.Network((8, 16 * count, 256), [convolution("a", 64)]), ChipConfig(amem_words=320, wmem_words=128)


def groups(count: int) -> tuple[tlm.Network, ChipConfig]:
    """A layer with as many parts as groups of output channels."""
    return tlm.Network((8, 8, 8), [convolution("a", 32 * count)]), ChipConfig(amem_words=1024, wmem_words=128)


def layers(count: int) -> tuple[tlm.Network, ChipConfig]:
    return tlm.Network((8, 8, 8), [convolution(f"l{index}", 8) for index in range(count)]), ChipConfig()


def calls(network: tlm.Network, chip: ChipConfig) -> tuple[int, int]:
    """Calls of functions, and parts of the program."""
    profile = cProfile.Profile()
    program = profile.runcall(tlm.compile, network, chip)
    return pstats.Stats(profile).total_calls, len(program.parts)  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "count"), [(bands, 6), (groups, 256), (layers, 50)])
def test_a_doubled_network_takes_twice_the_calls(kind: object, count: int) -> None:
    tlm.compile(*layers(2))  # modules are imported once
    assert callable(kind)
    few, many = calls(*kind(count)), calls(*kind(2 * count))
    assert many[0] / few[0] <= _MORE_THAN_DOUBLE * (many[1] / few[1]) / 2
