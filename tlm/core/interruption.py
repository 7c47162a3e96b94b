"""Ctrl-C, and signals that end a command like Ctrl-C, even while a trace is being written."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP as an exception, for the same clean-up as Ctrl-C; its argument is the signal's number."""

    def __str__(self) -> str:
        return f"ended by {signal.Signals(self.args[0]).name}; no result was written"


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated(number)


_TERMINATING = (signal.SIGTERM, signal.SIGHUP)
_RAISING: dict[signal.Signals, Callable[[int, FrameType | None], None]] = {
    signal.SIGINT: signal.default_int_handler, **dict.fromkeys(_TERMINATING, _terminate),
}  # fmt: skip


@contextmanager
def termination_interrupts() -> Iterator[None]:
    """SIGTERM and SIGHUP raise :class:`Terminated` while the block runs, unless somebody has said otherwise (nohup)."""
    usual = [number for number in _TERMINATING if signal.getsignal(number) is signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        usual = []
    for number in usual:
        signal.signal(number, _terminate)
    try:
        yield
    finally:
        for number in usual:
            signal.signal(number, signal.SIG_DFL)


def stopped_by(interrupt: BaseException | None) -> int:
    """The signal behind an interruption."""
    while interrupt is not None:
        if isinstance(interrupt, Terminated):
            return int(interrupt.args[0])
        interrupt = interrupt.__context__
    return signal.SIGINT


@contextmanager
def interruption_waits() -> Iterator[None]:
    """Ctrl-C counts when the block is left, so that a file can be finished; a second one counts at once.

    So do the other signals that interrupt. Nothing changes in other threads, which Python interrupts never, and for
    signals for which the program has a handler of its own.
    """
    usual = [number for number, handler in _RAISING.items() if signal.getsignal(number) is handler]
    if threading.current_thread() is not threading.main_thread():
        usual = []
    pressed: list[signal.Signals] = []

    def press(number: int, frame: FrameType | None) -> None:
        if pressed:
            _RAISING[signal.Signals(number)](number, frame)
        pressed.append(signal.Signals(number))

    for number in usual:
        signal.signal(number, press)
    try:
        yield
    finally:
        for number in usual:
            signal.signal(number, _RAISING[number])
    for number in pressed:
        _RAISING[number](number, None)
