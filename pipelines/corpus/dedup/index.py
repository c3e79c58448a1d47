"""The dedup index: what every later batch is compared with, one immutable entry a batch, chained in ordinal order.

An entry is these tables:
- `chain`, one row: ordinal, the predecessor's digest, the settings' digest, the number of leaders, and for a batch
  that was given up the reason (a skip entry);
- `leaders`: the kept documents in the order in which they were judged, with where their text is
  (ordinal, part, row), id, exact hash and shingle count;
- `bands_00` .. `bands_15`: (hash, band, leader, n_shingles), a shard being the first 4 bits of the hash, sorted.
  `leader` is a row of `leaders`. The exact hash is one more band, numbered `bands` (its first 8 bytes, confirmed
  against all 16 on a hit).

`leader` numbers grow with the order of judgement, so "the earliest" is a minimum. `compact` merges entries into one
that answers the same; it is a cache, never part of the chain.

Look-up reads one shard of one entry at a time: its memory is that of the largest shard plus the pairs found, at most
`max_candidates` + 1 a document. Disk: 18 bytes a band and 44 a leader before compression, 310 bytes a document at 14.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from pipelines.core.documents import ID_BYTES
from pipelines.core.fingerprint import Algorithm, digest_json
from pipelines.corpus.dedup.config import DedupConfig
from pipelines.corpus.dedup.minhash import EXACT_BYTES, SIGNATURE_ALGORITHMS

INDEX: Final = Algorithm("dedup-index", 1)
SHARD_BITS: Final = 4
SHARDS: Final = tuple(f"bands_{shard:02d}" for shard in range(1 << SHARD_BITS))
ROLES: Final = ("chain", "leaders", *SHARDS)

CHAIN_SCHEMA: Final = pa.schema(
    [
        pa.field("ordinal", pa.int32(), nullable=False),
        pa.field("predecessor", pa.large_string()),
        pa.field("settings", pa.large_string(), nullable=False),
        pa.field("leaders", pa.int64(), nullable=False),
        pa.field("skipped", pa.large_string()),
    ]
)
LEADER_SCHEMA: Final = pa.schema(
    [
        pa.field("ordinal", pa.int32(), nullable=False),
        pa.field("part", pa.int32(), nullable=False),
        pa.field("row", pa.int32(), nullable=False),
        pa.field("id", pa.binary(ID_BYTES), nullable=False),
        pa.field("exact_hash", pa.binary(EXACT_BYTES), nullable=False),
        pa.field("n_shingles", pa.uint32(), nullable=False),
    ]
)
BAND_SCHEMA: Final = pa.schema(
    [
        pa.field("hash", pa.uint64(), nullable=False),
        pa.field("band", pa.uint8(), nullable=False),
        pa.field("leader", pa.uint32(), nullable=False),
        pa.field("n_shingles", pa.uint32(), nullable=False),
    ]
)


class BrokenChainError(ValueError):
    """Index entries that do not follow each other, or were made with other settings."""


@dataclass(frozen=True)
class IndexEntry:
    """One committed entry, read table by table: `read(role)` gives the table of one of `ROLES`."""

    ordinal: int
    digest: str
    """The entry's content digest, which its successor names."""
    read: Callable[[str], pa.Table]


class BandRows(NamedTuple):
    """Band hashes of documents, one element for each (document, band), in any order."""

    hash: npt.NDArray[np.uint64]
    band: npt.NDArray[np.uint8]
    document: npt.NDArray[np.int64]
    n_shingles: npt.NDArray[np.uint32]

    def take(self, index: npt.NDArray[np.int64] | slice) -> "BandRows":
        """The rows named by `index`."""
        columns: list[npt.NDArray[Any]] = [column[index] for column in self]
        return BandRows(*columns)


class Candidates(NamedTuple):
    """Pairs (document, leader row of entry number `entry` of the list looked in), ascending by all three."""

    document: npt.NDArray[np.int64]
    entry: npt.NDArray[np.int64]
    leader: npt.NDArray[np.int64]


def settings_digest(config: DedupConfig) -> str:
    """What must be equal along a chain: the identity of the configuration and of the signatures' algorithms."""
    algorithms = [list(algorithm) for algorithm in (*SIGNATURE_ALGORITHMS, INDEX)]
    return digest_json([config.identity(), algorithms])


def exact_key(exact_hash: bytes) -> int:
    """The 64 bits of an exact hash that take part in the look-up."""
    return int.from_bytes(exact_hash[:8], "little")


