"""The daemon and the UI's own API over the small project: what happens by itself, how often, and what never does.

Counts are those of Dagster's event log: a materialization with `computed` 1 is work, with 0 a re-emitted artifact.
"""

import copy
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from pipelines.model.plans.plan import Plan
from tests.end_to_end.conftest import gristmill
from tests.end_to_end.served import Materialized, Served, copy_home, serve
from tests.end_to_end.small_project import arrive, write_documents, write_project

CORPUS = (
    "source_files",
    "crawled_text",
    "quality_signals",
    "filtered_documents",
    "duplicate_signatures",
    "duplicate_matches",
    "deduplicated_documents",
    "sensitive_spans",
    "contamination",
    "clean_documents",
    "bpe/token_arrays",
)


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(home, project file) of the small project with a second lane that leaves the inbox out, run to its end."""
    folder = tmp_path_factory.mktemp("complete")
    project = write_project(folder / "project", steps=40, round_steps=20)
    settings = yaml.safe_load(project.read_text())
    lane = settings["lanes"]["tiny"]
    lane["rounds"]["schedule_at"] = "* * * * *"
    settings["lanes"]["plain"] = {**copy.deepcopy(lane), "exclude": ["news"]}
    project.write_text(yaml.safe_dump(settings, sort_keys=False))
    ran = gristmill(folder / "home", project, "run")
    assert ran.returncode == 0, ran.stderr
    return folder / "home", project


@pytest.fixture(scope="module")
def served(complete: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One daemon and UI for the tests that leave the automation as it ships."""
    home, project = copy_home(*complete, tmp_path_factory.mktemp("served"))
    with serve(home, project) as running:
        yield running


@pytest.fixture
def own(complete: tuple[Path, Path], tmp_path: Path) -> Iterator[Served]:
    """A daemon and UI of a test's own."""
    home, project = copy_home(*complete, tmp_path)
    with serve(home, project) as running:
        yield running


def idle(served: Served, seconds: float) -> None:
    """Nothing is launched for so long."""
    before = served.runs()
    assert before, "the runs of the command line are in the UI"
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(5)
        new = [run for run in served.runs() if run not in before]
        assert not new, f"an idle UI launched {new}"


def settled(served: Served, lanes: tuple[str, ...] = ("tiny", "plain")) -> bool:
    """The newest snapshot is of every sealed batch, every lane's proposal is of it, and no run is under way."""
    mill = served.mill
    snapshot = mill.get("corpus_snapshot")
    if list(snapshot.manifest.facts["ordinals"]) != list(mill.sealed()):
        return False
    proposals = [mill.get(f"{lane}/round_proposal").manifest.inputs["snapshot"] for lane in lanes]
    return all(made.content == snapshot.content for made in proposals) and all(run.finished for run in served.runs())


def test_an_idle_ui_launches_nothing(served: Served) -> None:
    idle(served, 45)


def test_a_run_from_the_launchpad_ends_well_and_computes_nothing_twice(served: Served) -> None:
    before = len(served.materializations())
    run = served.finished(served.launch("ingest_batch", "manual.two"))
    assert run.status == "SUCCESS"
    new = served.materializations()[before:]
    assert Counter(new_one.asset for new_one in new) == dict.fromkeys(CORPUS[:-1], 1)
    assert {(item.partition, item.computed, item.run_id) for item in new} == {("manual.two", 0, run.id)}


def test_a_new_batch_is_made_once_and_touches_nothing_else(served: Served) -> None:
    mill = served.mill
    before = served.materializations()
    known = {run.id for run in served.runs()}
    checkpoints = {lane: mill.get(f"{lane}/base_checkpoint").digest for lane in ("tiny", "plain")}
    plain_weights = mill.get("plain/mixture_weights").content
    key = arrive(served.project.parent)
    served.wait("the proposals of the new snapshot", lambda: settled(served), 280)
    new = served.materializations()[len(before) :]
    assert counts(new) == {
        **{(asset, key, 1): 1 for asset in CORPUS},
        ("corpus_snapshot", None, 1): 1,
        ("tiny/mixture_weights", None, 1): 1,
        ("plain/mixture_weights", None, 1): 1,
        ("tiny/round_proposal", None, 1): 1,
        ("plain/round_proposal", None, 1): 1,
    }
    runs = [run for run in served.runs() if run.id not in known]
    assert all(run.status == "SUCCESS" for run in runs)
    of_key = [run for run in runs if run.partition == key]
    assert len(of_key) == 1, "one run for the key, with everything by batch in it"
    assert {item.run_id for item in new if item.partition == key} == {of_key[0].id}

    assert mill.get("plain/mixture_weights").content == plain_weights
    assert mill.get("plain/round_proposal").manifest.facts["decision"] == "hold"
    assert mill.store.ledger("rounds/plain") == []
    assert mill.get("tiny/round_proposal").manifest.facts["decision"] == "go"
    assert {lane: mill.get(f"{lane}/base_checkpoint").digest for lane in checkpoints} == checkpoints
    assert not any("checkpoint" in item.asset or "mixture" in item.asset.split("_")[-1] for item in new), (
        "nothing trains before a person says so"
    )
    idle(served, 40)


def counts(new: list[Materialized]) -> dict[tuple[str, str | None, int], int]:
    """(asset, partition, computed) -> how many materializations."""
    return dict(Counter((item.asset, item.partition, item.computed) for item in new))
