"""``tlm info``: what is installed, and what the machine offers."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tlm.cli.arguments import Commands

_PACKAGES = ("simpy", "numpy", "cffi", "pyvcd", "msgspec", "rich")
_OPTIONAL = {"matplotlib": "plot"}
"""Package -> the extra that brings it."""
_VIEWERS = ("gtkwave", "surfer")


def add_parser(commands: Commands) -> None:
    """The arguments of ``tlm info``."""
    parser = commands.add_parser("info", help="print versions, the kernels' instruction set, and viewers found")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print a line per fact."""
    import platform
    import shutil
    from importlib.metadata import version

    from tlm.chip.kernels import simd

    viewers = [name for name in _VIEWERS if shutil.which(name)]
    facts = {
        "cartesian-tlm": version("cartesian-tlm"),
        "Python": f"{platform.python_version()} ({platform.system()} {platform.machine()})",
        **{package: version(package) for package in _PACKAGES},
        **{package: _optional(package, extra) for package, extra in _OPTIONAL.items()},
        "C kernels": simd(),
        "waveform viewers": ", ".join(viewers) or f"none ({' or '.join(_VIEWERS)} would do)",
    }
    width = max(map(len, facts))
    for name, value in facts.items():
        print(f"{name:{width}}  {value}")
    return 0


def _optional(package: str, extra: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return f"not installed (pip install 'cartesian-tlm[{extra}]')"
