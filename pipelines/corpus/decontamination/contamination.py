"""The attribute family `contamination`: which benchmark items a document contains, and how much of each.

In: documents, and the tables `ngrams` and `items` of `evaluation_ngrams`. Steps: cut the documents into the same
n-grams, look each distinct one up, count per item; an item that is matched whole counts only when nothing of it is
missing. Out: one row per document with its hits by item and the largest share. A threshold is a decision and belongs
to cleaning.

The direction is document -> items: the hits say which training documents to drop, and, read the other way round, which
items of a benchmark a corpus has seen.

Cost: two readings of the text (one when no item is short) and one look-up per distinct n-gram; memory is that of the
index, about 30 bytes per n-gram of the evaluation sets.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.core.documents import ATTRIBUTE_KEYS
from pipelines.core.fingerprint import Algorithm
from pipelines.core.parts import PartResult
from pipelines.corpus.decontamination.config import ContaminationConfig
from pipelines.corpus.decontamination.inverted_index import build_index, count_shared
from pipelines.corpus.decontamination.ngrams import reading
from pipelines.corpus.dedup.folding import FOLDING
from pipelines.corpus.dedup.shingles import SHINGLES, blocks

CONTAMINATION: Final = Algorithm("contamination", 1)
CONTAMINATION_ALGORITHMS: Final = (FOLDING, SHINGLES, CONTAMINATION)

HIT_TYPE: Final = pa.struct(
    [
        pa.field("set", pa.string(), nullable=False),
        pa.field("item", pa.string(), nullable=False),
        pa.field("matched", pa.int32(), nullable=False),
        pa.field("share", pa.float32(), nullable=False),
    ]
)
"""`matched` distinct n-grams of the item occur in the document, `share` of all that the item has."""

CONTAMINATION_SCHEMA: Final = pa.schema(
    [
        *ATTRIBUTE_KEYS,
        pa.field("hits", pa.list_(HIT_TYPE), nullable=False),
        pa.field("max_share", pa.float32(), nullable=False),
        pa.field("matched", pa.int32(), nullable=False),
    ]
)
"""`max_share` over the hits, 0 without any; `matched` is their sum."""


def contamination_part(tables: Mapping[str, pa.Table], config: ContaminationConfig) -> PartResult:
    """`documents`, `ngrams`, `items` -> `contamination`; hits are in the order of the items table."""
    documents, ngrams, items = tables["documents"], tables["ngrams"], tables["items"]
    totals = np.asarray(items["ngrams"]).astype(np.int64)
    item_of = np.asarray(ngrams["item"]).astype(np.int32)
    whole = np.asarray(ngrams["whole"].to_numpy(), bool)
    hashes = np.asarray(ngrams["ngram"]).astype(np.uint64)
    texts, owners, counts = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for mask, length, complete in ((~whole, config.ngram, False), (whole, config.short_ngram, True)):
        if not mask.any():
            continue
        index = build_index(hashes[mask], item_of[mask], len(items))
        first = 0
        for block in blocks(documents["text"], reading(length)):
            shared = count_shared(index, block.shingles, block.shingle_ends)
            enough = shared.common >= (totals[shared.owner] if complete else 1)
            texts.append(shared.text[enough] + first)
            owners.append(shared.owner[enough].astype(np.int64))
            counts.append(shared.common[enough].astype(np.int64))
            first += len(block.shingle_ends)
    text, owner, count = np.concatenate(texts), np.concatenate(owners), np.concatenate(counts)
    order = np.lexsort((owner, text))
    return _result(documents, items, totals, text[order], owner[order], count[order])


def _result(
    documents: pa.Table,
    items: pa.Table,
    totals: NDArray[np.int64],
    text: NDArray[np.int64],
    owner: NDArray[np.int64],
    count: NDArray[np.int64],
) -> PartResult:
    rows = len(documents)
    share = (count / totals[owner]).astype(np.float32)
    max_share = np.zeros(rows, np.float32)
    np.maximum.at(max_share, text, share)
    matched = np.bincount(text, weights=count, minlength=rows).astype(np.int32)
    offsets = np.zeros(rows + 1, np.int32)
    np.cumsum(np.bincount(text, minlength=rows), out=offsets[1:])
    chosen = items.take(pa.array(owner))
    hits = pa.StructArray.from_arrays(
        [
            pa.array(chosen["set"].to_pylist(), pa.string()),
            pa.array(chosen["item"].to_pylist(), pa.string()),
            pa.array(count, pa.int32()),
            pa.array(share),
        ],
        fields=list(HIT_TYPE),
    )
    table = pa.table(
        [
            documents["id"],
            documents["text_hash"],
            pa.ListArray.from_arrays(pa.array(offsets), hits, type=pa.list_(HIT_TYPE)),
            pa.array(max_share),
            pa.array(matched),
        ],
        schema=CONTAMINATION_SCHEMA,
    )
    return PartResult({"contamination": table}, {"rows_in": rows, "kept": rows, **count_hits(table, None)})


def count_hits(table: pa.Table, config: ContaminationConfig | None) -> dict[str, int]:
    """`hits`: pairs of document and item; `documents_with_hits`: documents with at least one."""
    lengths = np.asarray(pc.list_value_length(table["hits"]))
    return {"hits": int(lengths.sum()), "documents_with_hits": int((lengths > 0).sum())}
