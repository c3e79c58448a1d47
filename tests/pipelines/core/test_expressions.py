import math

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.core.decisions import decide, explain_row
from pipelines.core.expressions import ExpressionError, UnknownSignalError, evaluate, parse_expression
from pipelines.corpus.filters.rules import Rule

SIGNALS = pa.table(
    {
        "n": pa.array([0, 10, 60, None], pa.int64()),
        "share": pa.array([0.5, float("nan"), 0.25, 0.125]),
        "language": pa.array(["en", "zh", None, "zh-Hant"], pa.large_string()),
        "flagged": pa.array([True, False, None, True]),
        "nothing": pa.nulls(4),
    }
)


def values(text):
    return evaluate(parse_expression(text), SIGNALS).to_pylist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n", [0, 10, 60, None]),
        ("share", [0.5, None, 0.25, 0.125]),
        ("-n + 2 * 3 - 1", [5, -5, -55, None]),
        ("1 / n", [None, 0.1, 1 / 60, None]),
        ("n / share", [0, None, 240, None]),
        ("log(n)", [None, math.log(10), math.log(60), None]),
        ("log10(n)", [None, 1, math.log10(60), None]),
        ("sqrt(n - 10)", [None, 0, math.sqrt(50), None]),
        ("max(n, 20)", [20, 20, 60, None]),
        ("min(n, 20, share)", [0, None, 0.25, None]),
        ("round(n / 20)", [0, 0, 3, None]),
        ("exp(n * 1000)", [1, None, None, None]),
        ("n >= 10", [False, True, True, None]),
        ("0 < n <= 10", [False, True, False, None]),
        ("between(n, 0, 10)", [True, True, False, None]),
        ("n == 10 or share > 0.2", [True, True, True, None]),
        ("n > 10 and share < 1", [False, False, True, None]),
        ("not flagged", [False, True, None, False]),
        ("flagged == (n == 0)", [True, True, None, None]),
        ('language == "zh"', [False, True, None, False]),
        ('language in ("en", "zh")', [True, True, None, False]),
        ('language not in ["en"]', [False, True, None, True]),
        ("n in (0, 60)", [True, False, True, None]),
        ('starts_with(language, "zh")', [False, True, None, True]),
        ('ends_with(language, "Hant") or contains(language, "n")', [True, False, None, True]),
        ("length(language)", [2, 2, None, 7]),
        ("n if flagged else share", [0, None, None, None]),
        ('"Chinese" if language == "zh" else language', ["en", "Chinese", None, "zh-Hant"]),
        ("coalesce(n, share, 1)", [0, 10, 60, 0.125]),
        ("is_null(language)", [False, False, True, False]),
        ("nothing > 1", [None] * 4),
        ("nothing == language", [None] * 4),
        ("flagged or nothing", [True, None, None, True]),
        ("True", [True] * 4),
        ("1 + 1", [2] * 4),
    ],
)
def test_values_and_nulls(text, expected):
    assert values(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not an expression"),
        ("n >", "is not an expression"),
        ("n = 1", "is not an expression"),
        ("__import__('os')", "no function '__import__'"),
        ("n.real", "`n.real` is not allowed"),
        ("n[0]", "is not allowed"),
        ("lambda: n", "is not allowed"),
        ("[x for x in n]", "is not allowed"),
        ("(x := n)", "is not allowed"),
        ("n ** 2", "`Pow` is not allowed"),
        ("n & 1", "is not allowed"),
        ("f'{n}'", "is not allowed"),
        ("None", "no number, text, True or False"),
        ("b'x'", "no number, text"),
        ("9e999", "too large"),
        ("1" * 400, "too large"),
        ("lg(n)", "no function 'lg'; did you mean 'log'"),
        ("n.log(2)", "no function 'n.log'"),
        ("log(n, 2)", "log takes 1 arguments"),
        ("max(n)", "max takes 2 to 16 arguments"),
        ("min(n, x=1)", "without names"),
        ("min(*n)", "min takes|not allowed"),
        ("n in language", "`in` takes a list"),
        ("n == (1, 2)", "`in` takes a list"),
        ('n in (1, "a")', "numbers alone or texts alone"),
        ("n in ()", "numbers alone or texts alone"),
        ("contains(language, language)", "second argument of contains"),
        ("(" * 300 + "n" + ")" * 300, "is not an expression"),
        ("-" * 1500 + "n", "parts, more than|not an expression|nested"),
        ("n + " * 250 + "n", "parts, more than"),
        ("n" * 3000, "3000 characters"),
        ("n\x00", "is not an expression"),
    ],
)
def test_what_is_not_an_expression_is_refused(text, message):
    with pytest.raises(ExpressionError, match=message):
        parse_expression(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n and flagged", "`n` is a number, where a condition is needed; compare it"),
        ("language + 1", "`language` is a text, where a number is needed"),
        ("language > n", "`n` is a number, where a text is needed"),
        ("flagged > flagged", "is a condition: it has no order"),
        ("flagged + 1", "`flagged` is a condition, where a number"),
        ("n if n else 1", "where a condition is needed"),
        ('n if flagged else "a"', "is a text, where a number"),
    ],
)
def test_kinds_have_to_fit(text, message):
    with pytest.raises(ExpressionError, match=message):
        values(text)


