"""Compiled judgement: true Jaccard similarity of shingle sets, and chains of kept documents per shared band.

Document numbers here are positions in the order of judgement. A chain holds the kept documents of one bucket (a band
hash that several documents of the batch share) in that order; a document with k kept bucket mates is compared with
those alone, so the cost is the number of pairs compared, not the square of a bucket.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from pipelines.corpus.dedup.shingles import ShingleSets

SIMILAR = 0
COMPARED = 1
CAPPED = 2


class Chains(NamedTuple):
    """Linked lists in arrays; -1 ends or empties a list, and marks a band that a document shares with no other."""

    buckets: npt.NDArray[np.int64]
    """The bucket of (document, band), shape (documents, bands)."""
    heads: npt.NDArray[np.int64]
    tails: npt.NDArray[np.int64]
    following: npt.NDArray[np.int64]
    """The node after node `document * bands + band`."""
    window_heads: npt.NDArray[np.int64]
    """The first node that the current window appended."""
    sizes: npt.NDArray[np.int64]
    """Shingles of each document."""

    @classmethod
    def empty(cls, buckets: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]) -> "Chains":
        count = int(buckets.max(initial=-1)) + 1
        heads, tails, window_heads = (np.full(count, -1, np.int64) for _ in range(3))
        return cls(buckets, heads, tails, np.full(buckets.size, -1, np.int64), window_heads, sizes)

    def kept_mates(
        self, documents: npt.NDArray[np.int64], threshold: float, limit: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Pairs (index into `documents`, kept bucket mate), the `limit` earliest of compatible size for each."""
        mates, ends = _kept_mates(documents, *self, threshold, limit)
        return np.repeat(np.arange(len(documents)), np.diff(ends, prepend=0)), mates


class Verdicts(NamedTuple):
    """What became of a window's documents; `leader` is -1 while no similar leader is known."""

    leader: npt.NDArray[np.int64]
    similarity: npt.NDArray[np.float64]


@njit(cache=True, nogil=True)
def jaccard(a: Any, a_start: int, a_end: int, b: Any, b_start: int, b_end: int, threshold: float) -> float:
    """|A and B| / |A or B| of two ascending distinct slices, or -1.0 as soon as it cannot reach `threshold`."""
    size_a = a_end - a_start
    size_b = b_end - b_start
    total = size_a + size_b
    need = int(np.ceil(threshold * total / (1.0 + threshold)))
    while need > 0 and (need - 1) / (total - need + 1) >= threshold:
        need -= 1
    while need <= min(size_a, size_b) and need / (total - need) < threshold:
        need += 1
    spare_a = size_a - need
    spare_b = size_b - need
    if spare_a < 0 or spare_b < 0:
        return -1.0
    both = 0
    i = a_start
    j = b_start
    while i < a_end and j < b_end:
        x = a[i]
        y = b[j]
        if x == y:
            both += 1
            i += 1
            j += 1
        elif x < y:
            i += 1
            spare_a -= 1
            if spare_a < 0:
                return -1.0
        else:
            j += 1
            spare_b -= 1
            if spare_b < 0:
                return -1.0
    return both / (total - both) if both >= need else -1.0


@njit(cache=True, nogil=True)
def _mates(
    document: int, buckets: Any, starts: Any, following: Any, sizes: Any, threshold: float, limit: int, scratch: Any
) -> int:
    """The earliest `limit` distinct kept mates of compatible size, ascending, into `scratch`; returns how many.

    Each chain ascends, so its first `limit` compatible documents hold every one of them that can be among the result.
    """
    bands = buckets.shape[1]
    count = 0
    for band in range(bands):
        bucket = buckets[document, band]
        if bucket < 0:
            continue
        node = starts[bucket]
        taken = 0
        while node >= 0 and taken < limit:
            mate = node // bands
            a = sizes[mate]
            b = sizes[document]
            if min(a, b) / max(a, b) >= threshold:
                scratch[count] = mate
                count += 1
                taken += 1
            node = following[node]
    scratch[:count].sort()
    distinct = 0
    for index in range(count):
        if distinct == limit:
            break
        if index == 0 or scratch[index] != scratch[index - 1]:
            scratch[distinct] = scratch[index]
            distinct += 1
    return distinct


