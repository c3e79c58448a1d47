"""Texts to shingles: an Arrow column in, one set of 64-bit shingle hashes per text out, no shingle string built.

1. Normalize: decode UTF-8, look every code point up in the fold table, write the words of the text, joined by single
   spaces, into a buffer. A character of a script without spaces is a word of its own.
2. Hash every word once: XXH64 of its normalized UTF-8. A line's hash is XXH64 of its normalized words.
3. Roll. A word weighs 1/ngram of a shingle, a character of a script without spaces 1/ngram_unspaced; the shingle that
   ends at a word is the shortest run of words ending there that weighs at least 1. Pure English gives word 5-grams,
   pure Chinese character 8-grams, a mixed text something between, with no jump where a text changes sides.
   The hash of w_1..w_k is the polynomial sum w_j * BASE^(k-j) mod 2^64; leaving words are subtracted.
4. A text lighter than one shingle has one shingle: all its words. A text without any word has none.
5. Sort and keep distinct values.

`shingle_hash` says the same in plain Python; its high 32 bits (`shingle_hash32`, the hash called
"xxh64-poly64-hi32") feed MinHash here, and feed datasketch through its `hashfunc`.

Cost: 2 bytes of buffer a byte of text and 8 bytes a word, in blocks of 4 MiB of text (or one longer text).
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash
from numba import njit

from pipelines.core.fingerprint import Algorithm
from pipelines.corpus.dedup.config import DedupConfig
from pipelines.corpus.dedup.folding import CLASS_SHIFT, CODE_MASK, IGNORED, SEPARATOR, UNSPACED, fold_table
from pipelines.corpus.dedup.xxh64 import P1, xxh64

SHINGLES: Final = Algorithm("dedup-shingles-xxh64-poly64", 1)
BLOCK_BYTES: Final = 4 << 20

Texts: TypeAlias = Sequence[str] | pa.Array | pa.ChunkedArray

_BASE = P1
_CLASS_SHIFT = np.uint32(CLASS_SHIFT)
_CODE_MASK = np.uint32(CODE_MASK)
_SEPARATOR = SEPARATOR
_IGNORED = IGNORED
_UNSPACED = UNSPACED


def shingle_hash(words: Sequence[str]) -> int:
    """The 64-bit hash of one shingle, given its normalized words."""
    value = 0
    for word in words:
        value = (value * int(_BASE) + xxhash.xxh64_intdigest(word.encode())) & (2**64 - 1)
    return value


def shingle_hash32(shingle: bytes) -> int:
    """The 32 bits that MinHash sees; `shingle` is the normalized words joined by spaces, as UTF-8."""
    return shingle_hash(shingle.decode().split(" ")) >> 32


class Block(NamedTuple):
    """Consecutive texts, read. The `*_ends` are cumulative over the block's texts: text i is [ends[i-1], ends[i])."""

    normalized: npt.NDArray[np.uint8]
    normalized_ends: npt.NDArray[np.int64]
    word_ends: npt.NDArray[np.int64]
    shingles: npt.NDArray[np.uint64]
    """Distinct and ascending inside a text."""
    shingle_ends: npt.NDArray[np.int64]
    lines: npt.NDArray[np.uint64]
    """Hashes of the lines that have words, in order."""
    line_ends: npt.NDArray[np.int64]


class ShingleSets(NamedTuple):
    """Sets of 64-bit shingles: set i is `values[offsets[i]:offsets[i + 1]]`, ascending and distinct."""

    values: npt.NDArray[np.uint64]
    offsets: npt.NDArray[np.int64]


def shingle_sets(texts: Texts, config: DedupConfig) -> ShingleSets:
    """The shingle sets of a column or list of texts (no nulls)."""
    values = [np.empty(0, np.uint64)]
    ends = [np.zeros(1, np.int64)]
    base = 0
    for block in blocks(texts, config):
        values.append(block.shingles)
        ends.append(block.shingle_ends + base)
        base += len(block.shingles)
    return ShingleSets(np.concatenate(values), np.concatenate(ends))


def blocks(texts: Texts, config: DedupConfig) -> Iterator[Block]:
    """Read a column block by block; raises ValueError where a text is null."""
    table = fold_table(config.digits, config.fold_diacritics)
    weights = np.zeros(UNSPACED + 1, np.int64)
    weights[1] = config.ngram_unspaced
    weights[UNSPACED] = config.ngram
    longest = max(config.ngram, config.ngram_unspaced) + 1  # a full shingle and the word that enters before one leaves
    powers = np.array([pow(int(_BASE), exponent, 1 << 64) for exponent in range(longest)], np.uint64)
    for data, offsets in _buffers(texts):
        first = 0
        while first < len(offsets) - 1:
            last = max(first + 1, int(np.searchsorted(offsets, offsets[first] + BLOCK_BYTES, "right")) - 1)
            yield _read(data, offsets[first : last + 1], table, weights, powers)
            first = last


def _buffers(texts: Texts) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]]:
    """(bytes, offsets) of each chunk, without a copy for large_string columns."""
    column = texts if isinstance(texts, pa.Array | pa.ChunkedArray) else pa.array(texts, pa.large_string())
    for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
        if chunk.null_count:
            raise ValueError("a text is null: documents without text are dropped before their signatures are computed")
        if not len(chunk):
            continue
        large = chunk.cast(pa.large_string())
        _, offsets, data = large.buffers()
        window = np.frombuffer(offsets, np.int64)[large.offset : large.offset + len(large) + 1]
        yield np.frombuffer(b"\0" if data is None or not data.size else data, np.uint8), window


