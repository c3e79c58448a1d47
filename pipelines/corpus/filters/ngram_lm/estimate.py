"""Modified Kneser-Ney (Chen and Goodman 1998), interpolated, as KenLM's `lmplz` estimates it.

With a(g) the adjusted count and t_k the n-grams of the order whose adjusted count is k:
    Y = t1 / (t1 + 2 t2),  D_k = k - (k + 1) Y t_(k+1) / t_k  for k = 1, 2, 3 (3 also for larger counts)
    p(w | c) = (a(cw) - D(a(cw))) / sum_x a(cx) + b(c) p(w | c'),  c' without the first word of c
    b(c) = what the n-grams after c gave up: the discounts of the kept ones and the whole counts of the pruned ones
Unigrams are interpolated with the uniform distribution over the vocabulary (`<unk>` and `</s>` in it, `<s>` not), so
`<unk>` has the probability b / V. Where an order has too few n-grams for a discount, 0.5, 1 and 1.5 stand in. N-grams
with a count at or below their order's threshold are pruned after the discounts are known; counts never grow with the
order, so what begins a kept n-gram is kept, and so is what ends it.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.core.fingerprint import Algorithm
from pipelines.corpus.filters.ngram_lm.counts import BEGIN, I32, I64, Order, adjusted

KNESER_NEY: Final = Algorithm("modified_kneser_ney", 1)

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
FALLBACK: Final = (0.5, 1.0, 1.5)


class Level(NamedTuple):
    """The kept n-grams of one order: sorted by (prefix, word); children of node i of the order below are
    `children[i]:children[i + 1]`. `log_probability` and `log_backoff` are base 10, as ARPA files have them."""

    prefix: I32
    word: I32
    log_probability: F32
    log_backoff: F32
    children: I64


def estimate(orders: list[Order], thresholds: tuple[int, ...]) -> list[Level]:
    """The model of counted n-grams; `thresholds[n - 1]` prunes order n."""
    levels: list[Level] = []
    lower = np.full(len(orders[0].word), 1.0 / (len(orders[0].word) - 1))
    place: I64 = np.zeros(1, np.int64)  # of every n-gram of the order below among the kept ones
    keeps = [order.occurrences > threshold for order, threshold in zip(orders, thresholds, strict=True)]
    keeps[0][:] = True
    for index, order in enumerate(orders):
        counts = adjusted(orders, index).astype(np.float64)
        predicted = order.word != BEGIN
        discount = discounts(counts[predicted])[np.minimum(counts, 3).astype(np.int64)]
        keep = keeps[index]
        contexts = 1 if index == 0 else len(orders[index - 1].word)
        weight = np.where(predicted, counts, 0.0)
        total = np.bincount(order.prefix, weight, contexts)
        given = np.bincount(order.prefix, np.where(predicted, np.where(keep, discount, counts), 0.0), contexts)
        with np.errstate(invalid="ignore", divide="ignore"):
            backoff = np.where(total > 0, given / total, 1.0)
            own = np.where(predicted, (counts - discount) / total[order.prefix], 0.0)
        probability = own + backoff[order.prefix] * (lower[order.suffix] if index else lower)
        if index:
            kept_below = keeps[index - 1]
            levels[-1] = levels[-1]._replace(log_backoff=_log10(backoff[kept_below]))
        else:
            probability[BEGIN] = 1.0  # never asked for; its line carries the backoff
        prefix = order.prefix[keep].astype(np.int64)
        if index:
            prefix = place[prefix]
        children = np.searchsorted(prefix, np.arange((len(levels[-1].word) if index else 1) + 1)).astype(np.int64)
        levels.append(
            Level(
                prefix.astype(np.int32),
                order.word[keep],
                _log10(probability[keep]),
                np.zeros(int(keep.sum()), np.float32),
                children,
            )
        )
        lower, place = probability, np.cumsum(keep) - 1
    return levels


def discounts(counts: F64) -> F64:
    """D_0 = 0 and the discounts of counts 1, 2 and 3 or more."""
    tallies = [float((counts == number).sum()) for number in range(1, 5)]
    if tallies[0] == 0 or tallies[1] == 0 or tallies[2] == 0:
        return np.array([0.0, *FALLBACK])
    share = tallies[0] / (tallies[0] + 2 * tallies[1])
    found = [k - (k + 1) * share * tallies[k] / tallies[k - 1] for k in (1, 2, 3)]
    if any(not 0 <= value <= k for k, value in enumerate(found, start=1)):
        return np.array([0.0, *FALLBACK])
    return np.array([0.0, *found])


def _log10(values: F64) -> F32:
    return np.log10(np.maximum(values, 1e-99)).astype(np.float32)
