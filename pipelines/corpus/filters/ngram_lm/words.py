"""Text to words for n-gram models, as arrays of 64-bit hashes.

Steps: lower case, every decimal digit to 0 (CCNet's normalization, so that no number is a word of its own), then the
words of `filters/words.py`: punctuation apart, a character of a script without spaces a word. A line is a sentence.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from pipelines.core.fingerprint import Algorithm
from pipelines.corpus.filters.blocks import I64, U64, TextBlock, text_blocks
from pipelines.corpus.filters.characters import character_flags
from pipelines.corpus.filters.words import SEGMENTATION, Words, segment_words

LINE_WORDS: Final = Algorithm("language_model_words", 1)
ALGORITHMS: Final = (LINE_WORDS, SEGMENTATION)

_DIGIT = re.compile(r"\d")


class Lines(NamedTuple):
    """Line l of a block has the words `offsets[l]:offsets[l + 1]`; document d the lines `lines[d]:lines[d + 1]`."""

    first: int
    hashes: U64
    offsets: I64
    lines: I64
    block: TextBlock
    words: Words


def normalized(text: str, max_characters: int) -> str:
    """The text as the model reads it; line breaks stay."""
    return _DIGIT.sub("0", text[:max_characters].lower())


def lines_of(texts: list[str], max_characters: int) -> Iterator[Lines]:
    """The words of the texts' lines; lines without a word are left out."""
    column = pa.array([normalized(text, max_characters) for text in texts], pa.large_string())
    for block in text_blocks(column):
        words = segment_words(block, character_flags())
        ends = np.cumsum(block.characters == 10)  # line of a character, over the block
        document = np.repeat(np.arange(len(block.offsets) - 1), np.diff(words.offsets))
        line = ends[words.starts] if len(words.starts) else np.zeros(0, np.int64)
        fresh = np.ones(len(line), bool)
        fresh[1:] = (line[1:] != line[:-1]) | (document[1:] != document[:-1])
        starts = np.flatnonzero(fresh)
        offsets = np.append(starts, len(line)).astype(np.int64)
        lines = np.searchsorted(document[starts], np.arange(len(block.offsets))).astype(np.int64)
        yield Lines(block.first, words.hashes, offsets, lines, block, words)
