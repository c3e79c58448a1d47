"""Processes that end with their owner, however it ends.

Dagster's code servers notice a dead daemon by missing heartbeats and then wait for their runs; its run workers notice
nothing. A training of ten hours would go on with nobody to stop it. Every state of ours can be resumed, so the code
location ties both to their owners when it loads: a run worker to the code server that started it, a code server to
the Dagster processes above it. The kernel's parent-death signal is no help here: it follows the thread that started
the process, and Dagster's threads end.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
from multiprocessing.connection import wait

import psutil

POLL_SECONDS = 0.5
DAGSTER = ("dagster", "dagster-daemon", "dagster-webserver", "dagster_webserver")


def end_with_owner() -> None:
    """Tie this process to its owner if Dagster started it; for any other process (a command, a test) do nothing."""
    if multiprocessing.parent_process() is not None:
        threading.Thread(target=die_with_parent_process, name="owner", daemon=True).start()
    elif "--heartbeat" in sys.argv:  # a code server that belongs to somebody; one that serves on its own has none
        threading.Thread(target=_die_with, args=(dagster_ancestors(),), name="owner", daemon=True).start()


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


def _die_with(owners: list[psutil.Process]) -> None:
    while all(owner.is_running() and owner.status() != psutil.STATUS_ZOMBIE for owner in owners):
        time.sleep(POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)
