"""Operations for keys and classical tasks, each against the library or the table behind it."""

import re
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.corpus.normalization.config import (
    Abbreviations,
    CaseFolding,
    Lemmatization,
    Punctuation,
    SpecialCharacters,
    Spelling,
    Stemming,
    StopWords,
    WordSegmentation,
)
from pipelines.corpus.normalization.tables import AMBIGUOUS, BRITISH_TO_AMERICAN, abbreviations, spelling
from pipelines.corpus.normalization.words import (
    case_folding,
    lemmatization,
    punctuation,
    special_characters,
    stemming,
    stop_words,
    word_pattern,
    word_segmentation,
)
from tests.pipelines.corpus.filters.corpus import mixture
from tests.pipelines.corpus.jieba_peer import jieba_words


@given(st.text(max_size=60), st.sampled_from(["jieba", "characters"]), st.sampled_from([None, "en", "zh"]))
@settings(max_examples=150, deadline=None)
def test_segmentation_changes_white_space_only(text: str, chinese: str, language: str | None) -> None:
    cut = word_segmentation(text, WordSegmentation(chinese=chinese), language)
    assert "".join(cut.split()) == "".join(text.split())
    assert cut.count("\n") == text.count("\n")


def _with_jieba(text: str) -> str:
    """Words and marks as `word_segmentation` has them, with jieba itself."""
    lines = []
    for line in text.split("\n"):
        pieces = re.findall(f"{word_pattern().pattern}|\\S", line)
        lines.append(" ".join(w for piece in pieces for w in ([piece] if piece.isascii() else jieba_words(piece))))
    return "\n".join(lines)


def test_chinese_words_are_jiebas_on_real_documents() -> None:
    for text in mixture("zh_general", 60, 23):
        assert word_segmentation(text, WordSegmentation(), "zh") == _with_jieba(text)


@given(st.text(st.sampled_from("中文测试的一是了人性我们abZ019+#&._%-' \n，。—·カＡ１é😀\u3000\u0301"), max_size=80))
@settings(max_examples=200, deadline=None)
def test_chinese_words_are_jiebas_on_any_text(text: str) -> None:
    assert word_segmentation(f"中文{text}", WordSegmentation(), "zh") == _with_jieba(f"中文{text}")


@pytest.mark.parametrize("unit", ["性", "龘", "的", "中a", "性1", "，", "中华人民"])
def test_one_word_without_end_costs_linear_time(unit: str) -> None:
    """jieba takes 7 s for 40,000 of the first and minutes for these."""
    text = unit * (300_000 // len(unit))
    word_segmentation("中文", WordSegmentation(), "zh")
    started = time.process_time()
    found = word_segmentation(text, WordSegmentation(), "zh")
    assert found.replace(" ", "") == text
    assert time.process_time() - started < 5


def test_segmentation_of_languages() -> None:
    assert word_segmentation("我来到北京清华大学。\nDon't stop!", WordSegmentation(), "zh") == (
        "我 来到 北京 清华大学 。\nDon't stop !"
    )
    characters = WordSegmentation(chinese="characters")
    assert word_segmentation("我在Python里，", characters, "zh") == "我 在 Python 里 ，"
    assert word_segmentation("हिन्दी में।", characters, "hi") == "हिन्दी में ।"
    assert word_segmentation("日本語の本", WordSegmentation(), "ja") == "日本語の本"


def test_stop_words_go_in_the_language_of_the_text() -> None:
    text = "The cat and THE dog are in the house, thereof."
    assert stop_words(text, StopWords(words={"en": ("the", "and", "are", "in")}), "en") == "cat dog house, thereof."
    assert stop_words(text, StopWords(words={"en": ("the",)}), "de") == text
    assert stop_words(text, StopWords(), None) == text
    assert "的" not in stop_words("我 的 书 和 猫", StopWords(), "zh").split()


def test_case() -> None:
    assert case_folding("Straße ÉTÉ", CaseFolding(), "de") == "strasse été"
    assert case_folding("Straße ÉTÉ", CaseFolding(method="lower"), "de") == "straße été"
    assert case_folding("ISI İYİ", CaseFolding(), "tr") == "ısı iyi"


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_removed_characters_are_those_of_their_categories(text: str) -> None:
    bare = punctuation(text, Punctuation(replacement="", keep="-"), None)
    assert bare == "".join(c for c in text if unicodedata.category(c)[0] != "P" or c == "-")
    special = SpecialCharacters()
    assert special_characters(text, special, None) == "".join(
        c for c in text if unicodedata.category(c) not in special.categories
    )


def test_punctuation_becomes_a_blank() -> None:
    assert punctuation("a,b。c $5", Punctuation(), None) == "a b c $5"


def test_abbreviations() -> None:
    text = "E.g. cats, i.e. pets, dogs etc.\nThe e.g.x stays, Dr. too"
    assert abbreviations(text, Abbreviations(), "en") == (
        "For example cats, that is pets, dogs and so on.\nThe e.g.x stays, Dr. too"
    )
    assert abbreviations(text, Abbreviations(), "fr") == text
    assert abbreviations(text, Abbreviations(), None) == text
    assert abbreviations("z.B. so", Abbreviations(table={"z.B.": "zum Beispiel"}, languages=("de",)), "de") == (
        "zum Beispiel so"
    )


def test_spelling_keeps_case_and_comes_back() -> None:
    american, british = Spelling(variant="american"), Spelling(variant="british")
    text = "The colour of the CENTRE. Favourite discolour, metre"
    assert spelling(text, american, "en") == "The color of the CENTER. Favorite discolour, meter"
    for left, right in BRITISH_TO_AMERICAN.items():
        assert spelling(left, american, "en") == right
        assert spelling(right, british, "en") == (right if right in AMBIGUOUS else left)
    assert spelling("iPhone IPHONE", Spelling(table={"iphone": "phone"}), "en") == "iPhone PHONE"


def test_the_table_has_no_chains() -> None:
    assert not set(BRITISH_TO_AMERICAN) & set(BRITISH_TO_AMERICAN.values())
    assert set(BRITISH_TO_AMERICAN.values()) >= AMBIGUOUS


@pytest.mark.parametrize(
    ("language", "text", "stems"),
    [
        ("en", "Running, dogs!", "run, dog!"),
        ("de", "Häuser laufen", "haus lauf"),
        ("zh", "学习 中文", "学习 中文"),
        (None, "Running", "Running"),
    ],
)
def test_stems(language: str | None, text: str, stems: str) -> None:
    assert stemming(text, Stemming(), language) == stems


def test_stems_and_lemmas_of_a_fixed_language() -> None:
    assert stemming("Running", Stemming(language="en"), None) == "run"
    assert (
        lemmatization("Mice were running, words", Lemmatization(language="en"), None).lower().startswith("mouse be run")
    )
    assert lemmatization("Häuser", Lemmatization(), "de") == "Haus"
    assert lemmatization("Häuser", Lemmatization(), "xx") == "Häuser"


def test_what_is_no_word_of_a_language_is_not_looked_up() -> None:
    assert stemming("running " + "a" * 101 + "ing", Stemming(), "en") == "run " + "a" * 101 + "ing"
    assert lemmatization("b" * 100_000, Lemmatization(), "en") == "b" * 100_000
