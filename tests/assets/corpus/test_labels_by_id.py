"""Labels that name documents and bring no texts: joined to the batches of their section, and those of our projects."""

import json
from pathlib import Path

import pytest

from assets.annotating import agreement_lines, import_labels
from assets.automation.arrivals import seal_arrivals
from pipelines.corpus.filters.labelled.examples import ExamplesError
from pipelines.corpus.filters.topics.taxonomies import TAXONOMIES
from tests.assets.corpus.test_models import make, open_project

PROJECTS = Path(__file__).resolve().parents[3] / "assets" / "projects"


@pytest.fixture
def mill(tmp_path):
    (tmp_path / "pages").mkdir()
    lines = [json.dumps({"text": f"page number {number} of the mill"}) + "\n" for number in range(12)]
    (tmp_path / "pages" / "part.jsonl").write_text("".join(lines), "utf-8")
    source = {"language": "en", "domain": "web", "licence": "CC0-1.0", "path": "pages", "reader": {"format": "jsonl"}}
    section = {"labels": ["good", "bad"], "folder": "opinions", "batches": ["pages.first"]}
    corpus = {"sources": {"pages": source}, "models": {"annotations": {"opinions": section}}}
    (tmp_path / "project.yaml").write_text(json.dumps({"project": "labels", "corpus": corpus}), "utf-8")
    mill = open_project(tmp_path)
    seal_arrivals(mill)
    for asset in ("source_files", "crawled_text"):
        make(mill, asset, "pages.first")
    return mill


def test_a_label_finds_its_document(mill, tmp_path):
    documents = mill.get("crawled_text", "pages.first").whole("documents", ["id", "text"]).to_pylist()
    rows = [{"id": item["id"].hex(), "label": "good", "annotator": "ann"} for item in documents[:5]]
    (tmp_path / "given.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    assert next(import_labels(mill, "opinions", tmp_path / "given.jsonl")).startswith("5 labels")
    artifact = mill.get("opinions/annotations")
    found = {row["id"]: row["text"] for row in artifact.whole("resolved", ["id", "text"]).to_pylist()}
    assert found == {item["id"]: item["text"] for item in documents[:5]}
    assert artifact.manifest.inputs["documents/pages.first"].content == mill.get("crawled_text", "pages.first").content
    assert next(agreement_lines(mill, "opinions")).startswith("5 labels of 5 documents")


def test_a_label_of_nothing_is_an_error(mill, tmp_path):
    (tmp_path / "given.jsonl").write_text(json.dumps({"id": "0" * 32, "label": "good", "annotator": "ann"}), "utf-8")
    with pytest.raises(ExamplesError, match=r"given\.jsonl, line 1: has no text, and 0+ is no document .*pages\.first"):
        list(import_labels(mill, "opinions", tmp_path / "given.jsonl"))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_labels_of_the_shared_project(language):
    """Ids and topics of the taxonomy alone, no text of anybody's; no document both trains and measures; every topic is
    in both halves, with five labels or more to measure with."""
    halves = []
    for half in ("train", "test"):
        path = PROJECTS / "shared_labels" / f"topics_{language}_{half}" / "read.jsonl"
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        assert all(row.keys() == {"id", "label", "annotator"} and len(row["id"]) == 32 for row in rows)
        topics = [row["label"] for row in rows]
        assert set(topics) == set(TAXONOMIES[f"llama3_syne_{language}"])
        assert half == "train" or min(topics.count(topic) for topic in topics) >= 5
        halves.append({row["id"] for row in rows})
        assert len(halves[-1]) == len(rows)
    assert not halves[0] & halves[1]
