"""The waveform of a run as a value change dump (IEEE 1800, clause 21.7), for GTKWave and its like.

An observer: it subscribes to sockets and probes and changes neither a cycle nor an output. The unit of time is 1 ps
at the operating point's clock; cycle c begins at c * 1e9 // clock_khz ps [D].
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO

from tlm.chip.chip import System
from tlm.compiler.program import Program
from tlm.core.errors import InputError
from tlm.core.files import temporary_path
from tlm.observe.vcd_blocks import watch_system
from tlm.observe.vcd_signals import Dump

_BUFFER_BYTES = 1 << 20


class VcdWriter:
    """Context manager around a run: ``with VcdWriter(system, program, path): system.run(program.steps)``.

    The file grows under another name beside ``path`` and takes its place when the block is left, whichever way: after
    an error or Ctrl-C it holds everything up to that moment and ends with a timestamp.

    Args:
        system: what is watched; it must not have started.
        program: for the names of layers and transfers.
        path: the file; an older one is replaced.

    Raises:
        InputError: on entry, if the file cannot be written there; on leaving, if the disk did not take it all.
    """

    def __init__(self, system: System, program: Program, path: Path) -> None:
        self._system = system
        self._program = program
        self._path = path
        self._temporary = temporary_path(path)

    def __enter__(self) -> VcdWriter:
        self._stream = self._open()
        try:
            self._dump = self._declare()
        except BaseException as error:  # no run, no file
            self._discard()
            if isinstance(error, OSError):
                raise self._refusal(error) from None
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            with self._stream:
                self._dump.close()
            os.replace(self._temporary, self._path)
            if isinstance(error, OSError):  # nothing in a run but this file touches the system
                raise error
        except OSError as failure:
            if error is None or isinstance(error, OSError):
                raise self._refusal(failure) from None
        finally:
            self._discard()

    def _declare(self) -> Dump:
        config = self._system.config
        comment = (
            f"cycle c begins at c * 1e9 // {config.clock_khz} ps: core clock {config.clock_khz} kHz "
            f"at {config.voltage_v:g} V; a signal has one value a cycle"
        )
        dump = Dump(self._stream, self._system.simulation.clock, config.clock_khz, comment)
        watch_system(dump, self._system, self._program)
        dump.start()
        return dump

    def _discard(self) -> None:
        """Close and remove what has not taken its place."""
        with suppress(OSError):
            self._stream.close()
        with suppress(OSError):
            self._temporary.unlink()

    def _open(self) -> IO[str]:
        if self._path.exists() and not self._path.is_file():
            raise InputError(f"vcd: {self._path} is not a regular file; give the path of a file to write")
        try:
            return self._temporary.open("w", buffering=_BUFFER_BYTES, encoding="ascii", newline="\n")
        except OSError as error:
            raise self._refusal(error) from None

    def _refusal(self, error: OSError) -> InputError:
        return InputError(
            f"vcd: {self._path} cannot be written ({error.strerror}); "
            "give a path in an existing directory that is writable and has room"
        )
