"""Runs whose process is gone: mark them failed and free what they held.

`kill -9` or a reboot leaves a run "started" for ever. Every run process writes its process id and start time into the
run's tags; a run whose process no longer exists is reported as failed. Our locks need no reaping.
"""

import os
import socket

import dagster as dg
import psutil
from dagster._core.storage.dagster_run import RunsFilter

PROCESS_TAG = "gristmill/process"


def process_tag() -> str:
    """`<host>:<pid>:<start time>` of this process: a recycled process id has another start time."""
    return f"{socket.gethostname()}:{os.getpid()}:{psutil.Process().create_time():.2f}"


def is_gone(tag: str) -> bool:
    """True when the tag names a process of this host that no longer runs."""
    host, pid, started = tag.rsplit(":", 2)
    if host != socket.gethostname():
        return False
    try:
        process = psutil.Process(int(pid))
        return abs(process.create_time() - float(started)) > 1.0 or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def reap_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Report runs of dead processes as failed and free their concurrency slots; returns their ids."""
    active = instance.get_runs(
        RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.CANCELING])
    )
    reaped = []
    for run in active:
        tag = run.tags.get(PROCESS_TAG)
        if tag is None or not is_gone(tag):
            continue
        instance.report_run_failed(run, message=f"the process {tag} of this run is gone; its finished parts are kept")
        if instance.event_log_storage.supports_global_concurrency_limits:
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        reaped.append(run.run_id)
    return reaped
