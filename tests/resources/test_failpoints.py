"""Failpoints kill the process that reaches them, once, and cost nothing when nobody asks."""

from pathlib import Path

import pytest

from resources.failpoints import NAMES, failpoint
from tests.resources.processes import finish, finish_killed, start

MODULE = "tests.resources.test_failpoints"


def main(arguments: list[str]) -> None:
    for number in range(3):
        failpoint("manifest")
        failpoint("reference")
        print(number, flush=True)


def test_the_nth_passage_dies_and_others_do_not(tmp_path: Path) -> None:
    process = start(failpoint="reference:2", module=MODULE)
    finish_killed(process)
    assert finish(start(failpoint="part_write:1", module=MODULE)).split() == ["0", "1", "2"]
    marker = tmp_path / "marker"
    finish_killed(start(failpoint=f"manifest:1:{marker}", module=MODULE))
    assert marker.exists()
    assert finish(start(failpoint=f"manifest:1:{marker}", module=MODULE)).split() == ["0", "1", "2"]


def test_without_the_variable_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRISTMILL_FAILPOINT", raising=False)
    for name in NAMES:
        failpoint(name)
