"""Benchmark items to the n-grams that identify them.

In: a table (set, item, text). Steps: items are read as dedup reads documents (case, accents, punctuation and spacing
folded; a character of a script without spaces is a word); each is cut into n-grams; n-grams that occur in more than
`max_items_per_ngram` items are boilerplate and dropped; an item that is shorter than one n-gram keeps its
`short_ngram`-grams and is matched whole. Out: `ngrams` (one row per n-gram and item) and `items` (one row per item: how
it is checked). An item that is shorter still, or all boilerplate, is `uncheckable`: reported, never silently clean.
"""

from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.core.fingerprint import Algorithm
from pipelines.core.parts import PartResult
from pipelines.corpus.decontamination.config import ContaminationConfig
from pipelines.corpus.dedup.config import DedupConfig
from pipelines.corpus.dedup.folding import FOLDING
from pipelines.corpus.dedup.shingles import SHINGLES, Texts, blocks

EVALUATION_NGRAMS: Final = Algorithm("evaluation_ngrams", 1)
EVALUATION_NGRAMS_ALGORITHMS: Final = (FOLDING, SHINGLES, EVALUATION_NGRAMS)

ITEM_SCHEMA: Final = pa.schema([pa.field(name, pa.large_string(), nullable=False) for name in ("set", "item", "text")])
NGRAM_SCHEMA: Final = pa.schema(
    [
        pa.field("ngram", pa.uint64(), nullable=False),
        pa.field("item", pa.int32(), nullable=False),
        pa.field("whole", pa.bool_(), nullable=False),
    ]
)
"""Sorted by (whole, ngram, item). `item` is a row of the table `items`; `whole` marks n-grams of `short_ngram` words,
which belong to items that count only when all of their n-grams match."""

CHECKED_SCHEMA: Final = pa.schema(
    [
        pa.field("set", pa.string(), nullable=False),
        pa.field("item", pa.string(), nullable=False),
        pa.field("words", pa.int32(), nullable=False),
        pa.field("ngrams", pa.int32(), nullable=False),
        pa.field("boilerplate", pa.int32(), nullable=False),
        pa.field("check", pa.string(), nullable=False),
    ]
)
"""`check` is `ngrams`, `whole` or `uncheckable`; `boilerplate` counts the n-grams that were dropped as such."""


def reading(ngram: int) -> DedupConfig:
    """How texts are normalized and cut: dedup's reading, with n-grams of exactly `ngram` words or characters."""
    return DedupConfig(ngram=ngram, ngram_unspaced=ngram)


def evaluation_ngrams(items: pa.Table, config: ContaminationConfig) -> PartResult:
    """`items` (set, item, text) -> tables `ngrams` and `items`; raises ValueError when an item is named twice."""
    count = len(items)
    names = list(zip(items["set"].to_pylist(), items["item"].to_pylist(), strict=True))
    if len(set(names)) < count:
        twice = next(name for position, name in enumerate(names) if name in names[:position])
        raise ValueError(
            f"item {twice[1]!r} of evaluation set {twice[0]!r} is declared twice; items need distinct names"
        )
    long_hashes, long_owners, words = _cut(items["text"], reading(config.ngram))
    short_hashes, short_owners, _ = _cut(items["text"], reading(config.short_ngram))
    is_long = words >= config.ngram
    is_short = ~is_long & (words >= config.short_ngram)
    tables, kept, boilerplate = [], np.zeros(count, np.int64), np.zeros(count, np.int64)
    for whole, hashes, owners in ((False, long_hashes, long_owners), (True, short_hashes, short_owners)):
        mask = (is_short if whole else is_long)[owners]
        hashes, owners = hashes[mask], owners[mask]
        order = np.lexsort((owners, hashes))
        hashes, owners = hashes[order], owners[order]
        _, inverse, occurrences = np.unique(hashes, return_inverse=True, return_counts=True)
        common = occurrences[inverse] > config.max_items_per_ngram
        boilerplate += np.bincount(owners[common], minlength=count)
        kept += np.bincount(owners[~common], minlength=count)
        columns = [hashes[~common], owners[~common].astype(np.int32), np.full(int((~common).sum()), whole)]
        tables.append(pa.table([pa.array(column) for column in columns], schema=NGRAM_SCHEMA))
    ngrams = pa.concat_tables(tables).combine_chunks()
    check = np.where(kept == 0, "uncheckable", np.where(is_long, "ngrams", "whole"))
    checked = pa.table(
        [
            items["set"].cast(pa.string()),
            items["item"].cast(pa.string()),
            pa.array(words, pa.int32()),
            pa.array(kept, pa.int32()),
            pa.array(boilerplate, pa.int32()),
            pa.array(check.tolist(), pa.string()),
        ],
        schema=CHECKED_SCHEMA,
    )
    counts = {
        "rows_in": count,
        "kept": int((kept > 0).sum()),
        "dropped/uncheckable": int((kept == 0).sum()),
        "items/whole": int((check == "whole").sum()),
        "ngrams": len(ngrams),
        "ngrams/boilerplate": int(boilerplate.sum()),
    }
    return PartResult({"ngrams": ngrams, "items": checked}, counts)


def _cut(texts: Texts, config: DedupConfig) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]:
    """(distinct n-gram hashes, their texts, words of each text)."""
    hashes, sizes, words = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for block in blocks(texts, config):
        hashes.append(block.shingles)
        sizes.append(np.diff(block.shingle_ends, prepend=0))
        words.append(np.diff(block.word_ends, prepend=0))
    size = np.concatenate(sizes)
    return np.concatenate(hashes), np.repeat(np.arange(len(size)), size), np.concatenate(words)
