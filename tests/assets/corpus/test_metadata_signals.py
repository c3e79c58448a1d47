"""Metadata as signals of a real store: declared in the file, decided over, explained, and never stale."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from assets.automation.arrivals import seal_arrivals
from assets.graph import all_recipes
from assets.inspection import explain
from assets.recipe import produce
from pipelines.core.artifacts import Artifact
from pipelines.corpus.metadata import metadata
from pipelines.project import Project, SourceConfig
from pipelines.project_file import load_project
from resources.home import find_home
from resources.mill import Mill, open_mill
from tests.assets.corpus.declared import compare_columns
from tests.end_to_end.small_project import environment

STEPS = ("source_files", "crawled_text", "quality_signals", "filtered_documents")
KEY = "posts.first"


def write(folder: Path, likes: list[int | None], method: str = "mad") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"text": f"post {n} says this much", "likes": value}) for n, value in enumerate(likes)]
    (folder / "posts.jsonl").write_text("\n".join(lines) + "\n")
    source = {
        "domain": "posts",
        "licence": "CC0-1.0",
        "path": "posts.jsonl",
        "reader": {"format": "jsonl", "meta_fields": ["likes"]},
        "normalization": ["line_ends", "controls", "nfc", "case_folding"],
        "metadata": {
            "columns": {"likes": {}},
            "operations": [
                {"operation": "outliers", "column": "likes", "method": method},
                {"operation": "drop_rows"},
                {"operation": "fill", "column": "likes", "method": "median"},
            ],
        },
        "filter": {
            "extra": [
                {"name": "liked", "signal": "meta_likes", "op": ">=", "value": 2},
                {
                    "name": "plausible",
                    "signal": f"meta_likes_{method}_outlier",
                    "op": "==",
                    "value": 0,
                    "missing": "pass",
                },
            ]
        },
    }
    project = {"project": "metadata", "corpus": {"sources": {"posts": source}, "signals": {"language": None}}}
    path = folder / "project.yaml"
    path.write_text(json.dumps(project))
    return path


def run(home: Path, project: Path) -> tuple[Mill, dict[str, Artifact]]:
    mill = open_mill(find_home(environment(home, project)))
    seal_arrivals(mill)
    recipes = all_recipes(mill.project)
    return mill, {name: produce(mill, recipes[name], KEY)[0] for name in STEPS}


def test_metadata_is_learned_decided_over_and_explained(tmp_path: Path) -> None:
    mill, made = run(tmp_path / "home", write(tmp_path / "project", [5, 7, 6, None, 1, 5000, 6, 5]))
    signals = made["quality_signals"]
    assert signals.whole("metadata").num_rows == 8
    assert signals.whole("metadata_fit")["operation"].to_pylist() == ["outliers", "drop_rows", "fill"]
    counts = signals.manifest.counts
    assert {name: count for name, count in counts.items() if name.startswith("metadata/")} == {
        "metadata/unreadable": 0,
        "metadata/likes/missing": 1,
        "metadata/likes_filled": 1,
        "metadata/likes_mad_outlier": 1,
        "metadata/metadata_dropped": 1,
    }
    assert [check.passed for check in signals.manifest.checks] == [True, True]
    assert compare_columns(mill, signals) == {"statistics", "surface", "keywords", "metadata"}
    reasons = made["filtered_documents"].whole("decisions")["reason"].to_pylist()
    assert sorted(reasons, key=str) == [None] * 6 + ["liked", "plausible"]
    outlier = made["crawled_text"].whole("documents").to_pylist()[0]
    assert any("meta_likes = " in line for line in explain(mill, outlier["id"].hex()))
    assert made["crawled_text"].manifest.counts.get("normalized/case_folding/documents") is None


def test_a_batch_that_is_too_small_is_told_in_a_warning(tmp_path: Path) -> None:
    _, made = run(tmp_path / "home", write(tmp_path / "project", [5, 7, 100], "zscore"))
    (check,) = [check for check in made["quality_signals"].manifest.checks if check.name == "metadata_learned"]
    assert not check.passed
    assert "3 values are too few" in check.description
    assert made["filtered_documents"].manifest.counts["kept"] == 3


def test_the_same_batch_by_another_home_has_the_same_bytes_and_edits_touch_the_family_alone(tmp_path: Path) -> None:
    likes: list[int | None] = [5, 7, 6, None, 1, 5000, 6, 5]
    _, first = run(tmp_path / "one", write(tmp_path / "project", likes))
    _, again = run(tmp_path / "two", tmp_path / "project" / "project.yaml")
    assert {name: item.content for name, item in first.items()} == {name: item.content for name, item in again.items()}
    _, edited = run(tmp_path / "one", write(tmp_path / "edited", likes, "iqr"))
    assert edited["crawled_text"].content == first["crawled_text"].content
    assert edited["quality_signals"].content != first["quality_signals"].content
    statistics = [item["quality_signals"].parts[0].files["statistics"].object for item in (first, edited)]
    assert statistics[0] == statistics[1]


@pytest.mark.parametrize("section", ["metadata", "normalization"])
def test_other_sources_do_not_feel_what_one_declares(section: str, tmp_path: Path) -> None:
    project = write(tmp_path / "project", [1, 2, 3])
    content = json.loads(project.read_text())
    sources = content["corpus"]["sources"]
    sources["plain"] = {**sources["posts"], "filter": {}}
    del sources["plain"]["metadata"], sources["plain"]["normalization"]
    configs = []
    for declared in (True, False):
        if not declared:
            del sources["posts"][section]
            sources["posts"]["filter"] = {}
        project.write_text(json.dumps(content))
        mill = open_mill(find_home(environment(tmp_path / f"home{declared}", project)))
        recipes = all_recipes(mill.project)
        names = ("crawled_text", "quality_signals")
        configs.append([recipes[name].config(mill.project, "plain.first") for name in names])
    assert configs[0] == configs[1]


def test_a_new_version_is_felt_by_the_sources_that_declare_metadata(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = load_project(write(tmp_path, [1]), {}).project
    bare = project.model_copy(update={"corpus": project.corpus.model_copy(update={"sources": dict(_without(project))})})
    signals = all_recipes(project)["quality_signals"].config
    before = [signals(each, key) for each in (project, bare) for key in (KEY, None)]
    monkeypatch.setattr(metadata, "METADATA", metadata.METADATA._replace(version=99))
    after = [signals(each, key) for each in (project, bare) for key in (KEY, None)]
    assert [one == two for one, two in zip(before, after, strict=True)] == [False, False, True, True]


def _without(project: Project) -> Iterator[tuple[str, SourceConfig]]:
    for name, source in project.corpus.sources.items():
        yield name, source.model_copy(update={"metadata": None})
