"""Progress on stderr, where a person watches; nothing where stderr is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tlm.core.errors import one_line

if TYPE_CHECKING:
    from tlm.compiler.program import Program


@contextmanager
def progress(text: str, total: int | None = None) -> Iterator[Callable[..., None]]:
    """A spinner with the elapsed time, or a bar with the remaining time if there is a total.

    Gives what counts one, or as many as it is told.
    """
    if not sys.stderr.isatty():
        yield lambda count=1: None
        return
    from rich import progress as columns
    from rich.table import Column

    from tlm.results.console import Terminal

    whole = Column(no_wrap=True)  # where the line is too long, the bar gives way
    counted = columns.MofNCompleteColumn(table_column=whole), columns.TimeRemainingColumn(table_column=whole)
    bar = () if total is None else (columns.BarColumn(), *counted)
    words = columns.TextColumn("{task.description}", markup=False)
    # Given by name: Rich would look behind its own redirection of stderr alone, and find the stream that escapes.
    console = Terminal(file=getattr(sys.stderr, "rich_proxied_file", sys.stderr))
    with columns.Progress(
        columns.SpinnerColumn(), words, *bar, columns.TimeElapsedColumn(), console=console, transient=True
    ) as shown:
        task = shown.add_task(text, total=total)
        yield lambda count=1: shown.advance(task, count)


@contextmanager
def simulation(name: str, program: Program) -> Iterator[Callable[[int], None] | None]:
    """Progress by simulated cycles, of those that the compiler predicted, and at the end how fast it was.

    Gives what has to be told of the cycles until now; None where nobody watches.
    """
    if not sys.stderr.isatty():
        yield None
        return
    now = 0
    started = time.perf_counter()
    with progress(f"simulating {name}, cycles", program.predicted_total_cycles) as advance:

        def show(cycles: int) -> None:
            nonlocal now
            before, now = now, cycles
            advance(now - before)

        yield show
    seconds = time.perf_counter() - started
    print(f"host: {now / seconds:,.0f} simulated cycles a second in {seconds:.2f} s (measured)", file=sys.stderr)


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
