"""Held-out documents: chosen once per domain, and everything similar to them kept out of training.

Choice (`choose_heldout`), when the first sealed batch of a domain has been cleaned:
1. Rank its documents by a keyed hash of their ids: no order of parts, no worker and no text can change the ranking.
2. Take a pool from the top, twice the caps. Strike out those similar to a training document of an earlier batch,
   because that batch's split has been published and moves no more.
3. Take from the top of what is left while the caps on documents and characters hold.

Split (`split_part`), for every part of every batch after the choice: `heldout` by id, `near_heldout` by similarity,
else `train`. Similarity is the exact Jaccard coefficient over all shingles, by an inverted index of the held-out
shingles: each document costs one look-up a shingle, and nothing is left to the chance of LSH. A document without any
word is `train`: it has nothing in common with anything.

Cost: reading the text into shingles (60 to 80 MB/s) plus the look-ups; memory is the index of the held-out shingles.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.core.documents import ATTRIBUTE_KEYS, DOCUMENT_SCHEMA
from pipelines.core.fingerprint import Algorithm
from pipelines.core.parts import PartResult
from pipelines.corpus.cleaning.config import SplitConfig
from pipelines.corpus.decontamination.inverted_index import InvertedIndex, build_index, count_shared
from pipelines.corpus.dedup.config import DedupConfig
from pipelines.corpus.dedup.folding import FOLDING
from pipelines.corpus.dedup.shingles import SHINGLES, Texts, blocks

HELDOUT: Final = Algorithm("heldout_choice", 1)
SPLITS: Final = Algorithm("splits", 1)
HELDOUT_ALGORITHMS: Final = (HELDOUT, FOLDING, SHINGLES)
SPLIT_ALGORITHMS: Final = (SPLITS, FOLDING, SHINGLES)

SHINGLE_SCHEMA: Final = pa.schema(
    [DOCUMENT_SCHEMA.field("id"), pa.field("shingles", pa.large_list(pa.uint64()), nullable=False)]
)
"""A document's set of shingles: ascending, distinct."""

CANDIDATE_SCHEMA: Final = pa.schema(
    [*ATTRIBUTE_KEYS, DOCUMENT_SCHEMA.field("domain"), pa.field("characters", pa.int64(), nullable=False)]
)
SPLIT_SCHEMA: Final = pa.schema(
    [
        *ATTRIBUTE_KEYS,
        pa.field("split", pa.string(), nullable=False),
        pa.field("nearest", pa.binary(16)),
        pa.field("similarity", pa.float64(), nullable=False),
    ]
)
"""`nearest` is the most similar held-out document of any similarity above zero, the earlier one in a tie."""

TRAIN, HELDOUT_SPLIT, NEAR_HELDOUT = "train", "heldout", "near_heldout"


class Similarity(NamedTuple):
    """Per document: whether it is similar, the row of the most similar one (-1: nothing shared), and how similar."""

    similar: NDArray[np.bool_]
    nearest: NDArray[np.int64]
    jaccard: NDArray[np.float64]


class HeldoutIndex(NamedTuple):
    """The inverted index of a shingle table, with the size of each set and the ids by row."""

    inverted: InvertedIndex
    sizes: NDArray[np.int64]
    ids: pa.ChunkedArray


def reading(config: SplitConfig) -> DedupConfig:
    """The lengths of shingles; everything else is read as dedup reads it."""
    return DedupConfig(threshold=config.threshold, ngram=config.ngram, ngram_unspaced=config.ngram_unspaced)


def shingle_table(documents: pa.Table, config: SplitConfig) -> pa.Table:
    """`documents` (id, text) -> (id, shingles), same rows."""
    sets, sizes = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for block in blocks(documents["text"], reading(config)):
        sets.append(block.shingles)
        sizes.append(np.diff(block.shingle_ends, prepend=0))
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.concatenate(sizes))])
    shingles = pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(np.concatenate(sets)))
    return pa.table([documents["id"], shingles], schema=SHINGLE_SCHEMA)


def index_heldout(shingles: pa.Table) -> HeldoutIndex:
    """The index over one or several concatenated shingle tables."""
    sizes = np.asarray(pc.list_value_length(shingles["shingles"])).astype(np.int64)
    values = np.asarray(pc.list_flatten(shingles["shingles"])).astype(np.uint64)
    owners = np.repeat(np.arange(len(shingles), dtype=np.int32), sizes)
    return HeldoutIndex(build_index(values, owners, len(shingles)), sizes, shingles["id"])