def entry_tables(
    ordinal: int, leaders: pa.Table, bands: BandRows, config: DedupConfig, predecessor: str | None
) -> dict[str, pa.Table]:
    """The tables of a batch's entry.

    `leaders` has LEADER_SCHEMA in the order of judgement; `bands.document` is a row of it; rows of the exact hash are
    among `bands`. `predecessor` is the digest of the entry before, None for the first.
    """
    order = np.lexsort((bands.document, bands.band, bands.hash))
    columns: list[npt.NDArray[Any]] = [
        bands.hash[order],
        bands.band[order],
        bands.document[order].astype(np.uint32),
        bands.n_shingles[order],
    ]
    table = pa.table([pa.array(column) for column in columns], schema=BAND_SCHEMA)
    edges = _shard_edges(columns[0])
    shards = {role: table.slice(edges[i], edges[i + 1] - edges[i]) for i, role in enumerate(SHARDS)}
    chain = _chain(ordinal, predecessor, config, len(leaders), None)
    return {"chain": chain, "leaders": leaders.cast(LEADER_SCHEMA), **shards}


def skip_entry(ordinal: int, config: DedupConfig, predecessor: str | None, reason: str) -> dict[str, pa.Table]:
    """The entry of a batch that was given up: nothing is kept, the chain goes on."""
    return {
        "chain": _chain(ordinal, predecessor, config, 0, reason),
        "leaders": LEADER_SCHEMA.empty_table(),
        **{role: BAND_SCHEMA.empty_table() for role in SHARDS},
    }


def _chain(ordinal: int, predecessor: str | None, config: DedupConfig, leaders: int, skipped: str | None) -> pa.Table:
    row = {
        "ordinal": ordinal,
        "predecessor": predecessor,
        "settings": settings_digest(config),
        "leaders": leaders,
        "skipped": skipped,
    }
    return pa.Table.from_pylist([row], schema=CHAIN_SCHEMA)


def check_chain(entries: Sequence[IndexEntry], config: DedupConfig) -> None:
    """Raise BrokenChainError unless the entries (earliest first) name each other and share the settings of `config`."""
    settings = settings_digest(config)
    previous: IndexEntry | None = None
    for entry in entries:
        row = entry.read("chain").to_pylist()[0]
        where = f"dedup index entry of ordinal {entry.ordinal}"
        if row["ordinal"] != entry.ordinal:
            raise BrokenChainError(f"{where} says it is ordinal {row['ordinal']}: it was stored in another one's place")
        if row["settings"] != settings:
            raise BrokenChainError(f"{where} was made with other dedup settings: recompute the chain from here")
        expected = previous.digest if previous else None
        if row["predecessor"] != expected:
            raise BrokenChainError(
                f"{where} follows entry {row['predecessor']}, not {expected}: a batch before it changed; "
                "recompute the chain from here"
            )
        if previous and entry.ordinal <= previous.ordinal:
            raise BrokenChainError(f"{where} comes after ordinal {previous.ordinal}: give the entries in ordinal order")
        previous = entry


def lookup(entries: Sequence[IndexEntry], bands: BandRows, config: DedupConfig) -> Candidates:
    """All leaders in `entries` that share a band (or the exact hash) with a document, earliest first.

    Pairs whose shingle counts alone exclude the threshold (min/max < threshold >= Jaccard) are left out. At most
    `max_candidates` + 1 pairs a document are returned: the one too many tells the caller that there were more.
    """
    order = np.argsort(bands.hash, kind="stable")
    rows = bands.take(order)
    edges = _shard_edges(rows.hash)
    limit = config.max_candidates + 1
    found = Candidates(*(np.empty(0, np.int64) for _ in range(3)))
    for shard, role in enumerate(SHARDS):
        queries = rows.take(slice(edges[shard], edges[shard + 1]))
        pieces = [found]
        for number, entry in enumerate(entries):
            table = entry.read(role) if len(queries.hash) else BAND_SCHEMA.empty_table()
            if not len(table):
                continue
            hashes, band, leaders, sizes = (_values(table, name) for name in BAND_SCHEMA.names)
            at = np.searchsorted(hashes, queries.hash, "left")
            counts = np.empty(len(at), np.int64)
            _probe_count(*queries, at, hashes, band, leaders, sizes, config.threshold, limit, counts)
            ends = np.cumsum(counts)
            document = np.repeat(queries.document, counts)
            leader = np.empty(int(ends[-1]), np.int64)
            _probe_fill(*queries, at, hashes, band, leaders, sizes, config.threshold, ends, leader)
            pieces.append(Candidates(document, np.full(len(leader), number, np.int64), leader))
        if len(pieces) > 1:
            found = earliest(Candidates(*(np.concatenate(columns) for columns in zip(*pieces, strict=True))), limit)
    return found


