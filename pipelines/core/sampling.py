"""Samples without a scan: every id draws a number, and the lowest numbers are the sample.

A number is a function of (id, seed, names) alone, so a sample is the same whatever the parts, their order or their
number, two samples under other names are independent, and one pass over parts keeps no more than the sample. Ids are
hashes already (see `core.documents`); a multiply-xorshift finisher over both halves mixes the seed in.
"""

import heapq
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Final, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.core.documents import ID_BYTES
from pipelines.core.seeds import derive

Row = TypeVar("Row")
_MULTIPLIERS: Final = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
"""Of the finisher of SplitMix64 (Steele, Lea and Flood 2014), after shifts of 30 and 27, before one of 31."""


def id_bytes(ids: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.uint8]:
    """The bytes of a column of ids, uint8 of shape (rows, 16)."""
    chunks = ids.chunks if isinstance(ids, pa.ChunkedArray) else [ids]
    width = ID_BYTES
    views = [
        np.frombuffer(chunk.buffers()[1], np.uint8)[chunk.offset * width : (chunk.offset + len(chunk)) * width]
        for chunk in chunks
        if len(chunk)
    ]
    return np.concatenate(views).reshape(-1, width) if views else np.zeros((0, width), np.uint8)


def drawn_numbers(ids: pa.Array | pa.ChunkedArray, seed: int, *names: str | int) -> npt.NDArray[np.uint64]:
    """The number that each id draws, uniform over 64 bits."""
    halves = np.ascontiguousarray(id_bytes(ids)).view("<u8")
    return _finish(_finish(halves[:, 0] ^ np.uint64(derive(seed, *names))) ^ halves[:, 1])


def _finish(value: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    value = (value ^ (value >> np.uint64(30))) * _MULTIPLIERS[0]
    value = (value ^ (value >> np.uint64(27))) * _MULTIPLIERS[1]
    return value ^ (value >> np.uint64(31))


class Sample(Generic[Row]):
    """The `size` rows of each group that drew the lowest numbers, of rows that are offered in any order."""

    def __init__(self, size: int, seed: int = 0) -> None:
        self.size, self.seed = size, seed
        self._heaps: dict[str, list[tuple[int, int, Row]]] = {}
        self._order = count()

    def offer(self, group: str, ids: pa.Array | pa.ChunkedArray, row_of: Callable[[int], Row]) -> None:
        """Rows of a group by id; `row_of(position)` is asked only for those that are in the sample so far."""
        if not self.size or not len(ids):
            return
        numbers = drawn_numbers(ids, self.seed, group)
        heap = self._heaps.setdefault(group, [])
        best = np.argpartition(numbers, self.size - 1)[: self.size] if len(numbers) > self.size else range(len(numbers))
        for position in sorted(int(item) for item in best):
            entry = (-int(numbers[position]), next(self._order), position)
            if len(heap) < self.size:
                heapq.heappush(heap, (*entry[:2], row_of(position)))
            elif entry[0] > heap[0][0]:
                heapq.heapreplace(heap, (*entry[:2], row_of(position)))

    def rows(self, group: str) -> list[Row]:
        """The sample of a group, in the order of the numbers drawn."""
        return [row for _, _, row in sorted(self._heaps.get(group, []), key=lambda entry: -entry[0])]

    def groups(self) -> Sequence[str]:
        return sorted(self._heaps)


def excerpt(text: Any, characters: int = 160) -> str:
    """The start of a text on one line."""
    words = " ".join(str(text)[: characters * 4].split())
    return words if len(words) <= characters else words[: characters - 1] + "…"
