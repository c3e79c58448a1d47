"""Whole numbers from shares: how many of N examples each stream gets, and how many of the first m.

`largest_remainder` turns weights into totals. `prefix_counts` spreads the totals over the run: example j of a stream
that has K of the N examples stands at time (j + phase) / K, and the first m examples are the m smallest times. With
phase 1/2 this is the Sainte-Lague (Webster) method; the phases of ours are spread evenly over (0, 1), or small
streams of equal size would all fall due in the same block. Unlike largest remainders per block with a carried error
it needs no history, so block 10^9 costs what block 0 does; counts never fall from one block to the next, sum to m
exactly, and are the totals after N examples. They stay near the exact shares: within 3 for ten streams, 5 for thirty
of very unequal size (measured). Arithmetic is in Python integers, exact at every size. Cost: some 20 microseconds for
ten streams.
"""

from collections.abc import Sequence
from fractions import Fraction

from pipelines.core.fingerprint import Algorithm

QUOTA = Algorithm("mixture_quota", 1)


def largest_remainder(weights: Sequence[float], total: int) -> list[int]:
    """Counts that sum to `total`, each within 1 of weight / sum * total; ties go to the earlier stream.

    Weights are taken as the exact fractions that the floats are. Raises ValueError when their sum is not positive.
    """
    shares = [Fraction(weight) for weight in weights]
    whole = sum(shares)
    if whole <= 0 or any(share < 0 for share in shares):
        raise ValueError(f"weights {list(weights)} are not shares: none may be negative, the sum must be positive")
    exact = [share * total / whole for share in shares]
    counts = [int(quota) for quota in exact]
    order = sorted(range(len(exact)), key=lambda index: (counts[index] - exact[index], index))
    for index in order[: total - sum(counts)]:
        counts[index] += 1
    return counts


def phases(totals: Sequence[int]) -> tuple[list[int], int]:
    """Numerators (odd) and the common denominator (a power of two) of the streams' phases.

    They are the van der Corput sequence over the streams in order of size, so that neighbours in size lie far apart.
    """
    bits = max(len(totals) - 1, 0).bit_length()
    numerators = [0] * len(totals)
    for place, stream in enumerate(sorted(range(len(totals)), key=lambda s: (totals[s], s))):
        reversed_bits = int(f"{place:0{bits}b}"[::-1], 2) if bits else 0
        numerators[stream] = 2 * reversed_bits + 1
    return numerators, 2 << bits


def prefix_counts(totals: Sequence[int], m: int) -> list[int]:
    """How many of the first `m` examples belong to each stream; `totals` sum to N >= m >= 0, each at least 1."""
    n = sum(totals)
    if not 0 <= m <= n:
        raise ValueError(f"{m} examples of a mixture of {n}")
    phase, whole = phases(totals)
    # At time m / N a stream has the j with (j + p / Q) / K <= m / N; the sum of these can be off by a few.
    counts = [(m * whole * k - p * n) // (whole * n) + 1 if n else 0 for k, p in zip(totals, phase, strict=True)]
    excess = sum(counts) - m

    def time(stream: int, number: int) -> tuple[Fraction, int]:
        return Fraction(number * whole + phase[stream], totals[stream]), stream

    while excess > 0:
        last = max((s for s in range(len(totals)) if counts[s]), key=lambda s: time(s, counts[s] - 1))
        counts[last] -= 1
        excess -= 1
    while excess < 0:
        first = min((s for s in range(len(totals)) if counts[s] < totals[s]), key=lambda s: time(s, counts[s]))
        counts[first] += 1
        excess += 1
    return counts


def rank(totals: Sequence[int], stream: int, k: int) -> int:
    """The place in the order of times of example `k` of `stream`; equal times go by stream number."""
    if not 0 <= k < totals[stream]:
        raise IndexError(f"example {k} of a stream that has {totals[stream]}")
    phase, whole = phases(totals)
    mine = whole * totals[stream]
    place = 0
    for other, total in enumerate(totals):
        if other == stream:
            place += k
            continue
        # (j Q + p') / K' < (k Q + p) / K, or equal and other < stream  =>  j < above / mine, or j <= above / mine
        above = (k * whole + phase[stream]) * total - phase[other] * totals[stream]
        earlier = above // mine + 1 if other < stream else -(-above // mine)
        place += min(max(earlier, 0), total)
    return place
