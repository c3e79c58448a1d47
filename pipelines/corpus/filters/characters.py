"""What a character is: one table of 16 flags for every code point, built once in a process (about 0.3 s, 2.2 MB).

In: nothing but Python's own Unicode data. Out: `character_flags()`, a read-only uint16 array of 1,114,112 entries that
the kernels of this chapter index by code point. The table decides counts, so the Unicode version of the running Python
is part of the identity of everything counted with it: `UNICODE`.
"""

import unicodedata
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from pipelines.core.fingerprint import Algorithm

UNICODE: Final = Algorithm(
    "unicode_data", int("".join(f"{int(n):02d}" for n in unicodedata.unidata_version.split(".")))
)
"""The Unicode version behind the flags, e.g. 140000 for 14.0.0."""

SPACE: Final = 1
"""White space as `str.isspace` has it; it separates words."""
LETTER: Final = 2
"""General category L*, as `str.isalpha`."""
UPPER: Final = 4
LOWER: Final = 8
DIGIT: Final = 16
"""Decimal digits (Nd), as `\\d`."""
MARK: Final = 32
"""Combining marks and joiners: they belong to the character before them."""
SYMBOL: Final = 64
"""The symbol characters of Gopher's word counts: a word made of them alone is not counted as a word."""
PUNCTUATION: Final = 128
"""General category P*."""
PREFIX: Final = 256
"""Punctuation that is a word of its own at the start of a chunk."""
SUFFIX: Final = 512
"""Punctuation that is a word of its own at the end of a chunk."""
SOLO: Final = 1024
"""A word of its own wherever it stands: characters of scripts without spaces, their punctuation, pictographs."""
SENTENCE_END: Final = 2048
"""Unicode's Sentence_Terminal property: `.`, `!`, `?` and their relatives in every script."""
LINE_BREAK: Final = 4096
"""A line boundary as `str.splitlines` has it."""
HAN: Final = 8192
QUOTE: Final = 16384
HYPHEN: Final = 32768

_ASSIGNED = ((0, 0x32400), (0xE0100, 0xE01F0))
"""Outside are unassigned and private code points and tags, which carry none of the flags below."""
_LINE_BREAKS = "\n\x0b\x0c\r\x1c\x1d\x1e\x85\u2028\u2029"
_SPACES = _LINE_BREAKS + "\t \x1f\xa0\u1680\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))

