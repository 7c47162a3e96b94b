"""Progress on stderr, where a person watches; nothing where stderr is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tlm.core.errors import one_line


@contextmanager
def progress(text: str, total: int | None = None) -> Iterator[Callable[[], None]]:
    """A spinner with the elapsed time, or a bar with the remaining time if there is a total; gives what counts one."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich import progress as columns

    from tlm.results.console import Terminal

    known = total is not None
    bar = (columns.BarColumn(), columns.MofNCompleteColumn(), columns.TimeRemainingColumn()) if known else ()
    words = columns.TextColumn("{task.description}", markup=False)
    console = Terminal(stderr=True)
    with columns.Progress(
        columns.SpinnerColumn(), words, *bar, columns.TimeElapsedColumn(), console=console, transient=True
    ) as shown:
        task = shown.add_task(text, total=total)
        yield lambda: shown.advance(task)


@contextmanager
def status_line() -> Iterator[Callable[[str], None]]:
    """One line that each text overwrites, and that is cleared at the end; gives what shows a text."""

    def show(text: str) -> None:
        if sys.stderr.isatty():
            plain = getattr(sys.stderr, "plain", sys.stderr)
            print(f"\r\x1b[K{one_line(text)}", end="", file=plain, flush=True)

    try:
        yield show
    finally:
        show("")
