"""Dedup against datasketch, side by side: `python -m tests.benchmarks.bench_dedup [--megabytes 4]`.

Each stage runs both ways in turn, five times, on one thread; printed are medians of processor time (so that other
work on the machine does not count), their ratio and the spread:
- signatures: text to 112 MinHash values (words, 5-gram shingles, hashing, permutations). datasketch gets its shingle
  strings from a regular expression (characters for Chinese) and hashes them with xxh32, not its slower SHA-1;
- minhash: 32-bit shingle hashes to 112 MinHash values, no text;
- matching: signatures to near-duplicates inside one batch, ours with every candidate verified by true Jaccard,
  datasketch's `MinHashLSH` with candidates only.
Then the index alone: look-up and matching of a batch of random signatures against entries of the same size.
"""

import argparse
import re
import statistics
import time
from collections.abc import Callable

import datasketch
import numpy as np
import pyarrow as pa
import xxhash

from pipelines.core.seeds import generator
from pipelines.corpus.dedup.config import DedupConfig
from pipelines.corpus.dedup.index import IndexEntry, in_memory
from pipelines.corpus.dedup.matching import BatchSignatures, match_batch
from pipelines.corpus.dedup.minhash import permutations, signature_schema, signatures, signatures_part
from pipelines.corpus.dedup.shingles import shingle_sets
from tests.pipelines.corpus.dedup.reference import documents_table
from tests.pipelines.corpus.dedup.samples import texts

CONFIG = DedupConfig()
WORD = re.compile(r"\w+")
CHARACTER = re.compile(r"\w")
SETS = ("mixture/web_en", "mixture/zh_general", "mixture/code", "mixture/books_en")
ROUNDS = 5


def paired(
    name: str, size: str, amount: float, unit: str, ours: Callable[[], object], theirs: Callable[[], object]
) -> None:
    """Run both in turn, print medians in `unit` a second, and the ratio of the medians."""
    ours()
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for run, times in zip((ours, theirs), seconds, strict=True):
            start = time.thread_time()
            run()
            times.append(time.thread_time() - start)
    rates = [amount / statistics.median(times) for times in seconds]
    spread = [max(times) / min(times) for times in seconds]
    print(
        f"{name:<34} {size:<44} ours {rates[0]:9.2f} {unit}/s (x{spread[0]:.2f})   "
        f"datasketch {rates[1]:8.3f} {unit}/s (x{spread[1]:.2f})   ratio {rates[0] / rates[1]:7.1f}"
    )


def their_signature(text: str, pattern: re.Pattern[str] = WORD, ngram: int = 5) -> datasketch.MinHash:
    words = pattern.findall(text.lower())
    grams = {" ".join(words[start : start + ngram]) for start in range(max(1, len(words) - ngram + 1))}
    sketch = datasketch.MinHash(num_perm=112, seed=1, hashfunc=xxhash.xxh32_intdigest, scheme="affine32")
    sketch.update_batch(gram.encode() for gram in grams)
    return sketch


def their_minhash(hashes: np.ndarray) -> datasketch.MinHash:
    sketch = datasketch.MinHash(num_perm=112, seed=1, hashfunc=int, scheme="affine32")
    sketch.update_batch(hashes)
    return sketch


def their_matching(sketches: list[datasketch.MinHash]) -> list[int]:
    index = datasketch.MinHashLSH(num_perm=112, params=(14, 8))
    dropped = []
    for number, sketch in enumerate(sketches):
        if index.query(sketch):
            dropped.append(number)
        else:
            index.insert(number, sketch)
    return dropped


def our_matching(table: pa.Table, column: list[str]) -> object:
    positions = np.stack([np.zeros(len(table), np.int64), np.arange(len(table))], axis=1)
    return match_batch(
        BatchSignatures(0, [table], [positions]), [], lambda _, __, rows: [column[row] for row in rows], CONFIG
    )