def similar_to_heldout(texts: Texts, heldout: HeldoutIndex, config: SplitConfig) -> Similarity:
    """Exact Jaccard of every text against every held-out document.

    |A & B| / (|A| + |B| - |A & B|) is one correctly rounded division, so a ratio that equals the threshold passes.
    """
    parts: list[Similarity] = []
    for block in blocks(texts, reading(config)):
        sizes = np.diff(block.shingle_ends, prepend=0)
        parts.append(_nearest(heldout, block.shingles, block.shingle_ends, sizes, config.threshold))
    if not parts:
        return Similarity(np.zeros(0, bool), np.zeros(0, np.int64), np.zeros(0))
    return Similarity(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _nearest(
    heldout: HeldoutIndex,
    shingles: NDArray[np.uint64],
    ends: NDArray[np.int64],
    sizes: NDArray[np.int64],
    threshold: float,
) -> Similarity:
    shared = count_shared(heldout.inverted, shingles, ends)
    jaccard = shared.common / (sizes[shared.text] + heldout.sizes[shared.owner] - shared.common)
    order = np.lexsort((shared.owner, -jaccard, shared.text))
    texts, first = np.unique(shared.text[order], return_index=True)
    nearest, best = np.full(len(ends), -1, np.int64), np.zeros(len(ends))
    nearest[texts] = shared.owner[order][first]
    best[texts] = jaccard[order][first]
    return Similarity(best >= threshold, nearest, best)


def candidates_of(documents: pa.Table) -> pa.Table:
    """What the choice needs to know of clean documents: id, text_hash, domain, characters."""
    return pa.table(
        [
            documents["id"],
            documents["text_hash"],
            documents["domain"],
            pc.utf8_length(documents["text"]).cast(pa.int64()),
        ],
        schema=CANDIDATE_SCHEMA,
    )


def heldout_pool(candidates: pa.Table, domain: str, config: SplitConfig) -> pa.Table:
    """The candidates of `domain` that may be held out, best rank first, twice as many as the caps let through."""
    mine = candidates.filter(pc.equal(candidates["domain"], domain))
    long_enough = mine.filter(pc.greater_equal(mine["characters"], config.min_characters))
    ranks = [_rank(key, config.seed) for key in long_enough["id"].to_pylist()]
    ranked = long_enough.take(pa.array(sorted(range(len(ranks)), key=ranks.__getitem__), pa.int64()))
    documents, characters = _caps(mine, config)
    return ranked.take(pa.array(_take(ranked["characters"].to_pylist(), 2 * documents, 2 * characters), pa.int64()))


def choose_heldout(
    pool: pa.Table,
    pool_shingles: pa.Table,
    earlier: Iterable[pa.Table],
    candidates: pa.Table,
    domain: str,
    config: SplitConfig,
) -> pa.Table:
    """The held-out documents of a domain, rows of `pool` in rank order.

    `pool` and its `shingle_table` in the same order; `earlier`: tables (id, text) of the *training* documents of all
    batches sealed before; `candidates`: those of the whole batch, from which the caps follow. Fewer documents than the
    caps allow come back when more than half of the pool is similar to earlier training documents.
    """
    if not pool["id"].equals(pool_shingles["id"]):
        raise ValueError("pool_shingles is not the shingle table of the pool: the ids differ")
    heldout = index_heldout(pool_shingles)
    eligible = np.ones(len(pool), bool)
    for part in earlier:
        for block in blocks(part["text"], reading(config)):
            sizes = np.diff(block.shingle_ends, prepend=0)
            shared = count_shared(heldout.inverted, block.shingles, block.shingle_ends)
            jaccard = shared.common / (sizes[shared.text] + heldout.sizes[shared.owner] - shared.common)
            eligible[shared.owner[jaccard >= config.threshold]] = False
    left = pool.filter(pa.array(eligible))
    documents, characters = _caps(candidates.filter(pc.equal(candidates["domain"], domain)), config)
    return left.take(pa.array(_take(left["characters"].to_pylist(), documents, characters), pa.int64()))


def _rank(key: bytes, seed: int) -> bytes:
    """The keyed hash by which documents are ranked; another seed gives an unrelated ranking."""
    return hashlib.blake2b(key, digest_size=16, key=seed.to_bytes(8, "little"), person=b"heldout").digest()


def _caps(domain: pa.Table, config: SplitConfig) -> tuple[int, int]:
    """(documents, characters) that may be held out of the first batch of a domain."""
    total = pc.sum(domain["characters"]).as_py() or 0
    return (
        min(config.max_documents, int(config.max_share * len(domain))),
        min(config.max_characters, int(config.max_share * total)),
    )


def _take(characters: list[int], documents: int, limit: int) -> list[int]:
    """Positions taken from the top; a document that would break the limit is passed over, shorter ones still fit."""
    taken: list[int] = []
    for position, size in enumerate(characters):
        if len(taken) == documents:
            break
        if size <= limit:
            taken.append(position)
            limit -= size
    return taken


def split_part(tables: Mapping[str, pa.Table], config: SplitConfig) -> PartResult:
    """Clean `documents` and `heldout_shingles` (of all domains chosen so far) -> `splits`, one row per document."""
    documents = tables["documents"]
    heldout = index_heldout(tables["heldout_shingles"])
    found = similar_to_heldout(documents["text"], heldout, config)
    own = np.asarray(pc.is_in(documents["id"], heldout.ids.combine_chunks()).to_numpy())
    names = np.where(own, HELDOUT_SPLIT, np.where(found.similar, NEAR_HELDOUT, TRAIN))
    nearest = heldout.ids.take(pa.array(found.nearest, mask=found.nearest < 0))
    table = pa.table(
        [
            documents["id"],
            documents["text_hash"],
            pa.array(names.tolist(), pa.string()),
            nearest,
            pa.array(found.jaccard),
        ],
        schema=SPLIT_SCHEMA,
    )
    counts = {"rows_in": len(documents), "kept": len(documents)}
    counts |= {f"split/{name}": int((names == name).sum()) for name in (TRAIN, HELDOUT_SPLIT, NEAR_HELDOUT)}
    return PartResult({"splits": table}, counts)
