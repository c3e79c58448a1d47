"""The daemon and the UI's own API over the small project: what happens by itself, how often, and what never does.

Counts are those of Dagster's event log: a materialization with `computed` 1 is work, with 0 a re-emitted artifact.
"""

import copy
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psutil
import pytest
import yaml

from tests.end_to_end.conftest import gristmill
from tests.end_to_end.served import Materialized, Served, copy_home, serve
from tests.end_to_end.small_project import arrive, topics, write_documents, write_project

pytestmark = pytest.mark.slow
"""Whole runs in processes of their own, minutes together: `make test-slow`."""

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
    "batch_report",
)
TOKENIZED = CORPUS[-2:]
"""What is made once there is a tokenizer, by a job of its own."""


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


def settled(served: Served, key: str) -> bool:
    """The newest snapshot has the batch, both lanes' proposals are of it, and no run is under way."""
    mill = served.mill
    snapshot = mill.get("corpus_snapshot")
    if key not in snapshot.manifest.facts["ordinals"]:
        return False
    proposals = [mill.get(f"{lane}/round_proposal").manifest.inputs["snapshot"] for lane in ("tiny", "plain")]
    return all(made.content == snapshot.content for made in proposals) and all(run.finished for run in served.runs())


def test_an_idle_ui_launches_nothing(served: Served) -> None:
    idle(served, 45)


def test_a_run_from_the_launchpad_ends_well_and_computes_nothing_twice(served: Served) -> None:
    before = len(served.materializations())
    run = served.finished(served.launch("ingest_batch", "manual.two"))
    assert run.status == "SUCCESS"
    new = served.materializations()[before:]
    assert Counter(new_one.asset for new_one in new) == dict.fromkeys(CORPUS[: -len(TOKENIZED)], 1)
    assert {(item.partition, item.computed, item.run_id) for item in new} == {("manual.two", 0, run.id)}


