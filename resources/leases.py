"""Mutual exclusion between machines: a lease in the store, taken by exclusive create and kept by a heartbeat.

    leases/<name>/000000000007.json    who took the lease for the seventh time: host, process, token
    leases/<name>/000000000007.beat    overwritten while it is held; in the end by a mark that it was given back

The newest number holds. Taking is `create(newest + 1)`, which of several one wins, and only from a newest one that was
given back or is dead. Numbers never come twice, because the newest file is never deleted: whoever acts on an old look
makes a number that is not the newest, sees that in the listing after it, and withdraws. Listings give names in order,
so one that runs beside these changes shows the newest or a newer one. Whatever a holder of old does late touches files
of old numbers, which mean nothing.

Dead is judged without comparing clocks of two machines: the observer saw the same heartbeat at both ends of
`expiry` seconds of its own clock. The holder gives up before that, when its last heartbeat that arrived was *sent*
three quarters of `expiry` ago, and asks the store once more before it publishes. A holder that is frozen between that
question and the reference can still be late; then exclusive create decides, as it does between any two writers.

A process that is killed leaves its lease to expire, except on its own machine: a lease is taken under the flock of its
name, its token is noted beside that flock, and who finds a noted token with the flock free knows that its owner ended.
"""

import json
import os
import random
import re
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from resources.backends import StoreError
from resources.locks import BusyError

FOLDER: Final = "leases"
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while the machine sleeps: a holder that wakes up must know how long it was away."""
_GIVEN_BACK: Final = b"given back".ljust(32)
"""As long as a heartbeat, so that a reader that asks for the size first cannot get half of each."""
_FIRST_PAUSE: Final = 0.05


class LeaseLostError(StoreError):
    """This process no longer holds what it is working on, so it must not publish."""


class LeaseTimes(NamedTuple):
    """Seconds. A dead holder costs its successor `expiry`; a live one may be cut off for three quarters of it."""

    expiry: float = 60.0
    beat: float = 10.0


TIMES: Final = LeaseTimes()


class LeaseFiles(Protocol):
    """What a lease needs of the store: `create` must be exclusive, decided by the server."""

    def create(self, path: str, data: bytes) -> bool: ...
    def overwrite(self, path: str, data: bytes) -> None: ...
    def read(self, path: str) -> bytes: ...
    def names(self, folder: str) -> list[str]: ...
    def delete(self, path: str) -> None: ...


class Look(NamedTuple):
    """The newest number of a lease as it was seen; 0 when it was never taken."""

    number: int
    entry: bytes = b""
    beat: bytes = b""

    @property
    def free(self) -> bool:
        return self.number == 0 or self.beat == _GIVEN_BACK

    def holder(self) -> dict[str, str]:
        """`host`, `process`, `token`; empty for an entry that is damaged."""
        with suppress(ValueError):
            found = json.loads(self.entry)
            if isinstance(found, dict):
                return {str(name): str(value)[:80] for name, value in found.items()}
        return {}


def _now() -> float:
    return time.clock_gettime(_CLOCK)


def _entry(folder: str, number: int) -> str:
    return f"{folder}/{number:012d}.json"


def _beat(folder: str, number: int) -> str:
    return f"{folder}/{number:012d}.beat"


def number_of(name: str) -> int | None:
    """The number in the name of a lease's file."""
    found = re.fullmatch(r"(\d{12})\.(json|beat)", name)
    return int(found[1]) if found else None


def _newest(files: LeaseFiles, folder: str) -> int:
    return max((int(name[:12]) for name in files.names(folder) if re.fullmatch(r"\d{12}\.json", name)), default=0)


def look(files: LeaseFiles, folder: str) -> Look:
    """The newest number with its holder and heartbeat."""
    while True:
        number = _newest(files, folder)
        if number == 0:
            return Look(0)
        try:
            entry = files.read(_entry(folder, number))
        except FileNotFoundError:  # a newer one came meanwhile
            continue
        try:
            return Look(number, entry, files.read(_beat(folder, number)))
        except FileNotFoundError:  # taken a moment ago
            return Look(number, entry)


