import csv
import io
import json

import pyarrow as pa
import pytest

from pipelines.core.decisions import decide
from pipelines.core.errors import UnknownNameError
from pipelines.corpus.filters.annotation.sample import Choice, sample, to_lines
from pipelines.corpus.filters.rules import Rule
from tests.pipelines.corpus.filters.corpus import documents

TEXTS = [f'text "{n}",\nline' for n in range(40)]
RULES = [Rule(name="high", signal="score", op=">=", value=0.5)]


def parts():
    """Two parts of twenty documents: scores rise from 0 to 0.975, a second score falls; three quarters are domain a."""
    table = documents(TEXTS)
    table = table.append_column("url", pa.array([None] * 40, pa.large_string()))
    table = table.append_column("domain", pa.array(["a"] * 30 + ["b"] * 10))
    score = [n / 40 for n in range(40)]
    columns = {
        "id": table["id"],
        "text_hash": table["text_hash"],
        "score": score,
        "other": score[::-1],
        "word": ["x"] * 40,
    }
    signals = pa.table(columns)
    decisions = decide(signals, RULES)
    return [(table.slice(at, 20), signals.slice(at, 20), decisions.slice(at, 20)) for at in (0, 20)]


def numbers(items):
    return {TEXTS.index(item.text) for item in items}


def test_by_rule():
    failed = sample(parts(), Choice(rule="high"), 100, 0)
    assert numbers(failed) == set(range(20)) and {item.why for item in failed} == {"failed high"}
    assert numbers(sample(parts(), Choice(rule="high", verdict="passed"), 100, 0)) == set(range(20, 40))


def test_by_band():
    assert numbers(sample(parts(), Choice(signal="score", low=0.25, high=0.5), 100, 0)) == set(range(10, 21))


def test_by_disagreement_takes_the_widest_gaps():
    chosen = numbers(sample(parts(), Choice(disagreement=("score", "other")), 4, 0))
    assert chosen == {0, 1, 38, 39} or chosen == {0, 39, 38, 1}


def test_domains_share_alike_and_seeds_differ():
    chosen = sample(parts(), Choice(), 10, 0)
    assert [sum(item.domain == name for item in chosen) for name in "ab"] == [5, 5]
    assert numbers(chosen) == numbers(sample(parts()[::-1], Choice(), 10, 0))
    assert numbers(chosen) != numbers(sample(parts(), Choice(), 10, 1))


def test_names_that_are_not_there():
    for choice in (Choice(signal="scores"), Choice(signal="word")):
        with pytest.raises(UnknownNameError):
            sample(parts(), choice, 5, 0)


def test_files_for_people():
    chosen = sample(parts(), Choice(), 3, 0)
    lines = [json.loads(line) for line in to_lines(chosen, table=False).splitlines()]
    rows = list(csv.DictReader(io.StringIO(to_lines(chosen, table=True), newline="")))
    assert lines == rows
    assert [row["text"] for row in rows] == [item.text for item in chosen]
    assert all(row["label"] == row["annotator"] == "" and len(row["id"]) == 32 for row in rows)
