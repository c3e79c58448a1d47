"""One finished run of the small project for the whole session: tests that only read its store share it."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from resources.mill import Mill, open_mill
from tests.end_to_end.small_project import arrive, environment, write_project


class FinishedRun(NamedTuple):
    """A home in which the small project was run to the end. Read it, never write into it."""

    folder: Path
    project: Path
    home: Path

    def gristmill(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """One command of the command line in this home."""
        return gristmill(self.home, self.project, *arguments)

    @property
    def mill(self) -> Mill:
        """The library's view of this home, in this process."""
        from resources.home import find_home

        return open_mill(find_home(environment(self.home, self.project)))


def gristmill(
    home: Path, project: Path, *arguments: str, workers: int = 2, program: tuple[str, ...] = ("-m", "assets.cli")
) -> "subprocess.CompletedProcess[str]":
    """Run a `gristmill` command in a process of its own."""
    return subprocess.run(
        [sys.executable, *program, *arguments],
        env=environment(home, project, workers=workers),
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=580,
    )


def finish(
    folder: Path, *, workers: int = 2, program: tuple[str, ...] = ("-m", "assets.cli")
) -> tuple[FinishedRun, list["subprocess.CompletedProcess[str]"]]:
    """The small project in `folder`, run from nothing to the report of its first round, and what both commands said."""
    run = FinishedRun(folder, write_project(folder / "project", steps=60, round_steps=20), folder / "home")
    said = [gristmill(run.home, run.project, "run", workers=workers, program=program)]
    arrive(run.project.parent)
    said.append(gristmill(run.home, run.project, "run", workers=workers, program=program))
    for command in said:
        assert command.returncode == 0, command.stderr
    return run, said


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """The small project with its first round, made by two workers."""
    return finish(tmp_path_factory.mktemp("small"))[0]