def random_signatures(name: str, documents: int) -> pa.Table:
    """Signatures of documents that resemble nothing."""
    stream = generator(1, "bench", name)
    columns = []
    for field in signature_schema(CONFIG):
        if pa.types.is_fixed_size_binary(field.type):
            data = stream.bytes(16 * documents)
            columns.append(pa.Array.from_buffers(field.type, documents, [None, pa.py_buffer(data)]))
        elif pa.types.is_large_list(field.type):
            columns.append(pa.array([[]] * documents, field.type))
        elif field.type == pa.uint32():
            columns.append(pa.array(np.full(documents, 500, np.uint32)))
        else:
            columns.append(pa.array(stream.integers(0, 2**64, documents, dtype=np.uint64)))
    return pa.table(columns, schema=signature_schema(CONFIG))


def bench_index(documents: int, batches: int) -> None:
    entries: list[IndexEntry] = []
    positions = np.stack([np.zeros(documents, np.int64), np.arange(documents)], axis=1)
    for ordinal in range(batches):
        table = random_signatures(f"batch {ordinal}", documents)
        start = time.thread_time()
        result = match_batch(BatchSignatures(ordinal, [table], [positions]), entries, lambda *_: [], CONFIG)
        seconds = time.thread_time() - start
        size = sum(part.nbytes for part in result.entry.values()) / documents
        print(
            f"index: batch of {documents} signatures against {ordinal} entries of {documents}: {seconds:6.2f} s, "
            f"{documents / seconds / 1e3:7.1f} thousand documents/s, entry {size:.0f} bytes a document"
        )
        entries.append(in_memory(ordinal, str(ordinal), result.entry))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=float, default=2.0, help="text taken of each set")
    parser.add_argument("--documents", type=int, default=100_000, help="signatures in a batch of the index benchmark")
    arguments = parser.parse_args()
    for name in SETS:
        column: list[str] = []
        size = 0
        for text in texts(name):
            if size >= arguments.megabytes * 1e6:
                break
            column.append(text)
            size += len(text.encode())
        documents = documents_table(column)
        sets = shingle_sets(column, CONFIG)
        reading = (CHARACTER, 8) if "zh_" in name else (WORD, 5)
        shape = f"{len(column)} texts, {size / 1e6:.2f} MB, {len(sets.values)} shingles"
        paired(
            f"signatures {name}", shape, size / 1e6, "MB",
            lambda d=documents: signatures_part({"documents": d}, CONFIG),
            lambda c=column, a=reading: [their_signature(text, *a) for text in c],
        )  # fmt: skip
    hashes = (sets.values >> np.uint64(32)).astype(np.uint32)
    pieces = np.split(hashes, sets.offsets[1:-1])
    paired(
        "minhash", f"uint32 {hashes.shape} -> uint32 ({len(pieces)}, 112)", len(hashes) / 1e6, "M shingles",
        lambda: signatures(sets.values, sets.offsets[1:], permutations(CONFIG)),
        lambda: [their_minhash(piece) for piece in pieces],
    )  # fmt: skip
    editions = texts("neardup/pride_and_prejudice_editions")
    table = signatures_part({"documents": documents_table(editions)}, CONFIG).tables["signatures"]
    sketches = [their_signature(text) for text in editions]
    paired(
        "matching 4 editions", f"uint64 ({len(editions)}, 14), 183 duplicates", len(editions), "documents",
        lambda: our_matching(table, editions), lambda: their_matching(sketches),
    )  # fmt: skip
    math = texts("mixture/math_science")
    table_math = signatures_part({"documents": documents_table(math)}, CONFIG).tables["signatures"]
    sketches_math = [datasketch.MinHash(num_perm=112, hashvalues=row, scheme="affine32", seed=1,
                                        permutations=permutations(CONFIG)) for row in _values(math)]  # fmt: skip
    paired(
        "matching maths", f"uint64 ({len(math)}, 14), 8 duplicates", len(math), "documents",
        lambda: our_matching(table_math, math), lambda: their_matching(sketches_math),
    )  # fmt: skip
    bench_index(arguments.documents, 3)


def _values(column: list[str]) -> np.ndarray:
    sets = shingle_sets(column, CONFIG)
    return signatures(sets.values, sets.offsets[1:], permutations(CONFIG))


if __name__ == "__main__":
    main()
