import json

import pyarrow as pa
import pytest

from pipelines.core.decisions import decide
from pipelines.corpus.filters.config import MetadataConfig
from pipelines.corpus.filters.filter import join_signals
from pipelines.corpus.filters.metadata import column_descriptions, metadata_part, number_of
from pipelines.corpus.filters.rules import Rule
from tests.pipelines.corpus.filters.corpus import documents

CONFIG = MetadataConfig.model_validate(
    {
        "fields": {
            "likes": {"path": "likes"},
            "score": {"path": "post.score"},
            "forum": {"path": "forum", "kind": "text"},
        }
    }
)


def tables(*metas):
    table = documents([str(number) for number in range(len(metas))])
    table = table.append_column("meta", pa.array(metas, pa.large_string()))
    return {"documents": table, **metadata_part({"documents": table}, CONFIG).tables}


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, 3), (2.5, 2.5), (True, 1), ("12", 12), (" 1,234 ", 1234), ("1.2k", 1200), ("3.4万", 34000), ("1M+", 1e6),
        ("-5", -5),
        ("1,23", None), ("1.2.3", None), ("", None), ("many", None), (None, None), ([1], None), ({}, None),
        (float("inf"), None), (10**400, None), ("9" * 40, None), ("2亿", 2e8), ("12,345,678", 12_345_678),
    ],
)  # fmt: skip
def test_what_counts_as_a_number(value, number):
    assert number_of(value) == (pytest.approx(number) if number is not None else None)


def test_fields_become_columns():
    found = tables(
        json.dumps({"likes": "1.5k", "post": {"score": 4}, "forum": "maths"}),
        json.dumps({"likes": None, "post": 3, "forum": 5}),
        None,
        "not json",
        "[1]",
        "[" * 100_000,
    )["metadata"]
    assert found.column_names == ["id", "text_hash", *column_descriptions(CONFIG)]
    assert found.column("meta_likes").to_pylist() == [1500, None, None, None, None, None]
    assert found.column("meta_score").to_pylist() == [4, None, None, None, None, None]
    assert found.column("meta_forum").to_pylist() == ["maths", None, None, None, None, None]


def test_an_engagement_threshold_at_its_boundary():
    found = tables(*(json.dumps({"likes": likes}) for likes in (2, 3, 4)), None)
    kept = {}
    for missing in ("fail", "pass"):
        rule = Rule(name="liked", signal="meta_likes", op=">=", value=3, missing=missing)
        kept[missing] = decide(join_signals(found), [rule]).column("kept").to_pylist()
    assert kept == {"fail": [False, True, True, False], "pass": [False, True, True, True]}
