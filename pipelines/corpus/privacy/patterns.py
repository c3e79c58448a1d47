"""What an e-mail address, a public IP address and a phone number look like in UTF-8 bytes.

Every pattern works on bytes: `\\d` and the boundaries are ASCII, offsets are byte offsets, and Chinese text directly
beside a number is no obstacle. Every repetition is bounded and every start is guarded by a look-behind, so a search
costs O(bytes) on any input.

No pattern consumes a bracket of `<>[]{}|` or looks across one for its context. Placeholders are made of those brackets
(see cleaning), which is what makes "find, replace, find again" end with nothing found.

Kinds and what they leave out on purpose:
- `email`: local part of 64 characters at most (RFC 5321), ASCII domain; not `icon@2x.png`.
- `phone_number`: `+`/`00` with an assigned country code (ITU E.164, 15 digits at most), North American numbers written
  with separators, Chinese mobile numbers, Chinese landlines with a separator or after a word such as 电话. Not: runs of
  digits without any of these (order numbers, ISBN, timestamps; a 13-digit epoch in milliseconds starts like a mobile
  number and is stopped by the digit boundary).
- `ip_address`: global unicast only. `1.2.3.4.5`, `v1.2.3.4`, `section 4.2.1.3` are versions and headings.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final

from pipelines.corpus.privacy.addresses import is_public_ipv4, is_public_ipv6

Finder = Callable[[bytes, int, int], Iterator[tuple[int, int]]]
"""(text, start, end) of a candidate window -> byte spans of hits that touch it."""

_REACH: Final = 48
"""Bytes that a hit or its context word may reach beyond the window: `Invoice number: ` before, ` ext. 123456` after."""

_GAP: Final = rb"(?:[ \t:#.]|\xef\xbc\x9a|\xe3\x80\x80){0,4}"
"""What may stand between a context word and its number: blanks, colons (also full-width `：`), `#`."""

# --- e-mail -----------------------------------------------------------------------------------------------------------

_LOCAL: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._%+'-"
_DOMAIN: Final = re.compile(
    rb"@(?:[A-Za-z0-9][A-Za-z0-9-]{0,62}\.){1,8}([A-Za-z]{2,24}|xn--[A-Za-z0-9-]{2,20})(?![A-Za-z0-9_])"
)
_FILE_SUFFIXES: Final = frozenset(
    b"png jpg jpeg gif svg webp bmp tiff css scss html htm xhtml php json xml txt pdf csv zip tar mp3 mp4 avi".split()
)


def emails(text: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The e-mail address around the `@` at `start`, if it is one."""
    found = _DOMAIN.match(text, start)
    if found is None or found.group(1).lower() in _FILE_SUFFIXES:
        return
    window = text[max(0, start - 65) : start]
    local = window[len(window.rstrip(_LOCAL)) :]
    if len(local) <= 64:
        local = local.lstrip(b".'-+%")
        if local and not local.endswith(b"."):
            yield start - len(local), found.end()


# --- phone ------------------------------------------------------------------------------------------------------------

_COUNTRY: Final = (
    rb"(?:7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]"
    rb"|(?:2[1-689]|3[578]|42|5[09]|6[7-9]|8[0578]|9[679])\d)"
)
"""Assigned E.164 country codes except 1, whose numbers have one fixed length."""

_INTERNATIONAL: Final = re.compile(
    rb"(?<![0-9A-Za-z_+.])(?<![0-9][-, ])(?:\+|00(?=[1-9]\d{0,2}[ .()-]))"
    rb"(?:1[ .-]?(?:\(\d{3}\)|\d{3})[ .-]{0,2}\d{3}[ .-]?\d{4}"
    rb"|" + _COUNTRY + rb"(?:[ .-]?\(0?\d{0,4}\))?(?:[ .-]{0,2}\d){5,13})"
    rb"(?: ?(?:x|ext\.?) ?\d{1,6})?(?![0-9A-Za-z_])"
)
_NORTH_AMERICAN: Final = re.compile(
    rb"(?<![0-9A-Za-z_.+-])(?<![0-9][ ,])(?:1[ .-])?"
    rb"(?:\([2-9]\d{2}\)[ .-]?\d{3}[ .-]\d{4}|[2-9]\d{2}([ .-])\d{3}\1\d{4})"
    rb"(?: ?(?:x|ext\.?) ?\d{1,6})?(?![0-9A-Za-z_])(?![ .,-]\d)"
)
_CHINESE_MOBILE: Final = re.compile(
    rb"(?<![0-9A-Za-z_+])(?<![0-9][.,])(?<![A-Za-z]-)(\+?86[- ]?)?"
    rb"1[3-9]\d(?:(?!0{8})\d{8}|([- ])\d{4}\2\d{4})(?![0-9A-Za-z_])(?![.,]\d)"
)
_CHINESE_NEIGHBOURHOOD: Final = re.compile(
    rb"[\xe3-\xe9\xef]|\b(?:[Tt]el|TEL|[Pp]hone|[Mm]obile|[Cc]ell|[Ww]e[Cc]hat|QQ)"
)
"""Beside eleven bare digits: a Chinese character (lead byte of U+3000 and up), or a word that announces a number."""

