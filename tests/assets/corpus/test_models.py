"""The models of a project as assets: made once, pinned by digest, used as signals, labels as versions."""

import json
import os
from pathlib import Path

import pyarrow.compute as pc
import pytest

from assets.annotating import agreement_lines, import_labels, write_sample
from assets.automation.arrivals import seal_arrivals
from assets.graph import all_recipes, build_graph
from assets.planning import stale_steps
from assets.recipe import ImmutableError, produce
from pipelines.core.errors import RefusedRequestError, UnknownNameError
from pipelines.corpus.filters.annotation.sample import Choice
from resources.home import find_home
from resources.mill import Mill, open_mill
from tests.assets.corpus.declared import compare_columns
from tests.assets.corpus.model_project import write_project, write_texts
from tests.shared_data import shared

MODELS = (
    "mathlike/quality_classifier", "liked/quality_classifier", "subjects/topic_classifier", "buying/topical_subset",
    "english/language_model", "han/language_model", "language_calibration",
)  # fmt: skip


def open_project(folder: Path) -> Mill:
    home = {"GRISTMILL_HOME": str(folder / "home"), "GRISTMILL_PROJECT": str(folder / "project.yaml")}
    open_mill.cache_clear()
    return open_mill(find_home({**os.environ, **home, "GRISTMILL_WORKERS": "1"}))


def make(mill: Mill, asset: str, key: str | None = None):
    return produce(mill, all_recipes(mill.project)[asset], key)


