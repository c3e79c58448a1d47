"""Shares of what is trained on, against a count in plain Python, and ratio rules at their limits."""

from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.evaluation.reports.config import RatioRule
from pipelines.evaluation.reports.corpus_data import RatioRow
from pipelines.evaluation.reports.shares import share_tables, shares_section
from pipelines.evaluation.shares import SHARE_SCHEMA, Share, judge, of_source, shares_part, shares_table, summed

ROW = st.tuples(
    st.sampled_from(["maths", "trade", None]),
    st.sampled_from(["en", "zh", None]),
    st.booleans(),
    st.text(max_size=9),
    st.integers(1, 2**30),
)


def tables_of(rows: list[tuple[str | None, str | None, bool, str, int]], first: int = 0) -> dict[str, pa.Table]:
    """Signals of every document, and the training index of those that were kept."""
    ids = [number.to_bytes(16) for number in range(first, first + len(rows))]
    kept = [number for number, row in enumerate(rows) if row[2]]
    index = {
        "id": pa.array([ids[n] for n in kept], pa.binary(16)),
        "start": pa.array([0] * len(kept), pa.int64()),
        "length": pa.array([rows[n][4] for n in kept], pa.int32()),
        "bytes": pa.array([len(rows[n][3].encode()) for n in kept], pa.int64()),
    }
    signals = {
        "id": pa.array(ids, pa.binary(16)),
        "text_hash": pa.array(ids, pa.binary(16)),
        "topic": pa.array([row[0] for row in rows], pa.large_string()),
        "topic_classifier": pa.array([row[0] and "mine" for row in rows], pa.large_string()),
    }
    language = {"id": signals["id"], "language": pa.array([row[1] for row in rows], pa.large_string())}
    documents = {"id": signals["id"], "text": pa.array([row[3] for row in rows], pa.large_string())}
    splits = {"id": signals["id"], "split": pa.array(["train" if row[2] else "heldout" for row in rows])}
    return {
        "index": pa.table(index),
        "topics": pa.table(signals),
        "language": pa.table(language),
        "documents": pa.table(documents),
        "splits": pa.table(splits),
    }


@given(st.lists(ROW, max_size=12), st.integers(0, 12))
@settings(max_examples=100, deadline=None)
def test_shares_are_counts_of_the_kept_documents_however_they_are_cut(rows: list[Any], cut: int) -> None:
    counted: dict[tuple[str, str, str], Counter[str]] = {}
    for topic, language, kept, text, tokens in rows:
        for key in (("topic", "mine" if topic else "", topic or "none"), ("language", "", language or "none")):
            if kept:
                counted.setdefault(key, Counter()).update(documents=1, bytes=len(text.encode()), tokens=tokens)
    parts = []
    for piece, first in ((rows[:cut], 0), (rows[cut:], cut)):
        tables = tables_of(piece, first)
        arrays = {name: tables[name] for name in ("index", "topics", "language")}
        result = shares_part(arrays, {})
        assert result.tables["shares"].schema == SHARE_SCHEMA
        assert result.counts == {"rows_in": len(tables["index"]), "kept": len(tables["index"])}
        parts.append(result.tables["shares"])
        # Before there are tokens: the same documents and bytes out of the documents and their splits.
        plain = shares_part({name: table for name, table in tables.items() if name != "index"}, {}).tables["shares"]
        assert plain.drop_columns("tokens") == parts[-1].drop_columns("tokens")
        assert plain["tokens"].null_count == len(plain)
    found = of_source(parts, "web", "crawl")
    assert {row[2:5]: row[5:] for row in found} == {
        key: (total["documents"], total["bytes"], total["tokens"]) for key, total in counted.items()
    }
    assert of_source([shares_table(found).drop_columns(["domain", "source"])], "web", "crawl") == found


@given(st.lists(ROW, max_size=12))
@settings(max_examples=60, deadline=None)
def test_shares_within_the_values_of_a_signal_are_those_of_their_documents_alone(rows: list[Any]) -> None:
    tables = tables_of(rows)
    arrays = {name: tables[name] for name in ("index", "topics", "language")}
    found = shares_part(arrays, {"within": "topic"})
    assert found.counts == shares_part(arrays, {}).counts
    table = found.tables["shares"]
    labels = {row["id"]: row["topic"] or "none" for row in tables["topics"].to_pylist()}
    assert set(table["within"].to_pylist()) == {labels[item] for item in tables["index"]["id"].to_pylist()}
    for value in set(labels.values()):
        mine = [labels[item] == value for item in tables["index"]["id"].to_pylist()]
        alone = shares_part({**arrays, "index": tables["index"].filter(pa.array(mine, pa.bool_()))}, {}).tables[
            "shares"
        ]
        inside = table.filter(pc.equal(table["within"], value)).drop_columns("within")
        key = [(name, "ascending") for name in ("signal", "model", "value")]
        assert inside.sort_by(key).to_pylist() == alone.sort_by(key).to_pylist()