@dataclass
class Lease:
    """A lease that this process holds; made by `hold_lease`."""

    files: LeaseFiles
    folder: str
    number: int
    times: LeaseTimes
    sent: float
    """When the last sign of life that arrived was sent."""
    _lost: str = ""
    _trouble: str = ""
    _stop: threading.Event = field(default_factory=threading.Event)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def check(self) -> None:
        """Raise `LeaseLostError` when the lease is lost as far as this process knows; asks nobody."""
        silent = _now() - self.sent
        if not self._lost and silent > 0.75 * self.times.expiry:
            self._lost = f"no heartbeat reached the store for {silent:.0f} s{self._trouble}"
        if self._lost:
            raise LeaseLostError(
                f"the lease {self.folder} was lost: {self._lost}. Another process may be at the same work, so nothing "
                "more is published here; look at the network and the machine, then run again: finished parts are kept"
            )

    def confirm(self) -> None:
        """Renew the lease and ask the store whether it is still ours; to be called right before a publication."""
        self.check()
        self._renew()
        newest = _newest(self.files, self.folder)
        if newest != self.number:
            self._lost = f"it was taken over as number {newest} while number {self.number} was thought dead"
        self.check()

    def _renew(self) -> None:
        sent = _now()
        self.files.overwrite(_beat(self.folder, self.number), uuid.uuid4().hex.encode())
        with self._guard:
            self.sent = max(self.sent, sent)

    def keep(self) -> None:
        """Send heartbeats until the lease is given back or lost; what a send fails with is told if it is lost."""
        while not self._stop.wait(self.times.beat):
            try:
                self.check()
                self._renew()
                self._trouble = ""
            except LeaseLostError:
                return
            except Exception as error:
                self._trouble = f" ({type(error).__name__}: {error})"

    def give_back(self, thread: threading.Thread) -> None:
        self._stop.set()
        thread.join(timeout=self.times.beat)
        if not self._lost:
            self.files.overwrite(_beat(self.folder, self.number), _GIVEN_BACK)


@contextmanager
def hold_lease(
    files: LeaseFiles,
    name: str,
    note: Path,
    *,
    wait_seconds: float,
    tell: Callable[[str], None] = lambda _: None,
    times: LeaseTimes = TIMES,
) -> Iterator[Lease]:
    """Hold the lease `name`. Raises `BusyError` after `wait_seconds` with the holder's machine and process.

    The caller holds a lock of this machine that every holder of `name` on it holds too; `note` is a file under that
    lock. Errors of the store go on to the caller; what was taken then expires.
    """
    token = uuid.uuid4().hex
    ended = note.read_text("ascii", "replace") if note.exists() else ""
    lease = _acquire(files, f"{FOLDER}/{name}", note, token, ended, wait_seconds, tell, times)
    thread = threading.Thread(target=lease.keep, name=f"lease {name}", daemon=True)
    thread.start()
    try:
        yield lease
    finally:
        try:
            lease.give_back(thread)
            note.unlink(missing_ok=True)
        except Exception as error:
            tell(f"the lease {name} could not be given back ({error}); it expires in {times.expiry:.0f} s")


def _acquire(
    files: LeaseFiles,
    folder: str,
    note: Path,
    token: str,
    ended: str,
    wait_seconds: float,
    tell: Callable[[str], None],
    times: LeaseTimes,
) -> Lease:
    deadline, pause, told = _now() + wait_seconds, _FIRST_PAUSE, False
    watched, since = Look(0), 0.0
    while True:
        asked = _now()
        seen = look(files, folder)
        if seen != watched:
            watched, since = seen, _now()
        holder = seen.holder()
        if seen.free or asked - since >= times.expiry or (ended and holder.get("token") == ended):
            sent = _now()
            note.write_text(token, "ascii")
            if _take(files, folder, seen.number + 1, token):
                return Lease(files, folder, seen.number + 1, times, sent)
            note.write_text(ended, "ascii")
            continue
        who = f"process {holder.get('process', 'unknown')} on {holder.get('host', 'unknown')}"
        if _now() >= deadline:
            raise BusyError(
                f"{folder} is held by {who}; wait for it or stop it (once it is gone, {times.expiry:.0f} s later)"
            )
        if not told:
            tell(f"waiting for {folder}, held by {who}")
            told = True
        time.sleep(min(pause * random.uniform(0.5, 1.0), max(0.0, deadline - _now()) + 0.001))
        pause = min(times.beat / 2, 1.5 * pause)


def _take(files: LeaseFiles, folder: str, number: int, token: str) -> bool:
    """Create `number`; True when it is then the newest. Older files are nobody's any more and go."""
    data = json.dumps({"host": socket.gethostname(), "process": os.getpid(), "token": token}, sort_keys=True).encode()
    path = _entry(folder, number)
    if not files.create(path, data):
        try:
            if files.read(path) != data:  # else our own, sent twice because the first answer was lost on its way
                return False
        except FileNotFoundError:
            return False
    names = files.names(folder)
    if max((number_of(name) or 0 for name in names if name.endswith(".json")), default=0) != number:
        files.delete(path)
        return False
    with suppress(OSError):
        _sweep(files, folder, names, number)
    return True


def _sweep(files: LeaseFiles, folder: str, names: Iterable[str], below: int) -> None:
    for name in names:
        number = number_of(name)
        if number is not None and number < below:
            files.delete(f"{folder}/{name}")


def free_dead(files: LeaseFiles, folders: Iterable[str], times: LeaseTimes = TIMES) -> list[str]:
    """Watch these leases for `expiry` seconds and give back what shows no life; returns their folders."""
    before = {folder: look(files, folder) for folder in folders}
    before = {folder: seen for folder, seen in before.items() if not seen.free}
    if before:
        time.sleep(times.expiry)
    freed = []
    for folder, seen in before.items():
        if look(files, folder) == seen and _take(files, folder, seen.number + 1, uuid.uuid4().hex):
            files.overwrite(_beat(folder, seen.number + 1), _GIVEN_BACK)
            freed.append(folder)
    return freed
