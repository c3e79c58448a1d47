"""An n-gram model as flat arrays, and how documents score under it.

A node is an n-gram; the first nodes are the words by id. Children of a node lie together and their words rise, so the
probability of a word after a context is found by one binary search for each length of the context, and no search ever
leaves the arrays: they can be memory-mapped and shared by all workers. Cost: about two million words a second at
order 3 and one million at order 5 on one core; 20 bytes an n-gram.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from pipelines.core.fingerprint import Algorithm
from pipelines.corpus.filters.blocks import I64, U64
from pipelines.corpus.filters.ngram_lm.counts import BEGIN, END, I32, SPECIAL, UNKNOWN
from pipelines.corpus.filters.ngram_lm.estimate import F32, Level
from pipelines.corpus.filters.ngram_lm.words import lines_of

BACKOFF_SCORES: Final = Algorithm("backoff_scores", 1)

F64 = npt.NDArray[np.float64]


class NgramModel(NamedTuple):
    """`hashes` of the words (ids from 3 on, sorted); for every node its last word, log10 probability and backoff, and
    where its children begin (they end where those of the next node begin)."""

    order: int
    hashes: U64
    word: I32
    log_probability: F32
    log_backoff: F32
    first_child: I64


class DocumentScores(NamedTuple):
    """For each document: log10 of its probability, its words with one `</s>` a line, and the unknown ones of them."""

    log_probability: F64
    words: I64
    unknown: I64

    def perplexity(self) -> F64:
        """10 ** (-log10 p / words), CCNet's; NaN for a document without a word."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.words > 0, 10.0 ** (-self.log_probability / self.words), np.nan)


Scorer = Callable[[Sequence[str]], DocumentScores]
"""Texts to their log10 probabilities, numbers of tokens, and unknown tokens: any language model."""

ARRAYS: Final = {
    "hashes": np.uint64,
    "word": np.int32,
    "log_probability": np.float32,
    "log_backoff": np.float32,
    "first_child": np.int64,
}


def flat(levels: Sequence[Level], hashes: U64) -> NgramModel:
    """One array of nodes out of the levels."""
    starts = np.cumsum([0] + [len(level.word) for level in levels])
    first_child = np.full(starts[-1] + 1, starts[-1], np.int64)
    for index in range(1, len(levels)):
        first_child[starts[index - 1] : starts[index]] = starts[index] + levels[index].children[:-1]
    return NgramModel(
        len(levels),
        hashes,
        np.concatenate([level.word for level in levels]),
        np.concatenate([level.log_probability for level in levels]),
        np.concatenate([level.log_backoff for level in levels]),
        first_child,
    )


def mapped(order: int, paths: dict[str, Path]) -> NgramModel:
    """The model of stored arrays (raw little-endian), mapped and not read."""
    arrays = {}
    for name, kind in ARRAYS.items():
        some = paths[name].stat().st_size > 0  # an empty file cannot be mapped
        arrays[name] = np.memmap(paths[name], np.dtype(kind).newbyteorder("<"), "r") if some else np.zeros(0, kind)
    return NgramModel(order, **{name: np.asarray(array) for name, array in arrays.items()})


def word_ids(hashes: U64, vocabulary: U64) -> I32:
    """Ids of words: their place in the sorted vocabulary, or `<unk>`."""
    if not len(vocabulary):
        return np.full(len(hashes), UNKNOWN, np.int32)
    places = np.minimum(np.searchsorted(vocabulary, hashes), len(vocabulary) - 1)
    return np.where(vocabulary[places] == hashes, places + len(SPECIAL), UNKNOWN).astype(np.int32)


def score_texts(model: NgramModel, texts: Sequence[str], max_characters: int, unknown_words: int = 1) -> DocumentScores:
    """Scores of the starts of texts, line by line.

    `<unk>` stands for `unknown_words` different words, each as likely as the others. Without that, text in another
    language would be likely text: a model of English gives a run of unknown words a perplexity of 3.
    """
    logs = np.zeros(len(texts), np.float64)
    words, unknown = np.zeros(len(texts), np.int64), np.zeros(len(texts), np.int64)
    for block in lines_of(list(texts), max_characters):
        ids = word_ids(block.hashes, model.hashes)
        scores = score_lines(ids, block.offsets, *model[2:], model.order)
        documents = len(block.lines) - 1
        here = slice(block.first, block.first + documents)
        sums = np.concatenate(([0.0], np.cumsum(scores)))
        places = block.offsets[block.lines]
        logs[here] = sums[block.lines[1:]] - sums[block.lines[:-1]]
        words[here] = np.diff(places) + np.diff(block.lines)
        missing = np.concatenate(([0], np.cumsum(ids == UNKNOWN)))
        unknown[here] = missing[places[1:]] - missing[places[:-1]]
    logs -= unknown * np.log10(max(unknown_words, 1))
    return DocumentScores(logs, words, unknown)


@njit(cache=True, nogil=True)
def score_lines(
    ids: I32, offsets: I64, word: I32, log_probability: F32, log_backoff: F32, first_child: I64, order: int
) -> F64:
    """log10 p of every line `ids[offsets[l]:offsets[l + 1]]` between `<s>` and `</s>`."""
    result = np.zeros(len(offsets) - 1, np.float64)
    context = np.zeros(order + 1, np.int64)  # context[k]: node of the last k words
    found = np.zeros(order + 1, np.int64)
    for line in range(len(offsets) - 1):
        context[1] = BEGIN
        known = min(1, order - 1)
        total = 0.0
        for index in range(offsets[line], offsets[line + 1] + 1):
            target = ids[index] if index < offsets[line + 1] else END
            found[1] = target
            longest = 1
            for length in range(1, known + 1):
                low, high = first_child[context[length]], first_child[context[length] + 1]
                end = high
                while low < high:
                    middle = (low + high) // 2
                    if word[middle] < target:
                        low = middle + 1
                    else:
                        high = middle
                if low == end or word[low] != target:
                    break
                longest = length + 1
                found[longest] = low
            total += log_probability[found[longest]]
            for length in range(longest, known + 1):
                total += log_backoff[context[length]]
            known = min(longest, order - 1)
            for length in range(1, known + 1):
                context[length] = found[length]
        result[line] = total
    return result
