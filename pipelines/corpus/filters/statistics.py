"""The attribute family `statistics`: everything that the Gopher, C4 and FineWeb rules and their Chinese relatives need.

In: documents (`id`, `text_hash`, `text`). Steps, block by block: words; per-word counts; repeated n-grams; lines and
paragraphs; C4's line filter; repeated character 13-grams. Out: one row for each document, in order, counts as int64 and
shares as float64; a share whose denominator is zero (no words, no lines) is null. A row depends on nothing but its text
and the configuration. `column_descriptions` has a sentence for every column.
Cost: about 15 MB/s of UTF-8 on one core, after about 20 s of compilation that the first use on a machine caches.
"""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from pipelines.core.documents import ATTRIBUTE_KEYS
from pipelines.core.fingerprint import Algorithm
from pipelines.core.parts import PartResult
from pipelines.corpus.chinese_dictionary import jieba_version
from pipelines.corpus.filters.blocks import I32, I64, U8, U16, U32, U64, TextBlock, hash_words, text_blocks
from pipelines.corpus.filters.c4 import C4_COUNTS, c4_counts
from pipelines.corpus.filters.characters import DIGIT, HAN, PUNCTUATION, UNICODE, UPPER, character_flags, running_flags
from pipelines.corpus.filters.chinese_words import CHINESE_WORDS, chinese_words
from pipelines.corpus.filters.config import StatisticsConfig
from pipelines.corpus.filters.lines import LINE_COUNTS, line_counts
from pipelines.corpus.filters.repetition import DUPLICATE_SIZES, TOP_SIZES, repeated_characters, repeated_words
from pipelines.corpus.filters.spans import lines, sentences
from pipelines.corpus.filters.words import HAS_LETTER, NOT_SYMBOL, SEGMENTATION, Words, segment_words

STATISTICS: Final = Algorithm("text_statistics", 1)
ALGORITHMS: Final = (STATISTICS, SEGMENTATION, UNICODE)
"""What the identity of a statistics artifact names; `algorithms_of` adds what words of Chinese rest on."""

_COUNTED: Final = (
    "words",
    "plain_words",
    "plain_word_characters",
    "letter_words",
    "hashes",
    "ellipses",
    "han",
    "punctuation",
    "digits",
    "uppercase",
    "replacement_characters",
    "sentences",
    "sentence_characters",
    "longest_sentence",
)

Counts = dict[str, npt.NDArray[np.int64]]


def statistics_part(tables: Mapping[str, pa.Table], config: StatisticsConfig) -> PartResult:
    """`tables["documents"]` to `tables["statistics"]`: the keys and the columns of `column_descriptions(config)`.

    Raises ValueError when a configured stop word is not one word of the segmentation, or a text is not UTF-8.
    """
    table = statistics_table(tables["documents"], config, _segmenter(config))
    return PartResult({"statistics": table}, {"rows_in": len(table), "kept": len(table)})


def algorithms_of(config: StatisticsConfig) -> tuple[Algorithm, ...]:
    """What the statistics by these settings rest on."""
    return (*ALGORITHMS, CHINESE_WORDS, jieba_version()) if config.unspaced == "words" else ALGORITHMS


def _segmenter(config: StatisticsConfig) -> Callable[[TextBlock], Words]:
    flags = running_flags() if config.unspaced == "runs" else character_flags()
    if config.unspaced == "words":
        return lambda block: chinese_words(block, segment_words(block, flags))
    return lambda block: segment_words(block, flags)


def statistics_table(documents: pa.Table, config: StatisticsConfig, segment: Callable[[TextBlock], Words]) -> pa.Table:
    """The statistics of `documents` with words from any segmenter; see `words.given_words`."""
    lists = _stop_word_lists(config)
    blocks = [_count(block, segment(block), lists, config) for block in text_blocks(documents.column("text"))]
    names = [*_COUNTED, *(f"stop_words_{name}" for name in config.stop_words), *_RAW]
    counts = {
        name: np.concatenate([block[name] for block in blocks]) if blocks else np.zeros(0, np.int64) for name in names
    }
    columns: dict[str, pa.Array | pa.ChunkedArray] = {
        field.name: documents.column(field.name) for field in ATTRIBUTE_KEYS
    }
    columns.update(_columns(counts, config))
    return pa.table(columns)


