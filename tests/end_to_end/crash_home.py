"""One home of the crash project: its processes, what they are making, and its store."""

import os
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from resources.home import ROOT, find_home
from resources.store import ArtifactStore
from tests.end_to_end.small_project import environment, write_project

PROJECT: Final = "small"


class CrashError(AssertionError):
    """Something survived, leaked, or came out differently."""


@dataclass
class Home:
    """One home with a project of its own."""

    folder: Path
    project: Path
    known: dict[int, str] = field(default_factory=dict)
    """What each process was that was seen here."""

    @classmethod
    def create(cls, folder: Path, steps: int, round_steps: int) -> "Home":
        return cls(
            folder / "home", write_project(folder / "project", name=PROJECT, steps=steps, round_steps=round_steps)
        )

    @property
    def environment(self) -> dict[str, str]:
        described = environment(self.folder, self.project)
        return {**described, **find_home(described).environment()}

    @property
    def root(self) -> Path:
        return self.folder / "store"

    @property
    def store(self) -> ArtifactStore:
        return ArtifactStore(str(self.root), PROJECT, self.folder / "cache")

    def start(self, words: Iterable[str], log: Path, failpoint: str = "") -> "subprocess.Popen[bytes]":
        """A process of this home, in a session of its own."""
        extra = {"GRISTMILL_FAILPOINT": failpoint} if failpoint else {}
        with log.open("ab") as out:
            return subprocess.Popen(
                [sys.executable, *words],
                env={**self.environment, **extra},
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def run(self, *words: str) -> float:
        """One undisturbed command; gives its seconds."""
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "assets.cli", *words], env=self.environment, cwd=ROOT, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise CrashError(f"gristmill {' '.join(words)} failed in {self.folder}:\n{done.stdout}\n{done.stderr}")
        return time.monotonic() - started

    def processes(self) -> dict[int, str]:
        """Living processes of this home: process id -> what it is."""
        found = {}
        for process in psutil.process_iter():
            try:
                if process.environ().get("GRISTMILL_HOME") != str(self.folder):
                    continue
                if process.status() == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
                    continue
                found[process.pid] = kind_of(process)
            except psutil.Error:
                continue
        self.known |= found
        return found

    def doing(self, pids: Iterable[int]) -> str:
        """Assets and keys that these processes are making, or were when they died, by the locks that they hold."""
        locks = self.root / "locks" / PROJECT
        mine = {str(pid) for pid in pids}
        names = []
        for path in sorted(locks.rglob("*.lock")):
            with suppress(FileNotFoundError):  # released since it was listed
                if path.read_text() in mine:
                    names.append(path.relative_to(locks).as_posix().removesuffix(".lock"))
        return " and ".join(names)

    def has(self, asset: str, key: str = "_") -> bool:
        return (self.root / "refs" / PROJECT / asset / key).is_dir()


def kind_of(process: psutil.Process) -> str:
    """What a process of ours is, by its command line."""
    line = " ".join(process.cmdline())
    if "resources.train_process" in line:
        return "trainer"
    if "resource_tracker" in line:
        return "resource tracker"
    if "multiprocessing.forkserver" in line:
        above = process.parent()
        return "worker" if above is not None and "forkserver" in " ".join(above.cmdline()) else "fork server"
    if "multiprocessing.spawn" in line:
        return "run worker"
    if "dagster._daemon" in line:
        return "daemon"
    if "api grpc" in line or "code-server start" in line:
        return "code server"
    return "command" if "assets.cli" in line else line[:60]
