import csv
import json

import pytest

from pipelines.corpus.filters.annotation.config import AnnotationConfig
from pipelines.corpus.filters.annotation.labels import build_annotations, documents_meant, read_annotations
from pipelines.corpus.filters.labelled.examples import ExamplesError

CONFIG = AnnotationConfig(labels=("good", "bad"), span_labels=("spam",))


def row(number, label, annotator, **more):
    return {"id": f"{number:032x}", "text": f"text number {number}", "label": label, "annotator": annotator, **more}


def write(path, rows):
    if path.suffix == ".csv":
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, ["id", "text", "label", "annotator", "spans"], restval="")
            writer.writeheader()
            writer.writerows({**item, "spans": json.dumps(item["spans"]) if "spans" in item else ""} for item in rows)
    else:
        path.write_text("".join(json.dumps(item) + "\n" for item in rows))
    return path


ROWS = [
    row(1, "good", "ann", spans=[{"start": 0, "end": 4, "label": "spam"}]),
    row(1, "good", "bob", spans=[{"start": 0, "end": 6, "label": "spam"}]),
    row(1, "bad", "cyd"),
    row(2, "bad", "ann"),
    row(2, "good", "bob"),
    row(3, "bad", "ann"),
    row(4, "", ""),
]


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_labels_of_several_people(tmp_path, name):
    items = read_annotations([write(tmp_path / name, ROWS)], CONFIG)
    found = build_annotations(items, CONFIG)
    resolved = {
        item["text"]: (item["label"], item["votes"], item["people"]) for item in found.tables["resolved"].to_pylist()
    }
    assert resolved == {"text number 1": ("good", 2, 3), "text number 3": ("bad", 1, 1)}
    assert len(found.tables["labels"]) == 6
    assert [(span["start"], span["stop"]) for span in found.tables["spans"].to_pylist()] == [(0, 4), (0, 6)]
    measures = found.measures
    assert (measures["documents"], measures["labels"], measures["resolved"], measures["unresolved"]) == (3, 6, 2, 1)
    assert measures["annotators"] == {"ann": 3, "bob": 2, "cyd": 1}
    pair = next(item for item in measures["pairs"] if item["annotators"] == ["ann", "bob"])
    assert pair["documents"] == 2 and pair["span_f1"] == 0 and pair["span_character_f1"] == pytest.approx(0.8)
    unanimous = build_annotations(items, CONFIG.model_copy(update={"resolve": "unanimous"}))
    assert unanimous.tables["resolved"]["text"].to_pylist() == ["text number 3"]


def test_a_later_label_of_the_same_person_replaces_the_earlier(tmp_path):
    first = write(tmp_path / "a.jsonl", [row(1, "good", "ann")])
    second = write(tmp_path / "b.jsonl", [row(1, "bad", "ann")])
    [item] = read_annotations([first, second], CONFIG)
    assert item.label == "bad"


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (row(1, "fine", "ann"), "line 1: 'fine' is none of the labels good, bad"),
        ({"id": "xy", "text": "t", "label": "good", "annotator": "a"}, "32 hex digits"),
        ({"id": "0" * 32, "label": "good", "annotator": "a"}, "has no text"),
        (row(1, "good", "ann", spans=[{"start": 0, "end": 99, "label": "spam"}]), "span 0 to 99"),
        (row(1, "good", "ann", spans=[{"start": 0, "end": 2, "label": "other"}]), "'other'"),
        (row(1, "good", "ann", spans=["x"]), "list of start, end and label"),
    ],
)
def test_a_mistake_names_the_line(tmp_path, broken, message):
    with pytest.raises(ExamplesError, match=message):
        read_annotations([write(tmp_path / "a.jsonl", [broken])], CONFIG)


def test_a_text_that_was_changed_is_noticed(tmp_path):
    rows = [row(1, "good", "ann"), {**row(1, "good", "bob"), "text": "another"}]
    with pytest.raises(ExamplesError, match="line 2: the text of"):
        read_annotations([write(tmp_path / "a.jsonl", rows)], CONFIG)


def test_no_labels_measure_nothing():
    measures = build_annotations([], CONFIG).measures
    assert measures["labels"] == 0 and measures["krippendorff_alpha"] is None and measures["fleiss_kappa"] is None


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_labels_without_texts_are_those_of_their_documents(tmp_path, name):
    rows = [{**row(1, "good", "ann"), "text": ""}, row(2, "bad", "ann"), {**row(9, "", ""), "text": ""}]
    path = write(tmp_path / name, rows)
    assert documents_meant([path]) == {(1).to_bytes(16, "big")}
    items = read_annotations([path], CONFIG, {(1).to_bytes(16, "big"): "the document"})
    assert [(item.text, item.label) for item in items] == [("the document", "good"), ("text number 2", "bad")]
    with pytest.raises(ExamplesError, match=r"a\..*, line 1|line 2.*: has no text, and 0+1 is no document"):
        read_annotations([path], CONFIG)


def test_a_row_without_text_and_without_an_id(tmp_path):
    path = write(tmp_path / "a.jsonl", [{"id": "zz", "label": "good", "annotator": "ann"}])
    assert documents_meant([path]) == set()
    with pytest.raises(ExamplesError, match="wants id"):
        read_annotations([path], CONFIG)
