"""The command line on a finished run: what it says is compared with the store, read by other means."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow.compute as pc
import yaml

from assets.graph import all_recipes
from assets.model.lineage import plan_of
from assets.standing import recorded, stands
from pipelines.project import Project
from tests.end_to_end.conftest import FinishedRun, gristmill
from tests.end_to_end.small_project import ROUND_STEPS

SPAN = re.compile(r"row +(\d+)  ([0-9a-f]{32})  tokens (\d+)-(\d+)")


def test_status_lists_batches_lanes_and_verdicts(small_run: FinishedRun) -> None:
    said = small_run.gristmill("status").stdout
    for key in ("manual.one", "manual.two", "code.first", "news.late"):
        assert key in said
    assert "snapshot: 4 batches" in said
    assert re.search(r"r0001: [\d,]+ parameters, \d+ steps, loss", said)
    assert "proposal: hold (0 new tokens" in said


def test_a_second_run_changes_no_object_and_starts_no_round(small_run: FinishedRun) -> None:
    store = small_run.home / "store"
    before = {path.relative_to(store): path.stat().st_mtime_ns for path in store.rglob("*") if path.is_file()}
    again = small_run.gristmill("run")
    assert again.returncode == 0, again.stderr
    after = {path.relative_to(store): path.stat().st_mtime_ns for path in store.rglob("*") if path.is_file()}
    changed = {str(path) for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert {path for path in changed if not path.startswith("locks/")} == set()
    assert "r0002" not in small_run.gristmill("status").stdout


def test_every_digest_and_row_count_is_verified(small_run: FinishedRun) -> None:
    said = small_run.gristmill("verify")
    assert said.returncode == 0, said.stdout
    assert "0 errors" in said.stdout


def test_gc_after_a_finished_run_finds_little_and_deletes_nothing_by_itself(small_run: FinishedRun) -> None:
    files = sum(path.is_file() for path in (small_run.home / "store").rglob("*"))
    said = small_run.gristmill("gc", "--grace-hours", "0").stdout
    assert "run with --delete" in said
    assert sum(path.is_file() for path in (small_run.home / "store").rglob("*")) == files


def test_a_step_leads_to_the_tokens_that_were_trained_on(small_run: FinishedRun) -> None:
    """The spans that `trace` names hold the very tokens of the batch that the trainer read."""
    mill = small_run.mill
    checkpoint = mill.get("tiny/base_checkpoint")
    plan = plan_of(checkpoint)
    spans = [
        match.groups()
        for match in SPAN.finditer(small_run.gristmill("trace", "tiny/base_checkpoint", "--step", "9").stdout)
    ]
    expected = _batch(small_run, 8)
    rows: dict[int, list[int]] = {}
    for row, document, start, stop in spans:
        rows.setdefault(int(row), []).extend(_tokens(small_run, bytes.fromhex(document), int(start), int(stop)))
    assert sorted(rows) == list(range(plan.train.batch_sequences))
    for row, tokens in rows.items():
        assert tokens == expected[row].tolist()


def _batch(run: FinishedRun, step: int) -> np.ndarray:
    """Inputs and the last target of a step, [rows, T + 1], by the trainer's own reader."""
    from assets.model.checkpoint import _batches
    from resources.train_process import open_batches
    from resources.trainer import TrainingJob

    mill = run.mill
    checkpoint = mill.get("tiny/base_checkpoint")
    plan = plan_of(checkpoint)
    mixture = mill.store.open(checkpoint.manifest.inputs["mixture"].manifest)
    job = TrainingJob(
        training_identity="read",
        architecture=plan.architecture,
        train=plan.train,
        batches=_batches(mill, plan, mixture, Path()),
    )
    inputs, targets = open_batches(job)(step)
    return np.concatenate([inputs, targets[:, -1:]], axis=1)


def _tokens(run: FinishedRun, document: bytes, start: int, stop: int) -> list[int]:
    """Tokens [start, stop) of a document, found by a scan of every array."""
    mill = run.mill
    for key in mill.sealed():
        arrays = mill.get("bpe/token_arrays", key)
        for part, index in arrays.tables("train_index"):
            rows = index.filter(pc.equal(index["id"], document)).to_pylist()
            if rows:
                flat = np.fromfile(arrays.path(part, "train"), "<u2")
                return flat[rows[0]["start"] + start : rows[0]["start"] + stop].tolist()
    raise AssertionError(f"{document.hex()} is in no array")


def test_documents_and_steps_lead_to_each_other(small_run: FinishedRun) -> None:
    forward = SPAN.findall(small_run.gristmill("trace", "tiny/base_checkpoint", "--step", "3").stdout)
    row, document, start, stop = forward[0]
    backward = small_run.gristmill("trace", "tiny/base_checkpoint", "--document", document).stdout
    assert f"step 3, row {row}: tokens {start}-{stop}" in backward


def test_the_round_trained_on_its_new_batch_and_on_replay(small_run: FinishedRun) -> None:
    plan = plan_of(small_run.mill.get("tiny/continued_checkpoint", "r0001"))
    assert plan.seen is not None and "news.late" not in plan.seen
    said = small_run.gristmill("trace", "tiny/continued_checkpoint:r0001", "--step", "5").stdout
    assert "of new/news" in said and "of replay/" in said
    assert plan.train.total_steps <= ROUND_STEPS


