"""Mutual exclusion by our own locks, one a name.

A lock of a local store is `flock(2)`: the kernel frees it when its holder dies, however it dies. Waiting is said once,
with the holder's process, and bounded. A holder removes the file when it is done; files that stay are those of killed
holders, and mean nothing. Whoever gets a lock looks whether its file still has the name, and takes the new one if not.
"""

import fcntl
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from pipelines.core.errors import GristmillError

_FIRST_PAUSE, _LAST_PAUSE = 0.002, 0.1  # s between two tries; drawn, so that no rhythm of another holder shuts one out


class BusyError(GristmillError, RuntimeError):
    """Another live process holds the lock."""


class Hold(Protocol):
    """What the holder of a lock can ask while it works."""

    def check(self) -> None:
        """Raise when the lock was lost as far as is known here; cheap, to be asked often."""

    def confirm(self) -> None:
        """Raise when the lock was lost; certain, to be asked before a publication."""


class KernelHold:
    """A hold of `flock(2)`: it ends with its process and no earlier."""

    def check(self) -> None: ...

    def confirm(self) -> None: ...


@contextmanager
def file_lock(path: Path, *, wait_seconds: float, tell: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """Hold `path` exclusively. Raises `BusyError` after `wait_seconds` with the holder's process id."""
    deadline = time.monotonic() + wait_seconds
    pause, told = _FIRST_PAUSE, False
    handle = _open(path)
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_named(handle, path):
                    break
                _reopen(handle, path)
            except BlockingIOError:
                holder = os.pread(handle, 32, 0).decode("ascii", "replace").strip() or "unknown"
                if time.monotonic() >= deadline:
                    raise BusyError(f"{path.name} is held by process {holder}; wait for it or stop it") from None
                if not told:
                    tell(f"waiting for {path.name}, held by process {holder}")
                    told = True
                time.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(_LAST_PAUSE, 1.5 * pause)
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
    finally:
        os.close(handle)


def sweep_lock(path: Path, *, delete: bool) -> bool:
    """Whether nobody holds this lock file; if so, and if told to, it is removed under its own lock."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        free = _is_named(handle, path)
        if free and delete:
            path.unlink()
        return free
    except BlockingIOError:
        return False
    finally:
        os.close(handle)


def _open(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)


def _reopen(handle: int, path: Path) -> None:
    """Make `handle` the file that has this name now."""
    fresh = _open(path)
    os.dup2(fresh, handle, inheritable=False)
    os.close(fresh)


def _is_named(handle: int, path: Path) -> bool:
    """Whether the open file is still the one that has this name."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(handle), path.stat())
    return False
