"""N-grams of every order with their counts, as sorted arrays: the trie that estimation and scoring walk.

In: sentences of word ids, each `<s> w ... </s>`. 1. The n-gram that ends at a position is (the (n-1)-gram that ends one
earlier, the word): one 64-bit key, so an order costs one sort of the positions. 2. The sorted distinct keys are the
nodes of the order: children of a node lie together, their words rise. Out: `Order`s from the unigrams up. Memory: about
40 bytes a position and order while counting.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

UNKNOWN, BEGIN, END = 0, 1, 2
SPECIAL: Final = ("<unk>", "<s>", "</s>")


class Order(NamedTuple):
    """The n-grams of one order. `prefix` is the node of its first n-1 words one order below, `word` its last word,
    `suffix` the node of its last n-1 words, `occurrences` how often it occurs, `left` how many different words precede
    it (at the sentence's start none can; see `adjusted`)."""

    prefix: I32
    word: I32
    suffix: I32
    occurrences: I64
    left: I64
    begins: npt.NDArray[np.bool_]
    """Whether its first word is `<s>`."""


def count_ngrams(words: I32, sentences: I64, order: int, vocabulary: int) -> list[Order]:
    """The n-grams of orders 1 to `order` inside sentences; sentence s is `words[sentences[s]:sentences[s + 1]]`.

    `<s>` is a unigram with its count, but never the last word of a longer n-gram.
    """
    place = np.arange(len(words)) - np.repeat(sentences[:-1], np.diff(sentences))
    found: list[Order] = []
    node = words.astype(np.int64)  # the n-gram that ends at each position, or -1
    unigrams = np.bincount(words, minlength=vocabulary)
    found.append(
        Order(
            prefix=np.zeros(vocabulary, np.int32),
            word=np.arange(vocabulary, dtype=np.int32),
            suffix=np.zeros(vocabulary, np.int32),
            occurrences=unigrams.astype(np.int64),
            left=np.zeros(vocabulary, np.int64),
            begins=np.arange(vocabulary) == BEGIN,
        )
    )
    for size in range(2, order + 1):
        ends = np.flatnonzero(place >= size - 1)
        keys = node[ends - 1] * vocabulary + words[ends]
        distinct, first, which, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
        prefix = (distinct // vocabulary).astype(np.int32)
        suffix = node[ends[first]].astype(np.int32)
        found[-1] = found[-1]._replace(left=np.bincount(suffix, minlength=len(found[-1].word)).astype(np.int64))
        found.append(
            Order(
                prefix=prefix,
                word=(distinct % vocabulary).astype(np.int32),
                suffix=suffix,
                occurrences=counts.astype(np.int64),
                left=np.zeros(len(distinct), np.int64),
                begins=found[-1].begins[prefix],
            )
        )
        node = np.full(len(words), -1, np.int64)
        node[ends] = which
    return found


def adjusted(orders: list[Order], index: int) -> I64:
    """Kneser-Ney's counts: occurrences at the highest order and for n-grams that begin with `<s>`, which nothing can
    precede; the number of different preceding words for all others."""
    order = orders[index]
    if index == len(orders) - 1:
        return order.occurrences
    return np.where(order.begins, order.occurrences, order.left)
