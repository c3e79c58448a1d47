"""The second embedded project: the same graph over other data, named by an environment variable, without a change."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.project_file import ProjectError, load_project
from resources.home import ROOT
from tests.end_to_end.conftest import FinishedRun
from tests.shared_data import ROOT as DATA
from tests.shared_data import shared

PROJECT = ROOT / "assets" / "projects" / "shared.yaml"
DOMAINS = {"books", "chinese", "code", "encyclopaedia", "math", "news", "web"}


def test_it_loads_and_every_file_that_it_names_is_there() -> None:
    shared("mixture")
    project = load_project(PROJECT, {"GRISTMILL_SHARED_DATA": str(DATA)}).project
    assert {source.domain for source in project.corpus.sources.values()} == DOMAINS
    named = [source.path for source in project.corpus.sources.values()]
    named += [task.file for task in project.evaluation.tasks] + [project.lanes["stories"].imported]
    named += [examples.path for _, examples in project.corpus.models.sets() if examples.path]
    assert all(Path(name or "").exists() for name in named)


def test_without_the_variable_the_message_names_it_and_every_line() -> None:
    with pytest.raises(ProjectError) as found:
        load_project(PROJECT, {})
    assert len(found.value.mistakes) == PROJECT.read_text().split("\nproject:")[1].count("${GRISTMILL_SHARED_DATA}")
    for mistake in found.value.mistakes:
        assert "GRISTMILL_SHARED_DATA is not set" in mistake.message
        assert "${GRISTMILL_SHARED_DATA}" in PROJECT.read_text().splitlines()[mistake.line - 1]


def cut_down(project: dict[str, Any]) -> dict[str, Any]:
    """The same project over the first records of each file and with a handful of steps."""
    for source in project["corpus"]["sources"].values():
        if source["reader"]["format"] == "jsonl":
            source["batches"] = {"first": {"records": "0:60"}}
    models = project["corpus"]["models"]
    models["annotations"] = {}  # of documents beyond the first 60
    for name in ("topic_en", "topic_zh"):
        del models["classifiers"][name]
    project["lanes"]["small"]["base"]["mixture"]["split"] = {"web": "perplexity_bucket"}  # there is no topic left
    project["corpus"]["splits"] = {"max_documents": 2, "max_characters": 20000, "max_share": 0.3}
    project["evaluation"] |= {"bootstrap_samples": 100, "min_documents": 2, "max_documents": 2}
    for task in project["evaluation"]["tasks"]:
        task["max_items"] = 4
    project["tokenizers"]["bpe8k"]["model"]["sample_characters"] = 50_000
    stages = [project["lanes"]["small"]["base"], project["lanes"]["stories"]["rounds"]]
    for stage in stages:
        stage["train"] |= {"batch_sequences": 2, "micro_batch_sequences": 2, "steps": 4}
        stage["mixture"]["max_epochs"] = 100
    return project


@pytest.mark.slow
def test_a_cut_of_it_runs_to_both_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Base of `small`; import, round and comparison of `stories`. `gristmill run` says that every step succeeded."""
    shared("mixture")
    path = tmp_path / "shared.yaml"
    path.write_text(yaml.safe_dump(cut_down(yaml.safe_load(PROJECT.read_text())), sort_keys=False))
    monkeypatch.setenv("GRISTMILL_SHARED_DATA", str(DATA))
    run = FinishedRun(tmp_path, path, tmp_path / "home")
    done = run.gristmill("run")
    assert done.returncode == 0, done.stderr

    store = run.mill.store
    base = store.get("small/base_report")
    assert {name.removeprefix("bits_per_byte/") for name in base.manifest.facts if name.startswith("bits")} == DOMAINS
    assert {"acc/arc_easy", "acc/piqa", "acc/openbook_qa"} <= set(base.manifest.facts)
    assert base.bytes_of("report").startswith(b"<!DOCTYPE html>")
    imported = store.get("stories/base_checkpoint").manifest
    assert (imported.facts["steps"], imported.facts["parameters"]) == (0, 260_032)
    assert "mixture" not in imported.inputs
    round_report = store.get("stories/continued_report", "r0001").manifest.facts
    assert {name.removeprefix("verdict/") for name in round_report if name.startswith("verdict/")} == DOMAINS
    assert store.get("crawled_text", "pages.first").manifest.rows("documents") == 181
