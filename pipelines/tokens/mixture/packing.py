"""Best-fit-decreasing packing: whole documents into rows of a sequence's length.

In: the lengths of one part's documents. 1. A document longer than a row is split into full rows and a rest, or cut
off. 2. Pieces from the longest to the shortest (ties: document order) go to the open row with the least room that
takes them (ties: the row that got its room last), else into a new row. Out: a row table: three flat arrays that can
be memory-mapped, and a fourth to go from a token back to its rows. Rows never cross parts, so a new part changes no
row before it. Cost: over a million pieces a second (compiled; the search for room passes 64 sizes at a time).
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipelines.core.fingerprint import Algorithm

PACKING = Algorithm("best_fit_decreasing", 1)

I64 = NDArray[np.int64]


class RowTable(NamedTuple):
    """Row r holds the pieces [row_offsets[r], row_offsets[r + 1]): `lengths` tokens from stream position `starts`.

    `by_start` lists the pieces in order of their starts. Any array may be a memory map.
    """

    row_offsets: I64
    starts: I64
    lengths: NDArray[np.int32]
    by_start: I64

    @property
    def units(self) -> int:
        return len(self.row_offsets) - 1

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Role -> little-endian array, to be written as flat files."""
        return {name: array.astype(array.dtype.newbyteorder("<")) for name, array in self._asdict().items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "RowTable":
        return cls(**{name: arrays[name] for name in cls._fields})

    def spans(self, unit: int) -> list[tuple[int, int]]:
        """(stream position, length) of each piece of a row."""
        first, last = int(self.row_offsets[unit]), int(self.row_offsets[unit + 1])
        return list(zip(self.starts[first:last].tolist(), self.lengths[first:last].tolist(), strict=True))

    def units_of(self, start: int, stop: int) -> list[int]:
        """The rows that hold a token of [start, stop), ascending."""
        # Pieces do not overlap, so only the one before the first start inside can reach into the range from outside.
        if start >= stop:
            return []
        low = self._first_from(start)
        if low and self._end(low - 1) > start:
            low -= 1
        pieces = self.by_start[low : self._first_from(stop)]
        rows = np.searchsorted(self.row_offsets, pieces, side="right") - 1
        return sorted(set(rows.tolist()))

    def fill(self, capacity: int) -> float:
        """Tokens over places: 1 is a packing without padding."""
        return float(self.lengths.sum(dtype=np.int64) / (self.units * capacity)) if self.units else 0.0

    def _end(self, place: int) -> int:
        piece = int(self.by_start[place])
        return int(self.starts[piece]) + int(self.lengths[piece])

    def _first_from(self, position: int) -> int:
        """The first place in `by_start` whose piece starts at `position` or later; bisection touches O(log n) pages."""
        low, high = 0, len(self.by_start)
        while low < high:
            middle = (low + high) // 2
            if self.starts[self.by_start[middle]] < position:
                low = middle + 1
            else:
                high = middle
        return low


def pack_stream(part_lengths: Iterable[NDArray[np.int32]], capacity: int, long_documents: str) -> RowTable:
    """Pack the documents of a stream's parts, given as lengths per part in stream order.

    `long_documents` is `split` or `truncate`. Raises ValueError for other words or a length below 1.
    """
    if long_documents not in ("split", "truncate"):
        raise ValueError(f"long_documents {long_documents!r} is neither split nor truncate")
    counts: list[I64] = [np.zeros(1, dtype=np.int64)]
    starts: list[I64] = [np.empty(0, dtype=np.int64)]
    lengths: list[I64] = [np.empty(0, dtype=np.int64)]
    base = 0
    for part in part_lengths:
        if len(part) and part.min() < 1:
            raise ValueError("a document of a packed part has no token, not even an end-of-text")
        piece_starts, piece_lengths = _pieces(part.astype(np.int64), capacity, long_documents == "split")
        order = np.argsort(-piece_lengths, kind="stable")
        row_of = best_fit(piece_lengths[order], capacity)
        placed = order[np.argsort(row_of, kind="stable")]
        if len(row_of):
            counts.append(np.bincount(row_of).astype(np.int64))
        starts.append(piece_starts[placed] + base)
        lengths.append(piece_lengths[placed])
        base += int(part.sum(dtype=np.int64))
    all_starts = np.concatenate(starts)
    return RowTable(
        np.cumsum(np.concatenate(counts)),
        all_starts,
        np.concatenate(lengths).astype(np.int32),
        np.argsort(all_starts, kind="stable").astype(np.int64),
    )


def _pieces(lengths: I64, capacity: int, split: bool) -> tuple[I64, I64]:
    """Starts within the part and lengths of the pieces, in document order."""
    starts = np.cumsum(lengths) - lengths
    if not split:
        return starts, np.minimum(lengths, capacity)
    number = -(-lengths // capacity)
    document = np.repeat(np.arange(len(lengths)), number)
    within = np.arange(len(document)) - np.repeat(np.cumsum(number) - number, number)
    offset = within * capacity
    return starts[document] + offset, np.minimum(lengths[document] - offset, capacity)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def best_fit(lengths: I64, capacity: int) -> I64:
    """The row of each piece; `lengths` (1 to capacity) descend for best fit *decreasing*."""
    row_of = np.empty(len(lengths), dtype=np.int64)
    newest = np.full(capacity + 1, -1, dtype=np.int64)  # newest[room]: the row that got this room last
    older = np.empty(len(lengths), dtype=np.int64)  # older[row]: the row before it with the same room
    words = (capacity >> 6) + 1
    occupied = np.zeros(words, dtype=np.uint64)  # bit `room` of the set of rooms that some row has
    rows = 0
    for piece in range(len(lengths)):
        length = lengths[piece]
        word = length >> 6
        bits = occupied[word] & (~np.uint64(0) << np.uint64(length & 63))
        while bits == 0 and word + 1 < words:
            word += 1
            bits = occupied[word]
        if bits != 0:
            room = word << 6
            while not bits & np.uint64(1):
                bits >>= np.uint64(1)
                room += 1
            # The loop above starts at bit 0 of the word: rooms below `length` were masked out.
            row = newest[room]
            newest[room] = older[row]
            if newest[room] < 0:
                occupied[room >> 6] &= ~(np.uint64(1) << np.uint64(room & 63))
        else:
            row = rows
            rows += 1
            room = capacity
        row_of[piece] = row
        room -= length
        if room > 0:
            older[row] = newest[room]
            newest[room] = row
            occupied[room >> 6] |= np.uint64(1) << np.uint64(room & 63)
    return row_of
