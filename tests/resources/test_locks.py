"""The lock between processes: exclusive, bounded in waiting, free when its holder dies."""

import os
import time
from pathlib import Path

import pytest

from resources.locks import BusyError, file_lock
from tests.resources.processes import start, wait_until

MODULE = "tests.resources.test_locks"


def main(arguments: list[str]) -> None:
    """Hold a lock until the process is killed."""
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
