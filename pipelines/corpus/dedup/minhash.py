"""Texts to signatures: exact hash, MinHash bands and line hashes of every document, one row each.

MinHash equals datasketch 2.0 with the scheme `affine32`: the 32-bit shingle hash passes the MurmurHash3 finalizer
once, then permutation k is a_k * h + b_k mod 2^32 with odd a_k, drawn from `RandomState(seed)`; the signature is the
minimum of each permutation over the shingles. A band is the XXH64 of its rows as little-endian uint32.

The exact hash is BLAKE2b-128 of the normalized text: equal hash means equal words, and nobody can craft a text that
takes another one's place. A text without words is equal to itself alone: its exact hash is that of the raw text.

Cost: 112 multiplications, additions and minima per distinct shingle, in vector registers.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from pipelines.core.documents import ATTRIBUTE_KEYS
from pipelines.core.fingerprint import Algorithm
from pipelines.core.parts import PartResult
from pipelines.corpus.dedup.config import DedupConfig
from pipelines.corpus.dedup.folding import FOLDING
from pipelines.corpus.dedup.shingles import SHINGLES, Block, blocks
from pipelines.corpus.dedup.xxh64 import xxh64

MINHASH: Final = Algorithm("dedup-minhash-affine32", 1)
SIGNATURE_ALGORITHMS: Final = (FOLDING, SHINGLES, MINHASH)
EXACT_BYTES: Final = 16


def band_column(band: int) -> str:
    """The column that holds band number `band`: `band_00`, `band_01` ..."""
    return f"band_{band:02d}"


def signature_schema(config: DedupConfig) -> pa.Schema:
    """Columns of the attribute family `duplicate_signatures`; the bands of a text without words are null."""
    return pa.schema(
        [
            *ATTRIBUTE_KEYS,
            pa.field("exact_hash", pa.binary(EXACT_BYTES), nullable=False),
            pa.field("n_words", pa.uint32(), nullable=False),
            pa.field("n_shingles", pa.uint32(), nullable=False),
            *(pa.field(band_column(band), pa.uint64()) for band in range(config.bands)),
            pa.field("paragraph_hashes", pa.large_list(pa.uint64()), nullable=False),
        ]
    )


def permutations(config: DedupConfig) -> npt.NDArray[np.uint32]:
    """The coefficients (a, b) as uint32 of shape (2, permutations), drawn as datasketch 2.0 draws them."""
    stream = np.random.RandomState(config.seed)
    count = config.permutations
    a = stream.randint(0, 1 << 31, count, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    b = stream.randint(0, 1 << 32, count, dtype=np.uint32)
    return np.stack([a, b])


def signatures(
    shingles: npt.NDArray[np.uint64], ends: npt.NDArray[np.int64], coefficients: npt.NDArray[np.uint32]
) -> npt.NDArray[np.uint32]:
    """MinHash values, uint32 of shape (texts, permutations); 0xFFFFFFFF throughout where a text has no shingles."""
    values = np.full((len(ends), coefficients.shape[1]), 0xFFFFFFFF, np.uint32)
    _minhash(shingles, ends, coefficients[0], coefficients[1], values)
    return values


def band_hashes(values: npt.NDArray[np.uint32], config: DedupConfig) -> npt.NDArray[np.uint64]:
    """The 64-bit hash of every band, shape (texts, bands)."""
    out = np.empty((len(values), config.bands), np.uint64)
    _bands(np.ascontiguousarray(values.astype("<u4", copy=False)).view(np.uint8), 4 * config.rows, out)
    return out


def signatures_part(tables: Mapping[str, pa.Table], config: DedupConfig) -> PartResult:
    """Signatures of one part's `documents`, row for row; every row is a function of its own text and the config."""
    documents = tables["documents"]
    coefficients = permutations(config)
    schema = signature_schema(config)
    hashes = schema.names[2:]
    pieces = [_table(block, coefficients, config, schema, hashes) for block in blocks(documents["text"], config)]
    empty = pa.table([pa.array([], schema.field(name).type) for name in hashes], names=hashes)
    table = pa.concat_tables(pieces) if pieces else empty
    _hash_wordless(documents, table["n_words"].to_numpy(), exact := table["exact_hash"].to_pylist())
    columns = [documents["id"], documents["text_hash"], pa.array(exact, pa.binary(EXACT_BYTES))]
    columns += [table[name] for name in hashes[1:]]
    rows = len(documents)
    signed = pa.table(columns, schema=schema).combine_chunks()
    return PartResult({"signatures": signed}, {"rows_in": rows, "kept": rows, **count_wordless(signed, config)})


