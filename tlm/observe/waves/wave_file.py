"""The files of a waveform: the dump, and beside it GTKWave's layout and the names of states.

A dump grows under another name and takes its place when it is closed, whichever way the run ends. FST is made from a
finished dump by GTKWave's ``vcd2fst``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from tlm.core.errors import InputError
from tlm.core.files import temporary_path, whole_file
from tlm.observe.waves import labels
from tlm.observe.waves.layout import Group
from tlm.observe.waves.save_file import View, save_file_text

_BUFFER_BYTES = 1 << 20
_CONVERTER = "vcd2fst"
_NO_DATE = "no date: equal runs give equal bytes"


def check_wave_path(path: Path) -> None:
    """Nothing if a waveform can be made there, as far as can be said before.

    Raises:
        InputError: something else is there; the converter for FST is missing.
    """
    if path.exists() and not path.is_file():
        raise InputError(f"wave: {path} is not a regular file; give the path of a file to write")
    if path.suffix == ".fst" and shutil.which(_CONVERTER) is None:
        raise InputError(
            f"wave: {path} needs the program {_CONVERTER}, which is not installed (it comes with GTKWave: "
            "Debian package gtkwave); install it, or give a .vcd file"
        )


class WaveFile:
    """A waveform on its way to its place.

    Args:
        path: .vcd or .fst; an older file is replaced.

    Raises:
        InputError: it cannot be made there.
    """

    def __init__(self, path: Path) -> None:
        check_wave_path(path)
        self._path = path
        self._temporary = temporary_path(path)
        try:
            self.stream = self._open()
        except OSError as error:
            raise self.refusal(error) from None

    @property
    def date(self) -> str:
        """What the dump has to say of the date: nothing, but the converter would put in the present one then."""
        return _NO_DATE if self._path.suffix == ".fst" else ""

    def _open(self) -> IO[str]:
        return self._temporary.open("w", buffering=_BUFFER_BYTES, encoding="ascii", newline="\n")

    def finish(self, groups: Sequence[Group], view: View) -> None:
        """Put the dump in its place, with its layout.

        Args:
            groups: what GTKWave shows.
            view: which time it shows.

        Raises:
            OSError: the disk did not take it all.
            InputError: the converter failed.
        """
        self.stream.close()
        if self._path.suffix == ".fst":
            self._convert()
        else:
            os.replace(self._temporary, self._path)
        label_file = self._path.with_suffix(".labels.txt")
        with whole_file(label_file) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in labels.filter_lines()))
        with whole_file(self._path.with_suffix(".gtkw")) as temporary:
            temporary.write_text(save_file_text(self._path.name, label_file.name, groups, view))

    def discard(self) -> None:
        """Close and remove what has not taken its place."""
        with suppress(OSError):
            self.stream.close()
        with suppress(OSError):
            self._temporary.unlink()

    def refusal(self, error: OSError) -> InputError:
        """What to tell the user."""
        return InputError(
            f"wave: {self._path} cannot be written ({error.strerror}); "
            "give a path in an existing directory that is writable and has room"
        )

    def _convert(self) -> None:
        made = self._temporary.with_name(f"{self._temporary.name}.fst")
        try:
            done = subprocess.run([_CONVERTER, self._temporary, made], capture_output=True, text=True, check=False)
            if done.returncode or not made.exists():
                said = (done.stderr or done.stdout).strip().splitlines()
                dump = self._path.with_suffix(".vcd")
                os.replace(self._temporary, dump)
                raise InputError(
                    f"wave: {self._path} was not made: {_CONVERTER} ended with exit code {done.returncode}"
                    f"{f' ({said[-1]})' if said else ''}; the waveform is in {dump.name}"
                )
            os.replace(made, self._path)
        finally:
            with suppress(OSError):
                made.unlink()
