"""Text as flat arrays: documents of an Arrow column as blocks of code points, and the hash of a run of them.

In: a string column. Out: `TextBlock`s of a bounded number of bytes, decoded once, so that kernels index characters and
never see a Python string. Cost: 4 bytes for each character of a block; decoding runs at some hundred MB/s.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

BLOCK_BYTES: Final = 1 << 20
"""Text decoded at once: 1 MiB becomes 4 MiB of code points; larger blocks were not faster."""

U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
U16 = npt.NDArray[np.uint16]
U8 = npt.NDArray[np.uint8]


HASH_START = np.uint64(0xCBF29CE484222325)
HASH_FACTOR = np.uint64(0x9E3779B97F4A7C15)


class TextBlock(NamedTuple):
    """Consecutive documents: `characters` uint32[total], document d is `characters[offsets[d]:offsets[d + 1]]`."""

    first: int
    characters: U32
    offsets: I64


class Spans(NamedTuple):
    """Lines or sentences as character spans; document d has the spans `offsets[d]:offsets[d + 1]`."""

    offsets: I64
    starts: I32
    stops: I32


def text_blocks(texts: pa.ChunkedArray | pa.Array, limit: int = BLOCK_BYTES) -> Iterator[TextBlock]:
    """Cut a string column into blocks of at most `limit` bytes of UTF-8 (a larger document is a block of its own).

    Raises ValueError for bytes that are not UTF-8 (an Arrow column from an unchecked source). A null is an empty text.
    """
    first = 0
    for chunk in texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]:
        column = pc.fill_null(chunk, "").cast(pa.large_string())
        if len(column) == 0:
            continue
        _, bounds, data = column.buffers()
        offsets = np.frombuffer(bounds, np.int64)[column.offset : column.offset + len(column) + 1]
        lengths = np.concatenate(([0], np.cumsum(pc.utf8_length(column).to_numpy(), dtype=np.int64)))
        start = 0
        while start < len(column):
            stop = max(start + 1, int(np.searchsorted(offsets, offsets[start] + limit, side="right")) - 1)
            raw = bytes(memoryview(data)[offsets[start] : offsets[stop]]) if data is not None else b""
            try:
                encoded = raw.decode("utf-8").encode("utf-32-le")
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"rows {first + start} to {first + stop - 1} of the text column are not UTF-8 ({error.reason} at "
                    f"byte {error.start}): decode with a declared replacement when the text is extracted"
                ) from error
            yield TextBlock(
                first + start, np.frombuffer(encoded, np.uint32), lengths[start : stop + 1] - lengths[start]
            )
            start = stop
        first += len(column)


def hash_words(texts: list[str]) -> U64:
    """The hash of each text taken as one word, uint64[len(texts)], equal to the hash that `segment_words` gives it."""
    return np.array([hash_span(_codes(text.encode("utf-32-le")), 0, len(text)) for text in texts], np.uint64)


def _codes(encoded: bytes) -> U32:
    """Code points of UTF-32 bytes. A copy, because numba compiles each kernel again for a read-only array."""
    return np.frombuffer(encoded, np.uint32).copy()


@njit(cache=True, nogil=True)
def mix(value: np.uint64) -> np.uint64:
    """Spread 64 bits over 64 bits (the finalizer of MurmurHash3)."""
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xFF51AFD7ED558CCD)
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xC4CEB9FE1A85EC53)
    return value ^ (value >> np.uint64(33))


@njit(cache=True, nogil=True)
def hash_span(characters: U32, start: int, stop: int) -> np.uint64:
    """64-bit hash of a run of code points; equal runs have equal hashes wherever they stand."""
    value = HASH_START
    for index in range(start, stop):
        value = (value ^ np.uint64(characters[index])) * HASH_FACTOR
        value ^= value >> np.uint64(29)
    return mix(value)
