"""Gopher's repetition counts from word hashes, and the share of repeated character n-grams.

In: the flat words of a block. For every document and n = 2..10 the n-gram at word i is a 64-bit hash, extended by one
word as n grows; a hash table counts it. Only positions whose n-gram occurs more than once can hold a repeated
(n+1)-gram, so each pass looks at the survivors of the last one: after n = 4 that is a small share of natural text, and
the six long n-grams cost little. The counts are exact (up to a 64-bit collision), equal to counting strings.

- *Top n-gram* (n = 2, 3, 4): the characters of the most frequent n-gram, with one space between its words, times its
  count. The first of equals wins. An n-gram that occurs once counts too, as in the reference implementations, so a
  document of a few words has a high share.
- *Duplicated n-grams* (n = 5..10): from left to right, an n-gram that was seen at an earlier visited position adds its
  characters and is skipped as a whole, so no character is counted twice.
- *Character 13-grams*: over the characters without white space, ASCII in lower case: the share of positions whose
  13-gram occurs more than once. Bytes in the fast cache count hashes to two first: of natural text one 13-gram in ten
  gets into the table.
"""

from typing import Final

import numpy as np
from numba import njit

from pipelines.corpus.filters.blocks import I32, I64, U16, U32, U64, TextBlock, mix
from pipelines.corpus.filters.characters import SPACE
from pipelines.corpus.filters.words import Words

TOP_SIZES: Final = (2, 3, 4)
DUPLICATE_SIZES: Final = (5, 6, 7, 8, 9, 10)
CHARACTER_SIZE: Final = 13
"""The n-gram length of the Chinese web corpora (EvalWeb)."""

MARK_BITS: Final = 20
"""One MiB of marks: the size of a second cache."""

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_STEP = np.uint64(0xD6E8FEB86659FD93)


def repeated_words(block: TextBlock, words: Words) -> I64:
    """int64[documents, 9]: characters of the top 2-, 3-, 4-gram, then characters in duplicated 5- to 10-grams."""
    documents = len(block.offsets) - 1
    longest = int(np.diff(words.offsets).max(initial=0))
    result = np.zeros((documents, len(TOP_SIZES) + len(DUPLICATE_SIZES)), np.int64)
    _repeated_words(words.offsets, words.starts, words.stops, words.hashes, *_table(longest), longest, result)
    return result


def repeated_characters(block: TextBlock, flags: U16) -> I64:
    """int64[documents, 2]: positions of character 13-grams that occur more than once, and all positions."""
    longest = int(np.diff(block.offsets).max(initial=0))
    result = np.zeros((len(block.offsets) - 1, 2), np.int64)
    keys, counts, _, stamps = _table(longest)
    _repeated_characters(block.characters, block.offsets, flags, keys, counts, stamps, longest, result)
    return result


def _table(longest: int) -> tuple[U64, I32, I32, I32]:
    """A hash table for up to `longest` entries at half load: keys, counts, first positions, stamps of the writer."""
    size = 1 << bits_for(longest)
    return np.empty(size, np.uint64), np.empty(size, np.int32), np.empty(size, np.int32), np.zeros(size, np.int32)


@njit(cache=True, nogil=True)
def find(keys: U64, stamps: I32, stamp: int, bits: int, key: np.uint64) -> int:
    """The slot of `key`, or the empty slot where it belongs, in a table of `2**bits` slots, linear probing."""
    mask = (1 << bits) - 1
    slot = np.int64((key * _FACTOR) >> np.uint64(64 - bits))
    while stamps[slot] == stamp and keys[slot] != key:
        slot = (slot + 1) & mask
    return int(slot)


@njit(cache=True, nogil=True)
def bits_for(entries: int) -> int:
    """Table bits for `entries` entries at half load at most, so that a short document stays in the fast cache."""
    bits = 4
    while (1 << bits) < 2 * entries:
        bits += 1
    return bits


