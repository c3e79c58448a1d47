"""Who duplicates whom: the signatures of a batch and the earlier index entries in, matches and the batch's entry out.

Greedy leader rule. Documents are judged in order of (policy rank, inventory position, record number). One is dropped
when an earlier kept document, of this batch or of an earlier one, shares a band with it and the true Jaccard
similarity of their shingle sets reaches the threshold; its leader is the earliest such document. What was kept stays
kept, so a new batch never flips a leader, and similarity is never chained through a dropped document.

1. Exact: rows of the batch with one exact hash form a group; its first row is judged for all of them. A hit on the
   exact hash of an earlier entry decides without reading any text. (A kept exact copy is itself the earliest similar
   document: it passed the same bands against the same leaders.) So a page copied 10,000 times costs one judgement.
2. Alone: rows whose bands occur nowhere else, in the batch or the index, are kept unread.
3. The others are judged window by window, a window being as many rows as hold `window_shingles`:
   a. against leaders kept before the window, in order of the leaders, in groups of at most `window_shingles`; a row
      leaves at its first similar leader, so later groups are fetched for the remaining rows only;
   b. against each other, one after the other, through chains of kept rows per band.
4. The kept rows become the batch's index entry.

Every row examines the same candidates in the same order whatever the windows, so results and counts depend on the
identity configuration alone, and with policy `first` any cut of one sequence of records into consecutive batches
keeps the same records. Memory: the batch's signatures, two windows of shingles, one index shard, the pairs of
`lookup_documents` rows, and the texts of one part.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.core.documents import ID_BYTES
from pipelines.core.fingerprint import Algorithm
from pipelines.corpus.dedup.config import DedupConfig
from pipelines.corpus.dedup.index import (
    Candidates,
    IndexEntry,
    check_chain,
    earliest,
    entry_tables,
    lookup,
    take_leaders,
)
from pipelines.corpus.dedup.judge import Chains, Verdicts, judge_leaders, judge_window
from pipelines.corpus.dedup.minhash import EXACT_BYTES
from pipelines.corpus.dedup.rows import (
    Array,
    BatchSignatures,
    Rows,
    band_rows,
    binary_array,
    buckets,
    exact_groups,
    fixed_bytes,
    ids,
    leader_table,
    load,
)
from pipelines.corpus.dedup.texts import Places, TextReader, fetch_sets

MATCHING: Final = Algorithm("dedup-greedy-leader", 1)

MATCH_SCHEMA: Final = pa.schema(
    [
        pa.field("id", pa.binary(ID_BYTES), nullable=False),
        pa.field("leader_id", pa.binary(ID_BYTES), nullable=False),
        pa.field("leader_ordinal", pa.int32(), nullable=False),
        pa.field("kind", pa.large_string(), nullable=False),
        pa.field("similarity", pa.float64(), nullable=False),
        pa.field("part", pa.int32(), nullable=False),
        pa.field("row", pa.int32(), nullable=False),
    ]
)
"""`kind`: "exact" (the leader has the same words) or "near"; `part` and `row` are the dropped document's own."""

_KEPT: Final = 0
_EXACT: Final = 1
_NEAR: Final = 2


class MatchResult(NamedTuple):
    """What `match_batch` found."""

    matches: pa.Table
    """MATCH_SCHEMA, one row for each dropped document, by (part, row)."""
    kept: list[npt.NDArray[np.bool_]]
    """For each part, which rows stay."""
    entry: dict[str, pa.Table]
    """The batch's index entry, by role."""
    counts: dict[str, int]
    """rows_in = kept + dropped/exact + dropped/near; and documents_read, pairs_compared, pairs_rejected (verified
    below the threshold), documents_capped (kept with candidates left uncompared)."""


class _Fates(NamedTuple):
    """What became of each row: its kind, and the leader of a dropped one."""

    kind: npt.NDArray[np.int8]
    leader_id: npt.NDArray[np.void]
    leader_ordinal: npt.NDArray[np.int32]
    similarity: npt.NDArray[np.float64]


def match_batch(
    batch: BatchSignatures,
    entries: Sequence[IndexEntry],
    read_texts: TextReader,
    config: DedupConfig,
) -> MatchResult:
    """Match one batch against itself and `entries`, all earlier ones in ordinal order (skip entries included).

    Raises BrokenChainError when the entries do not follow each other or were made with other settings, StaleTextError
    when a text is not the one that was signed, ValueError when the batch is malformed or not later than the entries.
    """
    check_chain(entries, config)
    if entries and entries[-1].ordinal >= batch.ordinal:
        raise ValueError(
            f"batch {batch.ordinal} cannot be matched against entry {entries[-1].ordinal}: pass earlier entries only"
        )
    rows = load(batch, config)
    group_first, group = exact_groups(rows.exact)
    heads = rows.take(group_first)
    judge = _Judge(batch.ordinal, heads, entries, read_texts, config)
    judge.run()
    kept_heads = heads.take(np.flatnonzero(judge.fates.kind == _KEPT))
    predecessor = entries[-1].digest if entries else None
    leaders = leader_table(batch.ordinal, kept_heads)
    entry = entry_tables(batch.ordinal, leaders, band_rows(kept_heads), config, predecessor)
    fates = _spread(batch.ordinal, judge.fates, group_first, group, heads)
    counts = {"rows_in": len(rows.row)}
    for name, kind in (("kept", _KEPT), ("dropped/exact", _EXACT), ("dropped/near", _NEAR)):
        counts[name] = int(np.count_nonzero(fates.kind == kind))
    return MatchResult(_matches(rows, fates), _kept_masks(batch, rows, fates), entry, {**counts, **judge.counts})


