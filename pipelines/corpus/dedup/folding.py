"""How text is read before it is compared: one table from code points to (class, folded code point).

Folding keeps what a reader would call the same text equal: case (simple case folding where it maps one character to
one), accents (U+0300..036F and letters that decompose into one base letter and such marks), full-width ASCII, and
digits when asked. Punctuation, symbols, white space and controls separate words; invisible format characters vanish.
A character of a script that writes no spaces is a word of its own.

The classes come from the Unicode tables of the running Python, so their version belongs to the algorithm's name: a
newer Python computes signatures anew rather than mix two readings of the same text. The table takes 0.3 s to build,
once a process.
"""

import unicodedata
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from pipelines.core.fingerprint import Algorithm

FOLDING: Final = Algorithm(f"dedup-folding-unicode-{unicodedata.unidata_version}", 1)

SEPARATOR: Final = 0
WORD: Final = 1
UNSPACED: Final = 2
IGNORED: Final = 3
CLASS_SHIFT: Final = 21
CODE_MASK: Final = (1 << CLASS_SHIFT) - 1
CODE_POINTS: Final = 0x110000

_UNSPACED_RANGES: Final = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x19DF),  # Tai Le, New Tai Lue
    (0x1A20, 0x1AAF),  # Tai Tham
    (0x1B00, 0x1B7F),  # Balinese
    (0x3005, 0x3007),  # ideographic iteration, closing mark, zero
    (0x3040, 0x312F),  # Hiragana, Katakana, Bopomofo
    (0x31A0, 0x31FF),  # Bopomofo and Katakana extensions
    (0x3400, 0x4DBF),  # CJK extension A
    (0x4E00, 0x9FFF),  # CJK unified ideographs
    (0xA000, 0xA48F),  # Yi
    (0xA980, 0xA9FF),  # Javanese, Myanmar extension B
    (0xAA60, 0xAADF),  # Myanmar extension A, Tai Viet
    (0xF900, 0xFAFF),  # CJK compatibility ideographs
    (0xFF66, 0xFF9F),  # half-width Katakana
    (0x1AFF0, 0x1B16F),  # Kana supplements
    (0x20000, 0x3FFFF),  # CJK extensions B and later
)
_BULK_RANGES: Final = (
    (0x3400, 0x4DBF, UNSPACED),
    (0x4E00, 0x9FFF, UNSPACED),
    (0xAC00, 0xD7A3, WORD),  # Hangul syllables: written with spaces
    (0xD800, 0xF8FF, SEPARATOR),  # surrogates and private use
    (0x20000, 0x3FFFF, UNSPACED),
    (0x40000, 0xDFFFF, SEPARATOR),
    (0xE0200, 0x10FFFF, SEPARATOR),
)
"""Ranges with one class and no folding, filled without a look at each code point."""

_MARKS: Final = range(0x0300, 0x0370)
_VARIATION_SELECTORS: Final = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
_ZERO_WIDTH_SPACE: Final = 0x200B


@lru_cache(maxsize=4)
def fold_table(digits: str, fold_diacritics: bool) -> npt.NDArray[np.uint32]:
    """The table `class << 21 | folded code point`, uint32 of shape (0x110000,), read-only."""
    codes = np.arange(CODE_POINTS, dtype=np.uint32)
    classes = np.zeros(CODE_POINTS, dtype=np.uint32)
    single = np.ones(CODE_POINTS, dtype=bool)
    for first, last, kind in _BULK_RANGES:
        classes[first : last + 1] = kind
        single[first : last + 1] = False
    for code in np.flatnonzero(single).tolist():
        folded = _fold(code, digits, fold_diacritics)
        codes[code] = folded
        classes[code] = _classify(code, folded, fold_diacritics)
    table: npt.NDArray[np.uint32] = (classes << np.uint32(CLASS_SHIFT)) | codes
    table.flags.writeable = False
    return table


def _fold(code: int, digits: str, fold_diacritics: bool) -> int:
    """The code point that stands for `code` in comparisons."""
    if 0xFF01 <= code <= 0xFF5E:
        code -= 0xFEE0
    character = chr(code)
    if digits == "zero" and unicodedata.category(character) == "Nd":
        return ord("0")
    folded = character.casefold()
    if fold_diacritics:
        decomposed = "".join(c for c in unicodedata.normalize("NFD", folded) if ord(c) not in _MARKS)
        if len(decomposed) == 1:
            return ord(decomposed)
    return ord(folded) if len(folded) == 1 else code


def _classify(code: int, folded: int, fold_diacritics: bool) -> int:
    category = unicodedata.category(chr(folded))
    if code == _ZERO_WIDTH_SPACE:
        return SEPARATOR
    if category == "Cf" or any(code in selectors for selectors in _VARIATION_SELECTORS):
        return IGNORED
    if fold_diacritics and code in _MARKS:
        return IGNORED
    if category[0] in "LMN":
        return UNSPACED if any(first <= folded <= last for first, last in _UNSPACED_RANGES) else WORD
    return SEPARATOR
