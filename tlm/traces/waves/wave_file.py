"""The files of a waveform: the dump, and beside it GTKWave's layout, Surfer's, and the names of states.

FST is made from a finished dump by GTKWave's ``vcd2fst``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from tlm.chip.config import ChipConfig
from tlm.core.errors import InputError
from tlm.core.files import whole_file
from tlm.traces.trace_file import BUFFER_BYTES, TraceFile
from tlm.traces.trace_options import WaveLevel
from tlm.traces.waves import labels
from tlm.traces.waves.gtkwave import View, save_file_text
from tlm.traces.waves.signal_kinds import Signal
from tlm.traces.waves.surfer import command_file_text
from tlm.traces.waves.writer import Writer

_CONVERTER = "vcd2fst"
_NO_DATE = "no date: equal runs give equal bytes"


class WaveFile(TraceFile):
    """A waveform on its way to its place.

    Args:
        path: .vcd or .fst; an older file is replaced.
        config: core clock and supply.

    Raises:
        InputError: it cannot be made there.
    """

    def __init__(self, path: Path, config: ChipConfig) -> None:
        if path.suffix == ".fst" and shutil.which(_CONVERTER) is None:
            raise InputError(
                f"trace.wave: {path} needs the program {_CONVERTER}, which is not installed (it comes with GTKWave: "
                "Debian package gtkwave); install it, or give a .vcd file"
            )
        super().__init__(path, "trace.wave")
        self._config = config
        self._signals: Sequence[Signal] = ()

    def _open(self) -> IO[str]:
        return self.temporary.open("w", buffering=BUFFER_BYTES, encoding="ascii", newline="\n")

    def writer(self, level: WaveLevel, signals: Sequence[Signal], remark: str) -> Writer:
        """Begin the dump. Its head says nothing of the date, but the converter would put in the present one then."""
        self._signals, khz = signals, self._config.clock_khz
        comment = (
            f"level {level.value}; cycle c begins at c * 1e9 // {khz} ps: core clock {khz} kHz "
            f"at {self._config.voltage_v:g} V; {remark}"
        )
        return Writer(self.stream, comment, signals, _NO_DATE if self.path.suffix == ".fst" else "")

    def finish(self, view: View) -> None:
        """Put the dump in its place, with its layout.

        Raises:
            OSError: the disk did not take it all.
            InputError: the converter failed.
        """
        self.stream.close()
        self.place()
        label_file = self.path.with_suffix(".labels.txt")
        with whole_file(label_file) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in labels.filter_lines()))
        layout = save_file_text(self.path.name, label_file.name, self._signals, view, self._config.clock_khz)
        commands = command_file_text(self.path.name, self._signals, view, self._config.clock_khz)
        for suffix, text in ((".gtkw", layout), (".sucl", commands)):
            with whole_file(self.path.with_suffix(suffix)) as temporary:
                temporary.write_text(text)

    def place(self) -> None:
        """Put the closed dump in its place, alone.

        Raises:
            OSError: the disk did not take it all.
            InputError: the converter failed.
        """
        if self.path.suffix == ".fst":
            self._convert()
        else:
            self.take_place()

    def _convert(self) -> None:
        made = self.temporary.with_name(f"{self.temporary.name}.fst")
        try:
            done = subprocess.run([_CONVERTER, self.temporary, made], capture_output=True, text=True, check=False)
            if done.returncode or not made.exists():
                said = (done.stderr or done.stdout).strip().splitlines()
                dump = self.path.with_suffix(".vcd")
                os.replace(self.temporary, dump)
                raise InputError(
                    f"trace.wave: {self.path} was not made: {_CONVERTER} ended with exit code {done.returncode}"
                    f"{f' ({said[-1]})' if said else ''}; the waveform is in {dump.name}"
                )
            os.replace(made, self.path)
        finally:
            with suppress(OSError):
                made.unlink()