class _Judge:
    """Steps 1 (earlier entries), 2 and 3 over rows of distinct exact hash, in the order of judgement."""

    def __init__(
        self,
        ordinal: int,
        heads: Rows,
        entries: Sequence[IndexEntry],
        read_texts: TextReader,
        config: DedupConfig,
    ) -> None:
        count = len(heads.row)
        self.ordinal = ordinal
        self.heads = heads
        self.entries = entries
        self.read_texts = read_texts
        self.config = config
        self.fates = _Fates(
            np.zeros(count, np.int8), np.zeros(count, f"V{ID_BYTES}"), np.zeros(count, np.int32), np.zeros(count)
        )
        self.counts = Counter(documents_read=0, pairs_compared=0, pairs_rejected=0, documents_capped=0)
        self.chains = Chains.empty(buckets(heads), heads.n_shingles)
        self.places = Places(np.full(count, ordinal, np.int64), heads.part, heads.row, heads.n_shingles)

    def run(self) -> None:
        shared = np.asarray((self.chains.buckets >= 0).any(axis=1))
        step = self.config.lookup_documents
        for start in range(0, len(self.heads.row), step):
            chosen = np.arange(start, min(len(self.heads.row), start + step))
            hits, pairs = self._look_up(chosen)
            needed = shared[chosen]
            needed[pairs.document - start] = True
            documents = chosen[needed & (self.fates.kind[chosen] == _KEPT)]
            self.counts["documents_read"] += len(documents)
            for first, last in pairwise(_runs(self.heads.n_shingles[documents], self.config.window_shingles)):
                self._judge(documents[first:last], hits, pairs)

    def _look_up(self, chosen: npt.NDArray[np.int64]) -> tuple[pa.Table, Candidates]:
        """Leaders of earlier batches that the chosen rows hit, in order, and near pairs (row, 0, row of the leaders).

        Rows whose exact hash is a leader's get their fate here.
        """
        rows = band_rows(self.heads.take(chosen))
        count = len(chosen)
        # the exact hash asks under a number of its own, so the limit on candidates can never hide an exact copy
        asks = np.where(rows.band == self.config.bands, rows.document + count, rows.document)
        found = lookup(self.entries, rows._replace(document=asks), self.config)
        leaders, where = np.unique((found.entry << 32) | found.leader, return_inverse=True)
        hits = take_leaders(self.entries, leaders >> 32, leaders & 0xFFFFFFFF)
        exact = found.document >= count
        near = Candidates(found.document[~exact] + chosen[0], found.entry[~exact] * 0, where[~exact])
        documents, at = found.document[exact] - count + chosen[0], where[exact]
        hit_hashes = fixed_bytes(hits["exact_hash"], EXACT_BYTES).view("<u8")
        equal = np.asarray((hit_hashes[at] == self.heads.exact[documents]).all(axis=1))
        documents, at = documents[equal], at[equal]
        self.fates.kind[documents] = _EXACT
        self.fates.leader_id[documents] = ids(hits["id"])[at]
        self.fates.leader_ordinal[documents] = hits["ordinal"].to_numpy()[at]
        self.fates.similarity[documents] = 1.0
        return hits, near

    def _judge(self, window: npt.NDArray[np.int64], hits: pa.Table, pairs: Candidates) -> None:
        """Step 3 for one window. Leaders are named by row of `hits`, or `len(hits)` + row of this batch."""
        config = self.config
        prior, allowances = self._prior(window, hits, pairs)
        verdicts = Verdicts(np.full(len(window), -1, np.int64), np.zeros(len(window)))
        own = fetch_sets(self.places.take(window), self.read_texts, config)
        order = np.lexsort((prior.document, prior.leader))
        document, name = prior.document[order], prior.leader[order]
        hit_places = _hit_places(hits)
        while len(document):
            group = np.unique(name)
            places = self._leader_places(group, hit_places)
            group = group[: _runs(places.n_shingles, config.window_shingles)[1]]
            end = int(np.searchsorted(name, group[-1], "right"))
            sets = fetch_sets(places.take(np.arange(len(group))), self.read_texts, config)
            triples = document[:end], np.searchsorted(group, name[:end]), name[:end]
            compared, rejected = judge_leaders(triples, own, sets, config.threshold, verdicts)
            self.counts.update(pairs_compared=compared, pairs_rejected=rejected)
            undecided = verdicts.leader[document[end:]] < 0
            document, name = document[end:][undecided], name[end:][undecided]
        compared, rejected, capped = judge_window(
            window, allowances, own, self.chains, config.threshold, len(hits), verdicts
        )
        self.counts.update(pairs_compared=compared, pairs_rejected=rejected, documents_capped=capped)
        self._record(window, verdicts, hits)

    def _prior(
        self, window: npt.NDArray[np.int64], hits: pa.Table, pairs: Candidates
    ) -> tuple[Candidates, npt.NDArray[np.int64]]:
        """Candidates kept before the window (window index, 0, name), and how many more each document may have."""
        limit = self.config.max_candidates
        low, high = np.searchsorted(pairs.document, [window[0], window[-1] + 1])
        at = np.searchsorted(window, pairs.document[low:high])
        inside = window[at] == pairs.document[low:high]
        mate_document, mate = self.chains.kept_mates(window, self.config.threshold, limit + 1)
        document = np.concatenate([at[inside], mate_document])
        name = np.concatenate([pairs.leader[low:high][inside], mate + len(hits)])
        prior = earliest(Candidates(document, np.zeros(len(document), np.int64), name), limit + 1)
        allowances = limit - np.bincount(prior.document, minlength=len(window))
        return earliest(prior, limit), allowances

    def _leader_places(self, names: npt.NDArray[np.int64], hits: Places) -> Places:
        """Where the named leaders' texts are; `names` ascend, so leaders of earlier batches come first."""
        early = names[names < len(hits.row)]
        late = names[len(early) :] - len(hits.row)
        return Places(*(np.concatenate([a[early], b[late]]) for a, b in zip(hits, self.places, strict=True)))

    def _record(self, window: npt.NDArray[np.int64], verdicts: Verdicts, hits: pa.Table) -> None:
        """Write a window's verdicts into the fates."""
        dropped = verdicts.leader >= 0
        documents, leader = window[dropped], verdicts.leader[dropped]
        early = leader < len(hits)
        late = leader[~early] - len(hits)
        self.fates.kind[documents] = _NEAR
        self.fates.similarity[documents] = verdicts.similarity[dropped]
        self.fates.leader_id[documents[early]] = ids(hits["id"])[leader[early]]
        self.fates.leader_ordinal[documents[early]] = hits["ordinal"].to_numpy()[leader[early]]
        self.fates.leader_id[documents[~early]] = self.heads.id[late]
        self.fates.leader_ordinal[documents[~early]] = self.ordinal