def _read(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    table: npt.NDArray[np.uint32],
    weights: npt.NDArray[np.int64],
    powers: npt.NDArray[np.uint64],
) -> Block:
    """Steps 1 to 5 for one block. Buffers are sized for the worst case; untouched pages cost no memory."""
    size = int(offsets[-1] - offsets[0])
    count = len(offsets) - 1
    normalized = np.empty(2 * size + count, np.uint8)
    words = np.empty(size // 2 + count, np.uint64)
    classes = np.empty(len(words), np.uint8)
    lines = np.empty(len(words), np.uint64)
    normalized_ends, word_ends, line_ends, shingle_ends = (np.empty(count, np.int64) for _ in range(4))
    _tokenize(data, offsets, table, normalized, normalized_ends, words, classes, word_ends, lines, line_ends)
    shingles = np.empty(int(word_ends[-1]), np.uint64)
    _roll(words, classes, word_ends, weights, powers, shingles, shingle_ends)
    start = 0
    for end in shingle_ends.tolist():
        shingles[start:end].sort()
        start = end
    kept = _distinct(shingles, shingle_ends)
    return Block(
        normalized[: normalized_ends[-1]],
        normalized_ends,
        word_ends,
        shingles[:kept].copy(),
        shingle_ends,
        lines[: line_ends[-1]].copy(),
        line_ends,
    )


@njit(cache=True, nogil=True, inline="always")
def _encode(buffer: Any, at: int, code: Any) -> int:
    """Write one code point as UTF-8, return the next position."""
    if code < 0x80:
        buffer[at] = code
        return at + 1
    if code < 0x800:
        buffer[at] = 0xC0 | (code >> 6)
        buffer[at + 1] = 0x80 | (code & 0x3F)
        return at + 2
    if code < 0x10000:
        buffer[at] = 0xE0 | (code >> 12)
        buffer[at + 1] = 0x80 | ((code >> 6) & 0x3F)
        buffer[at + 2] = 0x80 | (code & 0x3F)
        return at + 3
    buffer[at] = 0xF0 | (code >> 18)
    buffer[at + 1] = 0x80 | ((code >> 12) & 0x3F)
    buffer[at + 2] = 0x80 | ((code >> 6) & 0x3F)
    buffer[at + 3] = 0x80 | (code & 0x3F)
    return at + 4


@njit(cache=True, nogil=True)
def _tokenize(
    data: Any,
    offsets: Any,
    table: Any,
    normalized: Any,
    normalized_ends: Any,
    words: Any,
    classes: Any,
    word_ends: Any,
    lines: Any,
    line_ends: Any,
) -> None:
    """Steps 1 and 2. A byte that starts no whole code point inside its text separates words; none outside is read."""
    at = 0
    word = 0
    line = 0
    for document in range(len(offsets) - 1):
        index = offsets[document]
        end = offsets[document + 1]
        text_start = at
        line_start = -1
        start = -1
        while index <= end:
            code = np.uint32(10)
            if index < end:
                code = np.uint32(data[index])
            index += 1
            if code >= 0x80:
                extra = 1 if code < 0xE0 else (2 if code < 0xF0 else 3)
                whole = code >= 0xC0 and code < 0xF8 and index + extra <= end
                code &= np.uint32(0x3F >> extra)
                for place in range(index, index + extra if whole else index):
                    whole &= (data[place] & 0xC0) == 0x80
                    code = (code << np.uint32(6)) | (np.uint32(data[place]) & np.uint32(0x3F))
                if whole and code < 0x110000:
                    index += extra
                else:
                    code = np.uint32(32)
            entry = table[code]
            kind = entry >> _CLASS_SHIFT
            if kind == _IGNORED:
                continue
            if kind != 1 and start >= 0:
                words[word] = xxh64(normalized, start, at)
                classes[word] = 1
                word += 1
                start = -1
            if kind == _SEPARATOR:
                if code == 10 and line_start >= 0:
                    lines[line] = xxh64(normalized, line_start, at)
                    line += 1
                    line_start = -1
                continue
            if start < 0:
                if at > text_start:
                    normalized[at] = 32
                    at += 1
                start = at
                if line_start < 0:
                    line_start = at
            at = _encode(normalized, at, entry & _CODE_MASK)
            if kind == _UNSPACED:
                words[word] = xxh64(normalized, start, at)
                classes[word] = _UNSPACED
                word += 1
                start = -1
        normalized_ends[document] = at
        word_ends[document] = word
        line_ends[document] = line


@njit(cache=True, nogil=True)
def _roll(
    words: Any, classes: Any, word_ends: Any, weights: Any, powers: Any, shingles: Any, shingle_ends: Any
) -> None:
    """Steps 3 and 4. `weights[1] * ngram == weights[2] * ngram_unspaced == whole`: integers, no rounding."""
    whole = weights[1] * weights[2]
    out = 0
    word_start = 0
    for document in range(len(word_ends)):
        value = np.uint64(0)
        weight = 0
        left = word_start
        first_out = out
        for right in range(word_start, word_ends[document]):
            value = value * _BASE + words[right]
            weight += weights[classes[right]]
            while weight - weights[classes[left]] >= whole:
                weight -= weights[classes[left]]
                value -= words[left] * powers[right - left]
                left += 1
            if weight >= whole:
                shingles[out] = value
                out += 1
        if out == first_out and word_ends[document] > word_start:
            shingles[out] = value
            out += 1
        shingle_ends[document] = out
        word_start = word_ends[document]


@njit(cache=True, nogil=True)
def _distinct(shingles: Any, ends: Any) -> int:
    """Close the gaps that repeated values leave, in place; ends are rewritten, the new total is returned."""
    out = 0
    start = 0
    for document in range(len(ends)):
        end = ends[document]
        for index in range(start, end):
            if index == start or shingles[index] != shingles[index - 1]:
                shingles[out] = shingles[index]
                out += 1
        start = end
        ends[document] = out
    return out
