"""What the tokenizer of `html_tree` asks of bytes: names and words by their hashes, styles that hide, and where
raw text ends. Kernels; each is linear in the bytes that it is given."""

import numpy as np
from numba import njit

_FNV, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_ONES, _TOPS = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)


@njit(cache=True, nogil=True, inline="always")
def is_space(byte):  # type: ignore[no-untyped-def]
    return byte == 32 or (byte >= 9 and byte <= 13)


@njit(cache=True, nogil=True)
def look_up(keys, values, key):  # type: ignore[no-untyped-def]
    """The value of a key in a table of open addressing, 0 for none."""
    mask = np.uint64(len(keys) - 1)
    slot = (key ^ (key >> np.uint64(29))) & mask
    while keys[slot] != 0:
        if keys[slot] == key:
            return values[slot]
        slot = (slot + np.uint64(1)) & mask
    return values[slot]


@njit(cache=True, nogil=True)
def hash_of(page, start, stop):  # type: ignore[no-untyped-def]
    value = _FNV
    for at in range(start, stop):
        byte = page[at]
        if 65 <= byte <= 90:
            byte = byte | 32
        value = (value ^ np.uint64(byte)) * _PRIME
    return value


@njit(cache=True, nogil=True)
def word_bits(page, start, stop, keys, values):  # type: ignore[no-untyped-def]
    """The bits of all words of a `class` or `id`: letters, cut at changes from lower to upper case.

    Bit 62 of a table's value says that words which only begin so count too.
    """
    bits = np.int64(0)
    at = start
    while at < stop:
        byte = page[at] | 32
        if byte < 97 or byte > 122:
            at += 1
            continue
        value, size, lower = _FNV, 0, False
        while at < stop:
            small = page[at] | 32
            if small < 97 or small > 122 or (lower and page[at] < 97):
                break
            lower = page[at] >= 97
            value = (value ^ np.uint64(small)) * _PRIME
            size += 1
            at += 1
            if size >= 3:
                found = look_up(keys, values, value)
                if found >> 62 & 1:
                    bits |= found
        if size > 1:
            bits |= look_up(keys, values, value)
    return bits & ~(np.int64(1) << 62)


@njit(cache=True, nogil=True)
def hides(page, start, stop):  # type: ignore[no-untyped-def]
    """Whether a style says `display: none` or `visibility: hidden`."""
    at = start
    while at + 3 < stop:
        if page[at] == 58:  # ':'
            name_stop = at
            while name_stop > start and is_space(page[name_stop - 1]):
                name_stop -= 1
            last = page[name_stop - 1] | 32 if name_stop > start else 0
            at += 1
            while at < stop and is_space(page[at]):
                at += 1
            if at + 4 <= stop and last == 121:  # displaY, visibilitY
                if page[at] | 32 == 110 and page[at + 1] | 32 == 111 and page[at + 2] | 32 == 110:  # non(e)
                    return True
                if page[at] | 32 == 104 and page[at + 1] | 32 == 105 and page[at + 2] | 32 == 100:  # hid(den)
                    return True
        else:
            at += 1
    return False


@njit(cache=True, nogil=True)
def find_byte(page, words, at, byte):  # type: ignore[no-untyped-def]
    """Where `byte` stands next, from `at`; the end for nowhere. `words` are the page's whole 64-bit words.

    A word that has no such byte is passed over at once: (x - 01..01) & ~x & 80..80 is zero when no byte of x is.
    """
    size = len(page)
    while at < size and at & 7:
        if page[at] == byte:
            return at
        at += 1
    pattern = np.uint64(byte) * _ONES
    word = at >> 3
    while word < len(words):
        found = words[word] ^ pattern
        if (found - _ONES) & ~found & _TOPS:
            break
        word += 1
    at = max(at, word << 3)
    while at < size and page[at] != byte:
        at += 1
    return at


@njit(cache=True, nogil=True)
def raw_end(page, words, at, start, stop):  # type: ignore[no-untyped-def]
    """Where the end tag of the element whose name is page[start:stop] begins, from `at`; the end for none."""
    size, width = len(page), stop - start
    while at + width + 2 <= size:
        at = find_byte(page, words, at, 60)
        if at + width + 2 <= size and page[at + 1] == 47:
            same = True
            for offset in range(width):
                if page[at + 2 + offset] | 32 != page[start + offset] | 32:
                    same = False
                    break
            if same:
                behind = at + 2 + width
                if behind >= size or is_space(page[behind]) or page[behind] == 62 or page[behind] == 47:
                    return at
        at += 1
    return size
