"""The published filters as lists of rules, with their thresholds and the side on which equality falls.

A document meets the rules in this order; the first failing one is its reason, all of them are recorded.

- `gopher` = `gopher_quality` + `gopher_repetition` (Rae et al. 2021, A1.1 and table A1).
- `c4` judges what C4's line filter would leave (Raffel et al. 2020); the text itself stays whole. `c4_any_ending` is
  the variant without the terminal mark rule, which FineWeb uses because the rule alone costs a third of the tokens.
- `fineweb` are FineWeb's own four rules (Penedo et al. 2024); its whole pipeline is `english`, `gopher`,
  `c4_any_ending`, `fineweb`. As above, the sentences and marks are those of lines that came so far; `c4_page` condemns
  a page for "lorem ipsum" or `{` anywhere on it, as the first implementation did. `mc4` wants three lines of 200
  characters.
- `refinedweb` (Penedo et al. 2023, in DCLM's numbers) = `english` + `gopher` + at most 5 % of the words in lines
  that its line-wise corrections take out. Its URL lists are the project's own (family `keywords`): a domain list as
  `url_<list>_hits <= 0`, soft words as `url_<list>_hits < 2`.
- `english` is the language gate of FineWeb and RefinedWeb.
- `multilingual` needs no stop words, no cases and no spaces: ROOTS' default limits (repeated character 10-grams,
  repeated word 5-grams, share of letters, length), Gopher's duplicated lines and paragraphs, FineWeb's line ends with
  the marks of all scripts, FineWeb-2's limit of duplicated lines, CCNet's language score. Where a word is a character,
  ROOTS' limit for repeated words is 0.96.
- `evalweb` are EvalWeb's own rules alone, with no character of traditional writing; `chinese` leaves that one out.
- `residue` flags what extraction left: markup, broken characters, notices, spam terms. No published values, so it
  never drops.
- `chinese` is for text in Han characters, where a word is a character (`unspaced: characters`). From EvalWeb: length,
  line length, Han share and repeated character 13-grams. From FineWeb-2 (cmn_Hani): line rules and two stop words. Its
  n-gram thresholds are for segmented words of about 1.6 characters; the duplicated 10-gram of characters takes the
  value of its 6-gram. The sentence limit finds lists and keyword dumps; it has no published value, so it only flags.
- `fineweb2_chinese` is FineWeb-2's own filter for Mandarin (cmn_Hani; Penedo et al. 2025), every number as published,
  in its order: Gopher's repetition without paragraphs, FineWeb's lines without the short ones, Gopher's quality. Its
  words are jieba's, so `statistics.unspaced` is `words`. Its language score is GlotLID's; ours is lid.176's.
- `roots_chinese` are ROOTS' numbers for zh (Laurencon et al. 2022) that need no list: language, repeated character
  3-grams and word 5-grams, special characters, which are here all but letters and their marks. `roots_chinese_lists`
  are its shares of stop words and flagged words, hits / words, of keyword lists with the names `stop_words` and
  `flagged_words` (`boundaries: words`), with `unspaced: words`. Its perplexity limit of 2,095 holds for its own model:
  with one of `corpus.models.language_models`, write a rule on `perplexity` with a value from that model's page.
- `c4_bad_words` drops a page with a word of its language's list, but for a share of them, which is the rule's value:
  `rules: {c4_bad_words: 0.1}` keeps a tenth. It wants `signals.bad_words`, whose lists are the user's.

Pitfalls: `gopher` and `c4` reject every Chinese document (stop words, terminal marks); `{` rejects code and LaTeX; a
top n-gram that occurs once counts, so very short documents fail `gopher_max_top_2_gram`; punctuation marks are words
without a letter, so `gopher_min_letter_words` rejects much text with many marks, numbers or formulas (4 of 10 articles
of wikitext, nearly all code and mathematics): lower it or flag it for such sources. `chinese_max_duplicate_lines`
counts the fences of code blocks.
"""

