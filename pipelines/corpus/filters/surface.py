"""The attribute family `surface`: what a page left in its text, and repetition in characters.

In: documents (`id`, `text_hash`, `text`). Steps, block by block: words; RefinedWeb's line-wise corrections, counted and
never done to the text; markup that extraction left (tags, entities); broken characters (controls, zero-width, mojibake,
U+FFFD); traditional and simplified characters; repeated character and word n-grams as ROOTS measures them. Out: one row
for each document; a share whose denominator is zero is null. Cost: about 20 MB/s of UTF-8 on one core.

*RefinedWeb* (Penedo et al. 2023, G.2, with the numbers of DCLM's reproduction). Each `\\n` line meets, in order:
more than half of its characters upper-case; digits alone; a counter such as `3 likes`, `1.2k views` or `评论(12)`; a
single word (a line of a script without spaces has as many words as characters); and, in lines of ten words at most, a
phrase that is taken out: `items in cart` anywhere, `read more...` at the end, `sign-in` at the start, and their Chinese
relatives. `refinedweb_removed_word_share` is the share of the document's words that goes with them; RefinedWeb drops
above 5 %.

*Repetition* (ROOTS): the n-grams of a document sorted by count, the share of all positions that the first sqrt(number
of different ones) hold, those that occur once left out. Needs no words, so it serves every script.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numba import njit

from pipelines.core.documents import ATTRIBUTE_KEYS
from pipelines.core.fingerprint import Algorithm
from pipelines.core.parts import PartResult
from pipelines.corpus.filters.blocks import I32, I64, U8, U16, U32, U64, TextBlock, mix, text_blocks
from pipelines.corpus.filters.c4 import matches, phrase_table
from pipelines.corpus.filters.characters import (
    DIGIT,
    HAN,
    LETTER,
    MARK,
    SOLO,
    SPACE,
    UNICODE,
    UPPER,
    character_flags,
    han_variants,
)
from pipelines.corpus.filters.config import SurfaceConfig
from pipelines.corpus.filters.lines import strip
from pipelines.corpus.filters.markup import count_markup, element_hashes, entity_hashes
from pipelines.corpus.filters.repetition import bits_for, find
from pipelines.corpus.filters.words import NOT_SYMBOL, SEGMENTATION, segment_words

SURFACE: Final = Algorithm("text_surface", 2)
ALGORITHMS: Final = (SURFACE, SEGMENTATION, UNICODE)

LINES: Final = ("uppercase", "numeric", "counter", "single_word", "phrase")
CHARACTER_COUNTS: Final = ("letters", "han", "traditional", "simplified")
_LABELS = "likes shares comments retweets reposts quotes bookmarks upvotes downvotes downloads views followers"
_CHINESE_LABELS = "点赞 赞 评论 转发 阅读 播放 收藏 浏览 关注 粉丝 回复 喜欢 分享 观看 點贊 讚 評論 轉發 閱讀 瀏覽 回覆"
_CHINESE_UNITS = "个 次 人 条 篇 個 條 万 千 亿 萬 億"
_ANYWHERE = ("items in cart", "加入购物车", "加入購物車")
_AT_END = ("read more...", "read more…", "阅读全文", "查看更多", "展开全文", "閱讀全文", "更多>>")
_AT_START = ("sign-in", "登录注册", "登录/注册", "登入/註冊")
_MAX_PHRASE_WORDS = 10
_MOJIBAKE: Final = ("锟斤拷", "烫烫烫", "屯屯屯")
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def surface_part(tables: Mapping[str, pa.Table], config: SurfaceConfig) -> PartResult:
    """`tables["documents"]` to `tables["surface"]`: the keys and the columns of `column_descriptions(config)`."""
    documents = tables["documents"]
    blocks = [_count(block, config) for block in text_blocks(documents.column("text"))]
    names = _raw_names(config)
    counted = np.concatenate(blocks) if blocks else np.zeros((0, len(names)), np.int64)
    counts = dict(zip(names, counted.T, strict=True))
    columns: dict[str, Any] = {field.name: documents.column(field.name) for field in ATTRIBUTE_KEYS}
    for name in column_descriptions(config):
        if name in counts:
            columns[name] = pa.array(counts[name])
        else:
            top, bottom = _shares(config)[name]
            empty = counts[bottom] == 0
            columns[name] = pa.array(counts[top] / np.where(empty, 1, counts[bottom]), mask=empty)
    table = pa.table(columns)
    return PartResult({"surface": table}, {"rows_in": len(documents), "kept": len(table)})


def column_descriptions(config: SurfaceConfig) -> dict[str, str]:
    """Every column after the keys, in order, with a sentence that names its unit."""
    repetition = {
        f"character_{n}_gram_repetition_share": f"positions held by the most repeated character {n}-grams / positions"
        for n in config.character_grams
    }
    return {
        "refinedweb_uppercase_lines": "lines with more upper-case than other characters",
        "refinedweb_numeric_lines": "lines of digits alone",
        "refinedweb_counter_lines": "lines such as `3 likes`",
        "refinedweb_single_word_lines": "lines of one word",
        "refinedweb_phrase_lines": "lines of ten words at most with a phrase of shops, logins or teasers",
        "refinedweb_removed_word_share": "words that RefinedWeb's line-wise corrections take out / words",
        "long_lines": f"lines of at least {config.long_line_characters} characters (mC4 wants three)",
        "html_tags": "tags of HTML elements left in the text",
        "html_tag_character_share": "characters in such tags / characters",
        "html_entities": "character references left in the text, e.g. `&nbsp;`",
        "control_characters": "control characters other than tab and line ends",
        "zero_width_characters": "zero-width spaces, word joiners, byte order marks and soft hyphens",
        "mojibake_sequences": "runs that are UTF-8 read as another encoding, e.g. `Ã©`, `â€™`, `锟斤拷`",
        "letter_character_share": "letters and their marks / characters",
        "traditional_character_share": "Han characters of traditional writing alone / Han characters",
        "simplified_character_share": "Han characters of simplified writing alone / Han characters",
        **repetition,
        f"repeated_word_{config.word_gram}_gram_share": "positions of a word n-gram that occurs again / positions",
    }


def _raw_names(config: SurfaceConfig) -> tuple[str, ...]:
    return (
        *(f"refinedweb_{name}_lines" for name in LINES),
        "removed_words",
        "plain_words",
        "long_lines",
        "html_tags",
        "html_tag_characters",
        "html_entities",
        "control_characters",
        "zero_width_characters",
        "mojibake_sequences",
        *CHARACTER_COUNTS,
        "characters",
        *(f"{kind}_{n}" for n in config.character_grams for kind in ("top", "positions")),
        "repeated_words",
        "word_positions",
    )


def _shares(config: SurfaceConfig) -> dict[str, tuple[str, str]]:
    return {
        "refinedweb_removed_word_share": ("removed_words", "plain_words"),
        "html_tag_character_share": ("html_tag_characters", "characters"),
        "letter_character_share": ("letters", "characters"),
        "traditional_character_share": ("traditional", "han"),
        "simplified_character_share": ("simplified", "han"),
        **{f"character_{n}_gram_repetition_share": (f"top_{n}", f"positions_{n}") for n in config.character_grams},
        f"repeated_word_{config.word_gram}_gram_share": ("repeated_words", "word_positions"),
    }


def _count(block: TextBlock, config: SurfaceConfig) -> I64:
    flags, documents = character_flags(), len(block.offsets) - 1
    words = segment_words(block, flags)
    lines = np.zeros((documents, 8), np.int64)
    _correct_lines(
        block.characters, block.offsets, flags, words.offsets, words.starts, words.flags, phrase_table(_LABELS.split()),
        phrase_table(_CHINESE_LABELS.split()), phrase_table(_CHINESE_UNITS.split()), phrase_table(_ANYWHERE),
        phrase_table(_AT_END), phrase_table(_AT_START), config.long_line_characters, lines,
    )  # fmt: skip
    marks = np.zeros((documents, 6), np.int64)
    count_markup(
        block.characters, block.offsets, flags, element_hashes(), entity_hashes(), phrase_table(_MOJIBAKE), marks
    )
    kinds = np.zeros((documents, len(CHARACTER_COUNTS) + 1), np.int64)
    _count_kinds(block.characters, block.offsets, flags, han_variants(), kinds)
    parts = [lines, marks, kinds]
    longest = int(np.diff(block.offsets).max(initial=1))
    size = 1 << bits_for(longest)
    keys, counts, stamps = np.empty(size, np.uint64), np.empty(size, np.int32), np.zeros(size, np.int32)
    stamp = 0
    hashed = mix_characters(block.characters)
    for n in config.character_grams:
        result = np.zeros((documents, 2), np.int64)
        stamp = _repetition(hashed, block.offsets, n, True, keys, counts, stamps, stamp, result)
        parts.append(result)
    result = np.zeros((documents, 2), np.int64)
    _repetition(words.hashes, words.offsets, config.word_gram, False, keys, counts, stamps, stamp, result)
    return np.hstack([*parts, result])


@njit(cache=True, nogil=True)
def mix_characters(characters: U32) -> U64:
    """A 64-bit hash of each character."""
    result = np.empty(len(characters), np.uint64)
    for index in range(len(characters)):
        result[index] = mix(np.uint64(characters[index]) + np.uint64(1))
    return result


@njit(cache=True, nogil=True)
def _repetition(
    hashes: U64, offsets: I64, n: int, ranked: bool, keys: U64, counts: I32, stamps: I32, stamp: int, result: I64
) -> int:
    """Fill result[documents, 2] with the positions of repeated n-grams and all positions; returns the last stamp.

    `ranked`: only the first floor(sqrt(different n-grams)) by count; otherwise all that occur more than once.
    """
    power = np.uint64(1)
    for _step in range(n):
        power *= _FACTOR
    slots = np.empty(len(keys), np.int32)
    tally = np.zeros(len(keys) + 1, np.int64)
    for document in range(len(offsets) - 1):
        begin, end = offsets[document], offsets[document + 1]
        positions = end - begin - n + 1
        if positions <= 0:
            continue
        stamp += 1
        bits, different = bits_for(positions), 0
        rolling = np.uint64(0)
        for index in range(begin, end):
            rolling = rolling * _FACTOR + hashes[index]
            if index - begin >= n:
                rolling -= power * hashes[index - n]
            if index - begin < n - 1:
                continue
            key = rolling ^ (rolling >> np.uint64(31))
            slot = find(keys, stamps, stamp, bits, key)
            if stamps[slot] != stamp:
                stamps[slot], keys[slot], counts[slot] = stamp, key, 0
                slots[different] = slot
                different += 1
            counts[slot] += 1
        largest = 0
        for index in range(different):
            count = counts[slots[index]]
            if count > 1:
                tally[count] += 1
                largest = max(largest, count)
        left = np.int64(np.sqrt(different)) if ranked else different
        total = 0
        for count in range(largest, 1, -1):
            taken = min(left, tally[count])
            total += taken * count
            left -= taken
            tally[count] = 0
        result[document, 0], result[document, 1] = total, positions
    return stamp


@njit(cache=True, nogil=True)
def _count_kinds(characters: U32, offsets: I64, flags: U16, variants: U8, result: I64) -> None:
    """result[documents, 5]: letters with marks, Han, traditional alone, simplified alone, all characters."""
    for document in range(len(offsets) - 1):
        row = result[document]
        row[4] = offsets[document + 1] - offsets[document]
        for index in range(offsets[document], offsets[document + 1]):
            kind = flags[characters[index]]
            row[0] += (kind & (LETTER | MARK)) > 0
            if kind & HAN and kind & LETTER:
                row[1] += 1
                variant = variants[characters[index]]
                row[2] += variant == 1
                row[3] += variant == 2


@njit(cache=True, nogil=True)
def _correct_lines(
    characters: U32, offsets: I64, flags: U16, word_offsets: I64, word_starts: I32, kinds: U8, labels: U32,
    chinese_labels: U32, units: U32, anywhere: U32, at_end: U32, at_start: U32, long_line: int, result: I64,
) -> None:  # fmt: skip
    """result[documents, 8]: lines by rule in the order of LINES, words taken out, plain words, long lines."""
    for document in range(len(offsets) - 1):
        row = result[document]
        begin, end = offsets[document], offsets[document + 1]
        word, last_word = word_offsets[document], word_offsets[document + 1]
        start = begin
        while start < end:
            stop = start
            upper, digits, chunks, inside, solo = 0, 0, 0, False, 0
            while stop < end and characters[stop] != 0x0A:
                kind = flags[characters[stop]]
                upper += (kind & UPPER) > 0
                digits += (kind & DIGIT) > 0
                solo += (kind & SOLO) > 0 and (kind & LETTER) > 0
                space = (kind & SPACE) > 0
                chunks += not space and not inside
                inside = not space
                stop += 1
            first_word, plain = word, 0
            while word < last_word and word_starts[word] < stop:
                plain += (kinds[word] & NOT_SYMBOL) > 0
                word += 1
            row[6] += plain
            length = stop - start
            row[7] += length >= long_line
            if length:
                if 2 * upper > length:
                    row[0] += 1
                    row[5] += plain
                elif digits == length:
                    row[1] += 1
                    row[5] += plain
                elif digits and _is_counter(characters, flags, start, stop, labels, chinese_labels, units):
                    row[2] += 1
                    row[5] += plain
                elif chunks == 1 and solo < 2:
                    row[3] += 1
                    row[5] += plain
                elif chunks <= _MAX_PHRASE_WORDS:
                    low, high = _phrase(characters, flags, start, stop, anywhere, at_end, at_start)
                    if high > low:
                        row[4] += 1
                        for index in range(first_word, word):
                            inside_phrase = low <= word_starts[index] and word_starts[index] < high
                            row[5] += inside_phrase and (kinds[index] & NOT_SYMBOL) > 0
            start = stop + 1


@njit(cache=True, nogil=True)
def _word_character(flags: U16, character: np.uint32) -> bool:
    return bool(flags[character] & (LETTER | DIGIT)) or character == 0x5F


@njit(cache=True, nogil=True)
def _listed(characters: U32, index: int, stop: int, phrases: U32) -> int:
    """The end of the longest phrase at `index`; `index` when there is none."""
    end = index
    for row in range(len(phrases)):
        if matches(characters, index, stop, phrases[row]):
            length = 0
            while phrases[row, length]:
                length += 1
            end = max(end, index + length)
    return end


@njit(cache=True, nogil=True)
def _number(characters: U32, flags: U16, index: int, stop: int) -> int:
    """The end of a number such as `1,234`, `1.2k` or `3M` at `index`; `index` when there is none."""
    if index >= stop or not flags[characters[index]] & DIGIT:
        return index
    while index < stop and (flags[characters[index]] & DIGIT or characters[index] == 0x2C or characters[index] == 0x2E):
        index += 1
    if index < stop:
        code = characters[index] | 0x20
        index += code == 0x6B or code == 0x6D or code == 0x62
    return index


@njit(cache=True, nogil=True)
def _is_counter(
    characters: U32, flags: U16, start: int, stop: int, labels: U32, chinese_labels: U32, units: U32
) -> bool:
    """A number and what it counts, with nothing but marks around; in Chinese in either order."""
    while start < stop and not _word_character(flags, characters[start]):
        start += 1
    while stop > start and not _word_character(flags, characters[stop - 1]):
        stop -= 1
    index = _listed(characters, start, stop, chinese_labels)
    if index > start:
        while index < stop and not _word_character(flags, characters[index]):
            index += 1
        number = _number(characters, flags, index, stop)
        if number == index:
            return False
        for _unit in range(2):
            number = _listed(characters, number, stop, units)
        return number == stop
    index = _number(characters, flags, start, stop)
    if index == start:
        return False
    spaced = index
    while spaced < stop and flags[characters[spaced]] & SPACE:
        spaced += 1
    if spaced > index and _listed(characters, spaced, stop, labels) == stop:
        return True
    for _unit in range(2):
        spaced = _listed(characters, spaced, stop, units)
    while spaced < stop and flags[characters[spaced]] & SPACE:
        spaced += 1
    end = _listed(characters, spaced, stop, chinese_labels)
    return end > spaced and end == stop


@njit(cache=True, nogil=True)
def _phrase(
    characters: U32, flags: U16, start: int, stop: int, anywhere: U32, at_end: U32, at_start: U32
) -> tuple[int, int]:
    """The bounds of the phrase that is taken out of a short line; equal when there is none."""
    start, stop = strip(characters, flags, start, stop)
    for index in range(start, stop):
        end = _listed(characters, index, stop, anywhere)
        if end > index:
            return index, end
    for row in range(len(at_end)):
        length = 0
        while at_end[row, length]:
            length += 1
        if stop - length >= start and matches(characters, stop - length, stop, at_end[row]):
            return stop - length, stop
    return start, _listed(characters, start, stop, at_start)
