import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.core.documents import text_hash
from pipelines.corpus.filters.labelled.config import ExamplesConfig
from pipelines.corpus.filters.labelled.examples import (
    ExamplesError,
    ExampleSet,
    Labelled,
    file_texts,
    gather,
    read_rows,
)

SETTINGS = {"max_characters": 100, "held_out": 0.3, "seed": 1}

texts = st.lists(
    st.tuples(st.sampled_from(["a", "b b", "c", "d", "e", " ", ""]), st.sampled_from(["x", "y"])), max_size=30
)


@settings(deadline=None)
@given(texts, st.integers(1, 5), st.randoms())
def test_every_text_is_kept_or_left_out_for_a_reason_whatever_the_order(rows, limit, random):
    items = [Labelled(*row) for row in rows]
    found = gather([ExampleSet("one", limit, items)], **SETTINGS)
    dropped = sum(number for name, number in found.counts.items() if name.startswith("dropped/"))
    assert found.counts["rows_in"] == len(rows) == found.counts["kept"] + dropped
    assert found.counts["kept"] == len(found.table) <= limit
    if len({text for text, _ in rows}) == len(rows):  # the order of equal texts decides which is the repeated one
        random.shuffle(items)
        assert gather([ExampleSet("one", limit, items)], **SETTINGS).table.equals(found.table)


def test_a_text_with_two_labels_teaches_nothing():
    sets = [
        ExampleSet(
            "one", 9, [Labelled("both", "x"), Labelled("mine", "x"), Labelled("both ", "y"), Labelled("both", "x")]
        )
    ]
    found = gather(sets, **SETTINGS)
    assert found.table["text"].to_pylist() == ["mine"]
    assert found.counts["dropped/two_labels"] == 2 and found.counts["dropped/repeated"] == 1


def test_a_copy_is_never_held_out_apart_from_its_original():
    sets = [ExampleSet(name, 500, [Labelled(f"text {n}", "x") for n in range(400)]) for name in ("one", "two")]
    found = gather(sets, **SETTINGS)
    assert len(found.table) == 400 and found.counts["dropped/repeated"] == 400
    share = sum(found.table["held_out"].to_pylist()) / 400
    assert 0.2 < share < 0.4
    other = gather(sets[:1], max_characters=100, held_out=0.3, seed=2).table
    assert other["held_out"].to_pylist() != found.table["held_out"].to_pylist()


def test_half_of_a_surrogate_pair_is_text_too():
    found = gather([ExampleSet("one", 9, [Labelled("a\ud800b", "x")])], **SETTINGS)
    assert found.table["text"].to_pylist() == ["a?b"]
    assert found.table["text_hash"][0].as_py() == text_hash("a?b")


def test_files_of_every_kind(tmp_path):
    rows = [
        {"q": "one", "a": "1", "kind": "good", "set": "s"},
        {"q": "two", "a": "", "kind": "bad", "set": "s"},
        {"q": "three", "a": "3", "kind": "other", "set": "t"},
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "a.jsonl").write_text(lines)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "c.csv").write_text("q,a,kind,set\none,1,good,s\ntwo,,bad,s\nthree,3,other,t\n")
    config = ExamplesConfig(
        path="x", text_fields=("q", "a"), label_field="kind", labels={"good": "yes", "bad": "no"}, where={"set": "s"}
    )
    for name in ("a.jsonl", "b.jsonl.gz", "c.csv"):
        assert list(file_texts(tmp_path / name, config)) == [Labelled("one\n1", "yes"), Labelled("two", "no")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"text": "x"}\n[1]\n', "line 2: is no JSON object"),
        ("a.jsonl", '{"text": "x"\n', "line 1: is no JSON object"),
        ("a.jsonl", '{"body": "x"}\n', "line 1: none of the fields text; there are body"),
        ("a.csv", "text,label\nx\n", "line 2: has not as many cells"),
        ("a.jsonl.gz", "no gzip", "is no JSON object"),
    ],
)
def test_a_bad_file_names_the_line(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ExamplesError, match=message):
        list(file_texts(tmp_path / name, ExamplesConfig(path="x")))


def test_quoted_lines_of_a_table_stay_together(tmp_path):
    (tmp_path / "a.csv").write_text('text,label\n"two\nlines",x\n')
    assert [row for _, row in read_rows(tmp_path / "a.csv")] == [{"text": "two\nlines", "label": "x"}]


def test_a_set_has_one_origin():
    for wrong in ({}, {"path": "x", "batches": ("a.b",)}, {"batches": ("a.b",), "label_field": "x"}):
        with pytest.raises(ValueError):
            ExamplesConfig(**wrong)


@settings(deadline=None)
@given(texts, texts, texts)
def test_what_only_measures_never_trains_and_what_only_trains_never_measures(measuring, training, either):
    sets = [
        ExampleSet("train", 50, [Labelled(*row) for row in training], False),
        ExampleSet("some", 50, [Labelled(*row) for row in either]),
        ExampleSet("measure", 50, [Labelled(*row) for row in measuring], True),
    ]
    found = gather(sets, **SETTINGS)
    dropped = sum(number for name, number in found.counts.items() if name.startswith("dropped/"))
    assert found.counts["rows_in"] == found.counts["kept"] + dropped
    held = {row["text"]: row["held_out"] for row in found.table.to_pylist()}
    meant = {text.strip() for text, _ in measuring} - {""}
    assert all(held.get(text, True) for text in meant)
    one_label = {text for text in meant if len({label for other, label in measuring if other.strip() == text}) == 1}
    assert one_label <= held.keys()  # what other sets say of it does not matter
    assert not any(held[text] for text in held.keys() - meant - {text.strip() for text, _ in either})


def test_where_a_set_does_not_say_it_its_identity_is_as_before():
    plain = ExamplesConfig(batches=("a.first",))
    assert "held_out" not in plain.identity()
    assert ExamplesConfig(batches=("a.first",), held_out=False).identity() == {**plain.identity(), "held_out": False}


def test_a_query_chooses_among_batches():
    plain = ExamplesConfig(batches=("a.first",), label="x")
    assert "query" not in plain.identity()
    assert ExamplesConfig(batches=("a.first",), label="x", query="mill").identity() == {
        **plain.identity(),
        "query": "mill",
    }
    with pytest.raises(ValueError, match="declare them"):
        ExamplesConfig(path="x.jsonl", query="mill")
