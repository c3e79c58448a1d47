"""Marks that HTML and wrong encodings left in a text, counted in one pass over its characters.

A *tag* is `<`, perhaps `/`, the name of an HTML element and, within 2,000 characters and before another `<`, a `>`:
so a generic type such as `List<String>` is none. An *entity* is a named (HTML 5) or numeric character reference with
its semicolon. *Mojibake* is UTF-8 that was read as Latin-1 or Windows-1252 (a lead byte's character and as many
continuation bytes' characters as it asks for; of the two-byte leads only U+00C2 and U+00C3, whose pairs are no ordinary
spelling), or one of the runs that broken Chinese text is known by.
"""

import html.entities
from functools import cache
from typing import Final

import numpy as np
from numba import njit

from pipelines.corpus.filters.blocks import HASH_FACTOR, HASH_START, I64, U16, U32, U64, hash_words, mix
from pipelines.corpus.filters.c4 import lower, matches
from pipelines.corpus.filters.characters import DIGIT

_ELEMENTS: Final = (
    "a abbr acronym address applet area article aside audio b base basefont bdi bdo big blink blockquote body br "
    "button canvas caption center cite code col colgroup dd del details dfn dialog dir div dl dt em embed fieldset "
    "figcaption figure font footer form frame frameset h1 h2 h3 h4 h5 h6 head header hr html i iframe img input ins "
    "kbd label legend li link main map mark marquee meta meter nav nobr noframes noscript object ol optgroup option "
    "output p param picture pre progress q s samp script section select small source span strike strong style sub "
    "summary sup svg table tbody td template textarea tfoot th thead time title tr track tt u ul var video wbr"
)
_MAX_TAG, _MAX_NAME = 2000, 34
_WINDOWS: Final = "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
"""What Windows-1252 shows for the bytes 0x80 to 0x9F."""


@cache
def element_hashes() -> U64:
    return np.sort(hash_words(_ELEMENTS.split()))


@cache
def entity_hashes() -> U64:
    return np.sort(hash_words([name[:-1] for name in html.entities.html5 if name.endswith(";")]))


@cache
def windows_characters() -> U32:
    return np.sort(np.array([ord(character) for character in _WINDOWS], np.uint32))


def count_markup(
    characters: U32, offsets: I64, flags: U16, elements: U64, entities: U64, runs: U32, result: I64
) -> None:
    """Fill result[documents, 6]: tags, characters in them, entities, controls, zero-width characters, mojibake."""
    _count_markup(characters, offsets, flags, elements, entities, runs, windows_characters(), result)


@njit(cache=True, nogil=True)
def _in_table(value: np.uint64, table: U64) -> bool:
    place = np.searchsorted(table, value)
    return bool(place < len(table) and table[place] == value)


@njit(cache=True, nogil=True)
def _alphanumeric(code: np.uint32) -> bool:
    return bool((code >= 48 and code <= 57) or (code >= 65 and code <= 90) or (code >= 97 and code <= 122))


@njit(cache=True, nogil=True)
def _tag(characters: U32, index: int, end: int, elements: U64) -> int:
    """The length of the tag at `index`, which holds `<`; 0 when it is none."""
    place = index + 1
    if place < end and characters[place] == 0x2F:
        place += 1
    value, first = HASH_START, place
    while place < end and place - first < _MAX_NAME and _alphanumeric(characters[place]):
        value = (value ^ np.uint64(lower(characters[place]))) * HASH_FACTOR
        value ^= value >> np.uint64(29)
        place += 1
    if place in (first, end) or not _in_table(mix(value), elements):
        return 0
    after = characters[place]
    if after != 0x3E and after != 0x2F and after != 0x20 and after != 0x0A and after != 0x09:
        return 0
    while place < end and place - index < _MAX_TAG:
        if characters[place] == 0x3E:
            return place + 1 - index
        if characters[place] == 0x3C:
            return 0
        place += 1
    return 0


@njit(cache=True, nogil=True)
def _entity(characters: U32, flags: U16, index: int, end: int, entities: U64) -> int:
    """The length of the character reference at `index`, which holds `&`; 0 when it is none."""
    place = index + 1
    if place < end and characters[place] == 0x23:
        place += 1
        decimal = place >= end or (characters[place] | 0x20) != 0x78
        place += not decimal
        first = place
        while place < end and place - first < 8 and _alphanumeric(characters[place]):
            if not flags[characters[place]] & DIGIT and (decimal or (characters[place] | 0x20) > 0x66):
                return 0
            place += 1
        return place + 1 - index if place > first and place < end and characters[place] == 0x3B else 0
    value, first = HASH_START, place
    while place < end and place - first < _MAX_NAME and _alphanumeric(characters[place]):
        value = (value ^ np.uint64(characters[place])) * HASH_FACTOR
        value ^= value >> np.uint64(29)
        place += 1
    if place in (first, end) or characters[place] != 0x3B or not _in_table(mix(value), entities):
        return 0
    return place + 1 - index


@njit(cache=True, nogil=True)
def _continues(characters: U32, index: int, windows: U32) -> bool:
    """Is this what a continuation byte (0x80 to 0xBF) looks like in Latin-1 or Windows-1252?"""
    code = characters[index]
    if code >= 0x80 and code <= 0xBF:
        return True
    place = np.searchsorted(windows, code)
    return bool(place < len(windows) and windows[place] == code)


@njit(cache=True, nogil=True)
def _mojibake(characters: U32, index: int, end: int, windows: U32) -> int:
    """The length of UTF-8 read as Latin-1 at `index`; 0 when there is none."""
    code = characters[index]
    wanted = 0
    if code == 0xC2 or code == 0xC3:
        wanted = 1
    elif code >= 0xE0 and code <= 0xEF:
        wanted = 2
    elif code >= 0xF0 and code <= 0xF4:
        wanted = 3
    if not wanted or index + wanted >= end:
        return 0
    for step in range(1, wanted + 1):
        if not _continues(characters, index + step, windows):
            return 0
    return wanted + 1


@njit(cache=True, nogil=True)
def _count_markup(
    characters: U32, offsets: I64, flags: U16, elements: U64, entities: U64, runs: U32, windows: U32, result: I64
) -> None:
    for document in range(len(offsets) - 1):
        row = result[document]
        index, end = offsets[document], offsets[document + 1]
        while index < end:
            code = characters[index]
            step = 1
            if code == 0x3C:
                length = _tag(characters, index, end, elements)
                if length:
                    row[0] += 1
                    row[1] += length
                    step = length
            elif code == 0x26:
                length = _entity(characters, flags, index, end, entities)
                if length:
                    row[2] += 1
                    step = length
            elif code < 0x20 or (code >= 0x7F and code < 0xA0):
                row[3] += code != 0x09 and code != 0x0A and code != 0x0D and code != 0x85
            elif code == 0x200B or code == 0x2060 or code == 0xFEFF or code == 0xAD:
                row[4] += 1
            elif code >= 0xC2 and code <= 0xF4:
                length = _mojibake(characters, index, end, windows)
                if length:
                    row[5] += 1
                    step = length
            elif code >= 0x4E00 and code <= 0x9FFF:
                for run in range(len(runs)):
                    if characters[index] == runs[run, 0] and matches(characters, index, end, runs[run]):
                        row[5] += 1
                        step = 3
                        break
            index += step
