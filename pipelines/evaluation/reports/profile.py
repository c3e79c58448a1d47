"""A batch looked at: histograms of its signals, its rules' tallies, its languages and samples of its documents.

In: for a batch, `read(role, columns)` that gives a role's tables part by part in line with each other. Each signal is
read by itself, so memory is one column of a batch; documents' texts are read for the sampled rows' parts alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.core.fingerprint import Algorithm
from pipelines.evaluation.reports.corpus_data import NEAR, Histogram, LanguageRow, RuleRow, worded

CORPUS_PROFILE: Final = Algorithm("corpus-profile", 1)
BINS: Final = 40
FEW_BINS: Final = 10
"""Of a small batch: four times the root of its documents, between these two."""
OUTLIERS: Final = (0.005, 0.995)
"""Quantiles that the axis spans, widened to the thresholds; what lies outside is counted in the end bins."""
LOGARITHMIC: Final = 12.0
"""A signal whose 99.5 % point is so many times its median is drawn on a logarithmic axis (lengths, counts)."""
UNKNOWN: Final = "unknown"

Read = Callable[[Sequence[str]], Iterator[pa.Table]]
"""`read(columns)`: tables with these columns, in the order of the parts."""


def number_column(read: Read, name: str) -> npt.NDArray[np.float64]:
    """A numeric or boolean column of all parts, missing values as NaN."""
    columns = [table[name] for table in read([name])]
    flat = [
        (column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column).cast(pa.float64()).to_numpy()
        for column in columns
    ]
    return np.concatenate(flat) if flat else np.zeros(0)


def text_column(read: Read, name: str) -> pa.Array:
    """A text column of all parts, missing values as `unknown`."""
    pieces = [chunk for table in read([name]) for chunk in table[name].cast(pa.large_string()).chunks]
    return pc.fill_null(pa.concat_arrays(pieces) if pieces else pa.array([], pa.large_string()), UNKNOWN)


def histogram(
    signal: str,
    values: npt.NDArray[np.float64],
    kept: npt.NDArray[np.bool_],
    thresholds: Sequence[tuple[str, str, float]],
) -> Histogram | None:
    """Counts of kept and dropped documents in at most `BINS` bins; None without a value."""
    missing = np.isnan(values)
    known = values[~missing]
    if not len(known):
        return None
    low, middle, high = np.quantile(known, (OUTLIERS[0], 0.5, OUTLIERS[1])).tolist()
    limits = [value for _, _, value in thresholds if np.isfinite(value)]
    logarithmic = bool(low >= 0 and middle > 0 and max([high, *limits]) / middle > LOGARITHMIC)
    if not logarithmic or all(value <= 0 for value in limits):
        near = limits
    else:
        near = [value for value in limits if value > 0]
    low, high = min([low, *near]), max([high, *near])
    edges = _edges(low, high, known, logarithmic)
    counts = []
    for mask in (kept, ~kept):
        mine = np.clip(values[mask & ~missing], edges[0], edges[-1])
        counts.append(np.histogram(mine, edges)[0])
    return Histogram(
        signal=signal,
        edges=tuple(float(edge) for edge in edges),
        kept=tuple(counts[0].tolist()),
        dropped=tuple(counts[1].tolist()),
        logarithmic=logarithmic,
        thresholds=tuple(thresholds),
        missing=int(missing.sum()),
        quartiles=tuple(np.quantile(known, (0.25, 0.5, 0.75)).tolist()),
    )


def _edges(low: float, high: float, known: npt.NDArray[np.float64], logarithmic: bool) -> npt.NDArray[np.float64]:
    whole = bool(np.all(known == np.round(known)))
    bins = int(min(max(4 * len(known) ** 0.5, FEW_BINS), BINS))
    if logarithmic:
        start = low if low > 0 else 1.0 if whole else float(known[known > 0].min())
        return np.geomspace(start, max(high, start * 1.001), bins + 1)
    if whole and high - low <= BINS:
        return np.arange(np.floor(low) - 0.5, np.ceil(high) + 1)
    if high <= low:
        spread = max(abs(low) * 0.05, 0.05)
        low, high = low - spread, high + spread
    return np.linspace(low, high, bins + 1)


def rule_rows(rules: Sequence[Any], decisions: Callable[[], Iterator[pa.Table]], read: Read) -> tuple[RuleRow, ...]:
    """Tallies of each rule, in rule order."""
    failed: dict[str, int] = {}
    first: dict[str, int] = {}
    alone: dict[str, int] = {}
    for table in decisions():
        lists = table["failed"].combine_chunks()
        lists = lists if isinstance(lists, pa.Array) else pa.concat_arrays(lists.chunks)
        flat = lists.flatten()
        _count(failed, pc.struct_field(flat, "rule"))
        _count(first, table["reason"])
        drops = pc.equal(pc.struct_field(flat, "action"), "drop").to_numpy(zero_copy_only=False)
        rows = pc.list_parent_indices(lists).to_numpy()[drops]
        single = np.bincount(rows, minlength=len(table))[rows] == 1 if len(rows) else np.zeros(0, bool)
        _count(alone, pc.struct_field(flat, "rule").filter(pa.array(drops)).filter(pa.array(single)))
    result = []
    for rule in rules:
        signal, op, value = (getattr(rule, name, None) for name in ("signal", "op", "value"))
        near = 0
        if signal is not None and isinstance(value, int | float) and value:
            near = int((np.abs(number_column(read, signal) - value) <= NEAR * abs(value)).sum())
        result.append(
            RuleRow(
                rule=rule.name,
                condition=f"{signal} {op} {worded(value)}" if signal is not None else str(rule.identity()),
                action=rule.action,
                failed=failed.get(rule.name, 0),
                first=first.get(rule.name, 0),
                alone=alone.get(rule.name, 0),
                near=near,
            )
        )
    return tuple(result)


def _count(into: dict[str, int], names: Any) -> None:
    for entry in pc.value_counts(pc.drop_null(names)).to_pylist():
        into[entry["values"]] = into.get(entry["values"], 0) + entry["counts"]


def language_rows(languages: pa.Array, kept: npt.NDArray[np.bool_]) -> tuple[LanguageRow, ...]:
    """Documents and kept ones of each language, the commonest first."""
    everything: dict[str, int] = {}
    left: dict[str, int] = {}
    _count(everything, languages)
    _count(left, languages.filter(pa.array(kept)))
    ranked = sorted(everything.items(), key=lambda item: (-item[1], item[0]))
    return tuple(LanguageRow(name, documents, left.get(name, 0)) for name, documents in ranked)


def thresholds_of(rules: Sequence[Any]) -> Mapping[str, list[tuple[str, str, float]]]:
    """Signal -> (rule, comparison, threshold) of the numeric rules, in rule order."""
    found: dict[str, list[tuple[str, str, float]]] = {}
    for rule in rules:
        value = getattr(rule, "value", None)
        if isinstance(value, int | float) and hasattr(rule, "signal"):
            found.setdefault(rule.signal, []).append((rule.name, rule.op, float(value)))
    return found