@njit(cache=True, nogil=True)
def _repeated_words(
    offsets: I64, starts: I32, stops: I32, hashes: U64, keys: U64, counts: I32, firsts: I32, stamps: I32, longest: int,
    result: I64,
) -> None:  # fmt: skip
    grams, slots = np.empty(longest + 1, np.uint64), np.empty(longest + 1, np.int32)
    places, ends = np.empty(longest + 1, np.int32), np.empty(longest + 1, np.int64)
    stamp = 0
    for document in range(len(offsets) - 1):
        begin = offsets[document]
        total = offsets[document + 1] - begin
        ends[0] = 0
        for word in range(total):
            ends[word + 1] = ends[word] + stops[begin + word] - starts[begin + word]
            grams[word] = hashes[begin + word]
            places[word] = word
        alive = total
        for size in range(2, 11):
            if total < size:
                break
            stamp += 1
            bits = bits_for(alive)
            best, best_first = 1, 0
            kept = 0
            for index in range(alive):
                place = places[index]
                if place + size > total:
                    break
                gram = (grams[place] ^ (grams[place] >> np.uint64(32))) * _STEP + hashes[begin + place + size - 1]
                grams[place] = gram
                slot = find(keys, stamps, stamp, bits, gram)
                if stamps[slot] != stamp:
                    stamps[slot], keys[slot], counts[slot], firsts[slot] = stamp, gram, 1, place
                else:
                    counts[slot] += 1
                    if counts[slot] > best or (counts[slot] == best and firsts[slot] < best_first):
                        best, best_first = counts[slot], firsts[slot]
                slots[index] = slot
                kept = index + 1
            if size <= 4:
                result[document, size - 2] = (ends[best_first + size] - ends[best_first] + size - 1) * best
            survivors = 0
            resume, covered = 0, 0
            for index in range(kept):
                slot = slots[index]
                if counts[slot] == 1:
                    continue
                place = places[index]
                if size >= 5 and place >= resume:
                    if firsts[slot] < 0:
                        covered += ends[place + size] - ends[place]
                        resume = place + size
                    else:
                        firsts[slot] = -1
                places[survivors] = place
                survivors += 1
            if size >= 5:
                result[document, size - 2] = covered
            alive = survivors
            if alive == 0 and size >= 4:
                break


@njit(cache=True, nogil=True)
def _repeated_characters(
    characters: U32,
    offsets: I64,
    flags: U16,
    keys: U64,
    counts: I32,
    stamps: I32,
    longest: int,
    result: I64,
) -> None:
    codes, slots = np.empty(longest, np.uint64), np.empty(longest, np.int32)
    grams, marks = np.empty(longest, np.uint64), np.empty(1 << MARK_BITS, np.uint8)
    power = np.uint64(1)
    for _step in range(13):
        power *= _FACTOR
    for document in range(len(offsets) - 1):
        total = 0
        for index in range(offsets[document], offsets[document + 1]):
            code = characters[index]
            if flags[code] & SPACE:
                continue
            if code >= 65 and code <= 90:
                code += np.uint32(32)
            codes[total] = mix(np.uint64(code))
            total += 1
        positions = total - 12
        if positions <= 0:
            continue
        bits = bits_for(positions)
        mark_bits = min(bits + 3, MARK_BITS)
        seen = marks[: 1 << mark_bits]
        seen[:] = 0
        rolling = np.uint64(0)
        for index in range(total):
            rolling = rolling * _FACTOR + codes[index]
            if index >= 13:
                rolling -= power * codes[index - 13]
            if index < 12:
                continue
            key = rolling ^ (rolling >> np.uint64(31))
            grams[index - 12] = key
            mark = (key * _FACTOR) >> np.uint64(64 - mark_bits)
            if seen[mark] < 2:
                seen[mark] += 1
        candidates = 0
        for index in range(positions):
            key = grams[index]
            if seen[(key * _FACTOR) >> np.uint64(64 - mark_bits)] < 2:
                continue
            slot = find(keys, stamps, document + 1, bits, key)
            if stamps[slot] != document + 1:
                stamps[slot], keys[slot], counts[slot] = document + 1, key, 1
            else:
                counts[slot] += 1
            slots[candidates] = slot
            candidates += 1
        repeated = 0
        for index in range(candidates):
            if counts[slots[index]] > 1:
                repeated += 1
        result[document, 0], result[document, 1] = repeated, positions