_BRACKET: Final = re.compile(rb"[<>\[\]{}|]")
_AREA: Final = rb"0(?:10|2[0-57-9]|[3-9]\d{2})"
_CHINESE_LANDLINE: Final = re.compile(
    rb"(?<![0-9A-Za-z_.+-])(?:\(" + _AREA + rb"\) ?|\xef\xbc\x88" + _AREA + rb"\xef\xbc\x89|" + _AREA + rb"[- ])"
    rb"[2-9]\d{2,3}[- ]?\d{4}(?:(?:-|\xe8\xbd\xac)\d{1,5})?(?![0-9A-Za-z_])(?!-\d)"
)
_CHINESE_LANDLINE_IN_CONTEXT: Final = re.compile(
    rb"(?:"
    + "|".join(["电话", "電話", "座机", "固话", "热线", "熱線", "传真", "傳真"]).encode()
    + rb"|[Tt][Ee][Ll]|[Ff][Aa][Xx])"
    + _GAP
    + rb"("
    + _AREA
    + rb"[2-9]\d{6,7})(?![0-9A-Za-z_])"
)
_NUMBER_OF_SOMETHING_ELSE: Final = re.compile(
    rb"(?:(?<![A-Za-z])(?:ISBN(?:-1[03])?|ISSN|DOI|(?:[Oo]rder|[Ii]nvoice)(?: [Nn]o| [Nn]umber)?)"
    rb"|"
    + "|".join(["订单", "订单号", "订单编号", "单号", "编号", "流水号", "訂單", "訂單編號", "單號", "編號"]).encode()
    + rb")"
    + _GAP
    + rb"\Z"
)


_PHONE_FORMATS: Final = (
    (_CHINESE_MOBILE, 0),
    (_CHINESE_LANDLINE, 0),
    (_CHINESE_LANDLINE_IN_CONTEXT, 1),
    (_INTERNATIONAL, 0),
    (_NORTH_AMERICAN, 0),
)
"""(pattern, group of the number): the format with the most fixed digits first."""


def phone_numbers(text: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Phone numbers that touch the run of digits and separators `start:end`; formats may overlap each other."""
    for pattern, group in _PHONE_FORMATS:
        for found in pattern.finditer(text, max(0, start - _REACH), min(len(text), end + _REACH)):
            first, last = found.span(group)
            if first >= end or last <= start or (pattern is _INTERNATIONAL and not _is_dialable(text[first:last])):
                continue
            if pattern is _CHINESE_MOBILE and found.lastindex is None and not _is_beside_chinese(text, first, last):
                continue
            if not _NUMBER_OF_SOMETHING_ELSE.search(text, max(0, first - _REACH), first):
                yield first, last


def _is_beside_chinese(text: bytes, first: int, last: int) -> bool:
    """Whether eleven bare digits stand in Chinese text; elsewhere they are order numbers, sums and identifiers."""
    before = _BRACKET.split(text[max(0, first - _REACH) : first])[-1]
    after = _BRACKET.split(text[last : last + _REACH])[0]
    return bool(_CHINESE_NEIGHBOURHOOD.search(before) or _CHINESE_NEIGHBOURHOOD.search(after))


def _is_dialable(number: bytes) -> bool:
    """8 to 15 digits (E.164); without any separator at least 10, because `+20231231` is a line of a patch."""
    number = re.split(rb"x|ext", number)[0].strip()
    digits: int = sum(48 <= byte <= 57 for byte in number)
    if number.startswith(b"00"):
        return 10 <= digits <= 17
    return (8 if len(number) > digits + 1 else 10) <= digits <= 15


# --- IP ---------------------------------------------------------------------------------------------------------------

_OCTET: Final = rb"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4: Final = re.compile(
    rb"(?<![0-9A-Za-z_.])(?<![A-Za-z_]-)(?:" + _OCTET + rb"\.){3}" + _OCTET + rb"(?![0-9A-Za-z_])(?!\.\d)(?!-[A-Za-z])"
)
_IPV6: Final = re.compile(rb"(?<![0-9A-Za-z_:.])[0-9A-Fa-f]{1,4}:[0-9A-Fa-f:]{2,34}(?![0-9A-Za-z_:])")
_NOT_AN_ADDRESS: Final = re.compile(
    rb"(?:(?<![A-Za-z])(?:[Vv]ersions?|[Vv]er|[Rr]elease|[Bb]uild|[Ss]ections?|[Ss]ec|[Cc]hapter)|\xc2\xa7"
    rb"|" + "|".join(["版本", "版本号", "版本號", "章节", "章節", "第"]).encode() + rb")" + _GAP + rb"\Z"
)


def ip_addresses(text: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Global unicast addresses inside the window, by the IANA registries.

    A window holds whole runs of the characters of an address, so nothing but look-ahead reaches beyond it.
    """
    reach = min(len(text), end + 4)
    for found in _IPV4.finditer(text, start, reach):
        if _NOT_AN_ADDRESS.search(text, max(0, found.start() - _REACH), found.start()):
            continue
        if is_public_ipv4(found.group()):
            yield found.span()
    for found in _IPV6.finditer(text, start, reach):
        candidate = found.group().rstrip(b":")
        if is_public_ipv6(candidate):
            yield found.start(), found.start() + len(candidate)


FINDERS: Final[dict[str, Finder]] = {"email": emails, "phone_number": phone_numbers, "ip_address": ip_addresses}
"""By kind, in order of precedence: a number inside an e-mail address is a piece of the address."""
