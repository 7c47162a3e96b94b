"""``tlm info``: what is installed, and what the machine offers."""

import argparse
import platform
import re
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, version
from textwrap import fill

from tlm.chip.kernels import host_simds

_NAME = "cartesian-tlm"
_PACKAGES = ("simpy", "numpy", "cffi", "pyvcd", "msgspec", "rich")
_VIEWERS = ("gtkwave", "surfer")
_OF_EXTRA = re.compile(r"""([\w.-]+).*;\s*extra\s*==\s*["']([\w-]+)["']""")
"""Package and extra of a requirement in the package's metadata."""


def run(arguments: argparse.Namespace) -> int:
    """Print a line per fact."""
    viewers = [name for name in _VIEWERS if shutil.which(name)]
    facts = {
        _NAME: version(_NAME),
        "Python": f"{platform.python_version()} ({platform.system()} {platform.machine()})",
        **{package: version(package) for package in _PACKAGES},
        "C kernels": ", ".join(simd.name.lower() for simd in reversed(host_simds())),
        "waveform viewers": ", ".join(viewers) or f"none ({' or '.join(_VIEWERS)} would do)",
        **dict(_extras()),
    }
    width = max(map(len, facts))
    for name, value in facts.items():
        print(fill(value, 80, initial_indent=f"{name:{width}}  ", subsequent_indent=" " * (width + 2)))
    return 0


def _extras() -> Iterator[tuple[str, str]]:
    """A line for each extra that users install: its packages, or how to get those that are missing."""
    packages: dict[str, list[str]] = {}
    for text in distribution(_NAME).requires or ():
        if found := _OF_EXTRA.fullmatch(text):
            packages.setdefault(found[2], []).append(found[1])
    for extra, names in packages.items():
        if extra.startswith("test"):
            continue
        found_versions = {name: _version(name) for name in names}
        missing = not all(found_versions.values())
        texts = (f"{name} {found or '(missing)'}" for name, found in found_versions.items())
        yield f"extra {extra}", ", ".join(texts) + (f"; pip install '{_NAME}[{extra}]'" if missing else "")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
