import re

import numpy as np
import pytest

from pipelines.corpus.filters import characters
from pipelines.corpus.filters.characters import character_flags

DIGIT = re.compile(r"\d")


@pytest.mark.parametrize(
    ("flag", "test"),
    [
        (characters.SPACE, str.isspace),
        (characters.LETTER, str.isalpha),
        (characters.DIGIT, lambda c: bool(DIGIT.match(c))),
        (characters.LINE_BREAK, lambda c: len(f"a{c}b".splitlines()) == 2),
    ],
    ids=["space", "letter", "digit", "line break"],
)
def test_flags_equal_python_on_every_code_point(flag, test):
    expected = np.fromiter((test(chr(code)) for code in range(0x110000)), bool, 0x110000)
    assert np.array_equal((character_flags() & flag) > 0, expected)


def test_scripts_without_spaces_stand_alone_and_others_do_not():
    flags = character_flags()
    assert all(flags[ord(c)] & characters.SOLO for c in "中龥𠀀かカกក。，「😀")
    assert not any(flags[ord(c)] & characters.SOLO for c in "aéжع한١.(5")
    assert all(flags[ord(c)] & characters.HAN for c in "中龥𠀀々") and not flags[ord("か")] & characters.HAN


def test_sentence_marks_of_many_scripts():
    flags = character_flags()
    assert all(flags[ord(c)] & characters.SENTENCE_END for c in ".!?。！？؟।։።၊‼")
    assert not any(flags[ord(c)] & characters.SENTENCE_END for c in ",;:，；、\"'…a")


def test_table_cannot_be_changed():
    with pytest.raises(ValueError):
        character_flags()[65] = 0


def test_traditional_characters_are_those_that_opencc_would_change():
    import opencc

    variants, converter = characters.han_variants(), opencc.OpenCC("t2s.json")
    traditional = [chr(code) for code in np.flatnonzero(variants == 1)]
    assert len(traditional) == 1897 and all(converter.convert(character) != character for character in traditional)
    simplified = [chr(code) for code in np.flatnonzero(variants == 2)]
    assert sum(converter.convert(character) != character for character in simplified) < 10
    assert not any(variants[ord(character)] for character in "惇彧珪祐璟的水")
