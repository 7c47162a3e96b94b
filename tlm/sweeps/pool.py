"""Processes of this machine, as an executor that can be left at any moment."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from multiprocessing import forkserver, parent_process, resource_tracker
from multiprocessing.connection import wait
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from tlm.core.errors import TlmError
from tlm.core.garbage import collect_seldom
from tlm.core.interruption import INTERRUPTING, PRESSES, interruption_waits
from tlm.sweeps.task import worker_version

T = TypeVar("T")


class Calls(Generic[T]):
    """Calls under way in an executor, whose ends can be waited for and interrupted at any moment.

    A future's own methods take its lock for a moment. Were they left by Ctrl-C just then, the lock would stay taken,
    and the executor's thread would wait for it for ever.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._ended = SimpleQueue[Future[T]]()

    def begin(self, function: Callable[..., T], *arguments: Any) -> Future[T]:
        """Hand a call over."""
        future = self._executor.submit(function, *arguments)
        with interruption_waits(PRESSES):
            future.add_done_callback(self._ended.put)
        return future

    def next_ended(self) -> Future[T]:
        """Wait for a call to end; each is given once, and only then may its future be asked anything."""
        return self._ended.get()


class Pool(ProcessPoolExecutor):
    """Workers forked from a clean process that has imported what they need: no threads, locks or files are inherited.

    Args:
        count: of workers.

    Raises:
        TlmError: they end when they start.
    """

    def __init__(self, count: int) -> None:
        try:
            with interruption_waits(PRESSES):  # until there is something to abandon
                _start_forkserver()
                super().__init__(count, multiprocessing.get_context("forkserver"), _begin_worker)
            calls = Calls[str](self)
            calls.begin(worker_version)
            calls.next_ended().result()
        except BaseException as error:
            self.abandon()
            if isinstance(error, BrokenExecutor):
                raise TlmError(
                    "processes: workers end when they start; a Python script must start its work under "
                    "`if __name__ == '__main__':`, or take processes=1"
                ) from None
            raise

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Hand a call over; this starts a worker while there are fewer than may be.

        Raises:
            BrokenExecutor: a worker died, or none can be started.
        """
        with interruption_waits(PRESSES):  # a worker that is half started would be known to nobody, and complain
            try:
                return super().submit(fn, *args, **kwargs)
            except (EOFError, OSError) as error:
                raise BrokenExecutor(f"no worker can be started: {error}") from error

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers when they have done what they were given."""
        with interruption_waits(PRESSES):  # the thread that is waited for would count as ended though it goes on
            super().shutdown(wait, cancel_futures=cancel_futures)

    def abandon(self) -> None:
        """End at once, whatever is under way; nothing if it has ended.

        Futures are not cancelled: Python 3.11 fails at those when it finds that the workers have gone.
        """
        results: Any = getattr(self, "_result_queue", None)
        if results is None:  # not begun, or ended
            return
        with interruption_waits(PRESSES):
            for process in list(self._processes.values()):
                process.kill()
            results._writer.close()  # else half a message of a worker that was killed is waited for
            self.shutdown()


def _start_forkserver() -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tlm.sweeps.task"])
    before = os.environ.get("OPENBLAS_NUM_THREADS")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a process per core leaves nothing for further threads
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTING)  # inherited: they are for this process to handle
    try:
        resource_tracker.ensure_running()  # lets some through again
        signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTING)
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if before is None:
            del os.environ["OPENBLAS_NUM_THREADS"]


def _begin_worker() -> None:
    """Without a parent there is nothing to do any more."""
    collect_seldom()
    parent = parent_process()
    assert parent is not None  # this runs in a pool's worker

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
