"""Where points run: this process, processes of this machine, or a Dask cluster. All speak ``concurrent.futures``."""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from tlm.core.errors import InputError, TlmError
from tlm.sweeps.pool import Calls, Pool
from tlm.sweeps.task import worker_version

if TYPE_CHECKING:
    from distributed import Client

S = TypeVar("S")
T = TypeVar("T")

_AHEAD = 2
"""Tasks handed over for each worker, so that none waits for this process."""
_CONNECT_S, _GREET_S = 3.0, 30.0
"""Until a port answers, and until the scheduler behind it does."""
_RETRIES = 3
_LOOPBACK = "127.0.0.1"
LOCAL = "local"
"""Instead of a scheduler's address: a cluster on this machine, started and ended here."""


@dataclass(frozen=True)
class Workers:
    """What runs tasks.

    Attributes:
        make_executor: called once, and again when an executor broke.
        width: how many tasks to hand over at once.
        text: as people read it.
    """

    make_executor: Callable[[], Executor]
    width: int
    text: str


class SerialExecutor(Executor):
    """Runs a task where it is submitted, for debuggers, profilers and small sweeps."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Call it; the future is done when this returns."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


THIS_PROCESS = Workers(SerialExecutor, 1, "this process")


@contextmanager
def workers(processes: int | None = None, dask: str | None = None) -> Iterator[Workers]:
    """Workers as the options ask for them.

    Args:
        processes: of this machine, by default one per core; 1 means this process.
        dask: address of a scheduler (``tcp://host:8786``), or ``local``.

    Raises:
        InputError: no such scheduler, workers with another version, distributed missing, a number below 1.
    """
    count = _usable_cores() if processes is None else processes
    if count < 1:
        raise InputError(f"--processes: {count} is not allowed; give 1 or more")
    if dask is not None:
        with _client(dask, count) as client:
            threads = client.nthreads().values()
            width = max(_AHEAD * sum(threads), 16)
            yield Workers(
                lambda: client.get_executor(pure=False, retries=_RETRIES), width, f"{len(threads)} Dask workers"
            )
    elif count == 1:
        yield THIS_PROCESS
    else:
        yield Workers(lambda: Pool(count), _AHEAD * count, f"{count} processes")


def run_each(
    ready: Workers, function: Callable[[S], T], items: Iterable[S], record: Callable[[T], None] = lambda _: None
) -> list[T]:
    """What a function gives for each item, in their order, as is the first error; few are handed over at a time.

    Args:
        ready: runs the calls; function, items and results travel as pickles, and should be small.
        function: what to call.
        items: its arguments.
        record: takes each result, in order.

    Raises:
        TlmError: a worker process died.
    """
    executor = ready.make_executor()
    calls, under_way, ended, found = Calls[T](executor), deque[Future[T]](), set[Future[T]](), list[T]()

    def take_first() -> None:
        first = under_way.popleft()
        while first not in ended:
            ended.add(calls.next_ended())
        ended.remove(first)
        found.append(first.result())
        record(found[-1])

    try:
        for item in items:
            if len(under_way) == ready.width:
                take_first()
            under_way.append(calls.begin(function, item))
        while under_way:
            take_first()
        executor.shutdown()
    except BrokenExecutor:
        raise TlmError("a worker process died; out of memory? --processes 1 takes least") from None
    finally:
        abandon(executor, under_way)
    return found


def abandon(executor: Executor, under_way: Iterable[Future[Any]]) -> None:
    """End at once: results that nobody waits for any more would keep an executor alive."""
    if isinstance(executor, Pool):
        executor.abandon()
        return
    for future in under_way:
        future.cancel()
    executor.shutdown(wait=False)


def own_workers(executor: Executor, width: int = 64) -> Workers:
    """Workers behind an executor that the caller made and will shut down."""
    return Workers(lambda: _Borrowed(executor), width, type(executor).__name__)


class _Borrowed(Executor):
    """Passes tasks on, but does not end what belongs to somebody else."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Hand it over."""
        return self._executor.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Nothing."""


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _client(address: str, processes: int) -> Iterator[Client]:
    if address != LOCAL:
        _knock(address)
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise InputError("--dask: distributed is not installed: pip install 'cartesian-tlm[cluster]'") from None
    if address == LOCAL:
        with (
            LocalCluster(  # its dashboard asks nobody for a password
                n_workers=processes, threads_per_worker=1, host=_LOOPBACK, dashboard_address=f"{_LOOPBACK}:0"
            ) as cluster,
            Client(cluster) as client,
        ):
            yield client
        return
    try:
        client = Client(address, timeout=_GREET_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise _no_scheduler(address, str(error) or type(error).__name__) from None
    with client:
        _check_versions(client, address)
        yield client


def _knock(address: str) -> None:
    """Dask knocks again and again; whether somebody listens is known at once."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not host or not port.isdigit():
        raise _no_scheduler(address, "not HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise _no_scheduler(address, getattr(error, "strerror", None) or str(error)) from None


def _no_scheduler(address: str, why: str) -> InputError:
    return InputError(
        f"--dask {address}: no scheduler answers ({why}); start one with `dask scheduler` and give its address, "
        f"e.g. tcp://127.0.0.1:8786, or take --dask {LOCAL}"
    )


def _check_versions(client: Client, address: str) -> None:
    """Workers with other code would give other figures."""
    own = worker_version()
    try:
        found = client.run(worker_version)
    except Exception as error:  # whatever a worker without the package answers
        raise InputError(
            f"--dask {address}: a worker cannot import cartesian-tlm ({type(error).__name__}: {error}); "
            f"install cartesian-tlm {own} in its environment"
        ) from None
    for worker, other in sorted(found.items()):
        if other != own:
            raise InputError(
                f"--dask {address}: worker {worker} has cartesian-tlm {other}, this process {own}; install {own} there"
            )
