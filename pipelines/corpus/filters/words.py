"""Words: flat arrays over a block of documents, no Python object for any of them.

In: a `TextBlock`. One pass finds the words of every document, with a 64-bit hash and flags for each, so that n-grams
are made of hashes and never of strings. Out: `Words`. Cost: 50 to 70 MB/s of UTF-8 on one core, 17 bytes for each word.

The rule, in this order (close to what English spaCy pipelines count, with no dictionary but a list of abbreviations):

1. White space separates chunks. A character of a script without spaces (Han, kana, Thai, ...), a full-width
   punctuation mark or a pictograph is a word by itself wherever it stands, with the marks that follow it: for Chinese a
   word is a character, so n-grams are character n-grams. Bigram units would depend on where a run starts.
2. Punctuation at the edges of a chunk is split off, one word each, a run of periods being one word. A final period
   stays with an abbreviation: a listed one, a single letter, or a dotted one such as `e.g.` and `U.S.`
3. English clitics are split: `it's` is `it` + `'s`, `don't` is `do` + `n't`.
4. Inside, a chunk is split at a comma between letters, a hyphen or dash after a letter or digit and before a letter,
   `:<>=/` before a letter, an operator between digits, a period between a lower-case and an upper-case letter, and a
   run of periods; at its end, a unit after a digit (`50kg`). A link (letters and `://`, or a host name with a path) is
   one word.
5. Two or three marks side by side that make an emoticon or a doubled quote are one word, as is a lone lower-case letter
   with its period.

A word never contains white space, so it never crosses a line.
"""

from collections.abc import Sequence
from functools import cache
from typing import Final, NamedTuple

import numpy as np
from numba import njit

from pipelines.core.fingerprint import Algorithm
from pipelines.corpus.filters.blocks import (
    HASH_FACTOR,
    HASH_START,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    TextBlock,
    hash_span,
    hash_words,
    mix,
)
from pipelines.corpus.filters.characters import (
    DIGIT,
    HYPHEN,
    LETTER,
    LOWER,
    MARK,
    PREFIX,
    PUNCTUATION,
    QUOTE,
    SENTENCE_END,
    SOLO,
    SPACE,
    SUFFIX,
    SYMBOL,
    UPPER,
)

SEGMENTATION: Final = Algorithm("word_segmentation", 2)

HAS_LETTER: Final = 1
NOT_SYMBOL: Final = 2
ENDS_SENTENCE: Final = 4
IS_PUNCTUATION: Final = 8

_ABBREVIATIONS = (
    "Adm Apr Ariz Ark Aug Bros Calif Capt Co co Col Colo Conn Corp Dec Del Dept Dr Feb Fla Ga Gen Gov Hon Ill Inc Ind "
    "Jan Jr Jul Jun Kan Ky Lt Ltd Mar Mass Md Messrs Mich Minn Miss Mo Mont Mr Mrs Ms Mt Neb Nev Nov Oct Okla Ore Pa "
    "Prof Rep Rev Sen Sep Sept Sgt Sr St Tenn Va Wash Wis vs Ph.D"
)
_UNITS = "km m dm cm mm nm µm ha yd in ft kg g mg µg t lb oz kmh mph hPa Pa mbar mb MB kb KB gb GB tb TB T G M K am pm"
_EMOTICONS = (
    "'' ’’ (: (; (= ): :( :) :* :/ :> :] :| :} ;) <. =( =) =/ =[ =] =| [: ]= 8) <3 :0 :1 :3 :D :O :P :X :o :p :x 8D "
    ";D =3 =D :-) :-( :-/ :-> :-] :-| :-} :-* :-D :-O :-P :-X :-o :-p :-x ;-) ;-D (-: (-; )-: [-: :'( :') :(( :)) "
    "<33 >:( >:o"
)

