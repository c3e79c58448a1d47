"""Killed and started again, the small project ends exactly like one that nobody disturbed."""

import shutil
from pathlib import Path

import pytest
import yaml

from resources.failpoints import NAMES
from tests.end_to_end import crash
from tests.end_to_end.conftest import FinishedRun
from tests.end_to_end.crash import covered, crash_beside
from tests.end_to_end.crash_home import Home


@pytest.mark.timeout(1200)
def test_five_kills_leave_no_trace(small_run: FinishedRun, tmp_path: Path) -> None:
    """A part write, an index commit, a checkpoint write and a proposal binding are hit, and the daemon at work."""
    copy = tmp_path / "undisturbed"
    shutil.copytree(small_run.home / "store", copy / "store", symlinks=True)
    lane = yaml.safe_load(small_run.project.read_text())["lanes"]["tiny"]
    steps = lane["base"]["train"]["steps"], lane["rounds"]["train"]["steps"]
    said: list[str] = []
    killed = crash_beside(Home(copy, small_run.project), tmp_path, 5, 1, *steps, said.append)
    assert len(killed) >= 5, said
    hit = covered(killed)
    assert hit["failpoints"] >= {"part_write", "index_commit", "checkpoint_write", "proposal_binding"}, said
    assert hit["targets"] >= {"command", "trainer", "daemon"}, said


@pytest.mark.slow
@pytest.mark.timeout(5400)
def test_thirty_kills_leave_no_trace(tmp_path: Path) -> None:
    said: list[str] = []
    killed = crash.crash(tmp_path, 30, 1, crash.STEPS, crash.ROUND_STEPS, said.append)
    assert len(killed) >= 30, said
    hit = covered(killed)
    assert hit["failpoints"] == set(NAMES), said
    assert hit["targets"] >= {"command", "worker", "trainer", "daemon", "code server", "run worker"}, said