def test_explain_tells_the_whole_way_of_a_document(small_run: FinishedRun) -> None:
    mill = small_run.mill
    crawled = mill.get("crawled_text", "manual.one")
    row = crawled.table(crawled.parts[0], "documents").slice(0, 1).to_pylist()[0]
    by_id = small_run.gristmill("explain", row["id"].hex()).stdout
    by_url = small_run.gristmill("explain", row["url"]).stdout
    assert by_id == by_url
    assert row["locator"] in by_id and "filter     kept" in by_id and "split " in by_id and "tokens " in by_id
    missing = small_run.gristmill("explain", "https://docs.example/none")
    assert missing.returncode == 2 and "in no batch" in missing.stderr and "Traceback" not in missing.stderr


def test_an_edit_is_priced_and_touches_only_what_it_changes(small_run: FinishedRun, tmp_path: Path) -> None:
    """A stricter rule for one source: its filter is stale, its text and signals are not, and no score is recomputed."""
    project = yaml.safe_load(small_run.project.read_text())
    project["corpus"]["sources"]["code"]["filter"] = {
        "extra": [{"name": "long_enough", "signal": "n_plain_words", "op": ">=", "value": 200}]
    }
    folder = tmp_path / "project"
    shutil.copytree(small_run.project.parent, folder)
    (folder / "project.yaml").write_text(yaml.safe_dump(project, sort_keys=False))
    said = gristmill(small_run.home, folder / "project.yaml", "plan").stdout
    certain = [line for line in said.splitlines() if line.startswith("recompute")]
    assert len(certain) == 1 and "filtered_documents code.first" in certain[0]
    assert "crawled_text" not in said and "quality_signals" not in said
    assert "duplicate_signatures code.first" in said
    unchanged = small_run.gristmill("plan").stdout
    assert "nothing would be recomputed" in unchanged


def test_generation_is_deterministic_and_starts_with_the_prompt(small_run: FinishedRun) -> None:
    first, second = (
        small_run.gristmill("generate", "tiny/released_checkpoint", "The value", "--tokens", "12").stdout
        for _ in range(2)
    )
    assert first == second and first.startswith("The value")
    wrong = small_run.gristmill("generate", "tinny/base_checkpoint", "x")
    assert wrong.returncode == 2 and "no lane 'tinny'" in wrong.stderr


def test_the_schema_is_that_of_the_project(small_run: FinishedRun) -> None:
    assert json.loads(small_run.gristmill("schema").stdout) == json.loads(json.dumps(Project.model_json_schema()))


def test_a_source_that_is_gone_and_a_home_of_another_project_are_told(small_run: FinishedRun, tmp_path: Path) -> None:
    settings = yaml.safe_load(small_run.project.read_text())
    settings["corpus"]["sources"]["papers"] = settings["corpus"]["sources"].pop("code")
    settings["tokenizers"]["bpe"]["batches"] = ["manual.one"]
    gone = small_run.project.with_name("gone.yaml")
    gone.write_text(yaml.safe_dump(settings, sort_keys=False))
    said = gristmill(small_run.home, gone, "status")
    assert (said.returncode, said.stdout) == (2, "")
    assert "batches of code are sealed, but corpus.sources has no such source" in said.stderr
    gone.write_text(yaml.safe_dump({**settings, "project": "other"}, sort_keys=False))
    said = gristmill(small_run.home, gone, "status")
    assert said.returncode == 2
    assert "is the home of project 'small', not of 'other'" in said.stderr
    gone.unlink()


def test_a_partition_without_a_selection_is_refused(small_run: FinishedRun) -> None:
    said = small_run.gristmill("run", "--partition", "manual.one")
    assert said.returncode == 2
    assert "give both" in said.stderr


def test_a_selection_over_every_scope_runs_in_the_order_of_the_graph(small_run: FinishedRun) -> None:
    said = small_run.gristmill("run", "--select", "*tiny/base_report")
    assert said.returncode == 0, said.stderr
    assert said.stderr.count("manual.two: done, 0 of") >= 2, "everything by batch, before and after the tokenizer"
    assert "FAILED" not in said.stderr


def test_batches_that_stand_are_not_run_again(small_run: FinishedRun) -> None:
    again = small_run.gristmill("run")
    assert again.returncode == 0, again.stderr
    mill = small_run.mill
    batches = len(mill.sealed())
    for job in ("ingest_batch", "tokenize_batch"):
        assert f"{job}: {batches} of {batches} batches were done" in again.stderr
        assert f"{job} manual.one" not in again.stderr


def test_what_stands_is_in_the_store_as_asked_for_and_on_record(small_run: FinishedRun) -> None:
    mill, key = small_run.mill, "manual.one"
    recipe = all_recipes(mill.project)["clean_documents"]
    content = mill.get("clean_documents", key).content
    assert stands(mill, recipe, key, {"clean_documents": {key: content}})
    assert not stands(mill, recipe, key, {"clean_documents": {key: "another version"}})
    assert not stands(mill, recipe, "manual.none", {"clean_documents": {"manual.none": content}})
    edited = replace(recipe, config=lambda project, key: {"edited": True})
    assert not stands(mill, edited, key, {"clean_documents": {key: content}})
    with dg.DagsterInstance.ephemeral() as empty:
        assert recorded(empty, mill, [recipe]) == {}
