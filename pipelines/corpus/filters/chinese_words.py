"""Words of Chinese in flat arrays: those of `chinese_dictionary` for Chinese documents, the given ones for any other.

In: a block and its words of one character each (`words.segment_words`). A document is Chinese when Han characters are
5 % of what is not white space and kana 5 % of them at most; any other keeps the words that it has, so English, code and
Japanese give what they give without this. (Of 1,411 Chinese documents, code and bilingual lists among them, the least
has 8.8 %; of 4,000 in English and code the most has 1.4 %.) Out: `Words`.

The words are those of jieba's `cut`, white space left out: FineWeb-2's thresholds for Mandarin were computed on them.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit

from pipelines.core.fingerprint import Algorithm
from pipelines.corpus.chinese_dictionary import (
    BLANK_CLASS,
    F64,
    HAN_CLASS,
    KANA_CLASS,
    character_classes,
    cut_document,
    dictionary,
    scratch,
)
from pipelines.corpus.filters.blocks import I32, I64, U8, U32, U64, TextBlock
from pipelines.corpus.filters.characters import character_flags
from pipelines.corpus.filters.words import Words, described
from pipelines.corpus.normalization.chinese import KANA_SHARE

CHINESE_WORDS: Final = Algorithm("chinese_words", 1)
HAN_SHARE: Final = 0.05
"""Han characters of the characters but white space, from which on a document is Chinese."""


def chinese_words(block: TextBlock, words: Words) -> Words:
    """The words of every document of a block: those of jieba in a Chinese one, `words` in any other."""
    size = len(block.characters)
    offsets, starts, stops = np.zeros_like(words.offsets), np.empty(size, np.int32), np.empty(size, np.int32)
    longest = int(np.diff(block.offsets).max(initial=0))
    total = _segment(
        block.characters, block.offsets, words.offsets, words.starts, words.stops, character_classes(),
        *dictionary(), offsets, starts, stops, *scratch(longest),
    )  # fmt: skip
    return described(block, character_flags(), offsets, starts[:total], stops[:total])


@njit(cache=True, nogil=True)
def _segment(
    characters: U32, bounds: I64, word_offsets: I64, word_starts: I32, word_stops: I32, classes: U8, entries: U64,
    weights: F64, start: F64, change: F64, emit: F64, offsets: I64, starts: I32, stops: I32, route: F64, ends: I32,
    cuts: I32, paths: npt.NDArray[np.int8], scores: F64,
) -> int:  # fmt: skip
    count = 0
    for document in range(len(bounds) - 1):
        offsets[document] = count
        counts = np.zeros(7, np.int64)
        for index in range(bounds[document], bounds[document + 1]):
            counts[classes[characters[index]]] += 1
        written = bounds[document + 1] - bounds[document] - counts[BLANK_CLASS]
        han = counts[HAN_CLASS]
        if han == 0 or han < HAN_SHARE * written or counts[KANA_CLASS] > KANA_SHARE * han:
            for word in range(word_offsets[document], word_offsets[document + 1]):
                starts[count], stops[count] = word_starts[word], word_stops[word]
                count += 1
            continue
        count = cut_document(
            characters, bounds[document], bounds[document + 1], classes, entries, weights, start, change, emit, starts,
            stops, count, route, ends, cuts, paths, scores,
        )  # fmt: skip
    offsets[len(bounds) - 1] = count
    return count