def column_descriptions(config: StatisticsConfig) -> dict[str, str]:
    """Every column after the keys, in order, with a sentence that names its unit."""
    stop_words = {
        f"distinct_stop_words_{name}": f"different words of the {name} stop word list ({len(words)}, case as written)"
        for name, words in config.stop_words.items()
    }
    top = {
        f"top_{n}_gram_character_share": f"characters in the most frequent word {n}-gram, spaces included / characters"
        for n in TOP_SIZES
    }
    duplicate = {
        f"duplicate_{n}_gram_character_share": f"characters in repeated word {n}-grams, each counted once / characters"
        for n in DUPLICATE_SIZES
    }
    return {
        "n_characters": "code points of the text",
        "n_words": "words, punctuation marks included",
        "n_plain_words": "words that are not made of symbol characters alone",
        "mean_word_characters": "mean characters of a plain word",
        "hashes_per_word": "`#` characters / words",
        "ellipses_per_word": "`...` and `…` / words",
        "letter_word_share": "words with a letter / words",
        **stop_words,
        "n_lines": "pieces between runs of newlines, empty first and last ones included",
        "n_paragraphs": "pieces of the stripped text between runs of two or more newlines",
        "bullet_line_share": "lines that start with `•` or `-` / lines",
        "ellipsis_line_share": "lines that end with `...` or `…` / lines",
        "duplicate_line_share": "lines equal to an earlier one / lines",
        "duplicate_line_character_share": "characters in lines equal to an earlier one / characters",
        "duplicate_paragraph_share": "paragraphs equal to an earlier one / paragraphs",
        "duplicate_paragraph_character_share": "characters in paragraphs equal to an earlier one / characters",
        **top,
        **duplicate,
        "duplicate_character_13_gram_share": "positions of a character 13-gram that occurs more than once / positions",
        "punctuated_line_share": "non-blank lines that end with a sentence mark of any script / non-blank lines",
        "short_line_share": f"non-blank lines of {config.short_line_characters} characters at most / non-blank lines",
        "duplicate_nonblank_line_character_share": "characters in repeated non-blank lines / characters but newlines",
        "newlines_per_word": "newlines / words",
        "mean_line_characters": "mean characters of a non-blank line",
        "n_sentences": "sentences, a line end ending one",
        "mean_sentence_characters": "mean characters of a sentence",
        "max_sentence_characters": "characters of the longest sentence",
        "han_character_share": "Han characters / characters",
        "punctuation_character_share": "punctuation characters / characters",
        "digit_character_share": "decimal digits / characters",
        "uppercase_character_share": "upper-case letters / characters",
        "n_replacement_characters": "U+FFFD characters, left by broken decoding",
        "lorem_ipsum_lines": "lines with `lorem ipsum`, anywhere on the page",
        "curly_bracket_lines": "lines with `{`, anywhere on the page",
        "javascript_lines": "lines with `javascript`, anywhere on the page",
        "policy_lines": "lines with a cookie, privacy or terms phrase, anywhere on the page",
        "c4_dropped_long_word": f"lines that C4 drops for a word of more than {config.c4_word_characters} characters",
        "c4_dropped_no_terminal_mark": "lines that C4 drops for want of a terminal mark (blank ones included)",
        "c4_dropped_few_words": f"lines that C4 drops for fewer than {config.c4_line_words} words",
        "c4_dropped_javascript": "lines that C4 drops for `javascript`",
        "c4_dropped_policy": "lines that C4 drops for a policy phrase",
        "c4_lorem_ipsum_lines": "lines with `lorem ipsum` that came past C4's earlier line rules",
        "c4_curly_bracket_lines": "lines with `{` that came past C4's earlier line rules",
        "c4_kept_lines": "lines that C4 keeps",
        "c4_kept_characters": "characters that C4 keeps",
        "c4_sentences": "sentences in the lines that C4 keeps",
        "c4_any_ending_lorem_ipsum_lines": "as c4_lorem_ipsum_lines, without the terminal mark rule",
        "c4_any_ending_curly_bracket_lines": "as c4_curly_bracket_lines, without the terminal mark rule",
        "c4_any_ending_kept_lines": "as c4_kept_lines, without the terminal mark rule",
        "c4_any_ending_kept_characters": "as c4_kept_characters, without the terminal mark rule",
        "c4_any_ending_sentences": "as c4_sentences, without the terminal mark rule",
    }


