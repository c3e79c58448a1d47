"""The home: where the store, the Dagster instance and its generated configuration are.

By default `.gristmill/` in the checkout. One home a project, because Dagster's instance tells keys and runs by name.
`GRISTMILL_STORE` (an absolute path or a URL) and `DAGSTER_HOME` (an absolute path) move either; `GRISTMILL_PROJECT`
names the project file, `GRISTMILL_WORKERS` the worker processes.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipelines.core.errors import GristmillError

ROOT: Final = Path(__file__).resolve().parents[1]
DEFAULT_PROJECT: Final = ROOT / "assets" / "projects" / "spine.yaml"
UI_PORT: Final = 3070

DAGSTER_YAML: Final = """\
# Written by gristmill at every start; edits are lost. See resources/home.py.
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  runs:
    max_concurrent_runs: 2
    tag_concurrency_limits:
      - key: gristmill/training
        limit: 1
run_monitoring:
  enabled: true
  start_timeout_seconds: 180
  cancel_timeout_seconds: 60
  poll_interval_seconds: 20
  free_slots_after_run_end_seconds: 30
sensors:
  use_threads: true
  num_workers: 2
schedules:
  use_threads: true
  num_workers: 2
"""
"""The trainer's grace (30 s) is below `cancel_timeout_seconds` (60), so a cancel ends in a checkpoint."""


class HomeError(GristmillError, ValueError):
    """An environment variable names a place that cannot be used."""


@dataclass(frozen=True)
class Home:
    """Absolute places of one installation."""

    folder: Path
    store_url: str
    dagster_home: Path
    project_file: Path
    workers: int
    single_writer: bool
    numba_cache: str | None = None
    """Where compiled kernels are kept, if the caller wants several homes to share them."""

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def reports(self) -> Path:
        return self.folder / "reports"

    def prepare(self) -> None:
        """Create the folders and write `dagster.yaml` (only when it differs, so a running daemon is not disturbed)."""
        self.dagster_home.mkdir(parents=True, exist_ok=True)
        target = self.dagster_home / "dagster.yaml"
        if not target.exists() or target.read_text() != DAGSTER_YAML:
            temporary = self.dagster_home / f".dagster.yaml.{os.getpid()}"
            temporary.write_text(DAGSTER_YAML)
            temporary.replace(target)

    def belong_to(self, project: str) -> None:
        """Make this the home of a project. Raises `HomeError` when it is another one's."""
        marker = self.dagster_home / "project"
        temporary = self.dagster_home / f".project.{os.getpid()}"
        temporary.write_text(project)
        try:
            os.link(temporary, marker)
        except FileExistsError:
            owner = marker.read_text()
            if owner != project:
                raise HomeError(
                    f"{self.folder} is the home of project {owner!r}, not of {project!r}, and their runs would mix. "
                    f"Set GRISTMILL_HOME to another folder; GRISTMILL_STORE={self.store_url} shares what was computed"
                ) from None
        finally:
            temporary.unlink()

    def environment(self) -> dict[str, str]:
        """What child processes need to find the same places."""
        return {
            "GRISTMILL_HOME": str(self.folder),
            "DAGSTER_HOME": str(self.dagster_home),
            "GRISTMILL_STORE": self.store_url,
            "GRISTMILL_PROJECT": str(self.project_file),
            "GRISTMILL_WORKERS": str(self.workers),
            "GRISTMILL_SINGLE_WRITER": "1" if self.single_writer else "0",
            "NUMBA_CACHE_DIR": self.numba_cache or str(self.cache / "numba" / library_digest()),
            "TOKENIZERS_PARALLELISM": "false",
            # With the default policy an idle torch thread spins: 2 to 3 times slower when anything else wants the core.
            "OMP_WAIT_POLICY": "PASSIVE",
        }


def library_digest() -> str:
    """Digest of the library's sources. numba's own cache looks at a kernel's file alone and would keep a kernel whose
    imported constant changed; one folder for each state of the sources cannot be stale."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "pipelines").rglob("*.py")):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def find_home(environment: Mapping[str, str], project_file: Path | None = None) -> Home:
    """The home that the environment describes. Raises `HomeError` for a relative path or a bad number."""
    folder = Path(environment.get("GRISTMILL_HOME", ROOT / ".gristmill"))
    store_url = environment.get("GRISTMILL_STORE", str(folder / "store"))
    dagster_home = Path(environment.get("DAGSTER_HOME", folder / "dagster"))
    for name, path in (("GRISTMILL_HOME", folder), ("DAGSTER_HOME", dagster_home)):
        if not path.is_absolute():
            raise HomeError(f"{name}={path} is relative; give an absolute path")
    if "://" not in store_url and not Path(store_url).is_absolute():
        raise HomeError(
            f"GRISTMILL_STORE={store_url} is relative; give an absolute path or a URL such as s3://bucket/name"
        )
    workers = environment.get("GRISTMILL_WORKERS", str(os.cpu_count() or 1))
    if not re.fullmatch(r"[1-9][0-9]{0,3}", workers):
        raise HomeError(f"GRISTMILL_WORKERS={workers[:80]} is not a number of processes, 1 or more")
    chosen = project_file or Path(environment.get("GRISTMILL_PROJECT", DEFAULT_PROJECT))
    single_writer = environment.get("GRISTMILL_SINGLE_WRITER") == "1"
    numba_cache = environment.get("NUMBA_CACHE_DIR")
    return Home(folder, store_url, dagster_home, chosen.resolve(), int(workers), single_writer, numba_cache)
