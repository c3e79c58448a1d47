"""Training an n-gram model: texts to a flat model with its words.

In: texts. 1. Lines to words (`words.py`). 2. Words seen less than `min_count` times become `<unk>`; the others take
ids in the order of their hashes. 3. Count (`counts.py`). 4. Estimate (`estimate.py`). Out: `NgramModel` and the words
as text, for ARPA files. Cost: half a second and 200 MB a million words at order 5; a model that does not fit is a
smaller sample.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import numpy as np

from pipelines.core.fingerprint import Algorithm
from pipelines.corpus.filters.blocks import I64, U64
from pipelines.corpus.filters.labelled.examples import ExamplesError
from pipelines.corpus.filters.ngram_lm.config import LanguageModelConfig
from pipelines.corpus.filters.ngram_lm.counts import BEGIN, END, I32, SPECIAL, count_ngrams
from pipelines.corpus.filters.ngram_lm.estimate import estimate
from pipelines.corpus.filters.ngram_lm.model import NgramModel, flat, word_ids
from pipelines.corpus.filters.ngram_lm.words import Lines, lines_of

NGRAM_TRAINING: Final = Algorithm("ngram_training", 1)
_TEXTS = 256


class TrainedNgrams(NamedTuple):
    """The model, its words (id 3 on, in the order of `model.hashes`), n-grams of each order, words that were read,
    and how many different ones are `<unk>`."""

    model: NgramModel
    words: list[str]
    ngrams: tuple[int, ...]
    tokens: int
    unknown_words: int


def train_ngrams(texts: Iterable[str], config: LanguageModelConfig) -> TrainedNgrams:
    """Estimate a model. Raises `ExamplesError` for texts without a word."""
    hashes: list[U64] = []
    sizes: list[I64] = []
    spelled: dict[int, str] = {}
    for block in blocks_of(texts, config.train_characters):
        hashes.append(block.hashes)
        sizes.append(np.diff(block.offsets))
        spell(block, spelled)
    flat_hashes = np.concatenate(hashes) if hashes else np.zeros(0, np.uint64)
    if not len(flat_hashes):
        raise ExamplesError("the texts of the language model have no words")
    distinct, counts = np.unique(flat_hashes, return_counts=True)
    kept = known_words(distinct, counts, spelled, config.min_count)
    ids = word_ids(flat_hashes, kept)
    words, sentences = _with_ends(ids, np.concatenate(sizes))
    vocabulary = len(kept) + len(SPECIAL)
    levels = estimate(count_ngrams(words, sentences, config.order, vocabulary), config.thresholds())
    ngrams = tuple(len(level.word) for level in levels)
    return TrainedNgrams(
        flat(levels, kept),
        [spelled[int(value)] for value in kept],
        ngrams,
        len(flat_hashes),
        max(len(distinct) - len(kept), 1),
    )


def known_words(distinct: U64, counts: I64, spelled: dict[int, str], min_count: int) -> U64:
    """Hashes of the words that a model knows, sorted as `distinct` is: frequent enough, and no symbol of models."""
    plain = np.array([spelled[value] not in SPECIAL for value in distinct.tolist()], bool)
    kept: U64 = distinct[plain & (counts >= min_count)]
    return kept


def blocks_of(texts: Iterable[str], max_characters: int) -> Iterator[Lines]:
    """The words of texts, which are taken a few at a time."""
    held: list[str] = []
    for text in texts:
        held.append(text)
        if len(held) == _TEXTS:
            yield from lines_of(held, max_characters)
            held = []
    yield from lines_of(held, max_characters)


def spell(block: Lines, spelled: dict[int, str]) -> None:
    """Write down the words of a block that have not been met."""
    values, first = np.unique(block.hashes, return_index=True)
    characters = block.block.characters
    for value, place in zip(values.tolist(), first.tolist(), strict=True):
        if value not in spelled:
            start, stop = block.words.starts[place], block.words.stops[place]
            spelled[value] = characters[start:stop].tobytes().decode("utf-32-le")


def _with_ends(ids: I32, sizes: I64) -> tuple[I32, I64]:
    """Word ids with `<s>` and `</s>` around every line, and where lines start (and the last one ends)."""
    sentences = np.concatenate(([0], np.cumsum(sizes + 2)))
    words = np.empty(sentences[-1], np.int32)
    inner = np.ones(len(words), bool)
    inner[sentences[:-1]] = inner[sentences[1:] - 1] = False
    words[inner] = ids
    words[sentences[:-1]], words[sentences[1:] - 1] = BEGIN, END
    return words, sentences.astype(np.int64)