_RAW: Final = (
    "characters",
    *LINE_COUNTS,
    *C4_COUNTS,
    *(f"top_{n}" for n in TOP_SIZES),
    *(f"duplicate_{n}" for n in DUPLICATE_SIZES),
    "repeated_positions",
    "positions",
)


def _columns(counts: Counts, config: StatisticsConfig) -> dict[str, pa.Array]:
    """The columns of `column_descriptions` from the raw counts, in its order."""
    characters, words = counts["characters"], counts["words"]
    shares = {
        "mean_word_characters": ("plain_word_characters", "plain_words"),
        "hashes_per_word": ("hashes", "words"),
        "ellipses_per_word": ("ellipses", "words"),
        "letter_word_share": ("letter_words", "words"),
        "bullet_line_share": ("bullet_lines", "split_lines"),
        "ellipsis_line_share": ("ellipsis_lines", "split_lines"),
        "duplicate_line_share": ("duplicate_lines", "lines"),
        "duplicate_line_character_share": ("duplicate_line_characters", "characters"),
        "duplicate_paragraph_share": ("duplicate_paragraphs", "paragraphs"),
        "duplicate_paragraph_character_share": ("duplicate_paragraph_characters", "characters"),
        **{f"top_{n}_gram_character_share": (f"top_{n}", "characters") for n in TOP_SIZES},
        **{f"duplicate_{n}_gram_character_share": (f"duplicate_{n}", "characters") for n in DUPLICATE_SIZES},
        "duplicate_character_13_gram_share": ("repeated_positions", "positions"),
        "punctuated_line_share": ("punctuated_lines", "nonblank_lines"),
        "short_line_share": ("short_lines", "nonblank_lines"),
        "newlines_per_word": ("newlines", "words"),
        "mean_line_characters": ("nonblank_line_characters", "nonblank_lines"),
        "mean_sentence_characters": ("sentence_characters", "sentences"),
        "han_character_share": ("han", "characters"),
        "punctuation_character_share": ("punctuation", "characters"),
        "digit_character_share": ("digits", "characters"),
        "uppercase_character_share": ("uppercase", "characters"),
    }
    whole = {
        "n_characters": characters,
        "n_words": words,
        "n_plain_words": counts["plain_words"],
        "n_lines": counts["lines"],
        "n_paragraphs": counts["paragraphs"],
        "n_sentences": counts["sentences"],
        "max_sentence_characters": counts["longest_sentence"],
        "n_replacement_characters": counts["replacement_characters"],
        **{f"distinct_stop_words_{name}": counts[f"stop_words_{name}"] for name in config.stop_words},
        **{name: counts[name] for name in C4_COUNTS},
    }
    columns = {name: pa.array(values) for name, values in whole.items()}
    columns.update({name: _share(counts[top], counts[bottom]) for name, (top, bottom) in shares.items()})
    columns["duplicate_nonblank_line_character_share"] = _share(
        counts["duplicate_nonblank_line_characters"], characters - counts["newlines"]
    )
    return {name: columns[name] for name in column_descriptions(config)}


def _share(top: I64, bottom: I64) -> pa.Array:
    """top / bottom as float64, null where `bottom` is zero."""
    empty = bottom == 0
    return pa.array(top / np.where(empty, 1, bottom), mask=empty)


