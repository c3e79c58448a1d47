"""The home that an environment describes."""

from pathlib import Path

import pytest
import yaml

from resources.home import DAGSTER_YAML, DEFAULT_PROJECT, ROOT, Home, HomeError, find_home


def test_by_default_everything_is_beside_the_checkout() -> None:
    home = find_home({})
    assert home.folder == ROOT / ".gristmill"
    assert (home.store_url, home.dagster_home) == (str(home.folder / "store"), home.folder / "dagster")
    assert home.project_file == DEFAULT_PROJECT
    assert DEFAULT_PROJECT.is_file()
    assert home.workers >= 1
    assert not home.single_writer


def test_each_variable_moves_its_own_place(tmp_path: Path) -> None:
    home = find_home(
        {
            "GRISTMILL_HOME": str(tmp_path / "home"),
            "GRISTMILL_STORE": "s3://bucket/name",
            "DAGSTER_HOME": str(tmp_path / "dagster"),
            "GRISTMILL_PROJECT": str(tmp_path / "p.yaml"),
            "GRISTMILL_WORKERS": "3",
            "GRISTMILL_SINGLE_WRITER": "1",
        }
    )
    wanted = Home(tmp_path / "home", "s3://bucket/name", tmp_path / "dagster", tmp_path / "p.yaml", 3, True)
    assert home == wanted
    assert find_home({"GRISTMILL_PROJECT": "/other.yaml"}, tmp_path / "p.yaml").project_file == tmp_path / "p.yaml"


@pytest.mark.parametrize("single_writer", ["0", "1"])
def test_child_processes_find_the_same_home(tmp_path: Path, single_writer: str) -> None:
    home = find_home(
        {"GRISTMILL_HOME": str(tmp_path), "GRISTMILL_WORKERS": "2", "GRISTMILL_SINGLE_WRITER": single_writer}
    )
    child = find_home(home.environment())
    for place in ("folder", "store_url", "dagster_home", "project_file", "workers", "single_writer"):
        assert getattr(child, place) == getattr(home, place)
    assert find_home(child.environment()) == child


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("GRISTMILL_HOME", "relative", "GRISTMILL_HOME=relative is relative; give an absolute path"),
        ("DAGSTER_HOME", "./x", r"DAGSTER_HOME=x is relative"),
        ("GRISTMILL_STORE", "store", r"GRISTMILL_STORE=store is relative; give an absolute path or a URL"),
        ("GRISTMILL_STORE", "", "is relative"),
        ("GRISTMILL_WORKERS", "0", "GRISTMILL_WORKERS=0 is not a number of processes"),
        ("GRISTMILL_WORKERS", "-1", "is not a number"),
        ("GRISTMILL_WORKERS", "two", "is not a number"),
        ("GRISTMILL_WORKERS", "²", "is not a number"),
        ("GRISTMILL_WORKERS", "9" * 5000, "is not a number"),
    ],
)
def test_a_place_that_cannot_be_used_is_named(name: str, value: str, message: str) -> None:
    with pytest.raises(HomeError, match=message) as caught:
        find_home({name: value})
    assert len(str(caught.value)) < 300


def test_a_home_is_of_one_project(tmp_path: Path) -> None:
    home = find_home({"GRISTMILL_HOME": str(tmp_path)})
    home.prepare()
    home.belong_to("one")
    home.belong_to("one")
    with pytest.raises(HomeError, match=r"the home of project 'one', not of 'two'.*Set GRISTMILL_HOME"):
        home.belong_to("two")
    assert sorted(path.name for path in home.dagster_home.iterdir()) == ["dagster.yaml", "project"]


def test_dagster_yaml_is_written_once_and_mended(tmp_path: Path) -> None:
    home = find_home({"GRISTMILL_HOME": str(tmp_path)})
    home.prepare()
    target = tmp_path / "dagster" / "dagster.yaml"
    first = target.stat().st_ino
    home.prepare()
    assert target.stat().st_ino == first  # untouched: a running daemon is not disturbed
    target.write_text("telemetry: {enabled: true}")
    home.prepare()
    assert target.read_text() == DAGSTER_YAML
    assert [path.name for path in target.parent.iterdir()] == ["dagster.yaml"]


def test_telemetry_is_off_and_a_cancel_has_time_for_a_checkpoint() -> None:
    settings = yaml.safe_load(DAGSTER_YAML)
    assert settings["telemetry"] == settings["nux"] == {"enabled": False}
    assert settings["run_monitoring"]["cancel_timeout_seconds"] > 30  # the trainer's grace
