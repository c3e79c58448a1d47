"""The filter: documents and their signals in, documents that pass and the decision over all of them out.

In: `documents` and the attribute tables of the same part (`statistics`, `language`, any other family), row by row
about the same documents. Steps: check that ids and text hashes line up; put the signal columns side by side; decide by
the rules of the source; keep. Out: `documents` (the kept rows, same order, text untouched) and `decisions` (all rows).
Counts: `rows_in = kept + sum of dropped/<rule>` by each document's first failing rule; `failed/<rule>` counts every
document that fails a rule, whatever happened to it. Costs no look at any text.
"""

from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.core.decisions import DECISIONS, decide
from pipelines.core.documents import ATTRIBUTE_KEYS
from pipelines.core.expressions import EXPRESSIONS
from pipelines.core.parts import PartResult
from pipelines.corpus.filters.config import FilterConfig

ALGORITHMS: Final = (DECISIONS, EXPRESSIONS)
DOCUMENTS: Final = "documents"


def filter_part(tables: Mapping[str, pa.Table], config: FilterConfig) -> PartResult:
    """`documents` and attribute tables to kept `documents` and `decisions`.

    Raises ValueError when an attribute table is about other rows or two families share a column, and
    `pipelines.core.decisions.UnknownSignalError` when a rule's signal is in none of them.
    """
    documents = tables[DOCUMENTS]
    signals = join_signals(tables)
    rules = config.resolved()
    decisions = decide(signals, rules)
    kept = documents.filter(decisions.column("kept"))
    counts = {"rows_in": len(documents), "kept": len(kept)}
    counts |= _count(decisions.column("reason"), "dropped")
    failed = decisions.column("failed").combine_chunks()
    counts |= _count(pc.struct_field(failed.flatten(), "rule"), "failed")
    return PartResult({DOCUMENTS: kept, "decisions": decisions}, counts)


def join_signals(tables: Mapping[str, pa.Table]) -> pa.Table:
    """The id, the text hash and every signal column of the attribute tables beside `documents`, in name order.

    A signal `language` is the detected language; the documents' own column of that name is what the source declared.
    """
    documents = tables[DOCUMENTS]
    columns: dict[str, Any] = {field.name: documents.column(field.name) for field in ATTRIBUTE_KEYS}
    origin = dict.fromkeys(columns, DOCUMENTS)
    for family in sorted(set(tables) - {DOCUMENTS}):
        table = tables[family]
        for field in ATTRIBUTE_KEYS:
            if not table.column(field.name).equals(documents.column(field.name)):
                raise ValueError(
                    f"the attribute table {family!r} ({len(table)} rows) does not line up with the documents "
                    f"({len(documents)} rows): column {field.name!r} differs; compute the family again for this part"
                )
        for name in table.column_names:
            if name in (field.name for field in ATTRIBUTE_KEYS):
                continue
            if name in columns:
                raise ValueError(f"the signal {name!r} is in {origin[name]!r} and in {family!r}: rename one of them")
            columns[name] = table.column(name)
            origin[name] = family
    return pa.table(columns)


def _count(names: pa.ChunkedArray | pa.Array, prefix: str) -> dict[str, int]:
    counted = pc.value_counts(pc.drop_null(names))
    pairs = {f"{prefix}/{entry['values']}": entry["counts"] for entry in counted.to_pylist()}
    return dict(sorted(pairs.items()))
