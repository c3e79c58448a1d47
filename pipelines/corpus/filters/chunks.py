"""Inside a chunk, the characters between two runs of white space: what splits off, what stays together.

Each kernel looks at one span of code points and answers one question of the rule that `words` describes: does a period
stay, where do the marks at the end begin, is this a link, how long is the separator here. The lists are short:
abbreviations, units and emoticons, found by their hashes in one sorted table.
"""

from functools import cache

import numpy as np
from numba import njit

from pipelines.corpus.filters.blocks import U16, U32, U64, hash_span, hash_words
from pipelines.corpus.filters.characters import (
    DIGIT,
    HYPHEN,
    LETTER,
    LOWER,
    MARK,
    PREFIX,
    PUNCTUATION,
    QUOTE,
    SUFFIX,
    SYMBOL,
    UPPER,
)

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

DOT, _APOSTROPHE, _RIGHT_QUOTE, PLUS, _PERCENT, _SLASH, _COLON = 0x2E, 0x27, 0x2019, 0x2B, 0x25, 0x2F, 0x3A
_LOWER_T, _LOWER_N, _LOWER_W = 0x74, 0x6E, 0x77


@cache
def abbreviations() -> U64:
    """Sorted hashes of the listed words: abbreviations, which keep their period, units and emoticons."""
    return np.sort(hash_words([name + "." for name in _ABBREVIATIONS.split()] + (_UNITS + " " + _EMOTICONS).split()))


@njit(cache=True, nogil=True)
def is_abbreviation(characters: U32, flags: U16, start: int, stop: int, table: U64) -> bool:
    """Does `characters[start:stop]`, which ends with a period, keep it?"""
    length = stop - start
    if length > 7:
        return False
    if length >= 4 and characters[stop - 3] == DOT and flags[characters[stop - 2]] & LETTER:
        return True
    return is_listed(characters, start, stop, table)


@njit(cache=True, nogil=True)
def is_listed(characters: U32, start: int, stop: int, table: U64) -> bool:
    """Is `characters[start:stop]` in the table of `abbreviations`?"""
    value = hash_span(characters, start, stop)
    place = np.searchsorted(table, value)
    return bool(place < len(table) and table[place] == value)


@njit(cache=True, nogil=True)
def clitic(characters: U32, start: int, stop: int) -> int:
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
def suffix_start(characters: U32, flags: U16, start: int, stop: int, table: U64) -> int:
    """Where the punctuation at the end of the chunk `characters[start:stop]` begins."""
    tail = stop
    while tail > start:
        character = characters[tail - 1]
        if flags[character] & SUFFIX:
            tail -= 1
            continue
        before = flags[characters[tail - 2]] if tail - 2 >= start else 0
        if character == DOT and tail - 2 >= start:
            previous = characters[tail - 2]
            if previous == DOT:
                while tail > start and characters[tail - 1] == DOT:
                    tail -= 1
                continue
            if is_abbreviation(characters, flags, start, tail, table):
                break
            if before & UPPER:
                if tail - 3 >= start and flags[characters[tail - 3]] & UPPER:
                    tail -= 1
                    continue
                break
            if before & (LETTER | DIGIT | SUFFIX | MARK) and tail - 2 > start:
                tail -= 1
                continue
            if before & (DIGIT | SUFFIX) or previous in (_PERCENT, PLUS):
                tail -= 1
                continue
            break
        if before & DIGIT and (character == PLUS or (flags[character] & PREFIX and not flags[character] & SUFFIX)):
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
            if unit > start and flags[characters[unit - 1]] & DIGIT and is_listed(characters, unit, tail, table):
                tail = unit
                continue
        break
    return tail


@njit(cache=True, nogil=True)
def is_link(characters: U32, flags: U16, start: int, stop: int) -> bool:
    """Letters and `://`, `www.`, or a host name with or without a path."""
    if (
        stop - start > 4
        and characters[start] == _LOWER_W
        and characters[start + 1] == _LOWER_W
        and characters[start + 2] == _LOWER_W
        and characters[start + 3] == DOT
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
        if characters[index] == DOT:
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
def infix(characters: U32, flags: U16, start: int, index: int, stop: int) -> int:
    """The length of the separator at `index` inside the core `characters[start:stop]`; 0 when there is none."""
    character = characters[index]
    kind = flags[character]
    if kind & (LETTER | DIGIT) or index + 1 >= stop:
        return 0
    after, before = flags[characters[index + 1]], flags[characters[index - 1]]
    if character == DOT:
        length = 1
        while index + length < stop and characters[index + length] == DOT:
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
def edge(characters: U32, flags: U16, start: int, stop: int) -> int:
    """The end of the word at `start` behind a chunk: a run of periods, `'s`, a unit, or one character."""
    if flags[characters[start]] & LETTER:
        end = start
        while end < stop and flags[characters[end]] & LETTER:
            end += 1
        return end
    if characters[start] == DOT:
        end = start
        while end < stop and characters[end] == DOT:
            end += 1
        return end
    if start + 1 < stop and (characters[start + 1] | 0x20) == 0x73:
        return start + 2
    return start + 1