def share(value: str, tokens: int | None, domain: str = "web", signal: str = "topic") -> Share:
    return Share(domain, domain, signal, "", value, 1, 10, tokens)


ROWS = [share("maths", 30), share("trade", 70), share("maths", 20, "wiki"), share("none", 80, "wiki"),
        share("en", 200, signal="language")]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "found", "passed"),
    [
        ({"topic": "maths", "max_share": 0.25}, 0.25, True),
        ({"topic": "maths", "max_share": 0.2499}, 0.25, False),
        ({"topic": "maths", "min_share": 0.25}, 0.25, True),
        ({"topic": "maths", "min_share": 0.2501}, 0.25, False),
        ({"topic": "maths", "domain": "web", "max_share": 0.3}, 0.3, True),
        ({"topic": ["maths", "trade"], "min_share": 0.6}, 0.6, True),
        ({"topic": "maths", "by": "documents", "max_share": 0.5}, 0.5, True),
        ({"topic": "maths", "by": "bytes", "max_share": 0.4}, 0.5, False),
        ({"topic": "law", "min_share": 0.01}, 0.0, False),
        ({"topic": "law", "max_share": 0.01}, 0.0, True),
        ({"topic": "maths", "source": "books", "min_share": 0.5}, None, True),
        ({"language": "en", "min_share": 1.0}, 1.0, True),
    ],
)
def test_a_ratio_is_of_its_signal_in_its_scope_with_both_ends_in(
    rule: dict[str, Any], found: float | None, passed: bool
) -> None:
    verdict = judge(RatioRule.model_validate(rule), ROWS)
    assert (verdict.share, verdict.passed) == (found, passed)
    assert ("nothing is of law, there are maths, none, trade" in verdict.told) == (rule.get("topic") == "law")


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"max_share": 0.1}, "exactly one of topic, language, perplexity_bucket, not none"),
        ({"topic": "a", "language": "b", "max_share": 0.1}, "not topic, language"),
        ({"topic": "a"}, "min_share"),
        ({"topic": "a", "min_share": 0.5, "max_share": 0.4}, "above max_share"),
        ({"topic": [], "max_share": 0.4}, "topic"),
        ({"topic": "a", "max_share": 1.1}, "less than or equal to 1"),
    ],
)
def test_senseless_ratios_are_refused(rule: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        RatioRule.model_validate(rule)


def test_sums_keep_what_is_unknown_unknown() -> None:
    assert summed([share("a", 1), share("b", 2), share("a", 3)]) == [
        Share("web", "web", "topic", "", "a", 2, 20, 4),
        Share("web", "web", "topic", "", "b", 1, 10, 2),
    ]
    assert summed([share("a", 1), share("a", None)])[0].tokens is None


def test_a_checkpoint_has_each_source_as_heavy_as_it_was_trained_on() -> None:
    topics, languages = share_tables(ROWS, {"web": 300.0, "wiki": 100.0})
    assert topics.domains == ("as trained", "web", "wiki")
    assert dict(topics.rows) == {
        "trade": (pytest.approx(0.525), pytest.approx(0.7), 0.0),
        "maths": (pytest.approx(0.275), pytest.approx(0.3), pytest.approx(0.2)),
        "none": (pytest.approx(0.2), 0.0, pytest.approx(0.8)),
    }
    assert languages.title == "Languages of what is trained on"
    assert dict(share_tables(ROWS, {})[0].rows)["trade"][0] == 0.0
    assert share_tables([], {}) == ()


def test_pages_show_values_domains_and_ratios_and_escape_them() -> None:
    many = [share(f"topic {number}", 1000 - number) for number in range(25)]
    page = shares_section([*ROWS, *many, share("<b>", 10_000)], [RatioRow("topic <i>: 30 %", 0.3, False, False)])
    assert "<b>" not in page and "&lt;b&gt;" in page
    assert "&lt;i&gt;" in page and "broken" in page and "9 more" in page
    assert page.count("<h3>") == 3
    untokenized = shares_section([share("maths", None)])
    assert "Bytes" in untokenized and "Tokens" not in untokenized
    assert shares_section([]) == ""
