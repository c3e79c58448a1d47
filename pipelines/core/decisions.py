"""The decision table: which rules each document fails, with the values, and whether it stays.

In: one table of signals (a row for each document) and an ordered list of rules. Out: one row for each document, in
order: `id`, `kept`, `reason` (the first failing rule that drops, or null) and `failed`, every failing rule with its
value, for kept and dropped documents alike. So "why was this dropped" and "what if the threshold were 0.6" are
look-ups, and changing a threshold computes no signal again.

A rule states what a document must satisfy: `signal op value`, where the signal is a column or an expression over
columns (`pipelines.core.expressions`); a condition counts as 1 or 0. Its action is `drop`, or `flag`, which records
without dropping. A rule with languages judges only the rows whose `language` column is one of them; a row without a
language is not judged by it. A missing value (null or NaN) fails the rule unless the rule says `missing="pass"`: what
could not be measured has not been passed.
"""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.core.expressions import ExpressionError, UnknownSignalError, evaluate, nearest, parse_expression
from pipelines.core.fingerprint import Algorithm

DECISIONS: Final = Algorithm("rule_decisions", 1)

FAILURE: Final = pa.struct(
    [
        pa.field("rule", pa.large_string(), nullable=False),
        pa.field("action", pa.large_string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("threshold", pa.float64()),
        pa.field("text", pa.large_string()),
    ]
)
"""`value` is null for a missing value and for text; `threshold` is null where the rule compares text; `text` is then
the value."""

DECISION_SCHEMA: Final = pa.schema(
    [
        pa.field("id", pa.binary(16), nullable=False),
        pa.field("kept", pa.bool_(), nullable=False),
        pa.field("reason", pa.large_string()),
        pa.field("failed", pa.large_list(pa.field("item", FAILURE, nullable=False)), nullable=False),
    ]
)

Scalar = float | int | bool | str | None

_COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
    "==": operator.eq,
    "in": lambda value, allowed: value in allowed,
}
_COLUMN_COMPARE: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    ">=": pc.greater_equal,
    ">": pc.greater,
    "<=": pc.less_equal,
    "<": pc.less,
    "==": pc.equal,
    "in": lambda column, allowed: pc.is_in(column, value_set=pa.array(allowed, column.type)),
}


class DecisionRule(Protocol):
    """What the table needs to know of a rule; `pipelines.corpus.filters.rules.Rule` is the model behind it."""

    @property
    def name(self) -> str: ...
    @property
    def signal(self) -> str: ...
    @property
    def op(self) -> str: ...
    @property
    def value(self) -> float | str | tuple[str, ...]: ...
    @property
    def languages(self) -> tuple[str, ...]: ...
    @property
    def action(self) -> str: ...
    @property
    def missing(self) -> str: ...


class Explanation(NamedTuple):
    """One rule met by one document; `applies` is false when the rule is for other languages."""

    rule: str
    signal: str
    value: Scalar
    comparison: str
    threshold: float | str | tuple[str, ...]
    action: str
    applies: bool
    passed: bool


def decide(signals: pa.Table, rules: Sequence[DecisionRule]) -> pa.Table:
    """Judge every row of `signals` (a column `id` and the signal columns) by every rule; returns DECISION_SCHEMA.

    Raises UnknownSignalError when a rule's column is absent and ValueError when two rules share a name or a comparison
    does not fit the column's type.
    """
    _check(signals.column_names, rules)
    columns = {rule.signal: _signal_of(rule, signals) for rule in rules}
    failures = [_failing(signals, columns[rule.signal], rule) for rule in rules]
    sizes = [len(rows) for rows in failures]
    rows = np.concatenate([np.zeros(0, np.int64), *failures])
    which = np.repeat(np.arange(len(rules)), sizes)
    order = np.lexsort((which, rows))
    rows, which = rows[order], which[order]
    values = [_values(columns[rule.signal], found, rule) for rule, found in zip(rules, failures, strict=True)]
    items = pa.StructArray.from_arrays(
        [
            pa.array([rule.name for rule in rules], pa.large_string()).take(pa.array(which)),
            pa.array([rule.action for rule in rules], pa.large_string()).take(pa.array(which)),
            *(pc.take(pa.chunked_array([value[slot] for value in values], kind).combine_chunks(), pa.array(order))
              for slot, kind in enumerate((pa.float64(), pa.float64(), pa.large_string()))),
        ],
        fields=list(FAILURE),
    )  # fmt: skip
    offsets = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=len(signals)))))
    failed = pa.LargeListArray.from_arrays(
        pa.array(offsets, pa.int64()), items, type=DECISION_SCHEMA.field("failed").type
    )
    first = np.full(len(signals), len(rules))
    drops = np.array([rule.action == "drop" for rule in rules], bool)
    dropping = drops[which] if len(rules) else np.zeros(0, bool)
    np.minimum.at(first, rows[dropping], which[dropping])
    kept = first == len(rules)
    names = pa.array([*(rule.name for rule in rules), None], pa.large_string())
    return pa.table([signals.column("id"), pa.array(kept), names.take(pa.array(first)), failed], schema=DECISION_SCHEMA)


