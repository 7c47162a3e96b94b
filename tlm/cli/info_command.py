"""``tlm info``: what is installed, and what the machine offers."""

import argparse
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version

from tlm.chip.kernels import simd

_PACKAGES = ("simpy", "numpy", "cffi", "pyvcd", "msgspec", "rich", "matplotlib")
_VIEWERS = ("gtkwave", "surfer")


def run(arguments: argparse.Namespace) -> int:
    """Print a line per fact."""
    viewers = [name for name in _VIEWERS if shutil.which(name)]
    facts = {
        "cartesian-tlm": version("cartesian-tlm"),
        "Python": f"{platform.python_version()} ({platform.system()} {platform.machine()})",
        **{package: _version(package) for package in _PACKAGES},
        "C kernels": simd(),
        "waveform viewers": ", ".join(viewers) or f"none ({' or '.join(_VIEWERS)} would do)",
    }
    width = max(map(len, facts))
    for name, value in facts.items():
        print(f"{name:{width}}  {value}")
    return 0


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # of these, only matplotlib is optional
        return "not installed (pip install 'cartesian-tlm[plot]')"