_DOT, _APOSTROPHE, _RIGHT_QUOTE, _PLUS, _PERCENT, _SLASH, _COLON = 0x2E, 0x27, 0x2019, 0x2B, 0x25, 0x2F, 0x3A
_LOWER_T, _LOWER_N, _LOWER_W = 0x74, 0x6E, 0x77


class Words(NamedTuple):
    """Word w is `characters[starts[w]:stops[w]]`; document d has the words `offsets[d]:offsets[d + 1]`."""

    offsets: I64
    starts: I32
    stops: I32
    hashes: U64
    flags: U8


def segment_words(block: TextBlock, flags: U16) -> Words:
    """Find the words of every document of a block; the arrays are as long as the number of words.

    `flags` is `character_flags()`, or `running_flags()` for words that only white space and punctuation separate.
    """
    size = len(block.characters)
    starts, stops, kinds = np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.uint8)
    hashes, offsets = np.empty(size, np.uint64), np.empty(len(block.offsets), np.int64)
    total = _segment(block.characters, block.offsets, flags, abbreviations(), offsets, starts, stops, hashes, kinds)
    return Words(offsets, starts[:total], stops[:total], hashes[:total], kinds[:total])


def given_words(block: TextBlock, lists: Sequence[Sequence[str]], flags: U16) -> Words:
    """The words that another segmenter found: `lists[d]` are those of document d of the block, in text order.

    Raises ValueError for a word that does not stand in what is left of its document's text.
    """
    total = sum(map(len, lists))
    offsets = np.concatenate(([0], np.cumsum([len(words) for words in lists], dtype=np.int64)))
    starts, stops = np.empty(total, np.int32), np.empty(total, np.int32)
    hashes, kinds = np.empty(total, np.uint64), np.empty(total, np.uint8)
    count = 0
    for document, words in enumerate(lists):
        first, last = block.offsets[document], block.offsets[document + 1]
        text, place = block.characters[first:last].tobytes().decode("utf-32-le"), 0
        for word in words:
            found = text.find(word, place)
            if found < 0 or not word:
                raise ValueError(
                    f"document {block.first + document}: the word {word!r} is not in its text after {place}"
                )
            place = found + len(word)
            starts[count], stops[count] = first + found, first + place
            count += 1
    _describe(block.characters, flags, starts, stops, hashes, kinds)
    return Words(offsets, starts, stops, hashes, kinds)


@cache
def abbreviations() -> U64:
    """Sorted hashes of the listed words: abbreviations, which keep their period, units and emoticons."""
    return np.sort(hash_words([name + "." for name in _ABBREVIATIONS.split()] + (_UNITS + " " + _EMOTICONS).split()))


@njit(cache=True, nogil=True)
def _is_abbreviation(characters: U32, flags: U16, start: int, stop: int, table: U64) -> bool:
    """Does `characters[start:stop]`, which ends with a period, keep it?"""
    length = stop - start
    if length > 7:
        return False
    if length >= 4 and characters[stop - 3] == _DOT and flags[characters[stop - 2]] & LETTER:
        return True
    return _is_listed(characters, start, stop, table)


@njit(cache=True, nogil=True)
def _is_listed(characters: U32, start: int, stop: int, table: U64) -> bool:
    value = hash_span(characters, start, stop)
    place = np.searchsorted(table, value)
    return bool(place < len(table) and table[place] == value)


@njit(cache=True, nogil=True)
def _clitic(characters: U32, start: int, stop: int) -> int:
    """Where the English clitic at the end of `characters[start:stop]` begins; `stop` when there is none."""
    for back in (2, 3):
        mark = stop - back
        if mark <= start or (characters[mark] != _APOSTROPHE and characters[mark] != _RIGHT_QUOTE):
            continue
        last = characters[stop - 1] | 0x20
        if back == 2:
            if last == _LOWER_T and (characters[mark - 1] | 0x20) == _LOWER_N:
                return mark - 1 if mark - 1 > start else stop
            if last == 0x73 or last == 0x64 or last == 0x6D:
                return mark
        else:
            first = characters[stop - 2] | 0x20
            if (first == 0x6C and last == 0x6C) or ((first == 0x72 or first == 0x76) and last == 0x65):
                return mark
    return stop


