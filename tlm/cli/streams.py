"""Standard streams as a command can rely on: always there, never raw, and their failures have a name."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from tlm.core.errors import escaped


class OutputError(Exception):
    """Standard output takes no more; the argument is the system's error."""


class _Stream:
    """A stream whose failure is told once.

    Standard output raises :class:`OutputError`; standard error has nobody left to tell, and the work goes on.
    """

    def __init__(self, stream: TextIO, required: bool) -> None:
        self.plain = stream
        self._required = required

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plain, name)

    def write(self, text: str) -> int:
        """Write it."""
        with self._told():
            self.plain.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush it."""
        with self._told():
            self.plain.flush()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            with suppress(OSError):  # Python flushes once more when it ends, and would complain
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.plain.fileno())
            if self._required:
                raise OutputError(error) from None


class _Escaping(_Stream):
    """What commands print to: what names and files have of control characters is shown, not sent."""

    def __init__(self, stream: TextIO, required: bool) -> None:
        super().__init__(stream, required)
        self.rich_proxied_file = _Stream(stream, required)
        """Where Rich writes, whose colours are such characters; :class:`tlm.results.console.Terminal` escapes."""

    def write(self, text: str) -> int:
        """Write it, escaped."""
        return super().write(escaped(text))


def open_closed_streams() -> None:
    """Give a process that was started without some standard stream (``>&-``, daemons) an empty one.

    Otherwise the next file that is opened would get its number, and with it what C libraries print.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)  # the lowest free number
            os.set_inheritable(descriptor, True)
            setattr(sys, name, open(descriptor, "w" if number else "r", encoding="utf-8"))  # noqa: SIM115


@contextmanager
def escaped_streams() -> Iterator[None]:
    """Standard output and error escape what a terminal would act on, or cannot show, while the block runs."""
    before = sys.stdout, sys.stderr
    for stream in before:
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="backslashreplace")
    output: Any = _Escaping(sys.stdout, required=True)
    errors: Any = _Escaping(sys.stderr, required=False)
    sys.stdout, sys.stderr = output, errors
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


@contextmanager
def plain_streams() -> Iterator[None]:
    """Within :func:`escaped_streams`: the streams as Python has made them, for a program that is not ours."""
    before: tuple[Any, Any] = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (getattr(stream, "plain", stream) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