def label(source: Path, target: Path, people: dict[str, int]) -> None:
    """Fill a sample in: every `n`-th document is bad to a person."""
    rows = [json.loads(line) for line in source.read_text("utf-8").splitlines()]
    filled = [
        {**row, "annotator": person, "label": "bad" if number % every == 0 else "good"}
        for person, every in people.items()
        for number, row in enumerate(rows)
    ]
    target.write_text("".join(json.dumps(row) + "\n" for row in filled), "utf-8")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Mill:
    """Everything up to the decisions, in the order of the command line."""
    folder = tmp_path_factory.mktemp("models")
    write_texts(folder)
    write_project(folder, str(shared("models/lid176/lid.176.ftz")))
    mill = open_project(folder)
    seal_arrivals(mill)
    for key in mill.sealed():
        for asset in ("source_files", "crawled_text"):
            make(mill, asset, key)
    documents = mill.get("crawled_text", "math.first").whole("documents", ["id", "text"]).slice(0, 30).to_pylist()
    (folder / "opinions").mkdir()
    rows = [{"id": row["id"].hex(), "text": row["text"], "label": "good", "annotator": "ann"} for row in documents]
    (folder / "opinions" / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    make(mill, "opinions/annotations")
    for asset in MODELS:
        make(mill, asset)
    for key in mill.sealed():
        for asset in ("quality_signals", "filtered_documents"):
            make(mill, asset, key)
    return mill


def test_models_give_signals_and_rules_use_them(made):
    signals = made.get("quality_signals", "web.first")
    assert {"language", "classifiers", "topics", "subsets", "perplexity"} <= set(signals.parts[0].files)
    counts = signals.manifest.counts
    documents = signals.manifest.rows("classifiers")
    assert sum(n for name, n in counts.items() if name.startswith("topic/")) == documents
    assert sum(n for name, n in counts.items() if name.startswith("language/")) == documents
    probability = signals.whole("language")["language_probability"]
    assert probability.null_count < documents and pc.max(probability).as_py() <= 1
    han = made.get("quality_signals", "chinese.first").whole("perplexity")["perplexity_model"].to_pylist()
    assert han.count("han") > 50

    judged = made.get("filtered_documents", "math.first")
    rank = made.get("quality_signals", "math.first").whole("classifiers")["mathlike_rank"].to_pylist()
    kept = judged.whole("decisions")["kept"].to_pylist()
    assert kept == [value is not None and value >= 0.5 for value in rank]
    assert sum(kept) / len(kept) > 0.8


def test_the_project_file_knows_every_column_before_it_is_computed(made):
    for key in made.sealed():
        families = compare_columns(made, made.get("quality_signals", key))
    assert families == {"language", "surface", "keywords", "classifiers", "topics", "subsets", "perplexity"}


def test_signals_are_pinned_to_the_models_by_digest(made):
    inputs = made.get("quality_signals", "web.first").manifest.inputs
    for asset in MODELS:
        name = asset.partition("/")[0]
        assert inputs[f"model/{name}"].content == made.get(asset).content
    liked = made.get("liked/quality_classifier").manifest
    assert liked.inputs["annotations/opinions"].content == made.get("opinions/annotations").content
    assert {item.asset for item in liked.inputs.values()} == {"crawled_text", "opinions/annotations"}


def test_everything_stands_when_nothing_changed(made):
    for asset in MODELS:
        artifact, computed, _ = make(made, asset)
        assert not computed and artifact.content == made.get(asset).content
    assert make(made, "quality_signals", "web.first")[1] is False
    stale = {step.asset for step in stale_steps(made, build_graph(made.project)) if step.certain}
    assert stale & {"quality_signals", "filtered_documents", *MODELS} == set()


def test_another_threshold_recomputes_no_signal(made):
    path = made.loaded.path
    text = path.read_text()
    try:
        path.write_text(text.replace('"value": 0.5', '"value": 0.9'))
        mill = open_project(path.parent)
        assert make(mill, "quality_signals", "math.first")[1] is False
        artifact, computed, _ = make(mill, "filtered_documents", "math.first")
        assert computed
        before = made.get("filtered_documents", "math.first").manifest.action
        assert artifact.manifest.action == before  # the newest reference is the new decision
    finally:
        path.write_text(text)
        make(open_project(path.parent), "filtered_documents", "math.first")


def test_a_model_is_immutable_under_its_name(made):
    path = made.loaded.path
    text = path.read_text()
    try:
        path.write_text(text.replace('"epochs": 15', '"epochs": 16'))
        with pytest.raises(ImmutableError, match="give the section of the project file a new name"):
            make(open_project(path.parent), "mathlike/quality_classifier")
    finally:
        path.write_text(text)
    labelled = path.parent / "languages.jsonl"
    data = labelled.read_bytes()
    try:
        labelled.write_bytes(data + b'{"lang": "en", "text": "one more"}\n')
        with pytest.raises(ImmutableError, match="another file 0"):
            make(open_project(path.parent), "language_calibration")
    finally:
        labelled.write_bytes(data)


def test_people_label_and_the_labels_are_a_version(made, tmp_path):
    mill = open_project(made.loaded.path.parent)
    done = write_sample(
        mill, Choice(rule="mathematical", verdict="passed"), 12, 0, ["math.first"], tmp_path / "s.jsonl"
    )
    assert done.startswith("12 documents")
    with pytest.raises(UnknownNameError, match="no rule of these sources"):
        write_sample(mill, Choice(rule="other"), 3, 0, [], tmp_path / "t.jsonl")
    with pytest.raises(RefusedRequestError, match="exists"):
        write_sample(mill, Choice(), 3, 0, [], tmp_path / "s.jsonl")
    label(tmp_path / "s.jsonl", tmp_path / "filled.jsonl", {"bob": 3, "cyd": 4})
    before = mill.get("opinions/annotations").content
    classifier = mill.get("liked/quality_classifier").content
    lines = list(import_labels(mill, "opinions", tmp_path / "filled.jsonl"))
    assert lines[0].startswith("24 labels") and "a new version" in lines[1]
    after = mill.get("opinions/annotations")
    assert after.content != before and after.manifest.counts == {}
    assert after.json("measures")["annotators"]["bob"] == 12
    assert any("bob and cyd: Cohen's kappa" in line for line in agreement_lines(mill, "opinions"))
    make(mill, "liked/quality_classifier")
    assert mill.get("liked/quality_classifier").content == classifier  # what was trained stands on its labels
    with pytest.raises(UnknownNameError, match="no section 'other'"):
        list(agreement_lines(mill, "other"))


def test_disagreement_and_bands_find_documents(made, tmp_path):
    mill = open_project(made.loaded.path.parent)
    write_sample(mill, Choice(disagreement=("mathlike_rank", "liked_rank")), 5, 0, [], tmp_path / "a.csv")
    write_sample(mill, Choice(signal="perplexity_rank", low=0.9, high=1.0), 5, 0, ["web.first"], tmp_path / "b.jsonl")
    assert (tmp_path / "a.csv").read_text("utf-8").startswith("id,text,label,annotator,spans")
    assert len((tmp_path / "b.jsonl").read_text("utf-8").splitlines()) == 5
    with pytest.raises(UnknownNameError, match="no sealed batch"):
        write_sample(mill, Choice(), 5, 0, ["web.gone"], tmp_path / "c.jsonl")
