"""Words of Chinese by jieba's dictionary and its model of unknown words, compiled.

In: code points. Run by run of Han characters, ASCII letters, digits and `+ # & . _ % -`: 1. all dictionary words at
every place, from one hash table of words and their beginnings; 2. the path of the largest probability, from the end to
the start; 3. characters that stay alone side by side are cut by the hidden Markov model (begin, middle, end, single)
unless together they are a dictionary word, so that names come out whole, and letters and digits among them by their
kind. Any other character is a word but for white space. Out: the words' places.

Probabilities are those of the installed package `jieba` (extra `chinese`), read as data; its pickles are not opened.
The words are those of its `cut`, white space left out. Cost: 1 s to load, once a process, and 8 MB, then time linear in
the text whatever it says; `tests/benchmarks/bench_chinese.py` measures it beside jieba.
"""

import math
import sys
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from pipelines.core.errors import GristmillError
from pipelines.core.fingerprint import Algorithm

AFTER_SPACES: Final = 0x3001
"""The ideographic space is the last one."""
FIRST_HAN, AFTER_HAN = 0x4E00, 0x9FD6
"""What jieba takes for Chinese: the Han characters of Unicode 8 but those of the extensions."""

U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
U8 = npt.NDArray[np.uint8]
F64 = npt.NDArray[np.float64]
_HASH_START = np.uint64(0xCBF29CE484222325)
_HASH_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_NEVER: Final = -3.14e100
"""jieba's logarithm of zero."""
_STATES: Final = "BEMS"
"""Begin, end, middle, single, in the order in which jieba settles ties."""
_PREFIX, _INDEX = np.uint64(1), np.uint64(0xFFFF)
BLANK_CLASS, _OTHER, KANA_CLASS, HAN_CLASS, _DIGIT, _LETTER, _MARK = range(7)
"""Classes of characters; from `HAN_CLASS` on they stand in runs."""
_POINT, _PERCENT = 0x2E, 0x25


def jieba_version() -> Algorithm:
    """The installed package as a part of the identity of what is counted with it: 4201 for 0.42.1."""
    return Algorithm("jieba_dictionary", int("".join(f"{int(number):02d}" for number in version("jieba").split("."))))


class DictionaryError(GristmillError, RuntimeError):
    """The dictionary is not the one this reads."""


class Dictionary(NamedTuple):
    """`entries` is an open hash table of 2^bits slots: 48 bits of a hash, then 1 for a mere beginning of words or 2 + a
    place in `weights`, the logarithms of probabilities; 0 is an empty slot."""

    entries: U64
    weights: F64
    start: F64
    change: F64
    """[from, to] in the order of `_STATES`."""
    emit: F64
    """[state, character - FIRST_HAN]"""


@cache
def dictionary() -> Dictionary:
    """The dictionary and the model of the installed jieba. Raises DictionaryError when they do not read."""
    spec = find_spec("jieba")
    if spec is None or not spec.submodule_search_locations:
        raise DictionaryError("words of Chinese need the package jieba: run `pip install -e '.[chinese]'`")
    path = Path(spec.submodule_search_locations[0]) / "dict.txt"
    try:
        starts, stops, counts, data = _lines(path)
    except ValueError as error:
        raise DictionaryError(f"{path} is no dictionary ({error}): install the pinned jieba again") from None
    distinct, place = np.unique(counts, return_inverse=True)
    if not len(distinct) or len(distinct) > 60_000:
        raise DictionaryError(f"{path} has {len(counts)} words: install the pinned jieba again")
    log_total = math.log(int(counts.sum()))
    # A word that counts zero weighs as one that was seen once. `math.log` as in jieba: numpy's last bit may differ.
    weights = np.array([math.log(count or 1) - log_total for count in [*distinct.tolist(), 1]])
    entries = np.zeros(1 << 20, np.uint64)
    if 2 * _fill(entries, data, starts, stops, place.astype(np.int64), counts) > len(entries):
        raise DictionaryError(f"{path} has more than {len(entries) // 2} beginnings of words: install the pinned jieba")
    return Dictionary(entries, weights, *_model())


def _lines(path: Path) -> tuple[I64, I64, I64, U32]:
    """Starts and stops of the words, their counts, and the code points of the whole file."""
    text = path.read_text("utf-8")
    starts, stops, counts, place = [], [], [], 0
    for line in text.split("\n"):
        fields = line.split(" ")
        if len(fields) > 1:
            starts.append(place)
            stops.append(place + len(fields[0]))
            counts.append(int(fields[1]))
        place += len(line) + 1
    found = (np.array(values, np.int64) for values in (starts, stops, counts))
    return *found, np.frombuffer(text.encode("utf-32-le"), np.uint32).copy()  # type: ignore[return-value]


