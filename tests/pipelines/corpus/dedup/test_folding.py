import sys
import unicodedata

import numpy as np
import pytest

from pipelines.corpus.dedup.folding import (
    CLASS_SHIFT,
    CODE_MASK,
    CODE_POINTS,
    FOLDING,
    IGNORED,
    SEPARATOR,
    UNSPACED,
    WORD,
    fold_table,
)


@pytest.fixture(scope="module")
def table() -> np.ndarray:
    return fold_table("keep", True)


def test_case_accents_and_width_fold_together(table: np.ndarray) -> None:
    for variants in ("aAàÀåａＡ", "иИйЙ", "σΣς", "οόὀὂ", "9９"):
        assert len({int(table[ord(variant)]) & CODE_MASK for variant in variants}) == 1, variants


def test_classes(table: np.ndarray) -> None:
    expected = {
        WORD: "azß1é한עक्अ²Ⅷ",
        UNSPACED: "中国々〇ぁカｶไ𠀀",
        SEPARATOR: " \t\n.,_-'’“”，。！·+$😀\u200b\x00",
        IGNORED: "\u0301\u00ad\u200d\u2060\ufeff\ufe0f",
    }
    for kind, characters in expected.items():
        for character in characters:
            assert int(table[ord(character)]) >> CLASS_SHIFT == kind, (character, kind)


def test_bulk_ranges_agree_with_unicode_categories(table: np.ndarray) -> None:
    """Every letter, mark and number is part of a word, nothing else is: checked for every assigned code point."""
    kinds = table >> CLASS_SHIFT
    for code in range(CODE_POINTS):
        category = unicodedata.category(chr(code))
        if category == "Cn":
            continue
        in_word = kinds[code] in (WORD, UNSPACED)
        if category[0] in "LMN":
            assert in_word or kinds[code] == IGNORED, hex(code)
        else:
            assert not in_word, hex(code)


def test_digits_to_zero_only_when_asked(table: np.ndarray) -> None:
    zero = fold_table("zero", True)
    assert {int(zero[ord(digit)]) & CODE_MASK for digit in "0123456789٣९９"} == {ord("0")}
    assert int(table[ord("7")]) & CODE_MASK == ord("7")


def test_accents_kept_when_asked() -> None:
    kept = fold_table("keep", False)
    assert int(kept[ord("É")]) & CODE_MASK == ord("é")
    assert int(kept[0x0301]) >> CLASS_SHIFT == WORD


def test_a_folded_character_fits_the_normalization_buffer(table: np.ndarray) -> None:
    """`shingles._read` allots 2 bytes a byte of text: a folded character and a space never need more."""
    for code in np.flatnonzero((table >> CLASS_SHIFT) != SEPARATOR).tolist():
        if 0xD800 <= code <= 0xDFFF:
            continue
        space = int(table[code]) >> CLASS_SHIFT == UNSPACED
        assert len(chr(int(table[code]) & CODE_MASK).encode()) + space <= 2 * len(chr(code).encode()), hex(code)


def test_the_unicode_version_is_part_of_the_identity() -> None:
    assert unicodedata.unidata_version in FOLDING.name
    assert sys.maxunicode == CODE_POINTS - 1
