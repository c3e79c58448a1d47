import gzip
import json
import re
from pathlib import Path

import pytest
import zstandard

from pipelines.evaluation.config import EvaluationConfig, TaskConfig
from pipelines.evaluation.items import LINE_BYTES, ItemError, item_texts, read_items
from tests.shared_data import shared

PROJECTS = Path(__file__).resolve().parents[3] / "assets" / "projects"


def task(**fields):
    return TaskConfig(name="quiz", file="quiz.jsonl", **fields)


def written(tmp_path, *lines):
    path = tmp_path / "quiz.jsonl"
    path.write_bytes(
        b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
    )
    return path


GOOD = {"question": "q", "choices": ["a", "b"], "gold": 1}


def test_the_plain_layout(tmp_path):
    (item,) = read_items(written(tmp_path, GOOD), task())
    assert (item.id, item.question, item.contexts, item.continuations, item.gold) == (
        "1", "q", ("q", "q"), ("a", "b"), 1,
    )  # fmt: skip


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.ZstdCompressor().compress])
def test_compression_is_told_by_content(tmp_path, pack):
    path = tmp_path / "quiz.jsonl"
    path.write_bytes(pack(b"\xef\xbb\xbf" + json.dumps(GOOD).encode()) + pack(b"\n\n" + json.dumps(GOOD).encode()))
    assert [item.id for item in read_items(path, task())] == ["1", "3"]


def test_letters_texts_and_templates(tmp_path):
    record = {"question": "2 {+} 2?", "choices": ["3", "4"], "answer": "B", "right": "4", "subject": "sums"}
    path = written(tmp_path, record)
    templated = task(
        gold="answer", gold_as="letter", template="About {subject}: {question}\nAnswer {x y}:", group="subject"
    )
    (item,) = read_items(path, templated)
    assert item.contexts[0] == "About sums: 2 {+} 2?\nAnswer {x y}:"
    assert (item.question, item.gold, item.group) == ("2 {+} 2?", 1, "sums")
    assert read_items(path, task(gold="right", gold_as="text"))[0].gold == 1


@pytest.mark.parametrize(
    ("line", "fields", "message"),
    [
        ({"choices": ["a", "b"], "gold": 0}, {}, r"field 'question': missing; the record has \['choices', 'gold'\]"),
        (GOOD | {"question": 3}, {}, "field 'question': int where text"),
        (GOOD | {"choices": "ab"}, {}, "field 'choices': a list of texts"),
        (GOOD | {"choices": ["a"]}, {}, "field 'choices': 1 entries"),
        (GOOD | {"choices": ["a", ""]}, {}, "field 'choices': entry 1 is empty"),
        (GOOD | {"choices": ["a", 2]}, {}, "field 'choices': a list of texts"),
        (GOOD | {"gold": 2}, {}, "field 'gold': '2' names none of the 2 choices"),
        (GOOD | {"gold": -1}, {}, "field 'gold': '-1' names none"),
        (GOOD | {"gold": True}, {}, "field 'gold': an index"),
        (GOOD | {"gold": "1"}, {}, "field 'gold': an index"),
        (GOOD | {"gold": "AB"}, {"gold_as": "letter"}, "field 'gold': one letter"),
        (GOOD | {"gold": "z"}, {"gold_as": "text"}, "field 'gold': the text of exactly one"),
        (b'{"question": "\\ud800", "choices": ["a", "b"], "gold": 0}', {}, "field 'question': not valid Unicode"),
        (b"[1]", {}, "line 2: list where a JSON object"),
        (b"{", {}, "line 2: not a JSON object"),
        (b'{"question": "\xff"}', {}, "line 2: not a JSON object"),
        (b"[" * 100_000, {}, "line 2: not a JSON object"),
        (b'{"gold": ' + b"9" * 5000 + b"}", {}, "line 2: not a JSON object"),
        (b" " * LINE_BYTES + b"{}", {}, "line 2: longer than"),
        (GOOD, {"template": "{topic}"}, "field 'topic': missing"),
    ],
)  # fmt: skip
def test_bad_lines_name_file_line_and_field(tmp_path, line, fields, message):
    good = GOOD | {"gold": "A" if fields.get("gold_as") == "letter" else "b" if fields.get("gold_as") == "text" else 1}
    if "template" in fields:
        good |= {"topic": "t"}
    with pytest.raises(ItemError, match=message) as raised:
        read_items(written(tmp_path, good, line), task(**fields))
    assert str(raised.value).startswith("quiz.jsonl, line 2")


def test_ids_are_unique(tmp_path):
    path = written(tmp_path, GOOD | {"name": "x"}, GOOD | {"name": "y"}, GOOD | {"name": "x"})
    with pytest.raises(ItemError, match="line 3: id 'x' was already used on line 1"):
        read_items(path, task(id="name"))