def _model() -> tuple[F64, F64, F64]:
    from jieba import finalseg

    tables: tuple[Any, Any, Any] = finalseg.start_P, finalseg.trans_P, finalseg.emit_P
    start = np.array([tables[0][state] for state in _STATES])
    change = np.array([[tables[1][state].get(after, _NEVER) for after in _STATES] for state in _STATES])
    emit = np.full((len(_STATES), AFTER_HAN - FIRST_HAN), _NEVER)
    for row, state in enumerate(_STATES):
        for character, weight in tables[2][state].items():
            if FIRST_HAN <= ord(character) < AFTER_HAN:
                emit[row, ord(character) - FIRST_HAN] = weight
    return start, change, emit


def cut(text: str) -> list[str]:
    """The words of a text that is Chinese, as jieba cuts them, without white space."""
    characters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    size = len(characters)
    starts, stops = np.empty(size, np.int32), np.empty(size, np.int32)
    count = cut_document(
        characters, 0, size, character_classes(), *dictionary(), starts, stops, 0, *scratch(size)
    )  # fmt: skip
    return [text[first:stop] for first, stop in zip(starts[:count].tolist(), stops[:count].tolist(), strict=True)]


def scratch(longest: int) -> tuple[F64, I32, I32, npt.NDArray[np.int8], F64]:
    """Room that `cut_document` works in, for documents of at most `longest` characters."""
    places = longest + 1
    ends, cuts = np.empty(places, np.int32), np.empty(places, np.int32)
    return np.empty(places), ends, cuts, np.empty((places, 4), np.int8), np.empty((2, 4))


