"""``tlm wave``: a waveform in GTKWave (or Surfer, if that is what there is)."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tlm.core.errors import InputError

if TYPE_CHECKING:
    from tlm.cli.arguments import Commands

_DUMPS = (".vcd", ".fst")
_HOW = "`tlm run SCENARIO --wave FILE.vcd` makes one"


def add_parser(commands: Commands) -> None:
    """The arguments of ``tlm wave``."""
    parser = commands.add_parser("wave", help="open a waveform in GTKWave or Surfer")
    parser.add_argument("path", metavar="PATH", type=Path, help="a .vcd, .fst or .gtkw file, or a directory with one")
    parser.set_defaults(run=run)


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
        return _only_dump(path)
    if path.suffix == ".gtkw":
        found = [path.with_suffix(suffix) for suffix in _DUMPS if path.with_suffix(suffix).is_file()]
        if not found:
            raise InputError(f"{path}: the dump that it shows is not beside it ({path.stem}.vcd or .fst); {_HOW}")
        return found[0]
    if path.suffix not in _DUMPS:
        raise InputError(f"{path}: is no waveform; give a .vcd, .fst or .gtkw file, or a directory with one; {_HOW}")
    if not path.is_file():
        raise InputError(f"{path}: no such file; {_HOW}")
    return path


def layout_of(dump: Path) -> Path:
    """GTKWave's save file beside a dump."""
    return dump.with_suffix(".gtkw")


def viewer_command(dump: Path) -> Sequence[str] | None:
    """What to start in the dump's directory; None if no viewer is installed."""
    if shutil.which("gtkwave") is not None:
        layout = [layout_of(dump).name] if layout_of(dump).is_file() else []
        return ["gtkwave", dump.name, *layout]
    if shutil.which("surfer") is not None:
        return ["surfer", dump.name]
    return None


def _only_dump(directory: Path) -> Path:
    found = sorted(path for path in directory.iterdir() if path.suffix in _DUMPS)
    if not found:
        raise InputError(f"{directory}: no waveform in this directory; {_HOW}")
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise InputError(f"{directory}: several waveforms ({names}); name one of them")
    return found[0]
