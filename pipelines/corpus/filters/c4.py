"""What C4's line filter would do to each document, counted and never done to the text.

In: a block, its words and its lines. Each line of `str.splitlines`, stripped, meets the rules in the order of the
reference implementations: a word of more than 1,000 characters drops it; citations (`[1]`, `[edit]`, `[citation
needed]`) are taken out; no terminal mark (`. ? ! " '`, not `...`) drops it; fewer than three words drop it; "lorem
ipsum" condemns the page; "javascript" drops it; `{` condemns the page; a policy phrase drops it. The sentences of what
is left are counted, condemning lines among it, so that each rule stands by itself and can be switched off. As in those
implementations a line condemns only if it came so far; the same marks anywhere on the page are counted beside it.
Out: int64[documents, len(C4_COUNTS)], with and without the terminal mark rule (FineWeb uses the latter). A document
decision is made from the counts: the text of a kept document stays whole.
"""

from collections.abc import Sequence
from functools import cache
from typing import Final

import numpy as np
from numba import njit

from pipelines.corpus.filters.blocks import I32, I64, U8, U16, U32, U64, Spans, TextBlock
from pipelines.corpus.filters.characters import DIGIT, SPACE
from pipelines.corpus.filters.chunks import abbreviations
from pipelines.corpus.filters.lines import strip
from pipelines.corpus.filters.words import ENDS_SENTENCE, IS_PUNCTUATION, Words, words_of

C4_COUNTS: Final = (
    "lorem_ipsum_lines",
    "curly_bracket_lines",
    "javascript_lines",
    "policy_lines",
    "c4_dropped_long_word",
    "c4_dropped_no_terminal_mark",
    "c4_dropped_few_words",
    "c4_dropped_javascript",
    "c4_dropped_policy",
    "c4_lorem_ipsum_lines",
    "c4_curly_bracket_lines",
    "c4_kept_lines",
    "c4_kept_characters",
    "c4_sentences",
    "c4_any_ending_lorem_ipsum_lines",
    "c4_any_ending_curly_bracket_lines",
    "c4_any_ending_kept_lines",
    "c4_any_ending_kept_characters",
    "c4_any_ending_sentences",
)
_PHRASES = (
    "lorem ipsum",
    "javascript",
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)
_CITATIONS = ("edit]", "citation needed]")

_LOREM, _JAVASCRIPT, _POLICY, _CURLY = 1, 2, 4, 8
_DOT, _OPEN, _CLOSE, _KELVIN = 0x2E, 0x5B, 0x5D, 0x212A


def c4_counts(block: TextBlock, words: Words, split: Spans, flags: U16, min_words: int, max_word: int) -> I64:
    """int64[documents, len(C4_COUNTS)]; `min_words` a line and `max_word` characters a word are C4's 3 and 1,000.

    `flags` are those that the words were found with: a line that lost a citation is segmented again.
    """
    result = np.zeros((len(block.offsets) - 1, len(C4_COUNTS)), np.int64)
    _c4_counts(
        block.characters, flags, abbreviations(), words.offsets, words.starts, words.flags, split.offsets,
        split.starts, split.stops, phrase_table(_PHRASES), _pairs(), phrase_table(_CITATIONS), min_words, max_word,
        result,
    )  # fmt: skip
    return result


def phrase_table(phrases: Sequence[str]) -> U32:
    """Phrases as rows of code points, padded with zeros: uint32[phrases, longest + 1]."""
    table = np.zeros((len(phrases), max(map(len, phrases)) + 1), np.uint32)
    for row, phrase in enumerate(phrases):
        table[row, : len(phrase)] = [ord(character) for character in phrase]
    return table


@cache
def _pairs() -> U8:
    table = np.zeros(1 << 14, np.uint8)
    table[[ord(phrase[0]) << 7 | ord(phrase[1]) for phrase in _PHRASES]] = 1
    return table


@njit(cache=True, nogil=True)
def lower(character: np.uint32) -> np.uint32:
    """Lower case as far as the phrases need it: ASCII, and the Kelvin sign, whose lower case is `k`."""
    if character >= 65 and character <= 90:
        return np.uint32(character + 32)
    return np.uint32(0x6B) if character == _KELVIN else character


@njit(cache=True, nogil=True)
def matches(line: U32, index: int, length: int, phrase: U32) -> bool:
    """Does the lower-case `phrase` stand at `index`, before `length`, in any case?"""
    place = 0
    while phrase[place]:
        if index + place >= length or lower(line[index + place]) != phrase[place]:
            return False
        place += 1
    return True


@njit(cache=True, nogil=True)
def _citation(characters: U32, flags: U16, index: int, stop: int, citations: U32) -> int:
    """The length of the citation at `index`: `[`, decimal digits or none, `]`; or a named one, case as written."""
    end = index + 1
    while end < stop and flags[characters[end]] & DIGIT:
        end += 1
    if end < stop and characters[end] == _CLOSE:
        return end + 1 - index
    for row in range(len(citations)):
        place = 0
        while (
            citations[row, place]
            and index + 1 + place < stop
            and characters[index + 1 + place] == citations[row, place]
        ):
            place += 1
        if not citations[row, place]:
            return place + 1
    return 0


