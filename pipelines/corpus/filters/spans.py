"""Lines and sentences as character spans over a block."""

import numpy as np
from numba import njit

from pipelines.corpus.filters.blocks import I32, I64, U8, U16, U32, Spans, TextBlock
from pipelines.corpus.filters.characters import LINE_BREAK, character_flags
from pipelines.corpus.filters.words import ENDS_SENTENCE, IS_PUNCTUATION, Words


def lines(block: TextBlock) -> Spans:
    """Lines as `str.splitlines` gives them, without their ends; `\\r\\n` is one end."""
    size = int(np.count_nonzero(character_flags()[block.characters] & LINE_BREAK)) + len(block.offsets)
    starts, stops = np.empty(size, np.int32), np.empty(size, np.int32)
    offsets = np.empty(len(block.offsets), np.int64)
    total = _lines(block.characters, block.offsets, character_flags(), offsets, starts, stops)
    return Spans(offsets, starts[:total], stops[:total])


def sentences(block: TextBlock, words: Words) -> Spans:
    """Sentences: a run of words up to a terminal mark and the punctuation after it, or up to the end of the line."""
    starts, stops = np.empty(len(words.starts), np.int32), np.empty(len(words.starts), np.int32)
    offsets = np.empty(len(block.offsets), np.int64)
    total = _sentences(
        block.characters,
        character_flags(),
        words.offsets,
        words.starts,
        words.stops,
        words.flags,
        offsets,
        starts,
        stops,
    )
    return Spans(offsets, starts[:total], stops[:total])


@njit(cache=True, nogil=True)
def _lines(characters: U32, bounds: I64, flags: U16, offsets: I64, starts: I32, stops: I32) -> int:
    count = 0
    offsets[0] = 0
    for document in range(len(bounds) - 1):
        position, end = bounds[document], bounds[document + 1]
        while position < end:
            stop = position
            while stop < end and not flags[characters[stop]] & LINE_BREAK:
                stop += 1
            starts[count], stops[count] = position, stop
            count += 1
            if stop + 1 < end and characters[stop] == 13 and characters[stop + 1] == 10:
                stop += 1
            position = stop + 1
        offsets[document + 1] = count
    return count


@njit(cache=True, nogil=True)
def _sentences(
    characters: U32,
    flags: U16,
    word_offsets: I64,
    starts: I32,
    stops: I32,
    kinds: U8,
    offsets: I64,
    firsts: I32,
    lasts: I32,
) -> int:
    count = 0
    offsets[0] = 0
    for document in range(len(word_offsets) - 1):
        ended, open_sentence = False, False
        for word in range(word_offsets[document], word_offsets[document + 1]):
            broken = ended and not kinds[word] & (IS_PUNCTUATION | ENDS_SENTENCE)
            if open_sentence and not broken:
                for index in range(stops[word - 1], starts[word]):
                    if flags[characters[index]] & LINE_BREAK:
                        broken = True
                        break
            if not open_sentence or broken:
                firsts[count] = starts[word]
                count += 1
                open_sentence, ended = True, False
            lasts[count - 1] = stops[word]
            if kinds[word] & ENDS_SENTENCE:
                ended = True
        offsets[document + 1] = count
    return count