@cache
def character_classes() -> U8:
    """What a character is to jieba: white space, Han, an ASCII letter or digit, one of its marks, kana, or another."""
    table = np.full(sys.maxunicode + 1, _OTHER, np.uint8)
    table[[code for code in range(AFTER_SPACES) if chr(code).isspace()]] = BLANK_CLASS
    table[FIRST_HAN:AFTER_HAN] = HAN_CLASS
    for code in map(ord, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"):
        table[code] = _DIGIT if code < 0x3A else _LETTER
    table[[ord(mark) for mark in "+#&._%-"]] = _MARK
    for first, stop in ((0x3041, 0x30A0), (0x30A1, 0x30FB), (0x30FD, 0x30FF)):
        table[first:stop] = KANA_CLASS
    table.flags.writeable = False
    return table


@njit(cache=True, nogil=True)
def _step(value: np.uint64, character: np.uint32) -> np.uint64:
    value = (value ^ np.uint64(character)) * _HASH_FACTOR
    return np.uint64(value ^ (value >> np.uint64(29)))


@njit(cache=True, nogil=True)
def _slot(entries: U64, value: np.uint64) -> int:
    """The slot of a hash, or the empty one where it belongs."""
    mask = np.uint64(len(entries) - 1)
    slot = (value * np.uint64(0xD6E8FEB86659FD93)) >> np.uint64(44) & mask
    while entries[slot] and (entries[slot] | _INDEX) != (value | _INDEX):
        slot = (slot + np.uint64(1)) & mask
    return int(slot)


@njit(cache=True, nogil=True)
def _fill(entries: U64, data: U32, starts: I64, stops: I64, places: I64, counts: I64) -> int:
    """Enter words and their beginnings; a later line of one word wins. The number of entries."""
    total = 0
    for line in range(len(starts)):
        value = _HASH_START
        for index in range(starts[line], stops[line]):
            value = _step(value, data[index])
            slot = _slot(entries, value)
            whole = index + 1 == stops[line] and counts[line] > 0
            if entries[slot] == 0:
                total += 1
                if 2 * total > len(entries):
                    return total
                entries[slot] = (value & ~_INDEX) | _PREFIX
            if whole:
                entries[slot] = (value & ~_INDEX) | np.uint64(places[line] + 2)
    return total


@njit(cache=True, nogil=True)
def cut_document(
    characters: U32, begin: int, end: int, classes: U8, entries: U64, weights: F64, start: F64, change: F64, emit: F64,
    starts: I32, stops: I32, count: int, route: F64, ends: I32, cuts: I32, paths: npt.NDArray[np.int8], scores: F64,
) -> int:  # fmt: skip
    """Write the words of `characters[begin:end]` to `starts` and `stops` from `count` on; the number in them then.

    The last five are of `scratch`.
    """
    index = begin
    while index < end:
        kind = classes[characters[index]]
        first = index
        index += 1
        if kind < HAN_CLASS:
            if kind != BLANK_CLASS:
                starts[count], stops[count] = first, index
                count += 1
            continue
        while index < end and classes[characters[index]] >= HAN_CLASS:
            index += 1
        _best_path(characters, first, index - first, entries, weights, route, ends)
        pieces = _cut(
            characters, first, index - first, classes, entries, ends, start, change, emit, paths, scores, cuts
        )
        place = 0
        for piece in range(pieces):
            starts[count], stops[count] = first + place, first + cuts[piece]
            place = cuts[piece]
            count += 1
    return count


@njit(cache=True, nogil=True)
def _best_path(characters: U32, begin: int, length: int, entries: U64, weights: F64, route: F64, ends: I32) -> None:
    """For every place of a run the end of its word on the likeliest path; of equals the longer word."""
    alone = weights[-1]
    route[length] = 0.0
    for place in range(length - 1, -1, -1):
        value, best, end = _HASH_START, -np.inf, place
        for index in range(place, length):
            value = _step(value, characters[begin + index])
            entry = entries[_slot(entries, value)]
            if entry == 0:
                break
            if entry & _INDEX > _PREFIX:
                reached = weights[(entry & _INDEX) - np.uint64(2)] + route[index + 1]
                if reached >= best:
                    best, end = reached, index + 1
        if end == place:
            best, end = alone + route[place + 1], place + 1
        route[place], ends[place] = best, end


@njit(cache=True, nogil=True)
def _cut(
    characters: U32, begin: int, length: int, classes: U8, entries: U64, ends: I32, start: F64, change: F64, emit: F64,
    paths: npt.NDArray[np.int8], scores: F64, cuts: I32,
) -> int:  # fmt: skip
    """Ends of the words of a run, with characters that are left alone side by side cut by the model."""
    count, place = 0, 0
    while place < length:
        if ends[place] > place + 1:
            cuts[count] = ends[place]
            place = ends[place]
            count += 1
            continue
        stop = place
        while stop < length and ends[stop] == stop + 1:
            stop += 1
        value, entry = _HASH_START, np.uint64(0)
        for index in range(place, stop):
            value = _step(value, characters[begin + index])
            entry = entries[_slot(entries, value)]
            if entry == 0:
                break
        if stop == place + 1 or entry & _INDEX > _PREFIX:
            for index in range(place, stop):
                cuts[count] = index + 1
                count += 1
        else:
            while place < stop:
                first, han = place, classes[characters[begin + place]] == HAN_CLASS
                while place < stop and (classes[characters[begin + place]] == HAN_CLASS) == han:
                    place += 1
                if han:
                    count = _viterbi(characters, begin, first, place, start, change, emit, paths, scores, cuts, count)
                else:
                    count = _by_kind(characters, begin, first, place, classes, cuts, count)
        place = stop
    return count


@njit(cache=True, nogil=True)
def _by_kind(characters: U32, begin: int, place: int, stop: int, classes: U8, cuts: I32, count: int) -> int:
    """Append the ends of the words of `place:stop`: letters and digits, with a decimal point and digits and a percent
    sign behind them; and what lies between."""
    while place < stop:
        named = classes[characters[begin + place]] < _MARK
        while place < stop and (classes[characters[begin + place]] < _MARK) == named:
            place += 1
        if named:
            point = place + 1
            if place < stop and characters[begin + place] == _POINT:
                while point < stop and classes[characters[begin + point]] == _DIGIT:
                    point += 1
                if point > place + 1:
                    place = point
            if place < stop and characters[begin + place] == _PERCENT:
                place += 1
        cuts[count] = place
        count += 1
    return count


@njit(cache=True, nogil=True)
def _viterbi(
    characters: U32, begin: int, place: int, stop: int, start: F64, change: F64, emit: F64,
    paths: npt.NDArray[np.int8], scores: F64, cuts: I32, count: int,
) -> int:  # fmt: skip
    """Append the ends of the words that the model finds in `place:stop` of a run."""
    for state in range(4):
        scores[place & 1, state] = start[state] + emit[state, characters[begin + place] - FIRST_HAN]
    for index in range(place + 1, stop):
        now, before = index & 1, (index - 1) & 1
        for state in range(4):
            weight = emit[state, characters[begin + index] - FIRST_HAN]
            # Begin and single come after end or single; middle and end after begin or middle.
            low, high = (1, 3) if state == 0 or state == 3 else (0, 2)
            first = scores[before, low] + change[low, state] + weight
            second = scores[before, high] + change[high, state] + weight
            paths[index, state] = high if second >= first else low
            scores[now, state] = max(first, second)
    final = (stop - 1) & 1
    state = 3 if scores[final, 3] >= scores[final, 1] else 1
    for index in range(stop - 1, place - 1, -1):
        ends_here = state == 1 or state == 3 or index == stop - 1
        cuts[count + index - place] = index + 1 if ends_here else 0
        if index > place:
            state = paths[index, state]
    kept = count
    for index in range(place, stop):
        if cuts[count + index - place]:
            cuts[kept] = cuts[count + index - place]
            kept += 1
    return kept