from types import MappingProxyType
from typing import Final, Literal

from pipelines.corpus.filters.rules import Rule


def _rule(
    name: str, signal: str, op: Literal[">=", ">", "<=", "<", "==", "in"], value: float | tuple[str, ...]
) -> Rule:
    return Rule(name=name, signal=signal, op=op, value=value)


_ENGLISH = (
    _rule("english_language", "language", "in", ("en",)),
    _rule("english_min_score", "language_score", ">=", 0.65),
)

_GOPHER_QUALITY = (
    _rule("gopher_min_words", "n_plain_words", ">=", 50),
    _rule("gopher_max_words", "n_plain_words", "<=", 100_000),
    _rule("gopher_min_mean_word", "mean_word_characters", ">=", 3),
    _rule("gopher_max_mean_word", "mean_word_characters", "<=", 10),
    _rule("gopher_max_hashes", "hashes_per_word", "<=", 0.1),
    _rule("gopher_max_ellipses", "ellipses_per_word", "<=", 0.1),
    _rule("gopher_max_bullet_lines", "bullet_line_share", "<=", 0.9),
    _rule("gopher_max_ellipsis_lines", "ellipsis_line_share", "<=", 0.3),
    _rule("gopher_min_letter_words", "letter_word_share", ">=", 0.8),
    _rule("gopher_min_stop_words", "distinct_stop_words_english", ">=", 2),
)

_GOPHER_REPETITION = (
    _rule("gopher_max_duplicate_paragraphs", "duplicate_paragraph_share", "<=", 0.3),
    _rule("gopher_max_duplicate_paragraph_characters", "duplicate_paragraph_character_share", "<=", 0.2),
    _rule("gopher_max_duplicate_lines", "duplicate_line_share", "<=", 0.3),
    _rule("gopher_max_duplicate_line_characters", "duplicate_line_character_share", "<=", 0.2),
    *(
        _rule(f"gopher_max_top_{n}_gram", f"top_{n}_gram_character_share", "<=", limit)
        for n, limit in ((2, 0.2), (3, 0.18), (4, 0.16))
    ),
    *(
        _rule(f"gopher_max_duplicate_{n}_gram", f"duplicate_{n}_gram_character_share", "<=", limit)
        for n, limit in ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10))
    ),
)

_FINEWEB = (
    _rule("fineweb_min_punctuated_lines", "punctuated_line_share", ">=", 0.12),
    _rule("fineweb_max_short_lines", "short_line_share", "<=", 0.67),
    _rule("fineweb_max_duplicate_line_characters", "duplicate_nonblank_line_character_share", "<=", 0.01),
    _rule("fineweb_max_newlines", "newlines_per_word", "<=", 0.3),
)

_CHINESE = (
    _rule("chinese_language", "language", "in", ("zh", "wuu", "yue")),
    _rule("chinese_min_characters", "n_characters", ">", 200),
    _rule("chinese_min_mean_line", "mean_line_characters", ">=", 10),
    _rule("chinese_min_han", "han_character_share", ">=", 0.3),
    _rule("chinese_max_repeated_13_grams", "duplicate_character_13_gram_share", "<=", 0.5),
    _rule("chinese_max_duplicate_lines", "duplicate_line_share", "<=", 0.287),
    _rule("chinese_max_duplicate_line_characters", "duplicate_nonblank_line_character_share", "<=", 0.1),
    _rule("chinese_max_duplicate_10_gram", "duplicate_10_gram_character_share", "<=", 0.182),
    _rule("chinese_min_punctuated_lines", "punctuated_line_share", ">=", 0.106),
    _rule("chinese_min_letter_words", "letter_word_share", ">=", 0.735),
    _rule("chinese_max_newlines", "newlines_per_word", "<=", 0.178),
    _rule("chinese_min_stop_words", "distinct_stop_words_chinese", ">=", 2),
    _rule("chinese_has_punctuation", "punctuation_character_share", ">", 0),
    _rule("chinese_max_sentence", "max_sentence_characters", "<=", 500).flagging(),
)