def earliest(pairs: Candidates, limit: int) -> Candidates:
    """Distinct pairs, sorted, at most `limit` for each document."""
    order = np.lexsort((pairs.leader, pairs.entry, pairs.document))
    document, entry, leader = (column[order] for column in pairs)
    if not len(document):
        return pairs
    new = np.ones(len(document), bool)
    new[1:] = (np.diff(document) != 0) | (np.diff(entry) != 0) | (np.diff(leader) != 0)
    document, entry, leader = document[new], entry[new], leader[new]
    starts = np.flatnonzero(np.diff(document, prepend=document[0] - 1))
    rank = np.arange(len(document)) - np.repeat(starts, np.diff(starts, append=len(document)))
    return Candidates(*(column[rank < limit] for column in (document, entry, leader)))


def take_leaders(
    entries: Sequence[IndexEntry], entry: npt.NDArray[np.int64], leader: npt.NDArray[np.int64]
) -> pa.Table:
    """The `leaders` rows named by sorted and distinct (entry number, leader); one entry in memory at once."""
    pieces = [LEADER_SCHEMA.empty_table()]
    for number in np.unique(entry).tolist():
        rows = leader[entry == number]
        pieces.append(entries[number].read("leaders").take(pa.array(rows)).cast(LEADER_SCHEMA))
    return pa.concat_tables(pieces).combine_chunks()


def compact(entries: Sequence[IndexEntry]) -> dict[str, pa.Table]:
    """`leaders` and shards of several consecutive entries merged into one set that answers look-ups as they do."""
    tables = [entry.read("leaders") for entry in entries]
    base = np.cumsum([0, *(len(table) for table in tables)])
    merged: dict[str, pa.Table] = {"leaders": pa.concat_tables([LEADER_SCHEMA.empty_table(), *tables])}
    for role in SHARDS:
        columns: list[list[npt.NDArray[Any]]] = [[np.empty(0, f.type.to_pandas_dtype())] for f in BAND_SCHEMA]
        for number, entry in enumerate(entries):
            table = entry.read(role)
            values = [_values(table, name) for name in BAND_SCHEMA.names]
            values[2] = values[2] + np.uint32(base[number])
            for column, value in zip(columns, values, strict=True):
                column.append(value)
        hashes, band, leader, size = (np.concatenate(column) for column in columns)
        order = np.lexsort((leader, band, hashes))
        arrays = [pa.array(column[order]) for column in (hashes, band, leader, size)]
        merged[role] = pa.table(arrays, schema=BAND_SCHEMA)
    return merged


def in_memory(ordinal: int, digest: str, tables: Mapping[str, pa.Table]) -> IndexEntry:
    """An entry whose tables are at hand."""
    return IndexEntry(ordinal, digest, tables.__getitem__)


def _shard_edges(hashes: npt.NDArray[np.uint64]) -> list[int]:
    """Where each shard begins in ascending hashes, and the end."""
    firsts = np.arange(1 << SHARD_BITS, dtype=np.uint64) << np.uint64(64 - SHARD_BITS)
    return [*np.searchsorted(hashes, firsts).tolist(), len(hashes)]


def _values(table: pa.Table, name: str) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = table[name].to_numpy()
    return values


@njit(cache=True, nogil=True, inline="always")
def _compatible(a: Any, b: Any, threshold: float) -> bool:
    """Jaccard <= min/max of the set sizes; two empty sets (equal exact hashes) pass."""
    return bool(a == b or min(a, b) / max(a, b) >= threshold)


@njit(cache=True, nogil=True)
def _probe_count(
    q_hash: Any, q_band: Any, q_document: Any, q_size: Any, at: Any,
    hash_: Any, band: Any, leader: Any, size: Any, threshold: float, limit: int, counts: Any,
) -> None:  # fmt: skip
    """How many index rows answer each query, counting no further than `limit`."""
    for query in range(len(at)):
        row = at[query]
        count = 0
        while row < len(hash_) and hash_[row] == q_hash[query] and count < limit:
            if band[row] == q_band[query] and _compatible(size[row], q_size[query], threshold):
                count += 1
            row += 1
        counts[query] = count


@njit(cache=True, nogil=True)
def _probe_fill(
    q_hash: Any, q_band: Any, q_document: Any, q_size: Any, at: Any,
    hash_: Any, band: Any, leader: Any, size: Any, threshold: float, ends: Any, out: Any,
) -> None:  # fmt: skip
    """The leaders of those rows, query after query."""
    place = 0
    for query in range(len(at)):
        row = at[query]
        while place < ends[query]:
            if band[row] == q_band[query] and _compatible(size[row], q_size[query], threshold):
                out[place] = leader[row]
                place += 1
            row += 1
