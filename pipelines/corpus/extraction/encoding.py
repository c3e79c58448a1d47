"""Bytes to text: which encoding, and how many characters were lost.

The body of a record and its declared charset come in. In order: a byte order mark; strict UTF-8, where
`SURE_SEQUENCES` sequences of four bytes, or more shorter ones, leave no doubt; UTF-8 with fewer broken places than a
fourth of the valid ones; the declared charset (HTTP header, then `<meta>` or XML declaration), if all bytes fit; strict
UTF-8; a declared charset of several bytes a character that fits but for a few broken places; detection (chardet 7, on
16 KiB from where text that is not ASCII begins; where it is unsure, on pieces, by vote); of what was declared or
detected what loses least; windows-1252. Names mean what browsers take them for: `iso-8859-1` is windows-1252, `gb2312`
is gb18030.

Never raises. Most pages end at UTF-8 or at their declaration; detection takes 1 to 4 ms a page. Right on 422 of the 423
files of chardet's test set (Python has no codec for the one in EUC-TW); accuracy on other texts, and of other
detectors: `python -m tests.benchmarks.bench_encodings`.
"""

import codecs
import re
from collections import Counter
from typing import Final, Literal, NamedTuple

import chardet

Evidence = Literal["bom", "utf8", "declared", "meta", "detected", "fallback"]

_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
SURE_SEQUENCES: Final = 4
"""A text of a double-byte encoding is valid UTF-8 by chance with p < 0.03 a character pair; four such are enough."""
SURE_SHARE: Final = 16
"""Valid characters for each broken place that a declared encoding of several bytes needs to be believed at once."""
LEAST_SHARE: Final = 4
"""The same for any encoding to be believed at all; below it the bytes are read as windows-1252."""
META_BYTES: Final = 4096
DETECT_BYTES: Final = 16 << 10
SURE_CONFIDENCE: Final = 0.3
"""Of chardet. Right answers on 1 KB of any encoding have 0.4 or more, those on text with broken bytes 0.2 or less."""
PIECES, PIECE_BYTES = 8, 512
_ERAS: Final = chardet.EncodingEra.ALL & ~chardet.EncodingEra.MAINFRAME
_BEGINNING = re.compile(rb"[\x00-\x2f\x3a-\x3f](?=[\x80-\xff])")
_HIGH = re.compile(rb"[\x80-\xff]")
_PAIR = re.compile(rb"[\x80-\xff]{2}")
_META = re.compile(rb"<meta\b[^>]{0,400}?\bcharset\s{0,8}=\s{0,8}[\"']?\s{0,8}([A-Za-z0-9_.:-]{2,40})", re.IGNORECASE)
_XML = re.compile(
    rb"^\s{0,64}<\?xml\b[^>]{0,200}?\bencoding\s{0,8}=\s{0,8}[\"']([A-Za-z0-9_.:-]{2,40})[\"']", re.IGNORECASE
)

_SUPERSETS: Final = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "big5": "big5hkscs",
}
"""What the WHATWG Encoding standard reads under these names; each decodes what the narrower one does and more."""
_ALIASES: Final = {
    "x-sjis": "cp932",
    "windows-31j": "cp932",
    "x-gbk": "gb18030",
    "ks_c_5601-1987": "cp949",
    "windows-949": "cp949",
    "windows-874": "cp874",
    "x-mac-cyrillic": "mac-cyrillic",
    "x-euc-jp": "euc_jp",
    "iso-8859-8-i": "iso8859-8",
    "unicode": "utf-16-le",
    "utf8mb4": "utf-8",
}
_SEVERAL_BYTES: Final = frozenset(("gb18030", "big5hkscs", "cp950", "euc_jp", "cp932", "cp949", "johab"))
_REFUSED: Final = frozenset(
    ("utf-7", "idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem")
)
"""Text codecs of Python that are no encodings of pages; some are slow or change ASCII."""


class Decoded(NamedTuple):
    """Text, the codec that gave it, how it was found, and the U+FFFD that decoding put in."""

    text: str
    encoding: str
    evidence: Evidence
    replaced: int


def codec_name(label: str) -> str | None:
    """The Python codec for an encoding label from outside, widened as browsers do; None for an unknown one."""
    key = label.strip().strip("\"'").lower()
    try:
        name = codecs.lookup(_ALIASES.get(key, key)).name
        "".encode(name)  # LookupError for codecs that are no text encodings
    except (LookupError, ValueError, UnicodeError):
        return None
    return None if name in _REFUSED or key in _REFUSED else _SUPERSETS.get(name, name)