def _runs(sizes: npt.NDArray[np.int64], budget: int) -> list[int]:
    """Cuts of a sequence into runs of at most `budget` in sum, or one element."""
    total = np.cumsum(sizes)
    edges = [0]
    while edges[-1] < len(sizes):
        before = int(total[edges[-1] - 1]) if edges[-1] else 0
        edges.append(max(edges[-1] + 1, int(np.searchsorted(total, before + budget, "right"))))
    return edges


def _hit_places(hits: pa.Table) -> Places:
    return Places(*(hits[name].to_numpy().astype(np.int64) for name in ("ordinal", "part", "row", "n_shingles")))


def _spread(
    ordinal: int,
    fates: _Fates,
    group_first: npt.NDArray[np.int64],
    group: npt.NDArray[np.int64],
    heads: Rows,
) -> _Fates:
    """From the first row of each exact group to all: copies of a kept one are its exact duplicates, others share."""
    columns: list[Array] = [column[group] for column in fates]
    every = _Fates(*columns)
    copies = np.ones(len(group), bool)
    copies[group_first] = False
    copies &= every.kind == _KEPT
    every.kind[copies] = _EXACT
    every.leader_id[copies] = heads.id[group[copies]]
    every.leader_ordinal[copies] = ordinal
    every.similarity[copies] = 1.0
    return every


def _kept_masks(batch: BatchSignatures, rows: Rows, fates: _Fates) -> list[npt.NDArray[np.bool_]]:
    masks = [np.zeros(len(table), bool) for table in batch.parts]
    kept = fates.kind == _KEPT
    for part, mask in enumerate(masks):
        mask[rows.row[kept & (rows.part == part)]] = True
    return masks


def _matches(rows: Rows, fates: _Fates) -> pa.Table:
    dropped = np.flatnonzero(fates.kind != _KEPT)
    dropped = dropped[np.lexsort((rows.row[dropped], rows.part[dropped]))]
    kinds = np.where(fates.kind[dropped] == _EXACT, "exact", "near").tolist()
    columns = [
        binary_array(rows.id[dropped], ID_BYTES),
        binary_array(fates.leader_id[dropped], ID_BYTES),
        pa.array(fates.leader_ordinal[dropped]),
        pa.array(kinds, pa.large_string()),
        pa.array(fates.similarity[dropped]),
        pa.array(rows.part[dropped].astype(np.int32)),
        pa.array(rows.row[dropped].astype(np.int32)),
    ]
    return pa.table(columns, schema=MATCH_SCHEMA)
