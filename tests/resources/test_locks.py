"""The lock between processes: exclusive, bounded in waiting, free when its holder dies."""

import os
import time
from pathlib import Path

import pytest

from resources.locks import BusyError, file_lock, sweep_lock
from tests.resources.processes import start, wait_until

MODULE = "tests.resources.test_locks"


def main(arguments: list[str]) -> None:
    """Hold a lock until the process is killed; or `race`."""
    if arguments[0] == "race":
        race(arguments[1:])
        return
    path, ready = arguments
    with file_lock(Path(path), wait_seconds=0):
        Path(ready).touch()
        time.sleep(600)


def test_a_second_holder_is_told_who_holds_it(tmp_path: Path) -> None:
    process = start(str(tmp_path / "x.lock"), str(tmp_path / "ready"), module=MODULE)
    try:
        wait_until((tmp_path / "ready").exists)
        told: list[str] = []
        started = time.monotonic()
        with (
            pytest.raises(BusyError, match=rf"x\.lock is held by process {process.pid}; wait for it or stop it"),
            file_lock(tmp_path / "x.lock", wait_seconds=0.3, tell=told.append),
        ):
            pass
        assert 0.3 <= time.monotonic() - started < 5
        assert told == [f"waiting for x.lock, held by process {process.pid}"]
    finally:
        process.kill()
        process.communicate(timeout=60)
    with file_lock(tmp_path / "x.lock", wait_seconds=5):  # the kernel freed it with its holder
        assert (tmp_path / "x.lock").read_text() == str(os.getpid())


def test_a_lock_is_free_after_an_error_and_excludes_its_own_process(tmp_path: Path) -> None:
    with pytest.raises(KeyError), file_lock(tmp_path / "a" / "x.lock", wait_seconds=0):
        raise KeyError
    with (
        file_lock(tmp_path / "a" / "x.lock", wait_seconds=0),
        pytest.raises(BusyError),
        file_lock(tmp_path / "a" / "x.lock", wait_seconds=0),
    ):
        pass


def race(arguments: list[str]) -> None:
    """Take the lock again and again; count up a file that nobody else may touch meanwhile."""
    lock, counter, rounds = Path(arguments[0]), Path(arguments[1]), int(arguments[2])
    for _ in range(rounds):
        with file_lock(lock, wait_seconds=60):
            value = int(counter.read_text())
            time.sleep(0.001)
            counter.write_text(str(value + 1))


def test_removing_lock_files_lets_no_second_holder_in(tmp_path: Path) -> None:
    """Holders remove the file when they are done, and a sweeper beside them whenever it can: no count is lost."""
    lock, counter = tmp_path / "x.lock", tmp_path / "counter"
    counter.write_text("0")
    racers = [start("race", str(lock), str(counter), "100", module=MODULE) for _ in range(3)]
    while any(racer.poll() is None for racer in racers):
        sweep_lock(lock, delete=True)
        time.sleep(0.001)
    for racer in racers:
        assert racer.wait() == 0, racer.communicate()
    assert counter.read_text() == "300"
    assert not lock.exists()


def test_only_the_lock_of_a_dead_holder_is_swept(tmp_path: Path) -> None:
    lock = tmp_path / "x.lock"
    process = start(str(lock), str(tmp_path / "ready"), module=MODULE)
    wait_until((tmp_path / "ready").exists)
    assert not sweep_lock(lock, delete=True)
    process.kill()
    process.communicate(timeout=60)
    assert sweep_lock(lock, delete=False)
    assert lock.exists()
    assert sweep_lock(lock, delete=True)
    assert not lock.exists()
    assert not sweep_lock(lock, delete=True)
