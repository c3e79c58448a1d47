"""A served home: `dagster dev` over a project, spoken to as the UI speaks, by GraphQL on a free port of 127.0.0.1."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import dagster as dg
import psutil
from dagster._core.storage.tags import PARTITION_NAME_TAG

from resources.home import ROOT, find_home
from resources.mill import Mill, open_mill
from tests.end_to_end.small_project import environment

Answer = TypeVar("Answer")
REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": "gristmill"}
RUNS = """query { runsOrError(limit: 200) { ... on Runs { results { runId jobName status tags { key value } } } } }"""
LAUNCH = """mutation($parameters: ExecutionParams!) { launchRun(executionParams: $parameters) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  ... on RunConfigValidationInvalid { errors { message } } ... on InvalidSubsetError { message } } }"""
LOCATIONS = """query { workspaceOrError { ... on Workspace { locationEntries { name loadStatus
  locationOrLoadError { __typename ... on PythonError { message errorChain { error { message } } } } } } } }"""


class Run(NamedTuple):
    """What the runs page shows of a run."""

    id: str
    job: str
    status: str
    tags: Mapping[str, str]

    @property
    def partition(self) -> str | None:
        return self.tags.get(PARTITION_NAME_TAG)

    @property
    def finished(self) -> bool:
        return self.status in ("SUCCESS", "FAILURE", "CANCELED")


class Served:
    """One `dagster dev` and what the UI would ask of it."""

    def __init__(self, home: Path, project: Path, port: int, log: Path) -> None:
        self.home, self.project, self.port, self.log = home, project, port, log

    @property
    def mill(self) -> Mill:
        return open_mill(find_home(environment(self.home, self.project)))

    def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    def location(self) -> dict[str, Any]:
        """The code location: its load status, and the error that the UI shows if it did not load."""
        entries: list[dict[str, Any]] = self.graphql(LOCATIONS)["workspaceOrError"]["locationEntries"]
        return entries[0]

    def runs(self, job: str | None = None, partition: str | None = None) -> list[Run]:
        """Newest first."""
        rows = self.graphql(RUNS)["runsOrError"]["results"]
        found = [
            Run(row["runId"], row["jobName"], row["status"], {tag["key"]: tag["value"] for tag in row["tags"]})
            for row in rows
        ]
        return [run for run in found if job in (None, run.job) and partition in (None, run.partition)]

    def launch(self, job: str, partition: str | None = None) -> str:
        """The launchpad's mutation; returns the run's id."""
        tags = [{"key": PARTITION_NAME_TAG, "value": partition}] if partition else []
        parameters = {
            "selector": {**REPOSITORY, "pipelineName": job},
            "runConfigData": {},
            "mode": "default",
            "executionMetadata": {"tags": tags},
        }
        answer = self.graphql(LAUNCH, parameters=parameters)["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def finished(self, run_id: str, seconds: float = 120) -> Run:
        """The run when it has come to its end."""
        return self.wait(
            f"the end of run {run_id}",
            lambda: next((run for run in self.runs() if run.id == run_id and run.finished), None),
            seconds,
        )

    def cancel(self, run_id: str) -> None:
        """The Terminate button."""
        answer = self.graphql(
            "mutation($id: String!) { terminateRun(runId: $id) { __typename ... on PythonError { message } "
            "... on TerminateRunFailure { message } } }",
            id=run_id,
        )["terminateRun"]
        assert answer["__typename"] == "TerminateRunSuccess", answer

    def reload(self) -> None:
        """The Reload button of the code location."""
        answer = self.graphql(
            "mutation($name: String!) { reloadRepositoryLocation(repositoryLocationName: $name) { __typename "
            "... on WorkspaceLocationEntry { locationOrLoadError { __typename ... on PythonError { message } } } } }",
            name="gristmill",
        )["reloadRepositoryLocation"]
        assert answer["locationOrLoadError"]["__typename"] == "RepositoryLocation", answer

    def switch(self, what: str, name: str, on: bool) -> None:
        """The toggle of a sensor or a schedule on the automation page."""
        selector = {**REPOSITORY, f"{what}Name": name}
        if on:
            start = {"sensor": "startSensor", "schedule": "startSchedule"}[what]
            kind = what.capitalize()
            query = (
                f"mutation($s: {kind}Selector!) {{ {start}({what}Selector: $s) {{ __typename "
                "... on PythonError { message } } }"
            )
            answer = self.graphql(query, s=selector)[start]
        else:
            found = self.graphql(
                f"query($s: {what.capitalize()}Selector!) {{ {what}OrError({what}Selector: $s) {{ "
                f"... on {what.capitalize()} {{ id }} }} }}",
                s=selector,
            )
            stop = {"sensor": "stopSensor", "schedule": "stopRunningSchedule"}[what]
            answer = self.graphql(
                f"mutation($id: String) {{ {stop}(id: $id) {{ __typename ... on PythonError {{ message }} }} }}",
                id=found[f"{what}OrError"]["id"],
            )[stop]
        assert "Error" not in answer["__typename"], answer

    def wait(self, what: str, ask: Callable[[], Answer | None], seconds: float = 120) -> Answer:
        """Ask every second until there is an answer; fails with the end of the daemon's log."""
        end = time.monotonic() + seconds
        while True:
            answer = ask()
            if answer:
                return answer
            if time.monotonic() > end:
                tail = "".join(self.log.read_text(errors="replace").splitlines(keepends=True)[-60:])
                raise AssertionError(f"waited {seconds} s in vain for {what}; the log ends with:\n{tail}")
            time.sleep(1.0)

    def materializations(self) -> list["Materialized"]:
        """Every materialization of Dagster's own event log, oldest first."""
        with dg.DagsterInstance.from_config(str(self.home / "dagster")) as instance:
            records = []
            for key in instance.all_asset_keys():
                page = instance.fetch_materializations(key, limit=10_000)
                records += page.records
        found = []
        for record in sorted(records, key=lambda item: item.storage_id):
            event = record.asset_materialization
            assert event is not None
            computed = event.metadata["computed"].value
            version = (event.tags or {})["dagster/data_version"]
            found.append(
                Materialized(
                    "/".join(event.asset_key.path), event.partition, int(str(computed)), version, record.run_id
                )
            )
        return found

    def observed(self, key: dg.AssetKey, run_id: str | None = None) -> list[dict[str, float]]:
        """Numbers of the observations of an asset, oldest first."""
        with dg.DagsterInstance.from_config(str(self.home / "dagster")) as instance:
            records = instance.fetch_observations(key, limit=10_000).records
        found = []
        for record in sorted(records, key=lambda item: item.storage_id):
            event = record.asset_observation
            if event is not None and run_id in (None, record.run_id):
                found.append({name: float(str(value.value)) for name, value in event.metadata.items()})
        return found

    def trainers(self) -> list[psutil.Process]:
        """Training processes of this home."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or []
            if "resources.train_process" in words and any(str(self.home) in word for word in words):
                found.append(process)
        return found


class Materialized(NamedTuple):
    """One materialization: `computed` is 1 for new work and 0 for an artifact that was done already."""

    asset: str
    partition: str | None
    computed: int
    data_version: str
    run_id: str


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serve(home: Path, project: Path, *, loaded: bool = True) -> Iterator[Served]:
    """`dagster dev` in a session of its own, up and with its code location loaded (or not, for broken projects)."""
    places = find_home(environment(home, project))
    places.prepare()
    log, port = home / "dagster_dev.log", free_port()
    command = [sys.executable, "-m", "dagster", "dev", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**environment(home, project), **places.environment()},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored under a shell's `&`
        )
    served = Served(home, project, port, log)
    family: list[psutil.Process] = []
    try:
        served.wait("the UI", lambda: _up(served, process), 120)
        family = psutil.Process(process.pid).children(recursive=True)
        if loaded:
            assert served.location()["locationOrLoadError"]["__typename"] == "RepositoryLocation", served.location()
        yield served
    finally:
        _end(process, family)


def _up(served: Served, process: "subprocess.Popen[bytes]") -> bool:
    assert process.poll() is None, served.log.read_text(errors="replace")[-4000:]
    try:
        return bool(served.location()["loadStatus"] == "LOADED")
    except (urllib.error.URLError, ConnectionError, IndexError):
        return False


def _end(process: "subprocess.Popen[bytes]", family: list[psutil.Process]) -> None:
    """An interrupt, as from the keyboard. Whatever is alive afterwards is killed, and is an error."""
    if process.poll() is None:
        family += psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    _, alive = psutil.wait_procs(set(family), timeout=20)
    for left in alive:
        left.kill()
    assert not alive, f"left behind by dagster dev: {alive}"


def copy_home(home: Path, project: Path, folder: Path) -> tuple[Path, Path]:
    """A home and its project under another folder, for a test that changes them."""
    shutil.copytree(home, folder / "home", symlinks=True)
    shutil.copytree(project.parent, folder / "project")
    return folder / "home", folder / "project" / project.name
