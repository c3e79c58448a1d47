import math
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.core.decisions import DECISION_SCHEMA, UnknownSignalError, decide, explain_row
from pipelines.core.fingerprint import rows_digest


def rule(name, signal, op, value, languages=(), action="drop", missing="fail"):
    return SimpleNamespace(
        name=name, signal=signal, op=op, value=value, languages=languages, action=action, missing=missing
    )


def table(**columns):
    size = len(next(iter(columns.values())))
    ids = pa.array([number.to_bytes(16) for number in range(size)], pa.binary(16))
    return pa.table({"id": ids, **columns})


def test_every_failing_rule_is_recorded_with_its_value():
    signals = table(n=[10, 60, 60], share=[0.5, 0.5, 0.1], language=["en", "de", None])
    rules = [
        rule("few", "n", ">=", 50.0),
        rule("short", "share", "<=", 0.3, action="flag"),
        rule("foreign", "language", "in", ("en", "fr")),
    ]
    rows = decide(signals, rules).to_pylist()
    assert [row["kept"] for row in rows] == [False, False, False]
    assert [row["reason"] for row in rows] == ["few", "foreign", "foreign"]
    few = {"rule": "few", "action": "drop", "value": 10.0, "threshold": 50.0, "text": None}
    short = {"rule": "short", "action": "flag", "value": 0.5, "threshold": 0.3, "text": None}
    foreign = {"rule": "foreign", "action": "drop", "value": None, "threshold": None, "text": "de"}
    assert [row["failed"] for row in rows] == [[few, short], [short, foreign], [foreign | {"text": None}]]


def test_a_flag_keeps_and_the_reason_is_the_first_dropping_rule():
    signals = table(n=[1])
    flag, drop = rule("a", "n", ">", 5.0, action="flag"), rule("b", "n", ">", 3.0)
    [row] = decide(signals, [flag]).to_pylist()
    assert row["kept"] and row["reason"] is None and row["failed"][0]["rule"] == "a"
    assert decide(signals, [flag, drop]).column("reason").to_pylist() == ["b"]


@pytest.mark.parametrize(
    ("op", "kept"),
    [
        (">=", [False, True, True]),
        (">", [False, False, True]),
        ("<=", [True, True, False]),
        ("<", [True, False, False]),
        ("==", [False, True, False]),
    ],
)
def test_comparisons_at_equality(op, kept):
    values = [math.nextafter(0.3, 0), 0.3, math.nextafter(0.3, 1)]
    assert decide(table(x=values), [rule("r", "x", op, 0.3)]).column("kept").to_pylist() == kept


def test_missing_values_fail_unless_the_rule_says_pass():
    signals = table(x=pa.array([None, math.nan, 1.0]), name=pa.array([None, "a", "b"]))
    assert decide(signals, [rule("r", "x", "<=", 5.0)]).column("kept").to_pylist() == [False, False, True]
    assert decide(signals, [rule("r", "x", "<=", 5.0, missing="pass")]).column("kept").to_pylist() == [True, True, True]
    assert decide(signals, [rule("r", "name", "==", "a")]).column("kept").to_pylist() == [False, True, False]
    failed = decide(signals, [rule("r", "x", "<=", 0.5)]).column("failed").to_pylist()
    assert [item[0]["value"] for item in failed] == [None, None, 1.0]


def test_a_rule_for_languages_judges_only_those():
    signals = table(x=[1, 1, 1], language=["zh", "en", None])
    assert decide(signals, [rule("r", "x", ">", 5.0, languages=("zh",))]).column("kept").to_pylist() == [
        False,
        True,
        True,
    ]


def test_booleans_compare_as_numbers():
    assert decide(table(x=[True, False]), [rule("r", "x", "==", 0.0)]).column("kept").to_pylist() == [False, True]


def test_no_rows_and_no_rules():
    empty = decide(table(x=pa.array([], pa.float64())), [rule("r", "x", ">", 1.0)])
    assert empty.schema.equals(DECISION_SCHEMA) and len(empty) == 0
    everything = decide(table(x=[1.0, 2.0]), [])
    assert everything.schema.equals(DECISION_SCHEMA)
    assert everything.column("kept").to_pylist() == [True, True] and everything.column("failed").to_pylist() == [[], []]
    assert rows_digest(everything) == rows_digest(pa.concat_tables([everything.slice(0, 1), everything.slice(1)]))


def test_mistakes_are_named():
    signals = table(n_words=[1], name=["a"])
    with pytest.raises(UnknownSignalError, match="did you mean 'n_words'"):
        decide(signals, [rule("r", "n_word", ">", 1.0)])
    with pytest.raises(UnknownSignalError, match="needs the signal 'language'"):
        explain_row({"n_words": 1}, [rule("r", "n_words", ">", 1.0, languages=("en",))])
    with pytest.raises(ValueError, match="two rules are called 'r'"):
        decide(signals, [rule("r", "n_words", ">", 1.0), rule("r", "n_words", "<", 9.0)])
    for wrong in (rule("r", "name", ">", 1.0), rule("r", "n_words", "==", "a"), rule("r", "n_words", "in", ("a",))):
        with pytest.raises(ValueError, match="text columns take"):
            decide(signals, [wrong])


VALUES = st.one_of(st.none(), st.sampled_from([-1.0, 0.0, 0.1, 0.3, 1.0, math.nan, math.inf]))
RULES = st.lists(
    st.builds(
        rule,
        st.just("r"),
        st.sampled_from(["x", "y"]),
        st.sampled_from([">=", ">", "<=", "<", "=="]),
        st.sampled_from([0.0, 0.1, 0.3]),
        st.sampled_from([(), ("en",), ("zh", "en")]),
        st.sampled_from(["drop", "flag"]),
        st.sampled_from(["fail", "pass"]),
    ),
    max_size=6,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(VALUES, VALUES, st.sampled_from(["en", "zh", None])), max_size=8), RULES, st.integers(0, 8))
def test_table_and_explanation_agree(rows, rules, cut):
    for number, item in enumerate(rules):
        item.name = f"r{number}"
    x, y, language = ([row[slot] for row in rows] for slot in range(3))
    whole = table(
        x=pa.array(x, pa.float64()), y=pa.array(y, pa.float64()), language=pa.array(language, pa.large_string())
    )
    signals = pa.concat_tables([whole.slice(0, cut), whole.slice(cut)])
    decisions = decide(signals, rules)
    assert decisions.equals(decide(whole, rules))
    for row, decision in zip(whole.to_pylist(), decisions.to_pylist(), strict=True):
        explained = explain_row(row, rules)
        failed = [item for item in explained if not item.passed]
        assert [item.rule for item in failed] == [item["rule"] for item in decision["failed"]]
        assert [item.value for item in failed] == [item["value"] for item in decision["failed"]]
        assert decision["kept"] == all(item.action == "flag" for item in failed)
        assert all(item.passed for item in explained if not item.applies)


def test_many_rows_cost_little():
    generator = np.random.default_rng(0)
    signals = table(**{f"s{n}": generator.random(20_000) for n in range(30)})
    decisions = decide(signals, [rule(f"r{n}", f"s{n}", "<=", 0.9) for n in range(30)])
    failing = sum(generator_column > 0.9 for generator_column in (signals[f"s{n}"].to_numpy() for n in range(30)))
    assert decisions.column("failed").combine_chunks().value_lengths().to_pylist() == failing.tolist()