def decode(body: bytes, declared: str | None = None, markup: bool = False) -> Decoded:
    """The text of `body`. `declared` is the charset of the HTTP header; `markup` looks for one inside the document."""
    for mark, name in _BOMS:
        if body.startswith(mark):
            return _replacing(body[len(mark) :], name, "bom")
    utf8 = _strict(body, "utf-8")
    if utf8 is not None and _is_sure(body, utf8):
        return Decoded(utf8, "utf-8", "utf8", 0)
    if utf8 is None and (damaged := _damaged_utf8(body)) is not None:
        return damaged
    named: list[tuple[str, Evidence]] = []
    if declared and (header := codec_name(declared)):
        named.append((header, "declared"))
    if markup and (meta := _inside(body)):
        named.append((meta, "meta"))
    for name, evidence in named:
        if (text := _strict(body, name)) is not None:
            return Decoded(text, name, evidence, 0)
    if utf8 is not None and not _is_escaped(body) and b"\0" not in body[:DETECT_BYTES]:
        return Decoded(utf8, "utf-8", "utf8", 0)
    for name, evidence in named:
        if name in _SEVERAL_BYTES and _holds(attempt := _replacing(body, name, evidence), SURE_SHARE):
            return attempt
    detected = _detect(body)
    if utf8 is not None and detected in (None, "utf-8", "cp1252"):
        return Decoded(utf8, "utf-8", "utf8", 0)
    if detected is not None and (text := _strict(body, detected)) is not None:
        return Decoded(text, detected, "detected", 0)
    if detected is not None:
        named.append((detected, "detected"))
    attempts = [_replacing(body, name, evidence) for name, evidence in named]
    attempts = [attempt for attempt in attempts if _holds(attempt, LEAST_SHARE)]
    if not attempts:
        attempts = [_replacing(body, name, "fallback") for name in ("utf-8", "cp1252")]
    return min(attempts, key=lambda attempt: attempt.replaced)


def _strict(body: bytes, name: str) -> str | None:
    try:
        return body.decode(name)
    except (UnicodeError, ValueError):
        return None


def _damaged_utf8(body: bytes) -> Decoded | None:
    """UTF-8 with a few broken places: other encodings do not form four valid sequences for each broken one."""
    decoded = _replacing(body, "utf-8", "utf8")
    return decoded if _holds(decoded, LEAST_SHARE) else None


def _holds(decoded: Decoded, share: int) -> bool:
    """Whether the characters beyond ASCII are `share` times as many as the broken places, and more than chance."""
    valid = len(decoded.text) - len(decoded.text.encode("ascii", "ignore")) - decoded.replaced
    return valid >= max(SURE_SEQUENCES, share * decoded.replaced)


def _replacing(body: bytes, name: str, evidence: Evidence) -> Decoded:
    text = body.decode(name, "replace")
    marks = text.count("\ufffd")
    written = body.decode(name, "ignore").count("\ufffd") if marks else 0  # by the document itself
    return Decoded(text, name, evidence, marks - written)


def _is_sure(body: bytes, text: str) -> bool:
    """Whether strict UTF-8 cannot be chance. A sequence of n bytes makes bytes - characters n - 1 larger."""
    return len(body) - len(text) >= 3 * SURE_SEQUENCES


def _is_escaped(body: bytes) -> bool:
    """Whether 7-bit text has the escape sequences of ISO 2022 or HZ."""
    head = body[:DETECT_BYTES]
    return b"\x1b$" in head or b"\x1b(" in head or (b"~{" in head and b"~}" in head)


def _inside(body: bytes) -> str | None:
    match = _XML.match(body[:META_BYTES]) or _META.search(body[:META_BYTES])
    name = codec_name(match.group(1).decode("ascii")) if match else None
    # The declaration was read as ASCII, so a document that says UTF-16 there is not UTF-16.
    return "utf-8" if name is not None and name.startswith(("utf-16", "utf-32")) else name


def _detect(body: bytes) -> str | None:
    if wide := _wide(body[:META_BYTES]):
        return wide
    # A head of scripts and styles would tell nothing. Not with `prefer_superset`: it makes ISO 8859-5 windows-1251.
    first = _HIGH.search(body)
    start = max(0, first.start() - META_BYTES) if first else 0
    sample = body[start : start + DETECT_BYTES]
    name, sure = _guess(sample)
    # Beyond ASCII, Latin letters stand alone; the bytes of other scripts stand together.
    if sure or len(_PAIR.findall(sample)) * 4 < len(_HIGH.findall(sample)):
        return name
    votes = Counter(piece for piece, sure in map(_guess, _pieces(sample)) if sure)
    winner, count = votes.most_common(1)[0] if votes else (None, 0)
    return winner if winner in _SEVERAL_BYTES and 2 * count > votes.total() else name


def _guess(sample: bytes) -> tuple[str | None, bool]:
    """The codec of a sample, and whether chardet is sure of it. EBCDIC is not looked for: no page is written in it."""
    found = chardet.detect(sample, encoding_era=_ERAS)
    return codec_name(found["encoding"] or ""), found["confidence"] >= SURE_CONFIDENCE


def _pieces(sample: bytes) -> list[bytes]:
    """Pieces from all over a sample: one broken byte rules an encoding out for chardet, but only in its own piece.

    They begin behind ASCII that is no second byte of a character anywhere, so at a character.
    """
    starts = [0, *(match.end() for match in _BEGINNING.finditer(sample))]
    step = max(1, len(starts) // PIECES)
    return [sample[start : start + PIECE_BYTES] for start in starts[::step][:PIECES]]


def _wide(head: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark, by where the NUL bytes of Latin letters, spaces and line ends stand."""
    if len(head) < 8 or head.count(0) * 10 < len(head):
        return None
    usable = head[: len(head) // 4 * 4]
    zeros = [usable[index::4].count(0) * 4 / len(usable) for index in range(4)]
    if min(zeros[1], zeros[2], zeros[3]) > 0.6:
        return "utf-32-le"
    if min(zeros[0], zeros[1], zeros[2]) > 0.6:
        return "utf-32-be"
    low, high = zeros[0] + zeros[2], zeros[1] + zeros[3]
    if max(low, high) < 0.2:
        return None
    return "utf-16-le" if high > low else "utf-16-be"
