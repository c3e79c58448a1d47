"""Counts over lines and paragraphs, one row of integers for each document.

In: a block of code points and its lines as `spans.lines` finds them. One pass over the `\\n` lines (repetition,
FineWeb), one over paragraphs, one over the lines of `str.splitlines` (bullets, ellipses). A line's identity is a 64-bit
hash of its characters. Out: int64[documents, 15] in the order of `LINE_COUNTS`. The three ideas of a line differ on
purpose: each is the one its published rule uses.
"""

from typing import Final

import numpy as np
from numba import njit

from pipelines.corpus.filters.blocks import I32, I64, U16, U32, U64, Spans, TextBlock, hash_span
from pipelines.corpus.filters.characters import SENTENCE_END, SPACE, character_flags
from pipelines.corpus.filters.repetition import bits_for, find

LINE_COUNTS: Final = (
    "newlines",
    "lines",
    "duplicate_lines",
    "duplicate_line_characters",
    "duplicate_nonblank_line_characters",
    "nonblank_lines",
    "nonblank_line_characters",
    "punctuated_lines",
    "short_lines",
    "paragraphs",
    "duplicate_paragraphs",
    "duplicate_paragraph_characters",
    "bullet_lines",
    "ellipsis_lines",
    "split_lines",
)
"""`lines` are the pieces between runs of newlines, empty first and last ones included; `split_lines` those of
`str.splitlines`; the others follow from their names."""

_NEWLINE, _DOT, _BULLET, _DASH, _ELLIPSIS = 0x0A, 0x2E, 0x2022, 0x2D, 0x2026


def line_counts(block: TextBlock, split: Spans, short_line: int) -> I64:
    """int64[documents, len(LINE_COUNTS)].

    `split` are the lines of `str.splitlines`; a line of at most `short_line` characters is short.
    """
    newlines = np.concatenate(([0], np.cumsum(block.characters == _NEWLINE)))[block.offsets]
    size = 1 << bits_for(int(np.diff(newlines).max(initial=0)) + 2)
    keys, stamps = np.empty(size, np.uint64), np.zeros(size, np.int32)
    result = np.zeros((len(block.offsets) - 1, len(LINE_COUNTS)), np.int64)
    flags = character_flags()
    _line_counts(block.characters, block.offsets, flags, short_line, newlines, keys, stamps, result)
    _marks(block.characters, flags, split.offsets, split.starts, split.stops, result)
    return result


@njit(cache=True, nogil=True)
def _seen(keys: U64, stamps: I32, stamp: int, bits: int, key: np.uint64) -> bool:
    """Was the key in the table? It is now."""
    slot = find(keys, stamps, stamp, bits, key)
    if stamps[slot] == stamp:
        return True
    stamps[slot], keys[slot] = stamp, key
    return False


@njit(cache=True, nogil=True)
def ends_with_ellipsis(characters: U32, start: int, stop: int) -> bool:
    """Does `characters[start:stop]` end with three periods or the ellipsis character?"""
    if stop > start and characters[stop - 1] == _ELLIPSIS:
        return True
    return (
        stop - start >= 3
        and characters[stop - 1] == _DOT
        and characters[stop - 2] == _DOT
        and characters[stop - 3] == _DOT
    )


@njit(cache=True, nogil=True)
def strip(characters: U32, flags: U16, start: int, stop: int) -> tuple[int, int]:
    """The bounds without white space at both ends; an all-blank span becomes `(stop, stop)`."""
    while start < stop and flags[characters[start]] & SPACE:
        start += 1
    while stop > start and flags[characters[stop - 1]] & SPACE:
        stop -= 1
    return start, stop


@njit(cache=True, nogil=True)
def _line_counts(
    characters: U32, offsets: I64, flags: U16, short_line: int, newlines: I64, keys: U64, stamps: I32, result: I64
) -> None:
    for document in range(len(offsets) - 1):
        begin, end = offsets[document], offsets[document + 1]
        if begin == end:
            continue
        row = result[document]
        row[0] = newlines[document + 1] - newlines[document]
        bits = bits_for(row[0] + 2)
        start = begin
        while start <= end:
            stop = start
            while stop < end and characters[stop] != _NEWLINE:
                stop += 1
            length = stop - start
            if length > 0 or start == begin or stop == end:
                row[1] += 1
                first, last = strip(characters, flags, start, stop)
                blank = first == last
                if _seen(keys, stamps, 2 * document + 1, bits, hash_span(characters, start, stop)):
                    row[2] += 1
                    row[3] += length
                    if not blank:
                        row[4] += length
                if not blank:
                    row[5] += 1
                    row[6] += length
                    if flags[characters[stop - 1]] & SENTENCE_END:
                        row[7] += 1
                    if length <= short_line:
                        row[8] += 1
            start = stop + 1
        _paragraphs(characters, flags, begin, end, keys, stamps, 2 * document + 2, bits, row)


@njit(cache=True, nogil=True)
def _paragraphs(
    characters: U32, flags: U16, begin: int, end: int, keys: U64, stamps: I32, stamp: int, bits: int, row: I64
) -> None:
    """Pieces of the stripped text between runs of two or more newlines."""
    begin, end = strip(characters, flags, begin, end)
    start = begin
    while True:
        stop = start
        while stop < end and not (characters[stop] == _NEWLINE and stop + 1 < end and characters[stop + 1] == _NEWLINE):
            stop += 1
        row[9] += 1
        if _seen(keys, stamps, stamp, bits, hash_span(characters, start, stop)):
            row[10] += 1
            row[11] += stop - start
        if stop >= end:
            break
        start = stop
        while start < end and characters[start] == _NEWLINE:
            start += 1


@njit(cache=True, nogil=True)
def _marks(characters: U32, flags: U16, offsets: I64, starts: I32, stops: I32, result: I64) -> None:
    """Lines that start with a bullet (`•` or `-`) and lines that end with an ellipsis, white space aside."""
    for document in range(len(offsets) - 1):
        row = result[document]
        row[14] = offsets[document + 1] - offsets[document]
        for line in range(offsets[document], offsets[document + 1]):
            first, last = strip(characters, flags, starts[line], stops[line])
            if last > first:
                if characters[first] == _BULLET or characters[first] == _DASH:
                    row[12] += 1
                if ends_with_ellipsis(characters, first, last):
                    row[13] += 1
