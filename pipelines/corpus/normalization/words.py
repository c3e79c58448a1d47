"""Operations on words and marks, for keys and classical tasks (search, topics, bags of words), not for pretraining
text: each throws away what a model should learn.

A word is a run of letters, digits and combining marks, with apostrophes inside. Operations that need a language take
the document's own; a text of no known language, or of one that their tables lack, stays as it is. Lines stay lines.

Idempotent: `stop_words`, `case_folding`, `punctuation`, `special_characters`, `abbreviations`, `spelling`, and
`word_segmentation` by characters. Not: stems of stems, lemmas of lemmas and jieba's words of words may be shorter.
"""

import re
import sys
import unicodedata
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any, Final

from pipelines.corpus.chinese_dictionary import cut
from pipelines.corpus.normalization.chinese import HAN, is_chinese
from pipelines.corpus.normalization.config import (
    CaseFolding,
    Lemmatization,
    Punctuation,
    SpecialCharacters,
    Stemming,
    StopWords,
    WordSegmentation,
)

SNOWBALL: Final = {
    "ar": "arabic", "hy": "armenian", "eu": "basque", "ca": "catalan", "cs": "czech", "da": "danish", "nl": "dutch",
    "en": "english", "eo": "esperanto", "et": "estonian", "fi": "finnish", "fr": "french", "de": "german",
    "el": "greek", "hi": "hindi", "hu": "hungarian", "id": "indonesian", "ga": "irish", "it": "italian",
    "lt": "lithuanian", "ne": "nepali", "no": "norwegian", "nb": "norwegian", "nn": "norwegian", "fa": "persian",
    "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sr": "serbian", "es": "spanish",
    "sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish",
}  # fmt: skip
"""ISO 639-1 -> Snowball's name of the stemmer."""
LEMMAS: Final = {"no": "nb", "sr": "hbs", "hr": "hbs", "bs": "hbs", "sh": "hbs"}
"""ISO 639-1 codes that simplemma calls otherwise."""
WORDS_KEPT: Final = 1 << 16
"""Words whose stem or lemma is remembered: about 20 MB, and nine of ten words of prose."""


@cache
def word_pattern() -> re.Pattern[str]:
    """A word, Han characters included."""
    return re.compile(f"[{_word_class()}]+(?:['’][{_word_class()}]+)*")


@cache
def _word_class() -> str:
    """Letters, digits and combining marks, which `\\w` lacks: Devanagari without them falls apart."""
    ranges: list[str] = []
    first = None
    for point in range(sys.maxunicode + 2):
        character = chr(min(point, sys.maxunicode))
        inside = point <= sys.maxunicode and (character.isalnum() or unicodedata.category(character)[0] == "M")
        if inside and first is None:
            first = character
        elif not inside and first is not None:
            ranges.append(f"{first}-{chr(point - 1)}")
            first = None
    return "".join(ranges)


def word_segmentation(text: str, config: WordSegmentation, language: str | None) -> str:
    """Words and marks with one blank between them, line by line; only white space changes."""
    lines = [_pieces().findall(line) for line in text.split("\n")]
    if is_chinese(text, language):
        if config.chinese == "characters":
            split: Callable[[str], list[str]] = _han_or_other().findall
        else:
            whole = [piece for pieces in lines for piece in pieces if not piece.isascii()]
            split = _words_of(whole)
        lines = [
            [word for piece in pieces for word in ([piece] if piece.isascii() else split(piece))] for pieces in lines
        ]
    return "\n".join(" ".join(pieces) for pieces in lines)


def _words_of(pieces: list[str]) -> Callable[[str], list[str]]:
    """The words of each piece in turn, cut all at once; no piece has white space, so no word is of two."""
    words = iter(cut("\n".join(pieces)))

    def next_words(piece: str) -> list[str]:
        found, left = [], len(piece)
        while left:
            found.append(next(words))
            left -= len(found[-1])
        return found

    return next_words


