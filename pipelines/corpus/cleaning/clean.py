"""Deduplicated documents to clean documents, one part at a time.

In, by role: `documents`; `sensitive_spans` and `contamination` with one row per document in the same order; `removals`
(kind, value), already expanded to duplicate groups. Steps: spans are edited once; every rule judges every document
(removed, contaminated, emptied) and every failing one is recorded. Out: the kept `documents` with new text hashes,
`decisions` for all rows, `edits` of the kept ones.

What is held out is decided over the result, batch-wide: see `holdout`.

Cost: about that of copying the text; nothing here reads it but the splice and the hash.
"""

import hashlib
from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.core.decisions import DECISIONS, decide
from pipelines.core.documents import DOCUMENT_SCHEMA
from pipelines.core.fingerprint import Algorithm
from pipelines.core.parts import PartResult
from pipelines.corpus.cleaning.config import CleaningConfig
from pipelines.corpus.cleaning.edits import EDITS, apply_edits
from pipelines.corpus.cleaning.removals import REMOVALS, removed_mask
from pipelines.corpus.privacy.spans import text_bytes

CLEAN: Final = Algorithm("clean_documents", 1)
CLEAN_ALGORITHMS: Final = (CLEAN, EDITS, REMOVALS, DECISIONS)


class CleaningRule(NamedTuple):
    """A rule of cleaning as `core.decisions` reads it: the document stays if `signal op value`."""

    name: str
    signal: str
    op: str
    value: float
    languages: tuple[str, ...] = ()
    action: str = "drop"
    missing: str = "drop"


def cleaning_rules(config: CleaningConfig) -> list[CleaningRule]:
    """The rules that are switched on, in the order in which they name the reason of a drop."""
    contamination = (
        CleaningRule("contaminated", "max_share", "<", config.contamination.max_item_share or 0.0),
        CleaningRule("contaminated_in_total", "matched", "<", float(config.contamination.max_matched or 0)),
    )
    return [
        CleaningRule("removed", "removed", "<", 1.0),
        *(rule for rule in contamination if rule.value),
        CleaningRule("emptied", "visible_characters", ">=", float(config.min_characters)),
    ]


def clean_part(tables: Mapping[str, pa.Table], config: CleaningConfig) -> PartResult:
    """`documents`, `sensitive_spans`, `contamination`, `removals` -> `documents`, `decisions`, `edits`.

    Raises ValueError when the attribute rows are not those of the documents.
    """
    documents = tables["documents"]
    spans, contamination = tables["sensitive_spans"], tables["contamination"]
    for role in ("sensitive_spans", "contamination"):
        for key in ("id", "text_hash"):
            if not tables[role][key].cast(pa.binary()).equals(documents[key].cast(pa.binary())):
                raise ValueError(f"the {key} column of {role} is not that of the documents; recompute the attribute")
    placeholders = {str(kind): text for kind, text in config.edits.placeholders.items()}
    text, edits = apply_edits(documents["id"], documents["text"], spans["spans"], placeholders)
    rules = cleaning_rules(config)
    signals = pa.table(
        {
            "id": documents["id"],
            "removed": pa.array(removed_mask(documents, tables["removals"]).to_numpy()),
            "max_share": contamination["max_share"],
            "matched": contamination["matched"],
            "visible_characters": _visible_characters(text),
        }
    )
    decisions = decide(signals, rules)
    kept = decisions["kept"]
    counts = {"rows_in": len(documents), "kept": pc.sum(kept).as_py() or 0}
    for rule in rules:
        counts[f"dropped/{rule.name}"] = pc.sum(pc.equal(decisions["reason"], rule.name)).as_py() or 0
    of_kept = np.repeat(kept.to_numpy(), np.asarray(pc.list_value_length(spans["spans"])))
    kept_edits = edits.filter(pa.array(of_kept))
    for kind in sorted(placeholders):
        counts[f"edits/{kind}"] = pc.sum(pc.equal(kept_edits["kind"], kind)).as_py() or 0
    result = documents.set_column(documents.schema.get_field_index("text"), DOCUMENT_SCHEMA.field("text"), text)
    result = result.filter(kept)
    hashes = pa.array(_hashes(result["text"]), DOCUMENT_SCHEMA.field("text_hash").type)
    result = result.set_column(result.schema.get_field_index("text_hash"), DOCUMENT_SCHEMA.field("text_hash"), hashes)
    return PartResult({"documents": result, "decisions": decisions, "edits": kept_edits}, counts)


def _visible_characters(text: pa.Array) -> pa.Array:
    """Characters of each text without the white space around it."""
    return pc.utf8_length(pc.utf8_trim_whitespace(text))


def _hashes(text: pa.ChunkedArray) -> list[bytes]:
    """`text_hash` of each row, straight from the column's bytes."""
    data, offsets = text_bytes(text)
    view = data.data
    return [
        hashlib.blake2b(view[start:end], digest_size=16).digest()
        for start, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
    ]