def explain_row(signals: Mapping[str, Any], rules: Sequence[DecisionRule]) -> list[Explanation]:
    """Every rule against one document's signals (a mapping of column to value), passing rules too, in rule order."""
    _check(list(signals), rules)
    result = []
    for rule in rules:
        value = _row_value(signals, rule.signal)
        applies = not rule.languages or signals["language"] in rule.languages
        missing = value is None or (isinstance(value, float) and math.isnan(value))
        passed = not applies or (rule.missing == "pass" if missing else _COMPARE[rule.op](value, rule.value))
        result.append(
            Explanation(
                rule.name, rule.signal, None if missing else value, rule.op, rule.value, rule.action, applies, passed
            )
        )
    return result


def _check(columns: Sequence[str], rules: Sequence[DecisionRule]) -> None:
    names = [rule.name for rule in rules]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two rules are called {twice[0]!r}: a decision names its rule, so give each its own name")
    for rule in rules:
        for wanted in signals_of(rule, columns):
            if wanted not in columns:
                raise UnknownSignalError(
                    f"rule {rule.name!r} needs the signal {wanted!r}, which this table does not have"
                    f"{nearest(wanted, columns)}"
                )


def signals_of(rule: DecisionRule, columns: Sequence[str]) -> tuple[str, ...]:
    """The columns that a rule looks at, whether or not they are among `columns`."""
    used = (rule.signal,) if rule.signal in columns else parse_expression(rule.signal).names
    return (*used, *(("language",) if rule.languages else ()))


def signal_column(signals: pa.Table, signal: str) -> pa.ChunkedArray:
    """The column called `signal`, or what the expression `signal` gives for every row."""
    if signal in signals.column_names:
        return signals.column(signal)
    return evaluate(parse_expression(signal), signals)


def _signal_of(rule: DecisionRule, signals: pa.Table) -> pa.ChunkedArray:
    try:
        return signal_column(signals, rule.signal)
    except ExpressionError as error:
        raise type(error)(f"rule {rule.name!r}: {error}") from None


def _row_value(signals: Mapping[str, Any], signal: str) -> Scalar:
    if signal in signals:
        value: Scalar = signals[signal]
        return value
    expression = parse_expression(signal)
    row = pa.table({name: pa.array([signals[name]]) for name in expression.names} or {"": pa.array([0])})
    result: Scalar = evaluate(expression, row)[0].as_py()
    return result


def _failing(signals: pa.Table, column: pa.ChunkedArray, rule: DecisionRule) -> npt.NDArray[np.int64]:
    """The row numbers that fail the rule, ascending."""
    text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    if text != (rule.op == "in" or isinstance(rule.value, str)) or (text and rule.op not in ("in", "==")):
        raise ValueError(
            f"rule {rule.name!r} compares {rule.signal!r} ({column.type}) {rule.op} {rule.value!r}: text columns "
            "take `==` and `in` with text, others a number"
        )
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    if not text:
        column = column.cast(pa.float64())
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)
    missing = pc.is_null(column)
    passed = pc.if_else(missing, rule.missing == "pass", _COLUMN_COMPARE[rule.op](column, rule.value))
    if rule.languages:
        language = signals.column("language")
        judged = pc.is_in(language, value_set=pa.array(rule.languages, language.type))
        passed = pc.or_(passed, pc.invert(judged))
    return np.flatnonzero(~passed.to_numpy())


def _values(
    column: pa.ChunkedArray, rows: npt.NDArray[np.int64], rule: DecisionRule
) -> tuple[pa.Array, pa.Array, pa.Array]:
    """The values of the failing rows as (number, threshold, text), each of which may be null."""
    found = column.take(pa.array(rows)).combine_chunks()
    if isinstance(found, pa.ChunkedArray):
        found = pa.concat_arrays(found.chunks) if found.num_chunks else pa.array([], column.type)
    if isinstance(rule.value, str | tuple):
        return pa.nulls(len(rows), pa.float64()), pa.nulls(len(rows), pa.float64()), found.cast(pa.large_string())
    if pa.types.is_boolean(found.type):
        found = found.cast(pa.int8())
    numbers = found.cast(pa.float64())
    numbers = pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)
    return numbers, pa.array(np.full(len(rows), float(rule.value))), pa.nulls(len(rows), pa.large_string())
