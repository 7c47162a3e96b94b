"""The chip that this project builds, and the network that it is tested with."""

import numpy as np
import pytest

import tlm


@pytest.fixture(scope="session")
def tlm_chip_overrides():
    """What our chip differs in from the default one; the plugin's fixtures start from it."""
    return {"amem_banks": 8, "host_access_ns": 100}


@pytest.fixture(scope="session")
def network():
    """3x3 from 32 to 64 channels, of which a third of the taps is left, then 1x1 back to 32."""
    rng = np.random.default_rng(1)
    weights = rng.integers(-8, 8, (64, 32, 3, 3))
    weights[:, :, :2, :] = 0
    return tlm.Network(
        (32, 14, 14),
        [
            tlm.Conv2d("c1", weights, padding=1, multiplier=3, shift=9),
            tlm.Conv2d("c2", rng.integers(-8, 8, (32, 64, 1, 1)), multiplier=3, shift=9),
        ],
    )


@pytest.fixture(scope="session")
def image():
    return np.random.default_rng(2).integers(0, 16, (32, 14, 14))