_FINEWEB2_CHINESE = (
    _rule("fineweb2_chinese_language", "language", "in", ("zh",)),
    _rule("fineweb2_chinese_min_score", "language_score", ">=", 0.692),
    _rule("fineweb2_chinese_max_duplicate_lines", "duplicate_line_share", "<=", 0.287),
    *(
        _rule(f"fineweb2_chinese_max_top_{n}_gram", f"top_{n}_gram_character_share", "<=", limit)
        for n, limit in ((2, 0.256), (3, 0.201), (4, 0.171))
    ),
    *(
        _rule(f"fineweb2_chinese_max_duplicate_{n}_gram", f"duplicate_{n}_gram_character_share", "<=", limit)
        for n, limit in ((5, 0.198), (6, 0.182), (7, 0.167), (8, 0.154), (9, 0.14), (10, 0.127))
    ),
    _rule("fineweb2_chinese_min_punctuated_lines", "punctuated_line_share", ">=", 0.106),
    _rule("fineweb2_chinese_max_duplicate_line_characters", "duplicate_nonblank_line_character_share", "<=", 0.1),
    _rule("fineweb2_chinese_max_newlines", "newlines_per_word", "<=", 0.178),
    _rule("fineweb2_chinese_min_words", "n_plain_words", ">=", 50),
    _rule("fineweb2_chinese_max_words", "n_plain_words", "<=", 100_000),
    _rule("fineweb2_chinese_min_mean_word", "mean_word_characters", ">=", 1),
    _rule("fineweb2_chinese_max_mean_word", "mean_word_characters", "<=", 5),
    _rule("fineweb2_chinese_max_hashes", "hashes_per_word", "<=", 0.1),
    _rule("fineweb2_chinese_max_ellipses", "ellipses_per_word", "<=", 0.1),
    _rule("fineweb2_chinese_max_bullet_lines", "bullet_line_share", "<=", 0.9),
    _rule("fineweb2_chinese_max_ellipsis_lines", "ellipsis_line_share", "<=", 0.3),
    _rule("fineweb2_chinese_min_letter_words", "letter_word_share", ">=", 0.735),
    _rule("fineweb2_chinese_min_stop_words", "distinct_stop_words_chinese", ">=", 2),
)

_ROOTS_CHINESE = (
    _rule("roots_chinese_language", "language", "in", ("zh", "wuu", "yue")),
    _rule("roots_chinese_min_score", "language_score", ">=", 0.85),
    _rule("roots_chinese_min_words", "n_words", ">=", 1),
    _rule("roots_chinese_max_words", "n_words", "<=", 1_000_000),
    _rule("roots_chinese_max_repeated_characters", "character_3_gram_repetition_share", "<=", 0.2),
    _rule("roots_chinese_max_repeated_words", "repeated_word_5_gram_share", "<=", 0.96),
    _rule("roots_chinese_min_letters", "letter_character_share", ">=", 0.7),
)
_ROOTS_CHINESE_LISTS = (
    _rule("roots_chinese_min_stop_words", "keyword_stop_words_hits / n_words", ">=", 0.1691),
    _rule("roots_chinese_max_flagged_words", "keyword_flagged_words_hits / n_words", "<=", 0.001),
)

_C4_BAD_WORDS = (
    Rule(
        name="c4_bad_words",
        signal="bad_words_draw if bad_words_hits > 0 else -1",
        op="<",
        value=0.0,
        missing="pass",
    ),
)