@njit(cache=True, nogil=True)
def _suffix_start(characters: U32, flags: U16, start: int, stop: int, table: U64) -> int:
    """Where the punctuation at the end of the chunk `characters[start:stop]` begins."""
    tail = stop
    while tail > start:
        character = characters[tail - 1]
        if flags[character] & SUFFIX:
            tail -= 1
            continue
        before = flags[characters[tail - 2]] if tail - 2 >= start else 0
        if character == _DOT and tail - 2 >= start:
            previous = characters[tail - 2]
            if previous == _DOT:
                while tail > start and characters[tail - 1] == _DOT:
                    tail -= 1
                continue
            if _is_abbreviation(characters, flags, start, tail, table):
                break
            if before & UPPER:
                if tail - 3 >= start and flags[characters[tail - 3]] & UPPER:
                    tail -= 1
                    continue
                break
            if before & (LETTER | DIGIT | SUFFIX | MARK) and tail - 2 > start:
                tail -= 1
                continue
            if before & (DIGIT | SUFFIX) or previous in (_PERCENT, _PLUS):
                tail -= 1
                continue
            break
        if before & DIGIT and (character == _PLUS or (flags[character] & PREFIX and not flags[character] & SUFFIX)):
            tail -= 1
            continue
        if (
            (character | 0x20) == 0x73
            and tail - 2 > start
            and (characters[tail - 2] == _APOSTROPHE or characters[tail - 2] == _RIGHT_QUOTE)
        ):
            tail -= 2
            continue
        if flags[character] & LETTER and flags[characters[start]] & (DIGIT | PUNCTUATION | SYMBOL):
            unit = tail - 1
            while unit > start and tail - unit < 4 and flags[characters[unit - 1]] & LETTER:
                unit -= 1
            if unit > start and flags[characters[unit - 1]] & DIGIT and _is_listed(characters, unit, tail, table):
                tail = unit
                continue
        break
    return tail


@njit(cache=True, nogil=True)
def _is_link(characters: U32, flags: U16, start: int, stop: int) -> bool:
    if (
        stop - start > 4
        and characters[start] == _LOWER_W
        and characters[start + 1] == _LOWER_W
        and characters[start + 2] == _LOWER_W
        and characters[start + 3] == _DOT
    ):
        return True
    index = start
    while index < stop and flags[characters[index]] & LETTER:
        index += 1
    if index > start and index + 2 < stop and characters[index] == _COLON:
        return bool(characters[index + 1] == _SLASH and characters[index + 2] == _SLASH)
    return _is_host(characters, flags, start, stop)


@njit(cache=True, nogil=True)
def _is_host(characters: U32, flags: U16, start: int, stop: int) -> bool:
    """Labels with periods between them, the last of two letters or more and none of them upper-case, and perhaps a
    port, a path, a query or a fragment."""
    label, index = start, start
    letters = False
    while index < stop:
        kind = flags[characters[index]]
        if characters[index] == _DOT:
            if index == label or flags[characters[index - 1]] & PUNCTUATION:
                return False
            label, letters = index + 1, True
        elif kind & (LETTER | DIGIT):
            letters = letters and bool(kind & LETTER and not kind & UPPER)
        elif (characters[index] == 0x2D or characters[index] == 0x5F) and index > label:
            letters = False
        else:
            break
        index += 1
    if label == start or not letters or index - label < 2:
        return False
    if index < stop and characters[index] == _COLON:
        index += 1
        while index < stop and flags[characters[index]] & DIGIT:
            index += 1
        if flags[characters[index - 1]] & PUNCTUATION:
            return False
    return bool(index == stop or characters[index] in (_SLASH, 0x3F, 0x23))


