"""Terms of a text: its words and its pairs of adjacent words, as 64-bit hashes.

Words are lower-cased and those of `filters/words.py`; a word without a letter is none. A pair must stand side by side
on one line, so for Chinese, where a word is a character, the pairs are the two-character words and the single
characters are common and weigh little.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from pipelines.core.fingerprint import Algorithm
from pipelines.corpus.filters.blocks import HASH_FACTOR, I64, U64, text_blocks
from pipelines.corpus.filters.characters import character_flags
from pipelines.corpus.filters.words import HAS_LETTER, SEGMENTATION, segment_words

TERMS: Final = Algorithm("topic_terms", 1)
ALGORITHMS: Final = (TERMS, SEGMENTATION)


class Terms(NamedTuple):
    """Occurrence i is of term `hashes[i]` in text `owners[i]`; `lengths[t]` is the number of words of text t.

    `starts` and `stops` are where it stands in `characters` (UTF-32), so that a term can be shown.
    """

    first: int
    hashes: U64
    owners: I64
    lengths: I64
    starts: I64
    stops: I64
    characters: np.ndarray[tuple[int], np.dtype[np.uint32]]


def terms_of(texts: list[str], max_characters: int) -> Iterator[Terms]:
    """The terms of texts, a block at a time; `first` is the number of a block's first text."""
    column = pa.array([text[:max_characters].lower() for text in texts], pa.large_string())
    for block in text_blocks(column):
        words = segment_words(block, character_flags())
        owners = np.repeat(np.arange(len(block.offsets) - 1), np.diff(words.offsets))
        real = np.flatnonzero((words.flags & HAS_LETTER) > 0)
        starts, stops, hashes, mine = words.starts[real], words.stops[real], words.hashes[real], owners[real]
        lines = np.cumsum(block.characters == 10)
        adjacent = np.flatnonzero(
            (np.diff(real) == 1) & (mine[1:] == mine[:-1]) & (lines[starts[1:]] == lines[starts[:-1]])
        )
        with np.errstate(over="ignore"):
            pairs = (hashes[adjacent] * HASH_FACTOR) ^ (hashes[adjacent + 1] >> np.uint64(1))
        yield Terms(
            block.first,
            np.concatenate([hashes, pairs]),
            np.concatenate([mine, mine[adjacent]]).astype(np.int64),
            np.bincount(mine, minlength=len(block.offsets) - 1).astype(np.int64),
            np.concatenate([starts, starts[adjacent]]).astype(np.int64),
            np.concatenate([stops, stops[adjacent + 1]]).astype(np.int64),
            block.characters,
        )
