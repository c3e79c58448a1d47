"""The attribute family `metadata`: a batch is learned from once, then a row is a function of itself and of that.

Step 1, `fit_metadata`: over the `meta` of all documents of a batch, in the order of the operations, what each one needs
(a mean, quartiles, coefficients, nodes, donors), as the table `metadata_fit`, stored beside the family. An operation
that the batch is too small or too even for is refused: its row says why, it changes and marks nothing, its scores are
null. Step 2, `metadata_part`: the columns of one part, with the fit as a shared table.

A row depends on the batch through the fit, whose digest is in the key of every part: other documents in a batch mean
new rows for all its parts, never old ones beside new. Out: `metadata_part` gives `id`, `text_hash` and
`MetadataConfig.signals()`; counts of gaps, filled values and outliers. Cost: one JSON parse a
document.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.core.documents import ATTRIBUTE_KEYS
from pipelines.core.fingerprint import Algorithm
from pipelines.core.parts import PartResult
from pipelines.corpus.metadata import estimates, nearest
from pipelines.corpus.metadata.columns import Column, read_columns
from pipelines.corpus.metadata.config import DropColumns, DropRows, Fill, MetadataConfig, MetadataOperation, Outliers

METADATA: Final = Algorithm("metadata_columns", 3)
ALGORITHMS: Final = (METADATA,)
FIT: Final = "metadata_fit"
MARKS: Final = ("filled", "outlier", "dropped")
"""The kinds of signals that are true or false; `metadata/<signal>` counts those that are true."""
FIT_SCHEMA: Final = pa.schema(
    [
        pa.field("step", pa.int32(), nullable=False),
        pa.field("operation", pa.large_string(), nullable=False),
        pa.field("learned", pa.large_string()),
        pa.field("refused", pa.large_string()),
    ]
)
"""One row an operation: `learned` is JSON, null when `refused` says why there is nothing."""


class _State(NamedTuple):
    columns: dict[str, Column]
    dropped: npt.NDArray[np.bool_]
    signals: dict[str, pa.Array]


def fit_metadata(meta: Iterable[pa.ChunkedArray], config: MetadataConfig) -> pa.Table:
    """What the operations learn from the `meta` columns of all parts of a batch, as FIT_SCHEMA."""
    parts = [read_columns(column, config.columns)[0] for column in meta]
    empty = np.zeros(0)
    columns = {name: np.concatenate([empty, *(part[name] for part in parts)]) for name in config.columns}
    state = _State(columns, np.zeros(len(next(iter(columns.values()))), np.bool_), {})
    rows = []
    for step, operation in enumerate(config.operations):
        learned, refused = None, None
        try:
            learned = _learn(operation, state)
            _apply(operation, learned, state)
        except estimates.RefusedEstimateError as error:
            refused = f"{operation.operation} of {_subject(operation)}: {error}"
        rows.append(
            {
                "step": step,
                "operation": operation.operation,
                "learned": None if learned is None else json.dumps(learned),
                "refused": refused,
            }
        )
    return pa.Table.from_pylist(rows, schema=FIT_SCHEMA)


def metadata_part(tables: Mapping[str, pa.Table], config: MetadataConfig) -> PartResult:
    """`tables["documents"]` and `tables["metadata_fit"]` to `tables["metadata"]`."""
    documents, fit = tables["documents"], tables[FIT]
    columns, unreadable = read_columns(documents.column("meta"), config.columns)
    missing = {name: int(np.isnan(values).sum()) for name, values in columns.items()}
    state = _State(columns, np.zeros(len(documents), np.bool_), {})
    for operation, learned in zip(config.operations, fit.column("learned").to_pylist(), strict=True):
        if learned is not None:
            _apply(operation, json.loads(learned), state)
    signals = {f"meta_{name}": _nullable(values) for name, values in state.columns.items()} | state.signals
    signals["metadata_dropped"] = pa.array(state.dropped)
    result = {field.name: documents.column(field.name) for field in ATTRIBUTE_KEYS}
    for name, kind in config.signals():
        result[name] = signals.get(name, _unknown(kind, len(documents)))
    table = pa.table(result)
    counts = {"rows_in": len(documents), "kept": len(table), "metadata/unreadable": unreadable}
    counts |= {f"metadata/{name}/missing": count for name, count in missing.items()}
    for name, kind in config.signals():
        if kind in MARKS:
            counts[f"metadata/{name.removeprefix('meta_')}"] = int(table[name].combine_chunks().true_count)
    return PartResult({"metadata": table}, counts)


def refusals(fit: pa.Table) -> list[str]:
    """The operations that the batch refused, with the reasons."""
    return [reason for reason in fit.column("refused").to_pylist() if reason is not None]


def _subject(operation: MetadataOperation) -> str:
    return operation.column if isinstance(operation, Fill | Outliers) else "columns"


def _learn(operation: MetadataOperation, state: _State) -> dict[str, Any]:
    """What one operation needs of the batch; raises `RefusedEstimateError`."""
    rows = ~state.dropped
    if isinstance(operation, DropRows):
        return {}
    if isinstance(operation, DropColumns):
        names = operation.columns or tuple(state.columns)
        gaps = {name: float(np.isnan(state.columns[name][rows]).mean()) if rows.any() else 0.0 for name in names}
        return {"dropped": [name for name in names if gaps[name] > operation.max_missing]}
    values = state.columns[operation.column]
    known = values[rows & ~np.isnan(values)]
    if isinstance(operation, Outliers):
        if operation.method == "zscore":
            centre, unit = estimates.zscore(known, operation.limit, operation.ddof)
            return {"centre": centre, "unit": unit}
        if operation.method == "mad":
            centre, unit = estimates.mad(known)
            return {"centre": centre, "unit": unit}
        low, high = estimates.iqr(known)
        return {"low": low, "high": high}
    if operation.method == "constant":
        return {"value": operation.value}
    if operation.method in ("mean", "median"):
        return {"value": estimates.mean(known) if operation.method == "mean" else estimates.median(known)}
    others = [state.columns[name] for name in ([operation.along] if operation.along else operation.predictors)]
    if operation.method == "nearest":
        return nearest.learn_donors(
            [other[rows] for other in others], values[rows], operation.neighbours, operation.donors
        )
    complete = rows & ~np.isnan(np.stack([values, *others])).any(axis=0)
    if operation.method == "interpolation":
        x, y = estimates.points(others[0][complete], values[complete])
        return {"x": x, "y": y}
    return {"coefficients": estimates.least_squares([other[complete] for other in others], values[complete])}


def _apply(operation: MetadataOperation, learned: dict[str, Any], state: _State) -> None:
    """Change the columns and signals of some rows by what was learned: row by row, so parts may be any rows."""
    if isinstance(operation, DropRows):
        for name in operation.columns or tuple(state.columns):
            state.dropped[np.isnan(state.columns[name])] = True
    elif isinstance(operation, DropColumns):
        for name in learned["dropped"]:
            state.columns[name] = np.full_like(state.columns[name], np.nan)
    elif isinstance(operation, Fill):
        values = state.columns[operation.column]
        filled = np.where(np.isnan(values), _filling(operation, learned, state), values)
        mark = f"meta_{operation.column}_filled"
        now = pa.array(np.isnan(values) & ~np.isnan(filled))
        state.signals[mark] = pc.or_(state.signals[mark], now) if mark in state.signals else now
        state.columns[operation.column] = filled
    else:
        values = state.columns[operation.column]
        score = _score(values, learned)
        outlier = np.abs(score) > operation.limit
        name = f"meta_{operation.column}_{operation.method}"
        state.signals[name] = _nullable(score)
        state.signals[f"{name}_outlier"] = pa.array(outlier)  # what has no value is no outlier: its score is null
        if operation.action == "missing":
            state.columns[operation.column] = np.where(outlier, np.nan, values)


def _filling(operation: Fill, learned: dict[str, Any], state: _State) -> Column | float:
    if operation.method == "interpolation":
        x = state.columns[operation.along or ""]
        # Outside of the known range the nearest known value stands.
        return np.where(np.isnan(x), np.nan, np.interp(x, learned["x"], learned["y"]))
    if operation.method == "regression":
        intercept, *slopes = learned["coefficients"]
        result: Column = np.full(len(state.dropped), intercept)
        for slope, name in zip(slopes, operation.predictors, strict=True):
            result = result + slope * state.columns[name]
        return result
    if operation.method == "nearest":
        gaps = np.isnan(state.columns[operation.column])
        means = np.full(len(gaps), np.nan)
        near = [state.columns[name][gaps] for name in operation.predictors]
        means[gaps] = nearest.nearest_means(near, learned, operation.neighbours)
        return means
    return float(learned["value"])


def _score(values: Column, learned: dict[str, Any]) -> Column:
    """Signed distance: in units from the centre, or in IQRs beyond the nearer quartile, 0 between them."""
    if "centre" in learned:
        centre, unit = float(learned["centre"]), float(learned["unit"])
        return (values - centre) / unit if unit else values - values
    low, high = float(learned["low"]), float(learned["high"])
    return (np.maximum(values - high, 0.0) - np.maximum(low - values, 0.0)) / (high - low)


def _nullable(values: Column) -> pa.Array:
    return pa.array(values, mask=np.isnan(values))


def _unknown(kind: str, size: int) -> pa.Array:
    """A signal of an operation that was refused: nothing is marked, nothing has a score."""
    return pa.array(np.zeros(size, np.bool_)) if kind in MARKS else pa.nulls(size, pa.float64())
