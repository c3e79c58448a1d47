"""The whole path over a store on S3: two machines that run at once, a third that finds all done, and every reader."""

import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from resources.store import ArtifactStore
from tests.end_to_end.conftest import FinishedRun
from tests.end_to_end.small_project import arrive, environment, write_project
from tests.resources.s3_server import BUCKET, S3Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ROOT = Path(__file__).resolve().parents[2]
COMPUTED = re.compile(r"done, (\d+) of (\d+) steps computed")


class Machines(NamedTuple):
    """One project and one store on S3, worked on from several homes."""

    folder: Path
    project: Path
    url: str

    def start(self, machine: str, *arguments: str) -> "subprocess.Popen[str]":
        """A command on a machine: a home of its own, with its own copies, flocks and Dagster instance."""
        return subprocess.Popen(
            [sys.executable, "-m", "assets.cli", *arguments],
            env={**environment(self.folder / machine, self.project, workers=1), "GRISTMILL_STORE": self.url},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, machine: str, *arguments: str) -> str:
        return finish(self.start(machine, *arguments))

    @property
    def store(self) -> ArtifactStore:
        return ArtifactStore(self.url, "small", self.folder / "look")


def finish(process: "subprocess.Popen[str]") -> str:
    out, err = process.communicate(timeout=580)
    assert process.returncode == 0, out[-3000:] + err[-3000:]
    return out + err


def computed(*said: str) -> int:
    return sum(int(found[1]) for text in said for found in COMPUTED.finditer(text))


def newest(store: ArtifactStore) -> dict[str, str]:
    """Key -> content of its newest reference; keys here have fewer than ten."""
    return {path.rpartition("/")[0]: reference.content for path, reference in store.referenced()}


@pytest.fixture(scope="module")
def machines(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """Two machines run the project at once, a batch arrives, and they run again; each step was computed by one."""
    folder = tmp_path_factory.mktemp("remote")
    project = write_project(folder / "project", steps=60, round_steps=20)
    both = Machines(folder, project, f"s3://{BUCKET}/{uuid.uuid4().hex}")
    said = [finish(process) for process in [both.start("one", "run"), both.start("two", "run")]]
    arrive(project.parent)
    said += [finish(process) for process in [both.start("one", "run"), both.start("two", "run")]]
    assert computed(*said) == len(list(both.store.backend.walk("memo/actions")))
    yield both


def test_two_machines_made_what_one_makes_on_its_own_disk(machines: Machines, small_run: FinishedRun) -> None:
    assert newest(machines.store) == newest(small_run.mill.store)


def test_a_third_machine_computes_and_writes_nothing(machines: Machines, s3: S3Server) -> None:
    before = s3.requests.copy()
    said = machines.run("three", "run")
    assert COMPUTED.search(said)
    assert computed(said) == 0
    assert set(s3.requests - before) == {"GET", "HEAD"}
    assert "nothing would be recomputed" in machines.run("three", "plan")


def test_everything_verifies_and_nothing_that_is_needed_is_collected(machines: Machines) -> None:
    assert ": 0 errors" in machines.run("three", "verify")
    machines.run("one", "gc", "--delete", "--grace-hours", "0")
    assert machines.run("one", "gc", "--grace-hours", "0").startswith("0 files")
    assert ": 0 errors" in machines.run("four", "verify")
    assert computed(machines.run("two", "run")) == 0


def test_readers_on_a_fresh_machine(machines: Machines) -> None:
    assert "store   s3://" in machines.run("five", "status")
    rows = machines.store.get("clean_documents", "manual.one").whole("documents", ["id", "url"]).to_pylist()
    told = machines.run("five", "explain", rows[0]["url"])
    assert rows[0]["id"].hex() in told
    assert "of manual  https://docs.example/" in machines.run("five", "trace", "tiny/base_checkpoint", "--step", "3")
    machines.run("five", "export", "tiny/continued_checkpoint:r0001", str(machines.folder / "exported"))
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {
        path.name for path in (machines.folder / "exported").iterdir()
    }
    assert machines.run("five", "generate", "tiny/base_checkpoint", "The", "--tokens", "5")
