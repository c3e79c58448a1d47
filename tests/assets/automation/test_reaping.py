"""Runs of dead processes are reaped, runs of living ones are not, whoever launched them."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster._core.storage.tags import GRPC_INFO_TAG

from assets.automation.reaping import PROCESS_TAG, claim, process_tag, reap_dead_runs


@dg.job
def nothing() -> None:
    pass


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def dead() -> str:
    """`<host>:<pid>:<start>` of a process that ran and ended."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = psutil.Process(process.pid).create_time()
    process.communicate(b"\n")
    return f"{socket.gethostname()}:{process.pid}:{started:.2f}"


def running(instance: dg.DagsterInstance, tags: dict[str, str]) -> dg.DagsterRun:
    return instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.STARTED, tags=tags)


def test_a_run_of_a_dead_process_is_failed_and_one_of_a_living_process_is_not(
    instance: dg.DagsterInstance, dead: str
) -> None:
    mine, gone, elsewhere = (running(instance, {}) for _ in range(3))
    claim(instance, mine)
    instance.add_run_tags(gone.run_id, {PROCESS_TAG: f"{gone.run_id} {dead}"})
    instance.add_run_tags(elsewhere.run_id, {PROCESS_TAG: f"{elsewhere.run_id} another.example:{os.getpid()}:1.00"})
    assert reap_dead_runs(instance) == [gone.run_id]
    states = {run.run_id: run.status for run in instance.get_runs()}
    assert states[gone.run_id] is dg.DagsterRunStatus.FAILURE
    assert states[mine.run_id] is states[elsewhere.run_id] is dg.DagsterRunStatus.STARTED
    assert reap_dead_runs(instance) == []


def test_a_recycled_process_id_is_another_process(instance: dg.DagsterInstance) -> None:
    run = running(instance, {})
    host_and_pid = process_tag(run.run_id).rpartition(":")[0]
    instance.add_run_tags(run.run_id, {PROCESS_TAG: f"{host_and_pid}:1.00"})
    assert reap_dead_runs(instance) == [run.run_id]


def test_a_run_that_was_executed_again_is_not_judged_by_the_tags_of_the_first(
    instance: dg.DagsterInstance, dead: str
) -> None:
    first = running(instance, {})
    again = running(instance, {PROCESS_TAG: f"{first.run_id} {dead}"})
    assert reap_dead_runs(instance) == []
    claim(instance, again)
    assert reap_dead_runs(instance) == []


def test_a_run_that_never_claimed_its_process_goes_with_its_code_server(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    server = {"host": "localhost", "socket": str(tmp_path / "gone.sock")}
    run = running(instance, {GRPC_INFO_TAG: json.dumps(server)})
    unknown = running(instance, {})
    assert reap_dead_runs(instance) == [run.run_id]
    assert instance.get_run_by_id(unknown.run_id).status is dg.DagsterRunStatus.STARTED  # type: ignore[union-attr]