@njit(cache=True, nogil=True)
def _infix(characters: U32, flags: U16, start: int, index: int, stop: int) -> int:
    """The length of the separator at `index` inside the core `characters[start:stop]`; 0 when there is none."""
    character = characters[index]
    kind = flags[character]
    if kind & (LETTER | DIGIT) or index + 1 >= stop:
        return 0
    after, before = flags[characters[index + 1]], flags[characters[index - 1]]
    if character == _DOT:
        length = 1
        while index + length < stop and characters[index + length] == _DOT:
            length += 1
        if length > 1:
            return length
        low = before & (LOWER | QUOTE) or (before & LETTER and not before & UPPER)  # letters without case count as both
        return 1 if low and (after & (UPPER | QUOTE) or (after & LETTER and not after & LOWER)) else 0
    if character == 0x2026:
        return 1
    if kind & HYPHEN:
        length = 1
        while length < 3 and index + length < stop and characters[index + length] == character:
            length += 1
        if before & (LETTER | DIGIT) and index + length < stop and flags[characters[index + length]] & LETTER:
            return length
    if character == 0x2B or character == 0x2D or character == 0x2A or character == 0x5E:
        return 1 if before & DIGIT and (after & DIGIT or characters[index + 1] == 0x2D) else 0
    if character == 0x2C:
        return 1 if before & LETTER and after & LETTER else 0
    if character in (_COLON, _SLASH, 0x3C, 0x3D, 0x3E):
        return 1 if before & (LETTER | DIGIT) and after & LETTER else 0
    return 0


@njit(cache=True, nogil=True)
def _emit(
    characters: U32, flags: U16, start: int, stop: int, starts: I32, stops: I32, hashes: U64, kinds: U8, count: int
) -> int:
    value = HASH_START
    every, either, symbols = np.uint16(0xFFFF), np.uint16(0), np.uint16(0xFFFF)
    for index in range(start, stop):
        character = characters[index]
        value = (value ^ np.uint64(character)) * HASH_FACTOR
        value ^= value >> np.uint64(29)
        kind = flags[character]
        either |= kind
        every &= kind
        symbols &= kind
    result = 0
    if either & LETTER:
        result |= HAS_LETTER
    if not symbols & SYMBOL:
        result |= NOT_SYMBOL
    if every & SENTENCE_END and (stop - start == 1 or characters[start] != _DOT):
        result |= ENDS_SENTENCE
    if every & PUNCTUATION:
        result |= IS_PUNCTUATION
    starts[count], stops[count], hashes[count], kinds[count] = start, stop, mix(value), result
    return count + 1


@njit(cache=True, nogil=True)
def _describe(characters: U32, flags: U16, starts: I32, stops: I32, hashes: U64, kinds: U8) -> None:
    for word in range(len(starts)):
        _emit(characters, flags, starts[word], stops[word], starts, stops, hashes, kinds, word)


@njit(cache=True, nogil=True)
def _join(
    characters: U32, flags: U16, first: int, count: int, table: U64, starts: I32, stops: I32, hashes: U64, kinds: U8
) -> int:
    """Join words `first:count` of one chunk where two or three of them make a listed emoticon, and `t` with its `.`."""
    read, write = first, first
    while read < count:
        size = 1
        if stops[read] - starts[read] == 1:
            for wanted in (3, 2):
                last = read + wanted - 1
                if last < count and stops[last] - starts[read] == wanted:
                    lone = wanted == 2 and flags[characters[starts[read]]] & LOWER and characters[starts[last]] == _DOT
                    if lone or _is_listed(characters, starts[read], stops[last], table):
                        size = wanted
                        break
        if size > 1:
            _emit(characters, flags, starts[read], stops[read + size - 1], starts, stops, hashes, kinds, write)
        elif write < read:
            starts[write], stops[write] = starts[read], stops[read]
            hashes[write], kinds[write] = hashes[read], kinds[read]
        read += size
        write += 1
    return write


