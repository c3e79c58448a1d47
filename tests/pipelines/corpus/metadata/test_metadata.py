"""The family: what is read, filled, dropped and marked, and that parts of a batch give the rows of the whole."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.core.decisions import decide
from pipelines.corpus.filters.rules import Rule
from pipelines.corpus.metadata.config import MetadataConfig
from pipelines.corpus.metadata.metadata import FIT, fit_metadata, metadata_part, refusals

EVERYTHING = {
    "columns": {"likes": {}, "score": {"field": "stats.score"}, "at": {"kind": "time"}, "rare": {}},
    "operations": [
        {"operation": "drop_columns", "max_missing": 0.9},
        {"operation": "outliers", "column": "likes", "method": "mad", "action": "missing"},
        {"operation": "fill", "column": "likes", "method": "median"},
        {"operation": "outliers", "column": "likes", "method": "zscore", "threshold": 1.1},
        {"operation": "fill", "column": "score", "method": "interpolation", "along": "at"},
        {"operation": "fill", "column": "score", "method": "constant", "value": -1.0},
        {"operation": "outliers", "column": "score", "method": "iqr"},
        {"operation": "fill", "column": "rare", "method": "nearest", "predictors": ["likes", "score"], "neighbours": 2},
        {"operation": "drop_rows", "columns": ["at"]},
    ],
}


def documents(records: list[Any]) -> pa.Table:
    count = len(records)
    return pa.table(
        {
            "id": pa.array([n.to_bytes(16, "big") for n in range(count)], pa.binary(16)),
            "text_hash": pa.array([n.to_bytes(16, "little") for n in range(count)], pa.binary(16)),
            "meta": pa.array(
                [r if r is None or isinstance(r, str) else json.dumps(r) for r in records], pa.large_string()
            ),
        }
    )


def run(records: list[Any], settings_of: dict[str, Any]) -> tuple[pa.Table, dict[str, int], list[str]]:
    config, table = MetadataConfig.model_validate(settings_of), documents(records)
    fit = fit_metadata([table["meta"]], config)
    result = metadata_part({"documents": table, FIT: fit}, config)
    return result.tables["metadata"], result.counts, refusals(fit)


def column(records: list[Any], operations: list[dict[str, Any]], name: str = "meta_likes") -> list[Any]:
    return run(records, {"columns": {"likes": {}, "x": {}}, "operations": operations})[0][name].to_pylist()


def test_values_are_read() -> None:
    records = [
        {"likes": 3}, {"likes": "4.5"}, {"likes": True}, {"likes": "many"}, {"likes": [1]}, {"likes": "nan"},
        {"likes": 10**400}, {"likes": None}, {}, None, "{broken", "[1]", {"likes": -0.5},
    ]  # fmt: skip
    table, counts, _ = run(records, {"columns": {"likes": {}}})
    assert table["meta_likes"].to_pylist() == [3, 4.5, 1, *[None] * 9, -0.5]
    assert counts == {"rows_in": 13, "kept": 13, "metadata/unreadable": 4, "metadata/likes/missing": 9}
    times = [{"at": "1970-01-02"}, {"at": "1970-01-01T01:00:00+01:00"}, {"at": "1970-01-01T00:00:05Z"}, {"at": "now"}]
    table, counts, _ = run(times, {"columns": {"at": {"kind": "time"}}})
    assert table["meta_at"].to_pylist() == [86400, 0, 5, None]
    nested = [{"a": {"b": 1}}, {"a.b": 2}, {"a": 3}, {"a": '{"b": 4}'}, {"a": '{"b"'}, {"a": "{}"}]
    assert run(nested, {"columns": {"c": {"field": "a.b"}}})[0]["meta_c"].to_pylist() == [1, 2, None, 4, None, None]


@pytest.mark.parametrize(
    ("fill", "expected"),
    [
        ({"method": "constant", "value": 0.0}, 0.0),
        ({"method": "mean"}, 4.0),
        ({"method": "median"}, 3.0),
        ({"method": "interpolation", "along": "x"}, 2.0),
        ({"method": "regression", "predictors": ["x"]}, None),
        ({"method": "nearest", "predictors": ["x"], "neighbours": 1}, 2.0),  # 10 and 20 are as near
        ({"method": "nearest", "predictors": ["x"], "neighbours": 3}, 4.0),
        ({"method": "nearest", "predictors": ["x"]}, None),
    ],
)
def test_gaps_are_filled(fill: dict[str, Any], expected: float | None) -> None:
    records = [{"likes": 1, "x": 10}, {"likes": 3, "x": 20}, {"likes": 8, "x": 90}, {"x": 15}]
    filled = column(records, [{"operation": "fill", "column": "likes", **fill}])
    assert filled == [1, 3, 8, expected]
    marks = column(records, [{"operation": "fill", "column": "likes", **fill}], "meta_likes_filled")
    assert marks == [False, False, False, expected is not None]


def test_a_model_fills_from_other_columns() -> None:
    records: list[dict[str, float]] = [{"likes": 2.0 * n + 1, "x": n} for n in range(10)]
    records += [{"x": 100.0}, {}]
    filled = column(records, [{"operation": "fill", "column": "likes", "method": "regression", "predictors": ["x"]}])
    assert filled[10] == pytest.approx(201)
    assert filled[11] is None


def test_interpolation_is_numpys_and_ends_are_held() -> None:
    x, y = [5.0, 1.0, 9.0], [50.0, 10.0, 20.0]
    asked = [0.0, 1.0, 3.0, 6.0, 20.0]
    records = [{"x": a, "likes": b} for a, b in zip(x, y, strict=True)] + [{"x": a} for a in asked]
    filled = column(records, [{"operation": "fill", "column": "likes", "method": "interpolation", "along": "x"}])
    assert filled[3:] == np.interp(asked, [1.0, 5.0, 9.0], [10.0, 50.0, 20.0]).tolist()


def test_sparse_columns_and_rows_are_dropped_and_not_learned_from() -> None:
    records = [{"likes": 1, "x": 1}, {"likes": 3}, {"likes": 1000}, {}]
    dropped = column(records, [{"operation": "drop_columns", "max_missing": 0.5}], "meta_x")
    assert dropped == [None] * 4
    kept = column(records, [{"operation": "drop_columns", "max_missing": 0.75}], "meta_x")
    assert kept == [1, None, None, None]
    rows = [{"operation": "drop_rows", "columns": ["x"]}, {"operation": "fill", "column": "likes", "method": "mean"}]
    assert column(records, rows) == [1, 3, 1000, 1]
    assert column(records, rows, "metadata_dropped") == [False, True, True, True]


def test_outliers_are_scored_and_marked() -> None:
    values = [10, 12, 12, 13, 12, 100]
    records: list[Any] = [{"likes": value} for value in values] + [{}]
    for method, found in (("iqr", [0, 5]), ("mad", [5])):
        operation = {"operation": "outliers", "column": "likes", "method": method}
        marks = column(records, [operation], f"meta_likes_{method}_outlier")
        assert marks == [place in found for place in range(7)]
        assert column(records, [{**operation, "action": "missing"}])[5] is None
        assert column(records, [operation]) == [*values, None]
    scores = column(records, [{"operation": "outliers", "column": "likes", "method": "iqr"}], "meta_likes_iqr")
    # Quartiles 12 and 12.75: 10 is 2 / 0.75 below the first, 13 is 0.25 / 0.75 above the third.
    assert scores == [pytest.approx(-8 / 3), 0, 0, pytest.approx(1 / 3), 0, pytest.approx(87.25 / 0.75), None]


def test_columns_may_be_called_like_the_marks_of_operations() -> None:
    names = ("filled", "outlier", "dropped")
    records = [dict.fromkeys(names, number) for number in range(3)] + [{}]
    table, counts, _ = run(records, {"columns": {name: {} for name in names}})
    assert table["meta_filled"].to_pylist() == table["meta_dropped"].to_pylist() == [0, 1, 2, None]
    assert counts == {"rows_in": 4, "kept": 4, "metadata/unreadable": 0, **{f"metadata/{n}/missing": 1 for n in names}}


@pytest.mark.parametrize(
    ("values", "settings", "found"),
    [
        ([-1, 0, 1], {"method": "zscore", "threshold": 1, "ddof": 1}, []),
        ([-1, 0, 1], {"method": "zscore", "threshold": 0.999, "ddof": 1}, [0, 2]),
        ([-8, 0, 0, 4, 4, 4, 10], {"method": "iqr", "threshold": 1.5}, [0]),  # quartiles 0 and 4: 10 is on the fence
        ([-8, 0, 0, 4, 4, 4, 10.001], {"method": "iqr"}, [0, 6]),
        ([0, 1, 2, 3, 4], {"method": "mad", "threshold": 1.349}, []),  # 2 x 0.6745, at the value itself
        ([0, 1, 2, 3, 4], {"method": "mad", "threshold": 1.3489}, [0, 4]),
    ],
)
def test_a_value_at_the_threshold_is_no_outlier(
    values: list[float], settings: dict[str, Any], found: list[int]
) -> None:
    operation = {"operation": "outliers", "column": "likes", **settings}
    marks = column([{"likes": value} for value in values], [operation], f"meta_likes_{settings['method']}_outlier")
    assert [place for place, mark in enumerate(marks) if mark] == found


def test_a_sample_that_is_too_small_is_refused_and_the_rest_goes_on() -> None:
    operations = [
        {"operation": "outliers", "column": "likes", "method": "zscore", "action": "missing"},
        {"operation": "fill", "column": "likes", "method": "constant", "value": 7.0},
    ]
    table, counts, refused = run(
        [{"likes": 1}, {"likes": 99}, {}], {"columns": {"likes": {}}, "operations": operations}
    )
    assert refused == [
        "outliers of likes: 2 values are too few: the largest |z| that one of 2 can have is 0.707, never above 3; use "
        "method mad, a lower threshold, or a larger batch"
    ]
    assert table["meta_likes"].to_pylist() == [1, 99, 7]
    assert table["meta_likes_zscore"].to_pylist() == [None] * 3
    assert table["meta_likes_zscore_outlier"].to_pylist() == [False] * 3
    assert counts["metadata/likes_zscore_outlier"] == 0


values = st.none() | st.integers(-5, 200) | st.floats(-1e3, 1e3) | st.just("x")
record = st.fixed_dictionaries(
    {},
    optional={
        "likes": values,
        "stats": st.fixed_dictionaries({}, optional={"score": values}),
        "at": st.integers(1, 28).map(lambda day: f"2026-01-{day:02d}"),
        "rare": values,
    },
)


@given(st.lists(record, max_size=30), st.integers(0, 30))
@settings(max_examples=150, deadline=None)
def test_parts_of_a_batch_have_the_rows_of_the_whole(records: list[Any], cut: int) -> None:
    config, table = MetadataConfig.model_validate(EVERYTHING), documents(records)
    fit = fit_metadata([table["meta"]], config)
    parts = [table.slice(0, cut), table.slice(cut)]
    assert fit_metadata([part["meta"] for part in parts], config).equals(fit)
    whole = metadata_part({"documents": table, FIT: fit}, config)
    pieces = [metadata_part({"documents": part, FIT: fit}, config) for part in parts]
    merged = pa.concat_tables([piece.tables["metadata"] for piece in pieces])
    assert merged.schema == whole.tables["metadata"].schema
    assert merged.equals(whole.tables["metadata"])
    assert whole.tables["metadata"].column_names == ["id", "text_hash", *(name for name, _ in config.signals())]
    for name, count in whole.counts.items():
        assert sum(piece.counts[name] for piece in pieces) == count


def test_rules_judge_the_signals() -> None:
    table, _, _ = run(
        [{"likes": 5}, {"likes": 1}, {}], {"columns": {"likes": {}}, "operations": [{"operation": "drop_rows"}]}
    )
    rules = [
        Rule(name="min_likes", signal="meta_likes", op=">=", value=2, missing="pass"),
        Rule(name="complete", signal="metadata_dropped", op="==", value=0),
    ]
    assert decide(table, rules)["reason"].to_pylist() == [None, "min_likes", "complete"]


@pytest.mark.parametrize(
    ("operations", "message"),
    [
        ([{"operation": "fill", "column": "nope", "method": "mean"}], "there is no column 'nope'; there are likes, x"),
        ([{"operation": "fill", "column": "likes", "method": "constant"}], "fill by constant takes value, not nothing"),
        ([{"operation": "fill", "column": "likes", "method": "mean", "value": 1}], "takes none of value"),
        ([{"operation": "fill", "column": "likes", "method": "nearest"}], "nearest takes predictors, not nothing"),
        ([{"operation": "fill", "column": "likes", "method": "mean", "neighbours": 3}], "mean has no neighbours"),
        (
            [{"operation": "fill", "column": "likes", "method": "nearest", "predictors": ["x"], "donors": 3}],
            "donors 3 are fewer than neighbours 5",
        ),
        ([{"operation": "fill", "column": "x", "method": "interpolation", "along": "x"}], "use other columns"),
        ([{"operation": "outliers", "column": "x", "method": "mad"}] * 2, "two operations or columns make the signal"),
    ],
)
def test_what_cannot_be_meant_is_refused(operations: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        MetadataConfig.model_validate({"columns": {"likes": {}, "x": {}}, "operations": operations})