_UNSPACED = '("zh", "yue", "wuu", "ja", "th", "lo", "my", "km", "bo")'
_MULTILINGUAL = (
    _rule("multilingual_min_score", "language_score", ">=", 0.5),
    _rule("multilingual_min_words", "n_words", ">=", 10),
    _rule("multilingual_max_words", "n_words", "<=", 100_000),
    _rule("multilingual_min_letters", "letter_character_share", ">=", 0.6),
    _rule("multilingual_max_repeated_characters", "character_10_gram_repetition_share", "<=", 0.2),
    _rule(
        "multilingual_max_repeated_words",
        f"repeated_word_5_gram_share * (0.3 / 0.96) if language in {_UNSPACED} else repeated_word_5_gram_share",
        "<=",
        0.3,
    ),
    _rule("multilingual_max_duplicate_line_characters", "duplicate_nonblank_line_character_share", "<=", 0.1),
    *(rule for rule in _GOPHER_REPETITION if "_lines" in rule.name or "_paragraphs" in rule.name),
    *(rule for rule in _FINEWEB if rule.name == "fineweb_min_punctuated_lines"),
)

_EVALWEB = (
    *(
        rule
        for rule in _CHINESE
        if rule.name.removeprefix("chinese_")
        in ("language", "min_characters", "min_mean_line", "min_han", "max_repeated_13_grams")
    ),
    _rule("evalweb_no_traditional", "traditional_character_share", "<=", 0),
)

_REFINEDWEB = (_rule("refinedweb_max_removed_words", "refinedweb_removed_word_share", "<=", 0.05),)

_RESIDUE = tuple(
    _rule(f"residue_{name}", signal, "<=", limit).flagging()
    for name, signal, limit in (
        ("max_tags", "html_tag_character_share", 0.02),
        ("max_entities", "1000 * html_entities / n_characters", 1),
        ("max_controls", "control_characters", 0),
        ("max_zero_width", "1000 * zero_width_characters / n_characters", 1),
        ("max_mojibake", "mojibake_sequences", 0),
        ("max_replacements", "n_replacement_characters", 0),
        ("max_notices", "keyword_notices_per_line", 0.2),
        ("max_spam", "keyword_spam_per_line", 0.1),
    )
)


def _c4(variant: str) -> tuple[Rule, ...]:
    return (
        _rule(f"{variant}_no_lorem_ipsum", f"{variant}_lorem_ipsum_lines", "<=", 0),
        _rule(f"{variant}_no_curly_bracket", f"{variant}_curly_bracket_lines", "<=", 0),
        _rule(f"{variant}_min_sentences", f"{variant}_sentences", ">=", 5),
    )


PRESETS: Final = MappingProxyType(
    {
        "english": _ENGLISH,
        "gopher_quality": _GOPHER_QUALITY,
        "gopher_repetition": _GOPHER_REPETITION,
        "gopher": _GOPHER_REPETITION + _GOPHER_QUALITY,
        "c4": _c4("c4"),
        "c4_any_ending": _c4("c4_any_ending"),
        "c4_page": (
            _rule("c4_page_no_lorem_ipsum", "lorem_ipsum_lines", "<=", 0),
            _rule("c4_page_no_curly_bracket", "curly_bracket_lines", "<=", 0),
            _rule("c4_min_sentences", "c4_sentences", ">=", 5),
        ),
        "mc4": (_rule("mc4_min_long_lines", "long_lines", ">=", 3),),
        "fineweb": _FINEWEB,
        "refinedweb": _ENGLISH + _GOPHER_QUALITY + _GOPHER_REPETITION + _REFINEDWEB,
        "multilingual": _MULTILINGUAL,
        "evalweb": _EVALWEB,
        "residue": _RESIDUE,
        "chinese": _CHINESE,
        "fineweb2_chinese": _FINEWEB2_CHINESE,
        "roots_chinese": _ROOTS_CHINESE,
        "roots_chinese_lists": _ROOTS_CHINESE_LISTS,
        "c4_bad_words": _C4_BAD_WORDS,
    }
)
WORDS_OF: Final = MappingProxyType(
    {"chinese": "characters", "fineweb2_chinese": "words", "roots_chinese_lists": "words"}
)
"""Preset -> the setting `statistics.unspaced` that its thresholds are for."""