@njit(cache=True, nogil=True)
def _edge(characters: U32, flags: U16, start: int, stop: int) -> int:
    """The end of the word at `start` behind a chunk: a run of periods, `'s`, a unit, or one character."""
    if flags[characters[start]] & LETTER:
        end = start
        while end < stop and flags[characters[end]] & LETTER:
            end += 1
        return end
    if characters[start] == _DOT:
        end = start
        while end < stop and characters[end] == _DOT:
            end += 1
        return end
    if start + 1 < stop and (characters[start + 1] | 0x20) == 0x73:
        return start + 2
    return start + 1


@njit(cache=True, nogil=True)
def words_of(
    characters: U32,
    flags: U16,
    begin: int,
    end: int,
    table: U64,
    starts: I32,
    stops: I32,
    hashes: U64,
    kinds: U8,
    count: int,
) -> int:
    """Append the words of `characters[begin:end]` at index `count` of the four arrays; returns the new count."""
    position = begin
    while position < end:
        kind = flags[characters[position]]
        if kind & SPACE:
            position += 1
            continue
        if kind & SOLO:
            stop = position + 1
            while stop < end and flags[characters[stop]] & MARK:
                stop += 1
            count = _emit(characters, flags, position, stop, starts, stops, hashes, kinds, count)
            position = stop
            continue
        stop = position + 1
        inner = False
        while stop < end:
            kind = flags[characters[stop]]
            if kind & (SPACE | SOLO):
                break
            inner = inner or not kind & LETTER
            stop += 1
        core, first = position, count
        while core < stop and _clitic(characters, core - 1, stop) != core:
            plus = characters[core] == _PLUS and core + 1 < stop and not flags[characters[core + 1]] & DIGIT
            if not plus and not flags[characters[core]] & PREFIX:
                break
            count = _emit(characters, flags, core, core + 1, starts, stops, hashes, kinds, count)
            core += 1
        if core + 1 < stop and characters[core] == _DOT and characters[core + 1] == _DOT:
            dots = core
            while core < stop and characters[core] == _DOT:
                core += 1
            count = _emit(characters, flags, dots, core, starts, stops, hashes, kinds, count)
        if core < stop and not inner:
            count = _emit(characters, flags, core, stop, starts, stops, hashes, kinds, count)
            position = stop
            continue
        tail = _suffix_start(characters, flags, core, stop, table)
        if tail > core:
            clitic = _clitic(characters, core, tail)
            piece, index = core, core + 1
            dotted = characters[tail - 1] == _DOT and _is_abbreviation(characters, flags, core, tail, table)
            if not dotted and not _is_link(characters, flags, core, tail):
                while index < clitic:
                    length = _infix(characters, flags, piece, index, clitic)
                    if length:
                        if index > piece:
                            count = _emit(characters, flags, piece, index, starts, stops, hashes, kinds, count)
                        count = _emit(characters, flags, index, index + length, starts, stops, hashes, kinds, count)
                        index += length
                        piece = index
                    else:
                        index += 1
            if piece < clitic:
                count = _emit(characters, flags, piece, clitic, starts, stops, hashes, kinds, count)
            if clitic < tail:
                count = _emit(characters, flags, clitic, tail, starts, stops, hashes, kinds, count)
        while tail < stop:
            after = _edge(characters, flags, tail, stop)
            count = _emit(characters, flags, tail, after, starts, stops, hashes, kinds, count)
            tail = after
        if count > first + 1:
            count = _join(characters, flags, first, count, table, starts, stops, hashes, kinds)
        position = stop
    return count


@njit(cache=True, nogil=True)
def _segment(
    characters: U32, bounds: I64, flags: U16, table: U64, offsets: I64, starts: I32, stops: I32, hashes: U64, kinds: U8
) -> int:
    count = 0
    offsets[0] = 0
    for document in range(len(bounds) - 1):
        count = words_of(
            characters, flags, bounds[document], bounds[document + 1], table, starts, stops, hashes, kinds, count
        )
        offsets[document + 1] = count
    return count
