"""The mill: the loaded project with its home, store, workers and stage runner, opened once a process."""

import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pipelines.core.artifacts import Artifact
from pipelines.core.documents import split_key
from pipelines.core.errors import GristmillError
from pipelines.project import Project
from pipelines.project_file import LoadedProject, load_project
from resources.compute import ComputeEngine
from resources.home import Home, find_home
from resources.stages import StageRunner
from resources.store import ArtifactStore

SERVED_PROJECT = "GRISTMILL_SERVED_PROJECT"
"""Environment variable of a code server and its run workers: the digest of the project file as the server loaded it.
Workers import everything anew and would take an edited file for the one that the UI shows."""


class SourceGoneError(GristmillError, RuntimeError):
    """The project file no longer declares the source of a sealed batch."""


class ReloadNeededError(GristmillError, RuntimeError):
    """The project file on disk is not the one that this process loaded."""


@dataclass(frozen=True)
class Mill:
    """Everything that a stage needs to run."""

    home: Home
    loaded: LoadedProject
    store: ArtifactStore
    compute: ComputeEngine
    runner: StageRunner

    @property
    def project(self) -> Project:
        return self.loaded.project

    def get(self, asset: str, key: str | None = None) -> Artifact:
        """The current artifact of an asset, with an error that says how to make it."""
        return self.store.get(asset, key)

    def refuse_stale_project(self) -> None:
        """A run uses one project file from start to end: the one of its code server. An edit needs a reload."""
        if self.loaded.changed_on_disk() or os.environ.get(SERVED_PROJECT, self.loaded.digest) != self.loaded.digest:
            raise ReloadNeededError(
                f"{self.loaded.path} changed after it was loaded: reload the code location (Deployment > Reload in the "
                "UI, or start the command again), then `gristmill plan` shows what the edit recomputes"
            )

    def sealed(self) -> dict[str, int]:
        """Batch key -> ordinal (1, 2, ...) of every sealed batch. Raises `SourceGoneError` for one without a source."""
        sealed = {entry["key"]: number for number, entry in enumerate(self.store.ledger("batches"), start=1)}
        gone = sorted({split_key(key)[0] for key in sealed} - set(self.project.corpus.sources))
        if gone:
            raise SourceGoneError(
                f"{self.loaded.path}: batches of {', '.join(gone)} are sealed, but corpus.sources has no such source. "
                "A sealed batch keeps its place in the dedup chain: put the source back, and name it under `exclude` "
                "in lanes that shall not train on it"
            )
        return sealed

    def remembered_seconds(self, asset: str, key: str | None) -> float | None:
        """How long this step took when it was last computed on this machine."""
        return _times(self.home).get(f"{asset} {key or ''}")

    def remember_seconds(self, asset: str, key: str | None, seconds: float) -> None:
        """Keep a step's time for the next plan; times belong to the machine, so they stay out of the store."""
        times = _times(self.home)
        times[f"{asset} {key or ''}"] = round(seconds, 2)
        target = self.home.cache / "step_seconds.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(times, sort_keys=True, indent=0))
        temporary.replace(target)

    def close(self) -> None:
        self.compute.close()


@lru_cache(maxsize=4)
def open_mill(home: Home) -> Mill:
    """The mill of a home, one a process: its worker pool outlives the single run."""
    home.prepare()
    loaded = load_project(home.project_file, os.environ)
    home.belong_to(loaded.project.project)
    store = ArtifactStore(home.store_url, loaded.project.project, home.cache, single_writer=home.single_writer)
    compute = ComputeEngine(home.workers)
    return Mill(home, loaded, store, compute, StageRunner(store, compute))


def _times(home: Home) -> dict[str, float]:
    try:
        times: dict[str, float] = json.loads((home.cache / "step_seconds.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return times


def current_home(project_file: Path | None = None) -> Home:
    """The home that this process's environment describes."""
    return find_home(os.environ, project_file)
