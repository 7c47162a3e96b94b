"""The files of a waveform: the dump, and beside it GTKWave's layout and the names of states.

A dump grows under another name and takes its place when it is closed, whichever way the run ends. FST is made from a
finished dump by GTKWave's ``vcd2fst``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from tlm.core.errors import InputError
from tlm.core.files import PendingFile, whole_file
from tlm.core.interruption import interruption_waits
from tlm.traces.waves import labels
from tlm.traces.waves.gtkwave import View, save_file_text
from tlm.traces.waves.signals import Signal

_BUFFER_BYTES = 1 << 20
_CONVERTER = "vcd2fst"
_NO_DATE = "no date: equal runs give equal bytes"


class WaveFile:
    """A waveform on its way to its place.

    Args:
        path: .vcd or .fst; an older file is replaced.

    Raises:
        InputError: it cannot be made there.
    """

    def __init__(self, path: Path) -> None:
        self._pending = PendingFile(path, "trace.wave")
        self._path = path
        if path.suffix == ".fst" and shutil.which(_CONVERTER) is None:
            raise InputError(
                f"trace.wave: {path} needs the program {_CONVERTER}, which is not installed (it comes with GTKWave: "
                "Debian package gtkwave); install it, or give a .vcd file"
            )
        self.refusal = self._pending.refusal
        try:
            self.stream = self._open()
        except OSError as error:
            raise self.refusal(error) from None

    @property
    def date(self) -> str:
        """What the dump has to say of the date: nothing, but the converter would put in the present one then."""
        return _NO_DATE if self._path.suffix == ".fst" else ""

    def _open(self) -> IO[str]:
        return self._pending.temporary.open("w", buffering=_BUFFER_BYTES, encoding="ascii", newline="\n")

    def finish(self, signals: Sequence[Signal], view: View, clock_khz: int) -> None:
        """Put the dump in its place, with its layout.

        Args:
            signals: of the dump.
            view: which time GTKWave shows.
            clock_khz: core clock.

        Raises:
            OSError: the disk did not take it all.
            InputError: the converter failed.
        """
        self.stream.close()
        if self._path.suffix == ".fst":
            self._convert()
        else:
            self._pending.take_place()
        label_file = self._path.with_suffix(".labels.txt")
        with whole_file(label_file) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in labels.filter_lines()))
        with whole_file(self._path.with_suffix(".gtkw")) as temporary:
            temporary.write_text(save_file_text(self._path.name, label_file.name, signals, view, clock_khz))

    def leave(self, error: BaseException | None, finish: Callable[[], None]) -> None:
        """What both levels do when a run is left; Ctrl-C meanwhile counts afterwards.

        Args:
            error: what ended the run, if it has not come to its end by itself.
            finish: writes what is left to write, and calls :meth:`finish`.

        Raises:
            InputError: the file could not be written, or not converted; not if the run has something to say itself.
        """
        try:
            with interruption_waits():
                finish()
        except OSError as failure:
            if error is None or isinstance(error, OSError):
                raise self.refusal(failure) from None
        except InputError:  # of the converter
            if error is None:
                raise
        finally:
            self.discard()

    def discard(self) -> None:
        """Close and remove what has not taken its place."""
        with suppress(OSError):
            self.stream.close()
        self._pending.discard()

    def _convert(self) -> None:
        grown = self._pending.temporary
        made = grown.with_name(f"{grown.name}.fst")
        try:
            done = subprocess.run([_CONVERTER, grown, made], capture_output=True, text=True, check=False)
            if done.returncode or not made.exists():
                said = (done.stderr or done.stdout).strip().splitlines()
                dump = self._path.with_suffix(".vcd")
                os.replace(grown, dump)
                raise InputError(
                    f"trace.wave: {self._path} was not made: {_CONVERTER} ended with exit code {done.returncode}"
                    f"{f' ({said[-1]})' if said else ''}; the waveform is in {dump.name}"
                )
            os.replace(made, self._path)
        finally:
            with suppress(OSError):
                made.unlink()
