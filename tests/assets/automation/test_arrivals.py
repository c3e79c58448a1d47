"""Sealing: what is there gets its ordinal once, what is not there keeps no place."""

from pathlib import Path

import pytest

from assets.automation.arrivals import seal_arrivals
from resources.home import find_home
from resources.mill import Mill, open_mill
from tests.end_to_end.small_project import environment, write_project


@pytest.fixture
def mill(tmp_path: Path) -> Mill:
    return open_mill(find_home(environment(tmp_path / "home", write_project(tmp_path / "project"))))


def test_a_path_that_names_nothing_is_not_sealed_and_is_sealed_once_it_is_there(mill: Mill) -> None:
    folder = mill.loaded.path.parent / "manual"
    (folder / "one").rename(folder / "elsewhere")
    first = seal_arrivals(mill)
    assert first.sealed == ["manual.two", "code.first"]
    assert list(first.refused) == ["manual.one"]
    assert "'manual/one' is not there" in first.refused["manual.one"]
    assert mill.sealed() == {"manual.two": 1, "code.first": 2}
    assert seal_arrivals(mill).sealed == []
    (folder / "elsewhere").rename(folder / "one")
    assert seal_arrivals(mill) == (["manual.one"], {})
    assert mill.sealed() == {"manual.two": 1, "code.first": 2, "manual.one": 3}


def test_an_inbox_folder_arrives_when_its_seal_is_there(mill: Mill) -> None:
    folder = mill.loaded.path.parent / "inbox" / "late"
    folder.mkdir()
    assert "news.late" not in seal_arrivals(mill).sealed
    (folder / "_SEALED").touch()
    assert seal_arrivals(mill).sealed == ["news.late"]