# The symbol set in use since CCNet, without its full-width digit one: a mistake there, for a quotation mark.
_SYMBOLS = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~«´»–—’“”„…∶━►、。〈〉《》「」【】！％（），．：；？～" + "".join(
    map(chr, (*range(9), 11, 12, *range(13, 32), *range(127, 160)))
)
_QUOTES = "'\"”“`‘´’‚,„»«「」『』（）〔〕【】《》〈〉⟦⟧"
_CURRENCIES = "$£€¥฿₽﷼" + "".join(map(chr, range(0x20A0, 0x20C0)))
_EDGE = "…,:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪—–" + _QUOTES
_PREFIX_ONLY = "§%=" + _CURRENCIES
_HYPHENS = "-–—~"
_HAN = ((0x2E80, 0x2FD6), (0x3005, 0x3008), (0x3021, 0x302A), (0x3038, 0x303C), (0x3400, 0x4DC0), (0x4E00, 0xA000))
_HAN_SUPPLEMENT = ((0xF900, 0xFB00), (0x16FE2, 0x16FE4), (0x16FF0, 0x16FF2), (0x20000, 0x2FA20), (0x30000, 0x323B0))
# Scripts written without spaces between words: kana, Bopomofo, Thai, Lao, Tibetan, Myanmar, Khmer, Tai, Javanese,
# Balinese, Yi, Cham. Hangul has spaces, so its syllables form words like letters do.
_UNSPACED = (
    (0x0E00, 0x1000), (0x1000, 0x10A0), (0x1780, 0x1800), (0x1950, 0x19E0), (0x19E0, 0x1AB0), (0x1B00, 0x1B80),
    (0x3041, 0x3100), (0x3105, 0x3130), (0x31A0, 0x31C0), (0x31F0, 0x3200), (0xA000, 0xA4D0), (0xA980, 0xA9E0),
    (0xA9E0, 0xAA80), (0xAA80, 0xAAE0), (0xFF66, 0xFFA0), (0x1AFF0, 0x1B170),
)  # fmt: skip
_WIDE_PUNCTUATION = ((0x3001, 0x3005), (0x3008, 0x3021), (0x3030, 0x3031), (0x30FB, 0x30FC), (0xFE30, 0xFE50))
_FULL_WIDTH = ((0xFF01, 0xFF10), (0xFF1A, 0xFF21), (0xFF3B, 0xFF41), (0xFF5B, 0xFF66))
# Sentence_Terminal of Unicode 15 (PropList.txt), as first code point and length of each run.
_SENTENCE_ENDS = (
    (0x21, 1), (0x2E, 1), (0x3F, 1), (0x589, 1), (0x61D, 3), (0x6D4, 1), (0x700, 3), (0x7F9, 1), (0x837, 1), (0x839, 1),
    (0x83D, 2), (0x964, 2), (0x104A, 2), (0x1362, 1), (0x1367, 2), (0x166E, 1), (0x1735, 2), (0x17D4, 3), (0x17D9, 2),
    (0x1803, 1), (0x1809, 1), (0x1944, 2), (0x1AA8, 4), (0x1B5A, 2), (0x1B5E, 2), (0x1B7D, 2), (0x1C3B, 2), (0x1C7E, 2),
    (0x203C, 2), (0x2047, 3), (0x2E2E, 1), (0x2E3C, 1), (0x2E53, 2), (0x3002, 1), (0xA4FF, 1), (0xA60E, 2), (0xA6F3, 1),
    (0xA6F7, 1), (0xA876, 2), (0xA8CE, 2), (0xA92F, 1), (0xA9C8, 2), (0xAA5D, 3), (0xAAF0, 2), (0xABEB, 1), (0xFE52, 1),
    (0xFE56, 2), (0xFF01, 1), (0xFF0E, 1), (0xFF1F, 1), (0xFF61, 1), (0x10A56, 2), (0x10F55, 5), (0x10F86, 4),
    (0x11047, 2), (0x110BE, 4), (0x11141, 3), (0x111C5, 2), (0x111CD, 1), (0x111DE, 2), (0x11238, 2), (0x1123B, 2),
    (0x112A9, 1), (0x1144B, 2), (0x115C2, 2), (0x115C9, 15), (0x11641, 2), (0x1173C, 3), (0x11944, 1), (0x11946, 1),
    (0x11A42, 2), (0x11A9B, 2), (0x11C41, 2), (0x11EF7, 2), (0x11F43, 2), (0x16A6E, 2), (0x16AF5, 1), (0x16B37, 2),
    (0x16B44, 1), (0x16E98, 1), (0x1BC9F, 1), (0x1DA88, 1),
)  # fmt: skip

_LAST_COMMON = 0xC6
"""The last lead byte of Big5's level 1."""
_BOTH_WRITINGS = (
    "伋伕佺倣偭偯偺傚僇僎僩儅儳兙兛兝兞兡兣劻勗勦卄吋呎啗啣嗧嘐堉塭塽墦奭妳姅姪嬝屘屝崁巉帟彊徬惇愒慇抆揹搆搾撚撢擭敔昤晅"
    "晞暍暱暸杗枓栘梂梡梱棻楛榣槃橾櫂櫺歜毚毬汍沍沘沬泜洸浥浬涊湣湩湲潟潠澴濩濬炤焜煆煖燄燐燸牠玆玥玨珪珮琍琯瑯璘璟瓖瓩甦"
    "甽疢痲痳痺瘉睪瞇瞋瞭砠砲硿祇祐穋箄箠篛簷籐籣籥糎糢縿繙耑脤脰芣蔆蘗衹裯褕褽覜觔觼詨詻誧豭賸跦跼踡踫迆迺遝郃鄗鄘釆釭鉼"
    "銲鎗鑤阬隄雊霤韹餽鯈鶸鼇"
)
"""Common characters of Big5 that GB 2312 lacks although the reform changed nothing about them (names, places)."""


