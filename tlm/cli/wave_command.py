"""``tlm wave``: a waveform in GTKWave (or Surfer, if that is what there is)."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tlm.core.errors import InputError

_DUMPS = (".vcd", ".fst")
_HOW = "`tlm run SCENARIO --wave FILE.vcd` makes one"


def run(arguments: argparse.Namespace) -> int:
    """Start the viewer and wait until it is closed; without a screen or a viewer, say how to open the file."""
    dump = find_dump(arguments.path)
    command = viewer_command(dump)
    if command is None:
        raise InputError(
            f"{dump}: no viewer was found; install GTKWave (Debian: apt install gtkwave) or Surfer, then: "
            f"cd {dump.parent} && gtkwave {layout_of(dump).name}"
        )
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise InputError(
            f"{dump}: there is no screen here (DISPLAY is not set); copy {dump.name}, {layout_of(dump).name} and "
            f"{dump.with_suffix('.labels.txt').name} to a machine with one, and there: gtkwave {layout_of(dump).name}"
        )
    # the layout names its files relative to where it is
    return subprocess.run(command, cwd=dump.parent, check=False).returncode


def find_dump(path: Path) -> Path:
    """The dump that a path means.

    Raises:
        InputError: there is none, or there are several.
    """
    if path.is_dir():
        found = sorted(one for one in path.iterdir() if one.suffix in _DUMPS)
        if len(found) > 1:
            names = ", ".join(one.name for one in found)
            raise InputError(f"{path}: several waveforms ({names}); name one of them")
        missing = f"no waveform in this directory; {_HOW}"
    elif path.suffix == ".gtkw":
        found = [dump for suffix in _DUMPS if (dump := path.with_suffix(suffix)).is_file()]
        missing = f"the dump that it shows is not beside it ({path.stem}.vcd or .fst); {_HOW}"
    elif path.suffix in _DUMPS:
        found = [path] if path.is_file() else []
        missing = f"no such file; {_HOW}"
    else:
        raise InputError(f"{path}: is no waveform; give a .vcd, .fst or .gtkw file, or a directory with one; {_HOW}")
    if not found:
        raise InputError(f"{path}: {missing}")
    return found[0]


def layout_of(dump: Path) -> Path:
    """GTKWave's save file beside a dump."""
    return dump.with_suffix(".gtkw")


def viewer_command(dump: Path) -> Sequence[str] | None:
    """What to start in the dump's directory; None if no viewer is installed."""
    if shutil.which("gtkwave") is not None:
        layout = [layout_of(dump).name] if layout_of(dump).is_file() else []
        return ["gtkwave", dump.name, *layout]
    if shutil.which("surfer") is not None:
        commands = dump.with_suffix(".sucl")
        return ["surfer", dump.name, *(["--command-file", commands.name] if commands.is_file() else [])]
    return None