def test_broken_and_missing_files(tmp_path):
    path = tmp_path / "quiz.jsonl"
    whole = gzip.compress(b"".join(json.dumps(GOOD | {"n": i}).encode() + b"\n" for i in range(2000)))
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ItemError, match="cannot be read after line"):
        read_items(path, task())
    path.write_bytes(whole[:40] + b"\xff" * 40 + whole[80:])
    with pytest.raises(ItemError):
        read_items(path, task())
    with pytest.raises(ItemError, match="cannot be read"):
        read_items(tmp_path / "absent.jsonl", task())
    path.write_bytes(b"")
    with pytest.raises(ItemError, match="no item for task 'quiz'"):
        read_items(path, task())


def test_where_and_max_items(tmp_path):
    path = written(tmp_path, *[GOOD | {"split": "test" if i % 2 else "dev", "n": i} for i in range(40)])
    chosen = read_items(path, task(where={"split": "test"}, id="n", max_items=5), seed=3)
    assert len(chosen) == 5
    assert all(int(item.id) % 2 for item in chosen)
    assert [int(item.id) for item in chosen] == sorted(int(item.id) for item in chosen)
    assert chosen == read_items(path, task(where={"split": "test"}, id="n", max_items=5), seed=3)
    assert chosen != read_items(path, task(where={"split": "test"}, id="n", max_items=5), seed=4)
    with pytest.raises(ItemError, match="where"):
        read_items(path, task(where={"split": "train"}))


@pytest.mark.parametrize(
    "fields",
    [
        {"contexts": "c"},
        {"continuation": "c"},
        {"contexts": "c", "continuation": "d", "choices": "e"},
        {"contexts": "c", "continuation": "d", "template": "{x}"},
        {"question": None},
        {"choices": None},
        {"gold_as": "number"},
        {"surplus": 1},
    ],
)
def test_layouts_that_contradict_themselves_are_refused(fields):
    with pytest.raises(ValueError, match="validation error"):
        task(**fields)


def test_task_names_are_unique():
    with pytest.raises(ValueError, match="'quiz'"):
        EvaluationConfig(tasks=(task(), task()))


REAL = {
    "arc_easy": (2376, {"question": "query", "template": "{query}\nAnswer:"}),
    "arc_challenge": (1172, {"question": "query"}),
    "openbook_qa": (500, {"question": "query"}),
    "piqa": (1838, {"question": "query", "template": "{query}Answer:"}),
    "winogrande": (1267, {"contexts": "context_options", "continuation": "continuation"}),
    "mmlu_57x50_plus_dev": (
        2850,
        {"gold": "answer", "gold_as": "letter", "group": "subject", "where": {"split": "test"}},
    ),
}


@pytest.mark.parametrize("name", sorted(REAL))
def test_real_task_files_by_declaration(name):
    count, fields = REAL[name]
    items = read_items(shared(f"eval/{name}.jsonl.zst"), task(**fields))
    assert len(items) == count
    assert {item.gold for item in items} == set(range(max(len(item.choices) for item in items))) or name == "arc_easy"
    assert all(item.question and all(item.contexts) for item in items)
    if name.startswith("mmlu"):
        assert len({item.group for item in items}) == 57


SPINE = task(id="id", group="language", template="Question: {question}\nAnswer:")


def test_our_own_items_are_sound():
    items = read_items(PROJECTS / "spine_choices.jsonl", SPINE)
    groups = [item.group for item in items]
    assert groups.count("en") >= 60
    assert groups.count("zh") == 20
    assert len({item.question for item in items}) == len(items)
    assert all(len(set(item.choices)) == 4 for item in items)
    for group in ("en", "zh"):
        golds = [item.gold for item in items if item.group == group]
        assert max(map(golds.count, range(4))) - min(map(golds.count, range(4))) <= 1
        longest = sum(max(item.choices, key=len) == item.choices[item.gold] for item in items if item.group == group)
        assert longest / len(golds) < 0.4  # the right choice must not be the longest one


def test_the_planted_text_quotes_one_item_verbatim():
    items = read_items(PROJECTS / "spine_choices.jsonl", SPINE)
    planted = (PROJECTS / "planted.txt").read_text()
    quoted = [item for item in items if item.question in planted]
    assert [item.id for item in quoted] == ["python-01"]
    assert len(quoted[0].question.split()) >= 20
    assert 140 <= len(planted.split()) <= 200
    assert re.search(r"[\w.]+@example\.org", planted)
    assert re.search(r"\+1 202-555-01\d\d", planted)  # 555-0100 to 555-0199 are reserved for fiction


def test_questions_go_to_decontamination_as_it_takes_them():
    from pipelines.corpus.decontamination.config import ContaminationConfig
    from pipelines.corpus.decontamination.ngrams import ITEM_SCHEMA, evaluation_ngrams

    items = read_items(PROJECTS / "spine_choices.jsonl", SPINE)
    table = item_texts("spine", items)
    assert table.schema == ITEM_SCHEMA
    checked = evaluation_ngrams(table, ContaminationConfig()).tables["items"].to_pylist()
    assert [row["check"] for row in checked if row["item"] == "python-01"] == ["ngrams"]
