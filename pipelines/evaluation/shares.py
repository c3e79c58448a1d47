"""Shares of what is trained on by topic, language and perplexity bucket: documents, bytes of text, tokens.

In: parts that line up: what was kept (`index`, the training index of token arrays with `id, length, bytes`; or, where
nothing is tokenized yet, `documents` with their `splits`) and attribute tables of `quality_signals`, which have a row
for every document that was read. Steps: join by id, a part at a time; sum by value. Out: SHARE_SCHEMA, a row for each
(signal, model, value); a document without a value counts as `none`, so that each signal's rows add up to the part.
Cost: a join of ids; no text is read where there are arrays.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.core.fingerprint import Algorithm
from pipelines.core.parts import PartResult
from pipelines.corpus.filters.categories import NONE, SHARED, family_of
from pipelines.evaluation.reports.config import RatioRule

SHARES: Final = Algorithm("signal_shares", 1)
TRAIN: Final = "train"
SHARE_SCHEMA: Final = pa.schema(
    [
        pa.field("signal", pa.large_string(), nullable=False),
        pa.field("model", pa.large_string(), nullable=False),
        pa.field("value", pa.large_string(), nullable=False),
        pa.field("documents", pa.int64(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("tokens", pa.int64()),
    ]
)
"""`model` is empty for what has none; `bytes` are those of the UTF-8 text; `tokens` are null before tokenization."""
WITHIN: Final = "within"
"""The column of shares that are taken apart by the value of one signal."""
CORPUS_SCHEMA: Final = pa.schema(
    [
        pa.field("domain", pa.large_string(), nullable=False),
        pa.field("source", pa.large_string(), nullable=False),
        *SHARE_SCHEMA,
    ]
)


class Share(NamedTuple):
    """What one value of a signal has in one source."""

    domain: str
    source: str
    signal: str
    model: str
    value: str
    documents: int
    bytes: int
    tokens: int | None


class Verdict(NamedTuple):
    """A ratio rule met by the corpus; `share` is None where its scope holds nothing."""

    rule: RatioRule
    share: float | None
    passed: bool
    told: str


def shares_part(tables: Mapping[str, pa.Table], config: Mapping[str, Any]) -> PartResult:
    """`index` (or `documents` and `splits`) and attribute tables by family to `shares`.

    `within` in the configuration names a signal: the rows are those of the documents of each of its values, which the
    first column has.
    """
    kept = pl.DataFrame(pl.from_arrow(_kept(tables)))
    counts = {"rows_in": kept.height, "kept": kept.height}
    signal = config.get(WITHIN)
    if signal is None:
        return PartResult({"shares": _shares(kept, tables)}, counts)
    labels = pl.DataFrame(pl.from_arrow(tables[family_of(signal)].select(["id", signal])))
    groups = kept.join(labels, on="id", how="left").with_columns(pl.col(signal).fill_null(NONE))
    schema = pa.schema([pa.field(WITHIN, pa.large_string(), nullable=False), *SHARE_SCHEMA])
    found = [schema.empty_table()]
    for (value,), rows in groups.group_by(signal):
        table = _shares(rows.drop(signal), tables)
        column = pa.array([value] * len(table), pa.large_string())
        found.append(table.add_column(0, schema.field(WITHIN), column))
    return PartResult({"shares": pa.concat_tables(found).sort_by(WITHIN)}, counts)


def _shares(kept: pl.DataFrame, tables: Mapping[str, pa.Table]) -> pa.Table:
    found = [
        _summed(kept, tables[family], *columns)
        for family, columns in SHARED.items()
        if family in tables and kept.height
    ]
    return pa.concat_tables([SHARE_SCHEMA.empty_table(), *found])


def _kept(tables: Mapping[str, pa.Table]) -> pa.Table:
    """`id, bytes, tokens` of the documents that are trained on."""
    if "index" in tables:
        return tables["index"].select(["id", "bytes", "length"]).rename_columns(["id", "bytes", "tokens"])
    documents = tables["documents"].filter(pc.equal(tables["splits"]["split"], TRAIN))
    size = pc.binary_length(documents["text"])
    return pa.table({"id": documents["id"], "bytes": size, "tokens": pa.nulls(len(documents), pa.int32())})


def _summed(kept: pl.DataFrame, signals: pa.Table, value: str, model: str | None) -> pa.Table:
    columns = pl.DataFrame(pl.from_arrow(signals.select(["id", value, *([model] if model else [])])))
    values = kept.join(columns, on="id", how="left").select(
        pl.lit(value).alias("signal"),
        (pl.col(model) if model else pl.lit(None, pl.String)).fill_null("").alias("model"),
        pl.col(value).fill_null(NONE).alias("value"),
        "bytes",
        "tokens",
    )
    counted = values.group_by("signal", "model", "value").agg(
        pl.len().alias("documents"),
        pl.col("bytes").cast(pl.Int64).sum(),
        pl.when(pl.col("tokens").null_count() == 0).then(pl.col("tokens").cast(pl.Int64).sum()).alias("tokens"),
    )
    return counted.sort("signal", "model", "value").select(SHARE_SCHEMA.names).to_arrow().cast(SHARE_SCHEMA)


def of_source(tables: Iterable[pa.Table], domain: str, source: str) -> list[Share]:
    """The rows of parts and batches of one source, summed."""
    return summed(Share(domain, source, **row) for table in tables for row in table.to_pylist())


def summed(rows: Iterable[Share]) -> list[Share]:
    """One row for each (domain, source, signal, model, value), in that order; unknown tokens stay unknown."""
    totals: dict[tuple[str, ...], list[int | None]] = defaultdict(lambda: [0, 0, 0])
    for row in rows:
        total = totals[row[:5]]
        for slot, value in enumerate((row.documents, row.bytes, row.tokens)):
            before = total[slot]
            total[slot] = None if before is None or value is None else before + value
    return [Share(*key, *total) for key, total in sorted(totals.items())]  # type: ignore[arg-type]


def shares_table(rows: Iterable[Share]) -> pa.Table:
    """CORPUS_SCHEMA of rows."""
    return pa.Table.from_pylist([row._asdict() for row in rows], schema=CORPUS_SCHEMA)


def judge(rule: RatioRule, rows: Iterable[Share]) -> Verdict:
    """A ratio rule over the shares of a corpus: the share of its values among all of its signal in its scope."""
    signal, wanted = rule.subject
    scope = [
        row
        for row in rows
        if row.signal == signal and rule.domain in (None, row.domain) and rule.source in (None, row.source)
    ]
    whole = sum(getattr(row, rule.by) or 0 for row in scope)
    mine = sum(getattr(row, rule.by) or 0 for row in scope if row.value in wanted)
    place = f" of {rule.source or rule.domain}" if rule.source or rule.domain else ""
    what = f"{signal} {', '.join(wanted)}: "
    if not whole:
        return Verdict(rule, None, True, f"{what}there are no {rule.by}{place} to judge")
    share = mine / whole
    low, high = rule.min_share or 0.0, 1.0 if rule.max_share is None else rule.max_share
    told = f"{what}{share:.2%} of the {rule.by}{place}, declared {low:.4g} to {high:.4g}"
    absent = sorted(set(wanted) - {row.value for row in scope})
    if absent:
        there = sorted({row.value for row in scope})
        told += f"; nothing is of {', '.join(absent)}, there are {', '.join(there[:20])}"
    return Verdict(rule, share, low <= share <= high, told)
