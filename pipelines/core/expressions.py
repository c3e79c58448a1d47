"""Expressions over signals: what a rule of the project file may compute before it compares.

In: text such as `log(n_words) * letter_word_share` or `n_words >= 50 and (language == "zh" or punctuated_line_share >
0.1)`. Steps: Python's own parser reads it (nothing is ever evaluated by Python); every node must be one of the few that
are allowed here; names are columns of the signals. Out: one Arrow column, computed with Arrow's kernels.

There are numbers, texts and conditions; a boolean column is a condition. Numbers: `+ - * /`, `min max abs log log2
log10 sqrt exp floor ceil round`. Comparisons: `< <= > >= == !=`, chained too, `in (...)` and `not in (...)` with
constants, `between(x, low, high)` with both ends in. Conditions: `and or not`, `starts_with ends_with contains` of a
text column and a constant. Any kind: `a if condition else b`, `is_null(x)`, `coalesce(x, y, ...)`, `length(text)`.

Null: arithmetic and comparisons with a null are null, and so is what is not a finite number (a division by zero, the
logarithm of zero, NaN in a column). `and`, `or`, `not` follow Kleene: `false and null` is false, `true and null` is
null. What a rule does with a document whose condition is null is its own setting `missing`.
"""

import ast
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache, reduce
from typing import Any, Final, Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.core.errors import GristmillError
from pipelines.core.fingerprint import Algorithm

EXPRESSIONS: Final = Algorithm("signal_expressions", 1)
MAX_CHARACTERS: Final = 2000
MAX_NODES: Final = 400

Kind = Literal["number", "text", "condition", "null"]


class ExpressionError(GristmillError, ValueError):
    """An expression that cannot be read, or that does not fit the columns it names."""


class UnknownSignalError(ExpressionError):
    """A rule names a column that the signals do not have."""


@dataclass(frozen=True)
class Expression:
    """A checked expression: `text` in one canonical spelling, the columns it names, in order of appearance."""

    text: str
    names: tuple[str, ...]
    tree: ast.expr
    is_condition: bool


class _Value(NamedTuple):
    kind: Kind
    data: Any
    """An Arrow array, chunked array or scalar."""


_NULL: Final = pa.scalar(None, pa.float64())
_ARITHMETIC: Final[dict[type, Callable[[Any, Any], Any]]] = {
    ast.Add: pc.add,
    ast.Sub: pc.subtract,
    ast.Mult: pc.multiply,
    ast.Div: pc.divide,
}
_COMPARISONS: Final[dict[type, Callable[[Any, Any], Any]]] = {
    ast.Lt: pc.less,
    ast.LtE: pc.less_equal,
    ast.Gt: pc.greater,
    ast.GtE: pc.greater_equal,
    ast.Eq: pc.equal,
    ast.NotEq: pc.not_equal,
}
_NUMERIC: Final[dict[str, Callable[[Any], Any]]] = {
    "abs": pc.abs,
    "log": pc.ln,
    "log2": pc.log2,
    "log10": pc.log10,
    "sqrt": pc.sqrt,
    "exp": pc.exp,
    "floor": pc.floor,
    "ceil": pc.ceil,
    "round": lambda values: pc.round(values, round_mode="half_to_even"),
}
_TEXTUAL: Final[dict[str, Callable[[Any, str], Any]]] = {
    "starts_with": lambda values, pattern: pc.starts_with(values, pattern),
    "ends_with": lambda values, pattern: pc.ends_with(values, pattern),
    "contains": lambda values, pattern: pc.match_substring(values, pattern),
}
_CONDITIONS: Final = frozenset({*_TEXTUAL, "between", "is_null"})
ARGUMENTS: Final[dict[str, tuple[int, int]]] = {
    **dict.fromkeys(_NUMERIC, (1, 1)),
    **dict.fromkeys(_TEXTUAL, (2, 2)),
    "min": (2, 16),
    "max": (2, 16),
    "between": (3, 3),
    "is_null": (1, 1),
    "coalesce": (2, 16),
    "length": (1, 1),
}
"""The functions, with the least and the largest number of their arguments."""
_ALLOWED: Final = (
    ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.UAdd, ast.BinOp, *_ARITHMETIC, ast.Compare,
    *_COMPARISONS, ast.In, ast.NotIn, ast.IfExp, ast.Call, ast.Name, ast.Load, ast.Constant, ast.Tuple, ast.List,
)  # fmt: skip


@lru_cache(maxsize=512)
def parse_expression(text: str) -> Expression:
    """Read and check one expression. Raises ExpressionError with what is wrong and what to write in its place."""
    if len(text) > MAX_CHARACTERS:
        raise ExpressionError(f"the expression has {len(text)} characters, more than {MAX_CHARACTERS}: split the rule")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        nodes = list(ast.walk(tree))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        place = f" at character {error.offset}" if isinstance(error, SyntaxError) and error.offset else ""
        raise ExpressionError(f"{_cut(text)!r} is not an expression{place}: {_reason(error)}") from None
    if len(nodes) > MAX_NODES:
        raise ExpressionError(f"the expression has {len(nodes)} parts, more than {MAX_NODES}: split the rule")
    for node in nodes:
        _check_node(node, text)
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    names = [node.id for node in nodes if isinstance(node, ast.Name) and id(node) not in called]
    return Expression(ast.unparse(tree), tuple(dict.fromkeys(names)), tree, _is_condition(tree))


