"""The worker pool: order, errors, killed workers, no orphans."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from resources.compute import SINGLE_THREAD, ComputeEngine, WorkerDiedError
from tests.resources.processes import start, wait_until

MODULE = "tests.resources.test_compute"


def square(number: int) -> tuple[int, int]:
    """Later tasks end earlier, so the order outside is not the order inside."""
    time.sleep(max(0.0, 0.02 - number * 0.002))
    return number * number, os.getpid()


def fail_at_three(task: tuple[int, str]) -> int:
    number, folder = task
    if number == 3:
        raise KeyError("task three")
    (Path(folder) / str(number)).touch()
    time.sleep(0.01)
    return number


def kill_itself(number: int) -> int:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def environment(_: int) -> dict[str, str | None]:
    import polars

    return {"polars": str(polars.thread_pool_size()), **{name: os.environ.get(name) for name in SINGLE_THREAD}}


def sleep_for_ever(ready: str) -> None:
    (Path(ready) / str(os.getpid())).touch()
    time.sleep(600)


def main(arguments: list[str]) -> None:
    """A parent whose two workers are busy until somebody kills it."""
    ComputeEngine(2).map(sleep_for_ever, [arguments[0]] * 4)


@pytest.fixture(scope="module")
def pool() -> Iterator[ComputeEngine]:
    engine = ComputeEngine(2)
    yield engine
    engine.close()


def test_results_come_in_the_order_of_the_tasks(pool: ComputeEngine) -> None:
    ended: list[int] = []
    results = pool.map(square, iter(range(12)), lambda index, result: ended.append(index))
    assert [value for value, _ in results] == [number * number for number in range(12)]
    assert sorted(ended) == list(range(12))
    processes = {process for _, process in results}
    assert len(processes) == 2
    assert os.getpid() not in processes
    assert {process for _, process in pool.map(square, range(4))} <= processes  # one pool for all stages


def test_one_worker_or_one_task_runs_here_and_gives_the_same(pool: ComputeEngine) -> None:
    ended: list[tuple[int, int]] = []
    alone = ComputeEngine(1).map(square, range(5), lambda index, result: ended.append((index, result[0])))
    assert {process for _, process in alone} == {os.getpid()}
    assert [value for value, _ in alone] == [value for value, _ in pool.map(square, range(5))]
    assert ended == [(number, number * number) for number in range(5)]
    assert pool.map(square, [7])[0] == (49, os.getpid())
    assert pool.map(square, []) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_the_first_error_is_raised_and_what_had_not_started_never_does(
    pool: ComputeEngine, tmp_path: Path, workers: int
) -> None:
    engine = pool if workers == 2 else ComputeEngine(1)
    with pytest.raises(KeyError, match="task three"):
        engine.map(fail_at_three, [(number, str(tmp_path)) for number in range(100)])
    started = {int(path.name) for path in tmp_path.iterdir()}
    assert {0, 1, 2} <= started
    assert max(started) < 3 + 2 * 2 + 2  # at most two tasks a worker were in flight
    assert engine.map(fail_at_three, [(1, str(tmp_path)), (2, str(tmp_path))]) == [1, 2]


def test_a_killed_worker_is_told_with_a_remedy_and_the_next_map_works() -> None:
    engine = ComputeEngine(2)
    try:
        with pytest.raises(WorkerDiedError, match=r"died during kill_itself.*out-of-memory.*GRISTMILL_WORKERS"):
            engine.map(kill_itself, range(6))
        assert engine.map(kill_itself, [0, 1]) == [0, 1]
    finally:
        engine.close()


def test_workers_run_one_thread_and_the_parent_keeps_its_environment(
    pool: ComputeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = dict(os.environ)
    for seen in pool.map(environment, range(2)):
        assert seen == {"polars": "1", **dict.fromkeys(SINGLE_THREAD, "1")}
    assert dict(os.environ) == before


def test_at_least_one_worker() -> None:
    with pytest.raises(ValueError, match="workers is 0; it must be at least 1"):
        ComputeEngine(0)


def test_no_process_outlives_a_killed_parent(tmp_path: Path) -> None:
    parent = start(str(tmp_path), module=MODULE)
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2 or parent.poll() is not None)
    family = psutil.Process(parent.pid).children(recursive=True)
    assert {int(path.name) for path in tmp_path.iterdir()} <= {process.pid for process in family}
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate(timeout=60)
    _, alive = psutil.wait_procs(family, timeout=20)
    orphans = [process for process in alive if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    for process in orphans:
        process.kill()
    assert orphans == []


def test_closing_ends_the_workers() -> None:
    engine = ComputeEngine(2)
    workers = {process for _, process in engine.map(square, range(6))}
    engine.close()
    engine.close()
    wait_until(lambda: not any(psutil.pid_exists(process) for process in workers), 20)