@cache
def han_variants() -> npt.NDArray[np.uint8]:
    """For every code point 1 for a Han character of traditional writing alone, 2 for simplified alone, else 0.

    From Python's own tables of the national character sets: Big5 is traditional, GB 2312 simplified; a character of
    both or of neither is 0. Of Big5 its level 1, the 5,401 common characters, without those that have one form in both
    writings: 1,897 are left, each of which OpenCC would change. Rare ones (level 2) are 0: four of five were never
    simplified, and classical names are full of them.
    """
    variants = np.zeros(0x110000, np.uint8)
    for code in range(0x4E00, 0xA000):
        traditional, simplified = (_encoded(chr(code), encoding) for encoding in ("big5", "gb2312"))
        if simplified and not traditional:
            variants[code] = 2
        elif traditional and not simplified and traditional[0] <= _LAST_COMMON and chr(code) not in _BOTH_WRITINGS:
            variants[code] = 1
    variants.flags.writeable = False
    return variants


def _encoded(character: str, encoding: str) -> bytes:
    try:
        return character.encode(encoding)
    except UnicodeEncodeError:
        return b""


@cache
def running_flags() -> npt.NDArray[np.uint16]:
    """As `character_flags`, but letters and punctuation of scripts without spaces are not words by themselves.

    A run of Han characters is then one word, as in tokenizers for languages with spaces; pictographs stay single.
    """
    flags = character_flags().copy()
    pictographs = [code for code in np.flatnonzero(flags & SOLO).tolist() if unicodedata.category(chr(code)) == "So"]
    flags &= np.uint16(0xFFFF ^ SOLO)
    flags[pictographs] |= SOLO
    flags.flags.writeable = False
    return flags


@cache
def character_flags() -> npt.NDArray[np.uint16]:
    """The flags of every code point, uint16[0x110000], read-only."""
    flags = np.zeros(0x110000, np.uint16)
    names = np.full(len(flags), "Cn", "S2")
    for first, stop in _ASSIGNED:
        names[first:stop] = [unicodedata.category(chr(code)).encode() for code in range(first, stop)]
    major = names.astype("S1")
    flags[major == b"L"] |= LETTER
    flags[(names == b"Lu") | (names == b"Lt")] |= UPPER
    flags[names == b"Ll"] |= LOWER
    flags[names == b"Nd"] |= DIGIT
    flags[major == b"P"] |= PUNCTUATION
    flags[major == b"M"] |= MARK
    for first, stop in (*_HAN, *_HAN_SUPPLEMENT):
        flags[first:stop] |= HAN
    unspaced = np.zeros(len(flags), bool)
    for first, stop in (*_HAN, *_HAN_SUPPLEMENT, *_UNSPACED):
        unspaced[first:stop] = True
    flags[unspaced & (major != b"M") & (names != b"Nd")] |= SOLO
    for first, stop in (*_WIDE_PUNCTUATION, *_FULL_WIDTH):
        flags[first:stop] |= SOLO
    flags[(names == b"So") & (np.arange(len(flags)) != ord("°"))] |= SOLO
    for first, length in _SENTENCE_ENDS:
        flags[first : first + length] |= SENTENCE_END
    for text, flag in (
        (_SPACES, SPACE),
        (_LINE_BREAKS, LINE_BREAK),
        ("\u200c\u200d\ufe0e\ufe0f", MARK),
        (_SYMBOLS, SYMBOL),
        (_EDGE, PREFIX | SUFFIX),
        (_PREFIX_ONLY, PREFIX),
        (_QUOTES, QUOTE),
        (_HYPHENS, HYPHEN),
    ):
        flags[[ord(character) for character in text]] |= flag
    flags.flags.writeable = False
    return flags