def evaluate(expression: Expression, signals: pa.Table) -> pa.ChunkedArray:
    """The value for every row: float64, bool or large_string, null where it is not defined.

    Raises UnknownSignalError for a name that is no column, ExpressionError where kinds do not fit.
    """
    check_names(expression, signals.column_names)
    found = _evaluate(expression.tree, signals)
    if isinstance(found.data, pa.Scalar):
        found = found._replace(data=pa.repeat(found.data, len(signals)))
    return found.data if isinstance(found.data, pa.ChunkedArray) else pa.chunked_array([found.data])


def check_names(expression: Expression, columns: Iterable[str]) -> None:
    """Raise UnknownSignalError, with the nearest name, for a name that is not among `columns`."""
    known = list(columns)
    for name in expression.names:
        if name not in known:
            raise UnknownSignalError(f"there is no signal {name!r}{nearest(name, known)}")


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint: the name that was probably meant, or all there are."""
    options = list(known)
    near = get_close_matches(name, options, 1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(sorted(options))}" if options else ""


def _cut(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."


def _reason(error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return str(error.msg)
    return "it is nested too deeply" if isinstance(error, RecursionError | MemoryError) else str(error)


def _check_node(node: ast.AST, text: str) -> None:
    if not isinstance(node, _ALLOWED):
        raise ExpressionError(
            f"{_cut(text)!r}: {_spelled(node)} is not allowed; there are + - * /, comparisons, and/or/not, "
            f"`a if c else b` and {', '.join(ARGUMENTS)}"
        )
    if isinstance(node, ast.Constant) and not isinstance(node.value, str | int | float):
        raise ExpressionError(f"{_cut(text)!r}: {ast.unparse(node)} is no number, text, True or False")
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not abs(node.value) < 1e300:
        raise ExpressionError(f"{_cut(text)!r}: the number {ast.unparse(node)[:20]} is too large")
    if isinstance(node, ast.Call):
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in ARGUMENTS:
            raise ExpressionError(
                f"{_cut(text)!r}: there is no function {ast.unparse(node.func)[:40]!r}{nearest(name, ARGUMENTS)}"
            )
        low, high = ARGUMENTS[name]
        if node.keywords or not low <= len(node.args) <= high:
            wanted = str(low) if low == high else f"{low} to {high}"
            raise ExpressionError(f"{_cut(text)!r}: {name} takes {wanted} arguments, without names")
        if name in _TEXTUAL and not (isinstance(node.args[1], ast.Constant) and isinstance(node.args[1].value, str)):
            raise ExpressionError(f"{_cut(text)!r}: the second argument of {name} is a text in quotation marks")
    if isinstance(node, ast.Compare):
        for operator, right in zip(node.ops, node.comparators, strict=True):
            if isinstance(operator, ast.In | ast.NotIn) != isinstance(right, ast.Tuple | ast.List):
                raise ExpressionError(f'{_cut(text)!r}: `in` takes a list such as ("en", "zh"), other comparisons none')
            if isinstance(right, ast.Tuple | ast.List):
                constants = [item.value for item in right.elts if isinstance(item, ast.Constant)]
                kinds = {isinstance(value, str) for value in constants}
                if len(constants) != len(right.elts) or not constants or len(kinds) > 1:
                    raise ExpressionError(f"{_cut(text)!r}: the list after `in` has numbers alone or texts alone")


def _spelled(node: ast.AST) -> str:
    try:
        return f"`{ast.unparse(node)[:40]}`" if isinstance(node, ast.expr) else f"`{type(node).__name__}`"
    except (ValueError, RecursionError):
        return type(node).__name__


def _is_condition(tree: ast.expr) -> bool:
    if isinstance(tree, ast.IfExp):
        return _is_condition(tree.body) and _is_condition(tree.orelse)
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name):
        return tree.func.id in _CONDITIONS
    negation = isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.Not)
    return negation or isinstance(tree, ast.Compare | ast.BoolOp)


def _evaluate(node: ast.expr, signals: pa.Table) -> _Value:
    match node:
        case ast.Constant(value=bool() as value):
            return _Value("condition", pa.scalar(value))
        case ast.Constant(value=str() as value):
            return _Value("text", pa.scalar(value, pa.large_string()))
        case ast.Constant(value=value):
            return _Value("number", pa.scalar(float(value), pa.float64()))  # type: ignore[arg-type]
        case ast.Name(id=name):
            return _column(signals.column(name), name)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return _Value("condition", pc.invert(_of("condition", operand, signals)))
        case ast.UnaryOp(op=operator, operand=operand):
            number = _of("number", operand, signals)
            return _Value("number", pc.negate(number) if isinstance(operator, ast.USub) else number)
        case ast.BinOp(left=left, op=operator, right=right):
            result = _ARITHMETIC[type(operator)](_of("number", left, signals), _of("number", right, signals))
            return _Value("number", _finite(result))
        case ast.BoolOp(op=operator, values=values):
            combine = pc.and_kleene if isinstance(operator, ast.And) else pc.or_kleene
            return _Value("condition", reduce(combine, [_of("condition", value, signals) for value in values]))
        case ast.Compare(left=left, ops=operators, comparators=rights):
            pairs = zip([left, *rights], operators, rights, strict=False)
            return _Value("condition", reduce(pc.and_kleene, [_compare(*pair, signals) for pair in pairs]))
        case ast.IfExp(test=test, body=body, orelse=other):
            kind, (yes, no) = _same([body, other], signals)
            condition = _of("condition", test, signals)
            return _Value(kind, pc.if_else(condition, yes, no))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return _call(name, arguments, signals)
    raise ExpressionError(f"{_spelled(node)} cannot stand here")


def _column(column: pa.ChunkedArray, name: str) -> _Value:
    if pa.types.is_null(column.type):
        return _Value("null", pc.cast(column, pa.float64()))
    if pa.types.is_boolean(column.type):
        return _Value("condition", column)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return _Value("text", column.cast(pa.large_string()))
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return _Value("number", _finite(column.cast(pa.float64(), safe=False)))
    raise ExpressionError(f"the signal {name!r} is {column.type}: rules look at numbers, texts and booleans")


def _finite(numbers: Any) -> Any:
    return pc.if_else(pc.is_finite(numbers), numbers, _NULL)


def _of(kind: Kind, node: ast.expr, signals: pa.Table) -> Any:
    """The value of `node`, which has to be of this kind."""
    return _as(kind, _evaluate(node, signals), node)


def _as(kind: Kind, found: _Value, node: ast.expr) -> Any:
    if found.kind == "null":
        return pc.cast(found.data, {"number": pa.float64(), "text": pa.large_string()}.get(kind, pa.bool_()))
    if found.kind != kind:
        hint = "; compare it with something" if kind == "condition" else ""
        raise ExpressionError(f"{_spelled(node)} is a {found.kind}, where a {kind} is needed{hint}")
    return found.data


def _same(nodes: list[ast.expr], signals: pa.Table) -> tuple[Kind, list[Any]]:
    """Values of one kind, which is that of the first that has one."""
    found = [_evaluate(node, signals) for node in nodes]  # once each: twice would be exponential in the depth
    kind: Kind = next((value.kind for value in found if value.kind != "null"), "number")
    return kind, [_as(kind, value, node) for value, node in zip(found, nodes, strict=True)]


def _compare(left: ast.expr, operator: ast.cmpop, right: ast.expr, signals: pa.Table) -> Any:
    if isinstance(right, ast.Tuple | ast.List):
        constants = [item.value for item in right.elts if isinstance(item, ast.Constant)]
        text = isinstance(constants[0], str)
        value = _of("text" if text else "number", left, signals)
        wanted = pa.array(constants if text else [float(item) for item in constants], value.type)  # type: ignore[arg-type]
        known = pc.is_in(value, value_set=wanted)
        found = pc.if_else(pc.is_null(value), pa.scalar(None, pa.bool_()), known)
        return pc.invert(found) if isinstance(operator, ast.NotIn) else found
    kind, (one, other) = _same([left, right], signals)
    if kind == "condition" and not isinstance(operator, ast.Eq | ast.NotEq):
        raise ExpressionError(f"{_spelled(left)} is a condition: it has no order, only == and !=")
    return _COMPARISONS[type(operator)](one, other)


def _call(name: str, arguments: list[ast.expr], signals: pa.Table) -> _Value:
    if name in _NUMERIC:
        return _Value("number", _finite(_NUMERIC[name](_of("number", arguments[0], signals))))
    if name in _TEXTUAL:
        pattern = arguments[1]
        assert isinstance(pattern, ast.Constant)
        return _Value("condition", _TEXTUAL[name](_of("text", arguments[0], signals), str(pattern.value)))
    if name in ("min", "max"):
        extreme = pc.min_element_wise if name == "min" else pc.max_element_wise
        return _Value("number", extreme(*[_of("number", item, signals) for item in arguments], skip_nulls=False))
    if name == "between":
        value, low, high = (_of("number", item, signals) for item in arguments)
        return _Value("condition", pc.and_kleene(pc.greater_equal(value, low), pc.less_equal(value, high)))
    if name == "is_null":
        return _Value("condition", pc.is_null(_evaluate(arguments[0], signals).data))
    if name == "length":
        return _Value("number", pc.cast(pc.utf8_length(_of("text", arguments[0], signals)), pa.float64()))
    kind, values = _same(arguments, signals)
    return _Value(kind, pc.coalesce(*values))
