"""Processes that end with their owner, however it ends.

Dagster's code servers notice a dead daemon by missing heartbeats and then wait for their runs; its run workers notice
nothing. A training of ten hours would go on with nobody to stop it. Every state of ours can be resumed, so the code
location ties both to their owners when it loads: a run worker to the code server that started it, a code server to
the Dagster processes above it. The kernel's parent-death signal is no help here: it follows the thread that started
the process, and Dagster's threads end. Daemon and webserver load no code of ours, and a killed `dagster dev` leaves
them behind with the port taken; so `gristmill ui` starts a guard beside it.
"""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from multiprocessing.connection import wait

import psutil

POLL_SECONDS = 0.5
DAGSTER = ("dagster", "dagster-daemon", "dagster-webserver", "dagster_webserver")

GUARDED = "GRISTMILL_GUARDED"
"""Environment variable of a guarded process, inherited by all that it starts."""


def end_with_owner() -> None:
    """Tie this process to its owner if Dagster started it; for any other process (a command, a test) do nothing."""
    if multiprocessing.parent_process() is not None:
        threading.Thread(target=die_with_parent_process, name="owner", daemon=True).start()
    elif "--heartbeat" in sys.argv:  # a code server that belongs to somebody; one that serves on its own has none
        threading.Thread(target=_die_with, args=(dagster_ancestors(),), name="owner", daemon=True).start()


def serves_code() -> bool:
    """Whether this process is a code server of Dagster's, the one that starts run workers."""
    return multiprocessing.parent_process() is None and sys.argv[1:3] == ["api", "grpc"]


def die_with_parent_process() -> None:
    """Wait for the end of the process that started this one through `multiprocessing`, then end at once."""
    owner = multiprocessing.parent_process()
    if owner is not None:
        wait([owner.sentinel])
        os.kill(os.getpid(), signal.SIGKILL)


def dagster_ancestors() -> list[psutil.Process]:
    """The unbroken line of Dagster processes above this one: proxy of a code server, daemon or `dagster dev`."""
    found = []
    for process in psutil.Process().parents():
        try:
            words = process.cmdline()[:4]
        except psutil.Error:
            break
        if not any(word.rpartition("/")[2].split(".")[0] in DAGSTER for word in words):
            break
        found.append(process)
    return found


def start_guard() -> None:
    """Start a process that waits for the end of this one, however it comes, and then ends what it left behind."""
    token = uuid.uuid4().hex
    subprocess.Popen(
        [sys.executable, "-m", "resources.lifeline", str(os.getpid()), token],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.environ[GUARDED] = token


def _die_with(owners: Sequence[psutil.Process]) -> None:
    _outwait(owners)
    os.kill(os.getpid(), signal.SIGKILL)


def _outwait(owners: Sequence[psutil.Process]) -> None:
    while all(_lives(owner) for owner in owners):
        time.sleep(POLL_SECONDS)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _guarded(token: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(GUARDED) == token and _lives(process):
                found.append(process)
    return found


def main(arguments: list[str]) -> None:
    """The guard: `python -m resources.lifeline <process id> <token>`."""
    with contextlib.suppress(psutil.NoSuchProcess):
        _outwait([psutil.Process(int(arguments[0]))])
    while left := _guarded(arguments[1]):
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        time.sleep(0.1)


if __name__ == "__main__":
    main(sys.argv[1:])
