"""Our own workers inside a step: a pool of processes that is started once and reused by every stage.

A Dagster step costs seconds when spawned, so steps are few and chunky and the parallelism is in here. Workers come
from a fork server (no threads are copied) and compute on one thread each. They die with the process that owns the
pool, however it dies. The fork server alone does not see to that: it ends when the last copy of its pipe is closed, and
every worker holds one; so each worker watches the owner, and the server ends with the last of them.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from resources.lifeline import die_with_parent_process

Task = TypeVar("Task")
Result = TypeVar("Result")

PR_SET_PDEATHSIG = 1
SINGLE_THREAD = dict.fromkeys(("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class WorkerDiedError(RuntimeError):
    """A worker process was killed from outside, most often for memory."""


def die_with_parent() -> None:
    """Ask the kernel for SIGKILL when the parent goes. Linux only; elsewhere the pool's broken pipe ends workers."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)


def _start_worker() -> None:
    die_with_parent()  # of the fork server, which is this process's parent
    threading.Thread(target=die_with_parent_process, name="owner", daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import pyarrow

    pyarrow.set_cpu_count(1)
    pyarrow.set_io_thread_count(1)


class ComputeEngine:
    """`workers` processes; with one worker, or one task, the work runs in this process."""

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise ValueError(f"workers is {workers}; it must be at least 1")
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def _start(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # The fork server and its children inherit this environment; the parent keeps its own.
            before = {name: os.environ.get(name) for name in SINGLE_THREAD}
            os.environ.update(SINGLE_THREAD)
            try:
                context = multiprocessing.get_context("forkserver")
                context.set_forkserver_preload(["pyarrow.parquet", "polars", "numpy"])
                self._pool = ProcessPoolExecutor(self.workers, mp_context=context, initializer=_start_worker)
                self._pool.submit(os.getpid).result()
            finally:
                for name, value in before.items():
                    if value is None:
                        os.environ.pop(name, None)
                    else:
                        os.environ[name] = value
        return self._pool

    def map(
        self,
        function: Callable[[Task], Result],
        tasks: Iterable[Task],
        done: Callable[[int, Result], Any] | None = None,
    ) -> list[Result]:
        """`[function(task) for task in tasks]`, in that order whatever ends first; `done(index, result)` as each ends.

        `function` and tasks must be picklable. At most two tasks a worker are in flight. The first error cancels what
        has not started and is raised.
        """
        items = list(tasks)
        if self.workers == 1 or len(items) <= 1:
            results = []
            for index, item in enumerate(items):
                results.append(function(item))
                if done:
                    done(index, results[-1])
            return results
        return self._map_in_pool(function, items, done)

    def _map_in_pool(
        self, function: Callable[[Task], Result], items: list[Task], done: Callable[[int, Result], Any] | None
    ) -> list[Result]:
        pool = self._start()
        outcomes: dict[int, Result] = {}
        waiting: Iterator[tuple[int, Task]] = iter(enumerate(items))
        running: dict[Future[Result], int] = {}
        try:
            for index, item in waiting:
                running[pool.submit(function, item)] = index
                if len(running) < 2 * self.workers:
                    continue
                self._collect(running, outcomes, done)
            while running:
                self._collect(running, outcomes, done)
        except BrokenProcessPool:
            self.close()
            raise WorkerDiedError(
                f"a worker process died during {function.__name__}; often the kernel's out-of-memory killer: "
                "lower part_bytes in the project file or GRISTMILL_WORKERS, then run again: finished parts are kept"
            ) from None
        except BaseException:
            for future in running:
                future.cancel()
            wait(running)
            raise
        return [outcomes[index] for index in range(len(items))]

    @staticmethod
    def _collect(
        running: dict[Future[Result], int], outcomes: dict[int, Result], done: Callable[[int, Result], Any] | None
    ) -> None:
        finished, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in finished:
            index = running.pop(future)
            outcomes[index] = future.result()
            if done:
                done(index, outcomes[index])

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