@njit(cache=True, nogil=True)
def _kept_mates(
    documents: Any, buckets: Any, heads: Any, tails: Any, following: Any, window_heads: Any, sizes: Any,
    threshold: float, limit: int,
) -> tuple[Any, Any]:  # fmt: skip
    out = np.empty(1024, np.int64)
    ends = np.empty(len(documents), np.int64)
    scratch = np.empty(buckets.shape[1] * limit, np.int64)
    total = 0
    for index in range(len(documents)):
        count = _mates(documents[index], buckets, heads, following, sizes, threshold, limit, scratch)
        if total + count > len(out):
            grown = np.empty(2 * (total + count), np.int64)
            grown[:total] = out[:total]
            out = grown
        out[total : total + count] = scratch[:count]
        total += count
        ends[index] = total
    return out[:total].copy(), ends


def judge_leaders(
    pairs: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]],
    window: ShingleSets,
    leaders: ShingleSets,
    threshold: float,
    verdicts: Verdicts,
) -> tuple[int, int]:
    """Compare (document, its leader's set, its leader's name), in the order given; (compared, rejected) pairs.

    A document that has a verdict is passed over.
    """
    compared, rejected = _judge_leaders(*pairs, *window, *leaders, threshold, *verdicts)
    return int(compared), int(rejected)


@njit(cache=True, nogil=True)
def _judge_leaders(
    documents: Any, sets: Any, names: Any, values: Any, offsets: Any, leader_values: Any, leader_offsets: Any,
    threshold: float, leader: Any, similarity: Any,
) -> tuple[int, int]:  # fmt: skip
    compared = 0
    rejected = 0
    for pair in range(len(documents)):
        d = documents[pair]
        if leader[d] >= 0:
            continue
        s = sets[pair]
        found = jaccard(
            values, offsets[d], offsets[d + 1], leader_values, leader_offsets[s], leader_offsets[s + 1], threshold
        )
        compared += 1
        if found < 0.0:
            rejected += 1
        else:
            leader[d] = names[pair]
            similarity[d] = found
    return compared, rejected


def judge_window(
    documents: npt.NDArray[np.int64],
    allowances: npt.NDArray[np.int64],
    window: ShingleSets,
    chains: Chains,
    threshold: float,
    first_name: int,
    verdicts: Verdicts,
) -> tuple[int, int, int]:
    """Judge a window's documents among themselves, in order, and append those that are kept to the chains.

    `allowances[i]` is how many more candidates document i may be compared with, -1 when it had too many already.
    Leaders of this batch are named `first_name + document`. Returns (compared, rejected, capped) counts.
    """
    counts = _judge_window(documents, allowances, *window, *chains, threshold, first_name, *verdicts)
    return int(counts[COMPARED]), int(counts[COMPARED] - counts[SIMILAR]), int(counts[CAPPED])


@njit(cache=True, nogil=True)
def _judge_window(
    documents: Any, allowances: Any, values: Any, offsets: Any, buckets: Any, heads: Any, tails: Any, following: Any,
    window_heads: Any, sizes: Any, threshold: float, first_name: int, leader: Any, similarity: Any,
) -> Any:  # fmt: skip
    counts = np.zeros(3, np.int64)
    bands = buckets.shape[1]
    window_heads[:] = -1
    scratch = np.empty(bands * (max(0, allowances.max()) + 1), np.int64)
    for d in range(len(documents)):
        if leader[d] >= 0:
            continue
        document = documents[d]
        allowed = allowances[d]
        limit = max(allowed, 0) + 1
        count = _mates(document, buckets, window_heads, following, sizes, threshold, limit, scratch)
        for index in range(min(count, max(allowed, 0))):
            mate = np.searchsorted(documents, scratch[index])
            counts[COMPARED] += 1
            found = jaccard(values, offsets[d], offsets[d + 1], values, offsets[mate], offsets[mate + 1], threshold)
            if found >= 0.0:
                counts[SIMILAR] += 1
                leader[d] = first_name + scratch[index]
                similarity[d] = found
                break
        if leader[d] >= 0:
            continue
        if allowed < 0 or count > allowed:
            counts[CAPPED] += 1
        for band in range(bands):
            bucket = buckets[document, band]
            if bucket < 0:
                continue
            node = document * bands + band
            if tails[bucket] >= 0:
                following[tails[bucket]] = node
            else:
                heads[bucket] = node
            tails[bucket] = node
            if window_heads[bucket] < 0:
                window_heads[bucket] = node
    return counts