def test_a_new_batch_is_made_once_and_touches_nothing_else(served: Served) -> None:
    mill = served.mill
    before = served.materializations()
    known = {run.id for run in served.runs()}
    checkpoints = {lane: mill.get(f"{lane}/base_checkpoint").digest for lane in ("tiny", "plain")}
    plain_weights = mill.get("plain/mixture_weights").content
    key = arrive(served.project.parent)
    served.wait("the proposals of the new snapshot", lambda: settled(served, key), 280)
    new = served.materializations()[len(before) :]
    assert counts(new) == {
        **{(asset, key, 1): 1 for asset in CORPUS},
        ("corpus_snapshot", None, 1): 1,
        ("corpus_report", None, 1): 1,
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
    idle(served, 20)


def counts(new: list[Materialized]) -> dict[tuple[str, str | None, int], int]:
    """(asset, partition, computed) -> how many materializations."""
    return dict(Counter((item.asset, item.partition, item.computed) for item in new))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_schedule_proposes_and_the_sensor_launches_the_round(own: Served) -> None:
    """With the sensor of proposals off, the go is the schedule's own."""
    mill = own.mill
    own.switch("sensor", "proposals", on=False)
    key = arrive(own.project.parent)
    own.wait("the snapshot", lambda: key in mill.get("corpus_snapshot").manifest.facts["ordinals"], 280)
    assert mill.store.ledger("rounds/tiny") == []
    own.switch("sensor", "tiny_launch", on=True)
    own.switch("schedule", "tiny_rounds", on=True)
    report = own.wait("the report of the round", lambda: mill.store.latest("tiny/continued_report", "r0001"), 280)
    own.switch("schedule", "tiny_rounds", on=False)
    proposals = [run for run in own.runs("propose_tiny_round") if "dagster/schedule_name" in run.tags]
    assert proposals and proposals[-1].tags["dagster/schedule_name"] == "tiny_rounds"
    trained = own.runs("train_tiny_round", "r0001")
    assert [own.finished(run.id).status for run in trained] == ["SUCCESS"]
    assert trained[0].tags["dagster/sensor_name"] == "tiny_launch"

    own.wait("the release", lambda: own.runs("release_tiny") and own.runs("release_tiny")[0].finished, 120)
    passed = report.manifest.facts["gates_passed"]
    released = mill.get("tiny/released_checkpoint").manifest.facts["released"]
    assert released == ("tiny/continued_checkpoint r0001" if passed else "tiny/base_checkpoint")
    again = own.finished(own.launch("propose_tiny_round"))
    assert again.status == "SUCCESS"
    if passed:
        assert mill.get("tiny/round_proposal").manifest.facts["decision"] == "hold", "nothing new since the round"
    assert len(mill.store.ledger("rounds/tiny")) == 1


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_bad_batch_is_given_up_after_three_attempts_and_the_others_go_on(own: Served) -> None:
    mill = own.mill
    folder = own.project.parent
    garbage = folder / "inbox" / "garbage"
    write_documents(garbage, topics()[:4])
    with (garbage / "part.jsonl").open("a") as stream:
        stream.write("{ this is no JSON\n" * 40)
    (garbage / "_SEALED").touch()
    bad = "news.garbage"
    own.wait("its ordinal", lambda: bad in mill.sealed(), 60)
    good = arrive(folder, "later")

    def taken() -> bool:
        facts = mill.get("corpus_snapshot").manifest.facts
        return {bad, good} <= set(facts["ordinals"])

    own.wait("a snapshot with both", taken, 800)
    facts = mill.get("corpus_snapshot").manifest.facts
    assert list(facts["absent"]) == [bad]
    assert "unreadable" in facts["absent"][bad], "the snapshot says why"
    assert facts["complete"]
    failed = own.runs(partition=bad)
    assert [run.status for run in failed] == ["FAILURE"] * 3
    assert len({run.tags.get("dagster/run_key") for run in failed}) == 3, "each retry has a run key of its own"
    assert mill.store.latest("crawled_text", bad) is None, "a failed check publishes nothing"
    assert mill.store.latest("bpe/token_arrays", good) is not None
    runs = own.runs()
    time.sleep(75)
    assert [run for run in own.runs() if run.partition in (bad, good)] == [
        run for run in runs if run.partition in (bad, good)
    ], "what was given up is not asked for again"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_cancelled_round_stops_with_its_state_is_left_alone_and_goes_on_when_asked(own: Served) -> None:
    mill = own.mill
    settings = yaml.safe_load(own.project.read_text())
    settings["lanes"]["tiny"]["rounds"]["train"]["steps"] = 3000
    own.project.write_text(yaml.safe_dump(settings, sort_keys=False))
    stale = own.finished(own.launch("propose_tiny_round"))
    assert stale.status == "FAILURE", "a code location that loaded another file must not run this one"
    own.reload()
    arrive(own.project.parent)
    own.switch("sensor", "tiny_launch", on=True)
    curve = dg.AssetKey(["tiny", "training_progress"])
    run = own.wait("the round", lambda: own.runs("train_tiny_round", "r0001"), 280)[0]
    own.wait("the live curve", lambda: own.observed(curve, run_id=run.id), 120)
    trainer = own.wait("the trainer", own.trainers)
    own.cancel(run.id)
    assert own.finished(run.id).status == "CANCELED"
    _, alive = psutil.wait_procs(trainer, timeout=30)
    assert not alive, "no trainer outlives its run"
    time.sleep(75)
    assert [item.id for item in own.runs("train_tiny_round")] == [run.id], "a user's cancel is not retried"
    assert own.runs("propose_tiny_round")[0].finished

    again = own.finished(own.launch("train_tiny_round", "r0001"), 280)
    assert again.status == "SUCCESS"
    checkpoint = mill.get("tiny/continued_checkpoint", "r0001")
    assert checkpoint.manifest.facts["steps"] == 3000
    first = own.observed(curve, run_id=again.id)[0]
    assert first["step"] > 1, "it went on from the checkpoint that the cancel left"