@njit(cache=True, nogil=True)
def _findings(line: U32, length: int, phrases: U32, pairs: U8) -> int:
    """Bits of what the line holds: lorem ipsum, javascript, a policy phrase, a curly bracket.

    `pairs[128 * a + b]` is 1 where a phrase begins with the letters a and b: a phrase is tried at 2 % of all places.
    """
    found = 0
    before = np.uint32(0)
    for index in range(length):
        code = lower(line[index])
        if code > 0x7F:
            before = np.uint32(0)
            continue
        if code == 0x7B:
            found |= _CURLY
        if pairs[(before << np.uint32(7)) | code]:
            for row in range(len(phrases)):
                if matches(line, index - 1, length, phrases[row]):
                    found |= _LOREM if row == 0 else _JAVASCRIPT if row == 1 else _POLICY
        before = code
    return found


@njit(cache=True, nogil=True)
def count_sentences(kinds: U8, first: int, last: int) -> int:
    """Sentences among the words `first:last`: a new one begins at the first plain word after a terminal mark."""
    total, ended = 0, False
    for word in range(first, last):
        if kinds[word] & ENDS_SENTENCE:
            ended = True
        elif ended and not kinds[word] & IS_PUNCTUATION:
            total += 1
            ended = False
    return total + 1 if last > first else 0


@njit(cache=True, nogil=True)
def _sentences_of(line: U32, length: int, flags: U16, table: U64) -> int:
    """Sentences of a line that lost a citation: its words have to be found again."""
    starts, stops = np.empty(length, np.int32), np.empty(length, np.int32)
    hashes, kinds = np.empty(length, np.uint64), np.empty(length, np.uint8)
    return count_sentences(kinds, 0, words_of(line, flags, 0, length, table, starts, stops, hashes, kinds, 0))


@njit(cache=True, nogil=True)
def _c4_counts(
    characters: U32, flags: U16, table: U64, word_offsets: I64, word_starts: I32, kinds: U8, line_offsets: I64,
    line_starts: I32, line_stops: I32, phrases: U32, pairs: U8, citations: U32, min_words: int, max_word: int,
    result: I64,
) -> None:  # fmt: skip
    text = np.empty(256, np.uint32)
    for document in range(len(line_offsets) - 1):
        row = result[document]
        word = word_offsets[document]
        for line in range(line_offsets[document], line_offsets[document + 1]):
            first, last = strip(characters, flags, line_starts[line], line_stops[line])
            if first == last:
                row[5] += 1
                continue
            if last - first > len(text):
                text = np.empty(2 * (last - first), np.uint32)
            chunks, run, longest, length, cited = 0, 0, 0, 0, -1
            for index in range(first, last):
                code = characters[index]
                if flags[code] & SPACE:
                    run = 0
                else:
                    chunks += run == 0
                    run += 1
                    longest = max(longest, run)
                if code == _OPEN and index > cited:
                    skip = _citation(characters, flags, index, last, citations)
                    if skip:
                        cited = index + skip - 1
                if index > cited:
                    text[length] = code
                    length += 1
            first_word = word
            while word < word_offsets[document + 1] and word_starts[word] < last:
                word += 1
            _judge(
                text, length, flags, table, kinds, first_word, word, cited >= 0, chunks, longest > max_word, min_words,
                _findings(text, length, phrases, pairs), row,
            )  # fmt: skip


@njit(cache=True, nogil=True)
def _judge(
    line: U32, length: int, flags: U16, table: U64, kinds: U8, first_word: int, last_word: int, cited: bool,
    chunks: int, too_long: bool, min_words: int, found: int, row: I64,
) -> None:  # fmt: skip
    """Count one line that is not blank. `found` are the bits of `_findings`, `row` is the document's row of counts."""
    row[0] += (found & _LOREM) > 0
    row[1] += (found & _CURLY) > 0
    row[2] += (found & _JAVASCRIPT) > 0
    row[3] += (found & _POLICY) > 0
    if too_long:
        row[4] += 1
        return
    mark = line[length - 1] if length else np.uint32(0)
    ended = mark == _DOT or mark == 0x3F or mark == 0x21 or mark == 0x22 or mark == 0x27
    if mark == _DOT and length >= 3 and line[length - 2] == _DOT and line[length - 3] == _DOT:
        ended = False
    row[5] += not ended
    if chunks < min_words:
        row[6] += ended
        return
    if found & _LOREM:
        row[9] += ended
        row[14] += 1
    if found & _JAVASCRIPT:
        row[7] += ended
        return
    if found & _CURLY:
        row[10] += ended
        row[15] += 1
    if found & _POLICY:
        row[8] += ended
        return
    sentences = _sentences_of(line, length, flags, table) if cited else count_sentences(kinds, first_word, last_word)
    row[16] += 1
    row[17] += length
    row[18] += sentences
    if ended:
        row[11] += 1
        row[12] += length
        row[13] += sentences
