"""Writes the trace of a run for timeline viewers, when the run is left, whichever way."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO

import msgspec

from tlm.core.errors import TlmError
from tlm.core.files import PendingFile
from tlm.core.interruption import interruption_waits
from tlm.observe.watched import Watched
from tlm.traces.timeline.content import MAX_EVENTS, Content, content
from tlm.traces.timeline.run_view import EngineWatcher, RunView
from tlm.traces.timeline.transfers import TransferWatcher


class TimelineTrace:
    """Context manager around a run: ``with TimelineTrace(watched, path): system.run(program.steps)``.

    The file is written under another name beside ``path`` and takes its place when the block is left: after an error or
    Ctrl-C it holds everything up to that moment.

    Args:
        watched: of a system that has not started.
        path: the file; an older one is replaced. Ends in .gz: compressed.
        max_events: of the trace; the finest levels are left out where there are more.

    Raises:
        InputError: on entry, if the file cannot be written there; on leaving, if the disk did not take it all.
    """

    def __init__(self, watched: Watched, path: Path, max_events: int = MAX_EVENTS) -> None:
        self._watched = watched
        self._path = path
        self._max_events = max_events

    def __enter__(self) -> TimelineTrace:
        self._file = PendingFile(self._path, "trace.timeline")
        try:
            self._stream = self._open()
        except OSError as error:
            raise self._file.refusal(error) from None
        system = self._watched.system
        self._transfers = TransferWatcher(system, max_bursts=self._max_events + 1)
        self._engine = EngineWatcher(self._watched)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            with interruption_waits():
                self._finish(None if error is None else _told(error))
        except OSError as failure:
            if error is None:
                raise self._file.refusal(failure) from None
        finally:
            self._discard()

    def _finish(self, stopped_by: str | None) -> None:
        view = RunView(self._watched, self._engine)
        trace = content(view, self._transfers, self._max_events, stopped_by)
        with self._stream:
            self._write(trace)
        self._file.take_place()

    def _write(self, trace: Content) -> None:
        if not self._path.name.endswith(".gz"):
            self._stream.writelines(_lines(trace))
            return
        # neither a name nor a date in the header: the same run must give the same bytes
        with gzip.GzipFile("", "wb", 6, self._stream, mtime=0) as packed:
            packed.writelines(_lines(trace))

    def _discard(self) -> None:
        """Close and remove what has not taken its place."""
        with suppress(OSError):
            self._stream.close()
        self._file.discard()

    def _open(self) -> IO[bytes]:
        return self._file.temporary.open("wb")


def _told(error: BaseException) -> str:
    """What stopped a run; the text of others than our own errors may differ from machine to machine."""
    name = type(error).__name__
    return f"{name}: {error}" if isinstance(error, TlmError) else name


def _lines(trace: Content) -> Iterator[bytes]:
    """One event a line, so that the file can be read and searched line by line."""
    head = msgspec.json.encode(trace.head)
    yield b'{"displayTimeUnit":"ns","otherData":' + head + b',"traceEvents":['
    separator = b"\n"
    for line in (*trace.names, *(event.line for event in trace.events)):
        yield separator + line
        separator = b",\n"
    yield b"\n]}\n"