def count_wordless(signatures: pa.Table, config: DedupConfig) -> dict[str, int]:
    """`without_words`: documents that are compared by their raw text alone."""
    return {"without_words": int(np.count_nonzero(signatures["n_words"].to_numpy() == 0))}


def _table(
    block: Block, coefficients: npt.NDArray[np.uint32], config: DedupConfig, schema: pa.Schema, names: list[str]
) -> pa.Table:
    """Every column but the keys for one block."""
    bands = band_hashes(signatures(block.shingles, block.shingle_ends, coefficients), config)
    n_shingles = np.diff(block.shingle_ends, prepend=0)
    without = n_shingles == 0
    columns = [
        pa.array(_exact_hashes(block), pa.binary(EXACT_BYTES)),
        pa.array(np.diff(block.word_ends, prepend=0).astype(np.uint32)),
        pa.array(n_shingles.astype(np.uint32)),
        *(pa.array(bands[:, band], mask=without) for band in range(config.bands)),
        pa.LargeListArray.from_arrays(
            pa.array(np.concatenate([[0], block.line_ends]), pa.int64()), pa.array(block.lines)
        ),
    ]
    return pa.table(columns, schema=pa.schema([schema.field(name) for name in names]))


def _exact_hashes(block: Block) -> list[bytes]:
    """BLAKE2b-128 of every normalized text."""
    view = block.normalized.data
    hashes: list[bytes] = []
    start = 0
    for end in block.normalized_ends.tolist():
        hashes.append(hashlib.blake2b(view[start:end], digest_size=EXACT_BYTES, person=b"normalized").digest())
        start = end
    return hashes


def _hash_wordless(documents: pa.Table, n_words: npt.NDArray[np.uint32], exact: list[bytes]) -> None:
    """Give texts without words the exact hash of the raw text, in place."""
    for row in np.flatnonzero(n_words == 0).tolist():
        raw = documents["text"][row].as_py().encode("utf-8", "surrogatepass")
        exact[row] = hashlib.blake2b(raw, digest_size=EXACT_BYTES, person=b"wordless").digest()


@njit(cache=True, nogil=True)
def _minhash(shingles: Any, ends: Any, a: Any, b: Any, out: Any) -> None:
    """out[i, k] = min over shingles h of text i of a[k] * fmix32(h >> 32) + b[k] mod 2^32."""
    start = 0
    for document in range(len(ends)):
        row = out[document]
        for index in range(start, ends[document]):
            h = np.uint32(shingles[index] >> np.uint64(32))
            h = np.uint32(h ^ (h >> np.uint32(16)))
            h = np.uint32(h * np.uint32(0x85EBCA6B))
            h = np.uint32(h ^ (h >> np.uint32(13)))
            h = np.uint32(h * np.uint32(0xC2B2AE35))
            h = np.uint32(h ^ (h >> np.uint32(16)))
            for k in range(row.size):
                row[k] = min(row[k], np.uint32(a[k] * h + b[k]))
        start = ends[document]


@njit(cache=True, nogil=True)
def _bands(values: Any, width: int, out: Any) -> None:
    for document in range(out.shape[0]):
        for band in range(out.shape[1]):
            out[document, band] = xxh64(values[document], band * width, (band + 1) * width)