@cache
def _pieces() -> re.Pattern[str]:
    return re.compile(f"{word_pattern().pattern}|\\S")


@cache
def _han_or_other() -> re.Pattern[str]:
    return re.compile(f"[{HAN}]|[^{HAN}]+")


def stop_words(text: str, config: StopWords, language: str | None) -> str:
    """Without the language's stop words, each with the blank after it."""
    listed = _stop_list(language, config.words.get(language, ()) if config.words else None) if language else frozenset()
    if not listed:
        return text
    return _word_and_blank().sub(lambda found: "" if found[1].casefold() in listed else found[0], text)


@cache
def _word_and_blank() -> re.Pattern[str]:
    return re.compile(f"({word_pattern().pattern})[ \\t]?")


@cache
def _stop_list(language: str, declared: tuple[str, ...] | None) -> frozenset[str]:
    if declared is not None:
        return frozenset(word.casefold() for word in declared)
    import stopwordsiso

    found = stopwordsiso.stopwords(language) if stopwordsiso.has_lang(language) else ()
    return frozenset(word.casefold() for word in found)


def case_folding(text: str, config: CaseFolding, language: str | None) -> str:
    """Lower case; Turkish and Azerbaijani have their own i."""
    if language in ("tr", "az"):
        text = text.replace("İ", "i").replace("I", "ı")
    return text.casefold() if config.method == "fold" else text.lower()


def punctuation(text: str, config: Punctuation, language: str | None) -> str:
    """Every mark of Unicode's category P replaced, but those to keep."""
    return text.translate(_punctuation(config.keep, config.replacement))


@cache
def _punctuation(keep: str, replacement: str) -> Mapping[int, str]:
    return _translation(lambda character: unicodedata.category(character)[0] == "P", keep, replacement)


def special_characters(text: str, config: SpecialCharacters, language: str | None) -> str:
    """Without the characters of the listed categories, but those to keep."""
    return text.translate(_special(config.categories, config.keep))


@cache
def _special(categories: tuple[str, ...], keep: str) -> Mapping[int, str]:
    return _translation(lambda character: unicodedata.category(character) in categories, keep, "")


def _translation(chosen: Callable[[str], bool], keep: str, replacement: str) -> Mapping[int, str]:
    points = (point for point in range(sys.maxunicode + 1) if chosen(chr(point)))
    return {point: replacement for point in points if chr(point) not in keep}


LONGEST_WORD: Final = 100
"""Letters of a word that is still looked up; what is longer is no word of a language, and stemmers take their time."""


def stemming(text: str, config: Stemming, language: str | None) -> str:
    """Every word as its Snowball stem, in lower case, which the stemmers are made for."""
    name = SNOWBALL.get(config.language or language or "")
    return text if name is None else _looked_up(lambda word: _stem(name, word.lower()), text)


def _looked_up(change: Callable[[str], str], text: str) -> str:
    return word_pattern().sub(lambda word: change(word[0]) if len(word[0]) <= LONGEST_WORD else word[0], text)


@lru_cache(maxsize=WORDS_KEPT)
def _stem(name: str, word: str) -> str:
    return str(_stemmer(name).stemWord(word))


@cache
def _stemmer(name: str) -> Any:
    import snowballstemmer

    return snowballstemmer.stemmer(name)


def lemmatization(text: str, config: Lemmatization, language: str | None) -> str:
    """Every word as its dictionary form; a word that the dictionary lacks as it is."""
    wanted = config.language or language or ""
    code = LEMMAS.get(wanted, wanted)
    return _looked_up(lambda word: _lemma(code, word), text) if code in _dictionaries() else text


@cache
def _dictionaries() -> frozenset[str]:
    from simplemma.strategies.dictionaries.dictionary_factory import SUPPORTED_LANGUAGES

    return frozenset(SUPPORTED_LANGUAGES)


@lru_cache(maxsize=WORDS_KEPT)
def _lemma(code: str, word: str) -> str:
    import simplemma

    return str(simplemma.lemmatize(word, lang=code))
