"""Reading token arrays: a memory-mapped file of ids, and the index from a position or an id to a document."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.core.documents import ID_BYTES


class TokenArray:
    """A flat file of little-endian ids, mapped at the first read. Picklable: the map is made again where it arrives."""

    def __init__(self, path: Path, dtype: np.dtype[Any] | str) -> None:
        """`dtype` is `<u2` or `<u4`, as the tokenizer's facts say. ValueError when the size is no multiple of it."""
        self.path = path
        self.dtype = np.dtype(dtype)
        size = path.stat().st_size
        if size % self.dtype.itemsize:
            raise ValueError(f"{path}: {size} bytes are not a whole number of {self.dtype} ids; the file is damaged")
        self._length = size // self.dtype.itemsize
        self._map: NDArray[Any] | None = None

    def __len__(self) -> int:
        return self._length

    def __reduce__(self) -> tuple[type["TokenArray"], tuple[Path, str]]:
        return type(self), (self.path, self.dtype.str)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """A view of ids [start, stop). Raises IndexError outside of the file."""
        if not 0 <= start <= stop <= self._length:
            raise IndexError(f"{self.path}: tokens [{start}, {stop}) lie outside of its {self._length}")
        if self._map is None:
            # An empty file cannot be mapped. A slice of a plain view takes 0.1 microseconds, of a `memmap` 1.1.
            empty = np.empty(0, dtype=self.dtype)
            self._map = np.asarray(np.memmap(self.path, dtype=self.dtype, mode="r")) if self._length else empty
        return self._map[start:stop]

    def close(self) -> None:
        """Forget the map (and its file descriptor, once no view of it is left); the next read makes it again."""
        self._map = None


class DocumentSpan(NamedTuple):
    """A document's tokens in the array of its part: [start, start + length), end-of-text included."""

    id: bytes
    start: int
    length: int


class DocumentIndex:
    """The index table of one array. Rows are in array order and, like every part, sorted by id."""

    def __init__(self, table: pa.Table) -> None:
        """Raises ValueError when the spans are not contiguous from 0."""
        self.starts: NDArray[np.int64] = table["start"].to_numpy()
        self.lengths: NDArray[np.int32] = table["length"].to_numpy()
        self._ids = table["id"].combine_chunks()
        ends = self.starts + self.lengths
        expected = np.concatenate([np.zeros(1, dtype=np.int64), ends[:-1]])
        if len(table) and (not np.array_equal(self.starts, expected) or self.lengths.min() < 1):
            raise ValueError("index rows are not contiguous from position 0: not the index of a token array")
        self.tokens = int(ends[-1]) if len(table) else 0

    def __len__(self) -> int:
        return len(self.starts)

    def span(self, row: int) -> DocumentSpan:
        return DocumentSpan(self._ids[row].as_py(), int(self.starts[row]), int(self.lengths[row]))

    def row_at(self, position: int) -> int:
        """The row of the document that owns the token at `position`."""
        if not 0 <= position < self.tokens:
            raise IndexError(f"token {position} lies outside of an array of {self.tokens}")
        return int(np.searchsorted(self.starts, position, side="right")) - 1

    def at(self, position: int) -> DocumentSpan:
        """The document that owns the token at `position`."""
        return self.span(self.row_at(position))

    def overlapping(self, start: int, stop: int) -> list[DocumentSpan]:
        """The documents that share a token with [start, stop), in order."""
        if start >= stop:
            return []
        return [self.span(row) for row in range(self.row_at(start), self.row_at(stop - 1) + 1)]

    def find(self, document: bytes) -> DocumentSpan | None:
        """The span of a document by its id, by bisection; None when it is not here."""
        if len(document) != ID_BYTES:
            raise ValueError(f"a document id has {ID_BYTES} bytes, this one {len(document)}")
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if self._ids[middle].as_py() < document:
                low = middle + 1
            else:
                high = middle
        return self.span(low) if low < len(self) and self._ids[low].as_py() == document else None
