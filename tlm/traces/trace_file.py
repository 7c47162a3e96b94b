"""The file of a trace: it grows under another name and takes its place when its run is left, whichever way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from tlm.core.errors import InputError
from tlm.core.files import PendingFile
from tlm.core.interruption import interruption_waits

BUFFER_BYTES = 1 << 20

Finish = Callable[[BaseException | None], None]
"""finish(what ended the run, if it has not come to its end): writes what is left, and puts the file in its place."""


class TraceFile(PendingFile):
    """A trace on its way to its place.

    Args:
        path: an older file is replaced.
        key: the option or argument that named it, for messages.

    Raises:
        InputError: it cannot be made there.
    """

    def __init__(self, path: Path, key: str) -> None:
        super().__init__(path, key)
        self.path = path
        try:
            self.stream = self._open()
        except OSError as error:
            raise self.refusal(error) from None

    def _open(self) -> IO[Any]:
        return self.temporary.open("wb", buffering=BUFFER_BYTES)

    @contextmanager
    def around_run(self, finish: Finish) -> Iterator[None]:
        """Finish the file when the block is left; Ctrl-C meanwhile counts afterwards.

        Raises:
            InputError: the file could not be written, or not converted; not if the run has something to say itself.
        """
        ended_by: BaseException | None = None
        try:
            yield
        except BaseException as error:
            ended_by = error
            raise
        finally:
            try:
                with interruption_waits():
                    finish(ended_by)
            except OSError as failure:
                if ended_by is None or isinstance(ended_by, OSError):
                    raise self.refusal(failure) from None
            except InputError:  # of a converter
                if ended_by is None:
                    raise
            finally:
                self.discard()

    def discard(self) -> None:
        """Close and remove what has not taken its place."""
        with suppress(OSError):
            self.stream.close()
        super().discard()
