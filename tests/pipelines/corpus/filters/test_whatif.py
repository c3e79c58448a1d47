"""The answer against a re-run by hand: decide with the old rules, decide with the new ones, count."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.core.decisions import decide
from pipelines.core.documents import document_id, text_hash
from pipelines.core.sampling import Sample
from pipelines.corpus.filters.config import FilterConfig
from pipelines.corpus.filters.whatif import JudgedPart, WhatIf, columns_of_rules, named_in

LANGUAGES = ("en", "de", None)


def config(words, share, action="drop"):
    return FilterConfig.model_validate(
        {
            "extra": [
                {"name": "words", "signal": "n_plain_words", "op": ">=", "value": words},
                {"name": "share", "signal": "letter_word_share", "op": "<=", "value": share, "action": action},
            ]
        }
    )


def part(rows, number, before, after):
    """Rows are (words, share, language, tokens or None)."""
    ids = [document_id("web.first", f"{number}#{row}") for row in range(len(rows))]
    hashes = [text_hash(str(row)) for row in range(len(rows))]
    keys = {"id": pa.array(ids, pa.binary(16)), "text_hash": pa.array(hashes, pa.binary(16))}
    documents = pa.table({**keys, "url": pa.array([f"https://a/{row}" for row in range(len(rows))], pa.large_string())})
    statistics = pa.table(
        {
            **keys,
            "n_plain_words": pa.array([row[0] for row in rows], pa.int64()),
            "letter_word_share": pa.array([row[1] for row in rows], pa.float64()),
        }
    )
    language = pa.table({**keys, "language": pa.array([row[2] for row in rows], pa.large_string())})
    signals = statistics.append_column("language", language["language"])
    known = [(identity, row[3]) for identity, row in zip(ids, rows, strict=True) if row[3] is not None]
    tokens = {"id": pa.array([item[0] for item in known], pa.binary(16)), "tokens": [item[1] for item in known]}
    decided = decide(signals, before.resolved())
    return (
        JudgedPart(
            key="web.first",
            name=f"{number}",
            source="web",
            tables={"documents": documents, "statistics": statistics, "language": language},
            decisions=decided.select(["id", "kept", "reason"]),
            failures=lambda: decided,
            tokens=pa.table({"id": tokens["id"], "tokens": pa.array(tokens["tokens"], pa.int64())}),
            characters=pa.array([row[0] * 6 for row in rows], pa.int64()),
            filter=after,
        ),
        decide(signals, (after or before).resolved()),
    )


ROWS = st.lists(
    st.tuples(
        st.integers(0, 30), st.floats(0, 1) | st.none(), st.sampled_from(LANGUAGES), st.integers(1, 90) | st.none()
    ),
    max_size=20,
)


@given(st.lists(ROWS, min_size=1, max_size=4), st.integers(0, 30), st.integers(0, 30), st.floats(0, 1))
@settings(max_examples=80, deadline=None)
def test_counts_sides_and_tokens_are_those_of_a_rerun(parts, old, new, share):
    before, after = config(old, 0.5), config(new, share)
    answer = WhatIf(Sample(3))
    expected, now_kept, then_kept, lost, gained = [], 0, 0, set(), set()
    tokens = characters = 0
    for number, rows in enumerate(parts):
        piece, rerun = part(rows, number, before, after)
        sides = answer.judge(piece)
        assert sides["kept_now"].to_pylist() == piece.decisions["kept"].to_pylist()
        assert sides["kept_then"].to_pylist() == rerun["kept"].to_pylist()
        now_kept += sum(sides["kept_now"].to_pylist())
        then_kept += sum(sides["kept_then"].to_pylist())
        for row, identity, was, becomes in zip(rows, *sides.to_pydict().values(), strict=True):
            expected.append((row, was, becomes))
            (lost if was and not becomes else gained if becomes and not was else set()).add(identity)
            if row[3] is not None:
                tokens, characters = tokens + row[3], characters + row[0] * 6
    *_, total = answer.totals("source")
    assert total[1:3] == (now_kept, then_kept)
    by_language = {name: (a, b) for name, a, b, *_ in answer.totals("language")}
    for name in LANGUAGES:
        mine = [(was, becomes) for row, was, becomes in expected if row[2] == name]
        assert by_language.get(name or "-", (0, 0)) == (sum(a for a, _ in mine), sum(b for _, b in mine))
    movers = {side: answer.samples.rows(side) for side in ("lost", "gained")}
    assert {mover.id for mover in movers["lost"]} <= lost and len(movers["lost"]) == min(3, len(lost))
    assert {mover.id for mover in movers["gained"]} <= gained and len(movers["gained"]) == min(3, len(gained))
    assert sum(answer.by_rule.values()) == len(lost) + len(gained)
    if tokens and characters:
        ratio = characters / tokens
        for place, when in ((1, 3), (2, 4)):
            kept = [item[0] for item in expected if item[place]]
            counted = sum(row[3] if row[3] is not None else row[0] * 6 / ratio for row in kept)
            assert total[when] == pytest.approx(counted)


def test_a_mover_says_which_rule_decides_and_with_which_value():
    before, after = config(10, 1.0), config(20, 1.0)
    answer = WhatIf(Sample(5))
    answer.judge(part([(15, 0.5, "en", 20)], 0, before, after)[0])
    (mover,) = answer.samples.rows("lost")
    assert (mover.rule, mover.signal, mover.value, mover.threshold) == ("words", "n_plain_words", 15, 20)
    back = WhatIf(Sample(5))
    back.judge(part([(15, 0.5, "en", 20)], 0, after, before)[0])
    (mover,) = back.samples.rows("gained")
    assert (mover.rule, mover.value, mover.threshold) == ("words", 15, 20), "as it was decided, not as it would be"
    assert back.by_rule == {("gained", "web", "words"): 1}


def test_a_source_without_tokens_is_estimated_by_all_and_none_at_all_is_unknown():
    rules = config(0, 1.0)
    answer = WhatIf(Sample(0))
    answer.judge(part([(10, 0.5, "en", None)], 0, rules, None)[0])
    assert next(iter(answer.totals("source")))[3:] == (None, None)
    other = part([(10, 0.5, "en", 15)], 1, rules, None)[0]._replace(source="books")
    answer.judge(other)
    assert answer.characters_per_token("web") == 4.0
    assert {row[0]: row[3] for row in answer.totals("source")} == {"books": 15.0, "web": 15.0, "all": 30.0}
    assert answer.estimated_share() == 0.5


def test_only_columns_that_rules_name_are_read():
    columns = ["id", "text_hash", "n_words", "n_plain_words", "n_characters", "letter_word_share", "language"]
    chosen = columns_of_rules(config(1, 1.0), columns)
    assert chosen == ["id", "text_hash", "n_plain_words", "n_characters", "letter_word_share", "language"]
    assert "n_words" not in named_in(config(1, 1.0).resolved())


def test_nothing_is_judged_where_the_rules_stand():
    rules = config(12, 1.0)
    answer = WhatIf(Sample(5))
    sides = answer.judge(part([(10, 0.5, "en", 4), (20, 0.5, "en", 8)], 0, rules, None)[0])
    assert np.array_equal(sides["kept_now"], sides["kept_then"])
    assert answer.by_rule == {}
