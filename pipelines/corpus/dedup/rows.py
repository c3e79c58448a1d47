"""A batch as arrays: the signature columns of all parts, in the order in which documents are judged."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.core.documents import ID_BYTES
from pipelines.corpus.dedup.config import DedupConfig
from pipelines.corpus.dedup.index import LEADER_SCHEMA, BandRows
from pipelines.corpus.dedup.minhash import EXACT_BYTES, band_column

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class BatchSignatures:
    """A batch to be matched: signature tables part by part, and each row's place in the order of records."""

    ordinal: int
    parts: Sequence[pa.Table]
    """Signature tables (extra columns are not read), rows as in the documents' parts."""
    positions: Sequence[npt.NDArray[np.int64]]
    """(inventory position, record number) of every row, int64 of shape (rows, 2) for each part."""


class Rows(NamedTuple):
    """Documents in the order of judgement, one element (or matrix row) each."""

    part: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]
    id: npt.NDArray[np.void]
    exact: npt.NDArray[np.uint64]
    """Exact hashes as two words, shape (rows, 2)."""
    n_shingles: npt.NDArray[np.int64]
    bands: npt.NDArray[np.uint64]
    """Shape (rows, bands); no meaning where n_shingles is 0."""

    def take(self, index: npt.NDArray[np.int64]) -> "Rows":
        """The rows named by `index`, in its order."""
        columns: list[Array] = [column[index] for column in self]
        return Rows(*columns)


def load(batch: BatchSignatures, config: DedupConfig) -> Rows:
    """The needed columns of all parts, ordered by (policy rank, inventory position, record number, part, row)."""
    if len(batch.positions) != len(batch.parts):
        raise ValueError(f"batch {batch.ordinal}: {len(batch.parts)} parts but {len(batch.positions)} position arrays")
    columns: list[list[Array]] = [
        [np.empty(0, np.int64)],
        [np.empty(0, np.int64)],
        [np.empty(0, f"V{ID_BYTES}")],
        [np.empty((0, 2), np.uint64)],
        [np.empty(0, np.int64)],
        [np.empty((0, config.bands), np.uint64)],
    ]
    words: list[Array] = [np.empty(0, np.int64)]
    for part, (table, position) in enumerate(zip(batch.parts, batch.positions, strict=True)):
        count = len(table)
        if position.shape != (count, 2):
            raise ValueError(
                f"batch {batch.ordinal}, part {part}: positions have shape {position.shape}, expected {(count, 2)}"
            )
        bands = np.empty((count, config.bands), np.uint64)
        for band in range(config.bands):
            bands[:, band] = table[band_column(band)].fill_null(0).to_numpy()
        row: tuple[Array, ...] = (
            np.full(count, part, np.int64),
            np.arange(count, dtype=np.int64),
            ids(table["id"]),
            fixed_bytes(table["exact_hash"], EXACT_BYTES).view("<u8"),
            table["n_shingles"].to_numpy().astype(np.int64),
            bands,
        )
        for column, values in zip(columns, row, strict=True):
            column.append(values)
        words.append(table["n_words"].to_numpy().astype(np.int64))
    joined: list[Array] = [np.concatenate(column) for column in columns]
    rows = Rows(*joined)
    places = np.concatenate([np.empty((0, 2), np.int64), *batch.positions])
    rank = -np.concatenate(words) if config.policy == "longest" else np.zeros(len(places), np.int64)
    return rows.take(np.lexsort((rows.row, rows.part, places[:, 1], places[:, 0], rank)))


def fixed_bytes(column: pa.ChunkedArray, width: int) -> npt.NDArray[np.uint8]:
    """A fixed-size binary column as bytes, shape (rows, width)."""
    pieces = [np.empty((0, width), np.uint8)]
    for chunk in column.chunks:
        if len(chunk):
            data = np.frombuffer(chunk.buffers()[1], np.uint8)
            pieces.append(data[chunk.offset * width : (chunk.offset + len(chunk)) * width].reshape(-1, width))
    return np.concatenate(pieces)


def ids(column: pa.ChunkedArray) -> npt.NDArray[np.void]:
    """An id column as 16-byte scalars."""
    values: npt.NDArray[np.void] = fixed_bytes(column, ID_BYTES).view(f"V{ID_BYTES}").ravel()
    return values


def binary_array(values: Array, width: int) -> pa.Array:
    """The inverse: contiguous bytes as a fixed-size binary column."""
    data = np.ascontiguousarray(values).tobytes()
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(values), [None, pa.py_buffer(data)])


def exact_groups(exact: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """First rows of the groups of equal exact hash, ascending, and for every row the number of its group."""
    order = np.lexsort((exact[:, 1], exact[:, 0]))
    new = np.ones(len(order), bool)
    new[1:] = (exact[order[1:]] != exact[order[:-1]]).any(axis=1)
    first = order[new]
    rank = np.argsort(np.argsort(first))
    group = np.empty(len(order), np.int64)
    group[order] = rank[np.cumsum(new) - 1]
    return np.sort(first), group


def band_rows(rows: Rows) -> BandRows:
    """Every band of rows that have shingles, then the exact hash of every row as band number `bands`."""
    bands = rows.bands.shape[1]
    full = np.flatnonzero(rows.n_shingles)
    count = len(rows.row)
    band = np.repeat(np.arange(bands + 1, dtype=np.uint8), [len(full)] * bands + [count])
    document = np.concatenate([np.tile(full, bands), np.arange(count)])
    hashes = np.concatenate([rows.bands[full].T.ravel(), rows.exact[:, 0]])
    return BandRows(hashes, band, document, rows.n_shingles[document].astype(np.uint32))


def buckets(rows: Rows) -> npt.NDArray[np.int64]:
    """Numbers for the band hashes that at least two rows share, -1 for all others, shape (rows, bands)."""
    numbers = np.full(rows.bands.shape, -1, np.int64)
    full = np.flatnonzero(rows.n_shingles)
    base = 0
    for band in range(rows.bands.shape[1]):
        _, inverse, counts = np.unique(rows.bands[full, band], return_inverse=True, return_counts=True)
        shared = counts > 1
        numbers[full, band] = np.where(shared, np.cumsum(shared) - 1 + base, -1)[inverse]
        base += int(np.count_nonzero(shared))
    return numbers


def leader_table(ordinal: int, kept: Rows) -> pa.Table:
    """The `leaders` table of an index entry, in the order of judgement."""
    columns = [
        pa.array(np.full(len(kept.row), ordinal, np.int32)),
        pa.array(kept.part.astype(np.int32)),
        pa.array(kept.row.astype(np.int32)),
        binary_array(kept.id, ID_BYTES),
        binary_array(kept.exact, EXACT_BYTES),
        pa.array(kept.n_shingles.astype(np.uint32)),
    ]
    return pa.table(columns, schema=LEADER_SCHEMA)
