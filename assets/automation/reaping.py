"""Runs whose process is gone: mark them failed and free what they held.

`kill -9` or a reboot leaves a run "started" for ever, and its place in the queue taken. Every run process writes its
process id and start time into the run's tags; a run whose process no longer exists is reported as failed. A run that
was killed before it could do so is recognized by its code server, which no run worker outlives (`resources.lifeline`).
Our locks need no reaping.
"""

import json
import os
import socket
import time

import dagster as dg
import psutil
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.storage.dagster_run import RunRecord, RunsFilter
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._grpc.client import DagsterGrpcClient

PROCESS_TAG = "gristmill/process"
UNCLAIMED_SECONDS = 180.0
"""How long a started run may go without its process; the first step claims it, a second or two after the start."""
ACTIVE = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def process_tag(run_id: str) -> str:
    """`<run id> <host>:<pid>:<start time>` of this process: a recycled process id has another start time.

    With the run's id, because a run that is executed again starts with the tags of the first.
    """
    return f"{run_id} {socket.gethostname()}:{os.getpid()}:{psutil.Process().create_time():.2f}"


def claim(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Write this process into the run's tags, once."""
    tag = process_tag(run.run_id)
    if run.tags.get(PROCESS_TAG) != tag:
        instance.add_run_tags(run.run_id, {PROCESS_TAG: tag})


def is_gone(process: str) -> bool:
    """True when `<host>:<pid>:<start time>` names a process of this host that no longer runs."""
    host, pid, started = process.rsplit(":", 2)
    if host != socket.gethostname():
        return False
    try:
        found = psutil.Process(int(pid))
        return abs(found.create_time() - float(started)) > 1.0 or found.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def reap_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Report runs of dead processes as failed and free their concurrency slots; returns their ids."""
    reaped = []
    for record in instance.get_run_records(RunsFilter(statuses=ACTIVE)):
        run = record.dagster_run
        reason = _death(record)
        if reason is None:
            continue
        instance.report_run_failed(run, message=f"{reason}; its finished parts are kept")
        if instance.event_log_storage.supports_global_concurrency_limits:
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        reaped.append(run.run_id)
    return reaped


def _death(record: RunRecord) -> str | None:
    """Why a run cannot go on, or None if it can as far as anybody here knows."""
    run = record.dagster_run
    owner, _, process = run.tags.get(PROCESS_TAG, "").partition(" ")
    if owner == run.run_id:
        return f"the process {process} of this run is gone" if is_gone(process) else None
    if run.status is dg.DagsterRunStatus.NOT_STARTED or GRPC_INFO_TAG not in run.tags:
        return None
    if not _answers(json.loads(run.tags[GRPC_INFO_TAG])):
        return "the code server that started this run is gone"
    if record.start_time is not None and time.time() - record.start_time > UNCLAIMED_SECONDS:
        return f"the process of this run did nothing for {UNCLAIMED_SECONDS:.0f} seconds after its start"
    return None


def _answers(server: dict[str, str | int]) -> bool:
    """Whether a code server of this host listens; one of another host is none of our business."""
    if server.get("host", "localhost") not in ("localhost", "127.0.0.1", socket.gethostname()):
        return True
    try:
        DagsterGrpcClient(host=str(server["host"]), port=server.get("port"), socket=server.get("socket")).ping("")  # type: ignore[arg-type]
    except DagsterUserCodeUnreachableError:
        return False
    return True