def test_an_unknown_name_is_told_with_the_nearest():
    with pytest.raises(UnknownSignalError, match=r"no signal 'languag'; did you mean 'language'"):
        values('languag == "en" and n > 1')


def test_nested_choices_take_time_in_proportion():
    assert values("n if n > 1 else (" * 40 + "share" + ")" * 40) == [0.5, 10, 60, None]


NUMBERS = st.sampled_from(["n", "share", "2", "0.5", "0"])
TREES = st.recursive(
    NUMBERS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(lambda t: f"{t[0]}({t[1]}, {t[2]})"),
        st.tuples(inner, inner, inner, inner).map(lambda t: f"({t[0]} if {t[1]} < {t[2]} else {t[3]})"),
    ),
    max_leaves=8,
)


class UndefinedError(Exception):
    """Python's side: a null operand, which nothing here may outlive."""


def by_python(text, row):
    """The value by Python's own arithmetic; None where a null or an undefined operation is met."""

    def wrap(function):
        def call(*operands):
            result = function(*operands)
            if not math.isfinite(result):
                raise UndefinedError
            return result

        return call

    names = {"min": wrap(min), "max": wrap(max), **row}
    try:
        result = eval(text, {"__builtins__": {}}, names)
        return float(result) if math.isfinite(result) else None
    except (TypeError, ZeroDivisionError, UndefinedError, OverflowError):
        return None


@settings(max_examples=200, deadline=None)
@given(
    TREES,
    st.lists(st.tuples(st.one_of(st.none(), st.integers(-5, 5)), st.floats(-2, 2)), min_size=1, max_size=4),
)
def test_arithmetic_equals_pythons(text, rows):
    table = pa.table({"n": pa.array([n for n, _ in rows], pa.int64()), "share": pa.array([s for _, s in rows])})
    expected = [by_python(text, {"n": n, "share": share}) for n, share in rows]
    assert evaluate(parse_expression(text), table).to_pylist() == pytest.approx(expected)


def test_rules_over_expressions_are_decided_and_explained():
    signals = SIGNALS.append_column("id", pa.array([bytes([n]) * 16 for n in range(4)], pa.binary(16)))
    rules = [
        Rule(name="density", signal="n*share", op=">=", value=5),
        Rule(name="either", signal='n >= 50   or language == "en"', missing="pass"),
    ]
    assert rules[0].signal == "n * share" and rules[1].signal == "n >= 50 or language == 'en'"
    decisions = decide(signals, rules).to_pylist()
    assert [row["reason"] for row in decisions] == ["density", "density", None, "density"]
    assert [failure["value"] for row in decisions for failure in row["failed"]] == [0.0, None, 0.0, None]
    for row, decision in zip(signals.to_pylist(), decisions, strict=True):
        failed = [item.rule for item in explain_row(row, rules) if not item.passed]
        assert failed == [failure["rule"] for failure in decision["failed"]]


def test_a_mistake_in_a_rule_names_the_rule():
    signals = SIGNALS.append_column("id", pa.array([bytes([n]) * 16 for n in range(4)], pa.binary(16)))
    with pytest.raises(UnknownSignalError, match=r"rule 'x' needs the signal 'shar'.*did you mean 'share'"):
        decide(signals, [Rule(name="x", signal="shar + n > 1")])
    with pytest.raises(ExpressionError, match=r"rule 'x': `language` is a text"):
        decide(signals, [Rule(name="x", signal="language + n > 1")])
