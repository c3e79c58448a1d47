"""Mutual exclusion by our own locks, one a name.

A lock of a local store is `flock(2)`: the kernel frees it when its holder dies, however it dies. Waiting is said once,
with the holder's process, and bounded.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class BusyError(RuntimeError):
    """Another live process holds the lock."""


@contextmanager
def file_lock(path: Path, *, wait_seconds: float, tell: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """Hold `path` exclusively. Raises `BusyError` after `wait_seconds` with the holder's process id."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        deadline = time.monotonic() + wait_seconds
        told = False
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                holder = os.pread(handle, 32, 0).decode("ascii", "replace").strip() or "unknown"
                if time.monotonic() >= deadline:
                    raise BusyError(f"{path.name} is held by process {holder}; wait for it or stop it") from None
                if not told:
                    tell(f"waiting for {path.name}, held by process {holder}")
                    told = True
                time.sleep(0.1)
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)