def _count(block: TextBlock, words: Words, lists: list[tuple[U64, U8]], config: StatisticsConfig) -> Counts:
    segmenting = running_flags() if config.unspaced == "runs" else character_flags()
    spans, split = sentences(block, words), lines(block)
    flags = character_flags()
    documents = len(block.offsets) - 1
    counted = np.zeros((documents, len(_COUNTED)), np.int64)
    _count_words(block.characters, block.offsets, flags, *words, spans.offsets, spans.starts, spans.stops, counted)
    result: Counts = dict(zip(_COUNTED, counted.T, strict=True))
    for name, (keys, places) in zip(config.stop_words, lists, strict=True):
        distinct = np.zeros(documents, np.int64)
        _count_distinct(words.offsets, words.hashes, keys, places, distinct)
        result[f"stop_words_{name}"] = distinct
    raw = np.hstack([
        np.diff(block.offsets)[:, None],
        line_counts(block, split, config.short_line_characters),
        c4_counts(block, words, split, segmenting, config.c4_line_words, config.c4_word_characters),
        repeated_words(block, words),
        repeated_characters(block, flags),
    ])  # fmt: skip
    result.update(zip(_RAW, raw.T, strict=True))
    return result


def _stop_word_lists(config: StatisticsConfig) -> list[tuple[U64, U8]]:
    """For each list an open hash table of 256 slots: key hashes, and the word's number plus one (0 = empty)."""
    tables = []
    segment = _segmenter(config)
    for name, chosen in config.stop_words.items():
        block = next(text_blocks(pa.array(list(chosen), pa.large_string())))
        found = np.diff(segment(block).offsets)
        wrong = [word for word, count in zip(chosen, found, strict=True) if count != 1]
        if wrong:
            raise ValueError(
                f"stop_words.{name}: {wrong[0]!r} is not one word under the segmentation (by `unspaced: "
                f"{config.unspaced}`; clitics and punctuation are split): list words that it can give"
            )
        keys, places = np.zeros(256, np.uint64), np.zeros(256, np.uint8)
        for number, value in enumerate(hash_words(list(chosen))):
            slot = int(value) & 255
            while places[slot]:
                slot = (slot + 1) & 255
            keys[slot], places[slot] = value, number + 1
        tables.append((keys, places))
    return tables


@njit(cache=True, nogil=True)
def _count_distinct(offsets: I64, hashes: U64, keys: U64, places: U8, result: I64) -> None:
    """How many different listed words each document holds (64 at most)."""
    for document in range(len(offsets) - 1):
        seen = np.uint64(0)
        for word in range(offsets[document], offsets[document + 1]):
            slot = np.int64(hashes[word] & np.uint64(255))
            while places[slot]:
                if keys[slot] == hashes[word]:
                    seen |= np.uint64(1) << np.uint64(places[slot] - 1)
                    break
                slot = (slot + 1) & 255
        while seen:
            seen &= seen - np.uint64(1)
            result[document] += 1


@njit(cache=True, nogil=True)
def _count_words(
    characters: U32, bounds: I64, flags: U16, offsets: I64, starts: I32, stops: I32, hashes: U64, kinds: U8,
    sentence_offsets: I64, sentence_starts: I32, sentence_stops: I32, result: I64,
) -> None:  # fmt: skip
    """Fill result[documents, 14] in the order of `_COUNTED`."""
    for document in range(len(bounds) - 1):
        row = result[document]
        row[0] = offsets[document + 1] - offsets[document]
        for word in range(offsets[document], offsets[document + 1]):
            if kinds[word] & NOT_SYMBOL:
                row[1] += 1
                row[2] += stops[word] - starts[word]
            if kinds[word] & HAS_LETTER:
                row[3] += 1
        dots = 0
        for index in range(bounds[document], bounds[document + 1]):
            code = characters[index]
            kind = flags[code]
            dots = dots + 1 if code == 0x2E else 0
            if dots == 3:
                row[5] += 1
                dots = 0
            row[4] += code == 0x23
            row[5] += code == 0x2026
            row[6] += (kind & HAN) > 0
            row[7] += (kind & PUNCTUATION) > 0
            row[8] += (kind & DIGIT) > 0
            row[9] += (kind & UPPER) > 0
            row[10] += code == 0xFFFD
        for sentence in range(sentence_offsets[document], sentence_offsets[document + 1]):
            length = sentence_stops[sentence] - sentence_starts[sentence]
            row[12] += length
            row[13] = max(row[13], length)
        row[11] = sentence_offsets[document + 1] - sentence_offsets[document]
