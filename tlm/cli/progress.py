"""Progress on stderr, where a person watches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tlm.core.errors import one_line


@contextmanager
def progress(text: str, total: int | None = None) -> Iterator[Callable[[], None]]:
    """A spinner with the elapsed time, or a bar if there is a total; gives what counts one step.

    Nothing is shown where stderr is no terminal.
    """
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from tlm.results.console import Terminal

    bar = (BarColumn(), MofNCompleteColumn()) if total is not None else ()
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), *bar, TimeElapsedColumn())
    with Progress(*columns, console=Terminal(stderr=True), transient=True) as shown:
        task = shown.add_task(text, total=total)
        yield lambda: shown.advance(task)


@contextmanager
def rated_progress(text: str, total: int, unit: str) -> Iterator[Callable[[], None]]:
    """A bar with the rate and the remaining time; gives what counts one step."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    from tlm.results.console import Terminal

    class Rate(TextColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:,.1f} {unit}/s")

    bar = (BarColumn(), MofNCompleteColumn(), Rate(""), TimeRemainingColumn())
    with Progress(
        TextColumn("{task.description}", markup=False), *bar, console=Terminal(stderr=True), transient=True
    ) as shown:
        task = shown.add_task(text, total=total)
        yield lambda: shown.advance(task)


def show(text: str) -> None:
    """One line that the next overwrites; an empty text clears it. Nothing if stderr is no terminal."""
    if sys.stderr.isatty():
        plain = getattr(sys.stderr, "plain", sys.stderr)
        print(f"\r\x1b[K{one_line(text)}", end="", file=plain, flush=True)
