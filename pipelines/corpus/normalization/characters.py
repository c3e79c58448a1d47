"""Characters in normal form: lone surrogates, line ends, control characters, Unicode NFC.

`surrogates`: lone ones go (Arrow and UTF-8 cannot hold them). `line_ends`: CR LF, CR, VT, FF, NEL, U+2028, U+2029
become `\\n`. `controls`: control characters but `\\n` and `\\t` go, with U+FEFF, which is a mark of files, not text.
`nfc`: runs of more than `MAX_MARKS` combining marks are cut (sorting them is quadratic: 80,000 take 5 s), then NFC.
Never NFKC, which turns ① into 1 and full-width punctuation into ASCII. Zero-width joiners and non-joiners, soft
hyphens and private characters stay.

Each is idempotent, and in this order all of them together are.
"""

import re
import sys
import unicodedata
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

MAX_MARKS: Final = 64
"""Combining marks on one letter; Unicode's Stream-Safe format allows 30, Biblical Hebrew and Tibetan use under 10."""
WINDOW: Final = 1 << 18
"""Characters looked at in one step: 1 MB as UTF-32."""
_LINE_END = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff]")
_LINE_MARKS: Final = "\r\v\f\x85\u2028\u2029"
_C0: Final = bytes(byte for byte in (*range(32), 127) if byte not in b"\n\t\r\v\f")
_C1 = re.compile(b"\xc2[\x80-\x84\x86-\x9f]")
_FIRST_MARK: Final = 0x300
_FEFF: Final = "\ufeff".encode()
_SURROGATE = re.compile("[\ud800-\udfff]")


def surrogates(text: str) -> str:
    """Without lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("", text)
    return text


def line_ends(text: str) -> str:
    """Every line end as `\\n`."""
    # Seven searches for a character run at over 1 GB/s, the pattern at 40 MB/s.
    return _LINE_END.sub("\n", text) if any(mark in text for mark in _LINE_MARKS) else text


def controls(text: str) -> str:
    """Without control characters and U+FEFF; `\\n` and `\\t` stay, and so do the line ends of `line_ends`."""
    data = text.encode("utf-8", "surrogatepass")
    rare = len(data) != len(text) and (_FEFF in data or _C1.search(data) is not None)
    return _CONTROL.sub("", text) if rare or len(data.translate(None, _C0)) != len(data) else text


def nfc(text: str) -> str:
    """NFC, with `MAX_MARKS` combining marks in a row at most."""
    if text.isascii():
        return text
    if _longest_mark_run(text) > MAX_MARKS:
        text = _mark_runs().sub(r"\1", text)
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)


def _longest_mark_run(text: str) -> int:
    """The length of the longest run of characters that canonical ordering moves, runs across windows included."""
    moved, longest, carried = _moved(), 0, 0
    for start in range(0, len(text), WINDOW):
        points = np.frombuffer(text[start : start + WINDOW].encode("utf-32-le"), "<u4")
        high = np.flatnonzero(points >= _FIRST_MARK)  # of most texts a few quotes and dashes
        if not moved[points[high]].any():
            longest, carried = max(longest, carried), 0
            continue
        fixed = np.flatnonzero(~moved[points])
        if not len(fixed):
            carried += len(points)
            continue
        inner = int(np.diff(fixed).max()) - 1 if len(fixed) > 1 else 0
        longest = max(longest, inner, carried + int(fixed[0]))
        carried = len(points) - 1 - int(fixed[-1])
    return max(longest, carried)


@cache
def _moved() -> npt.NDArray[np.bool_]:
    """By code point: whether its canonical combining class is not 0. 1.1 MB, made in 0.1 s."""
    return np.fromiter((unicodedata.combining(chr(point)) > 0 for point in range(sys.maxunicode + 1)), np.bool_)


@cache
def _mark_runs() -> re.Pattern[str]:
    """Runs of more than `MAX_MARKS` of these characters, the first `MAX_MARKS` as group 1. Slow (8 MB/s): on demand."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], _moved(), [False])).astype(np.int8)))
    marks = "".join(f"{chr(first)}-{chr(stop - 1)}" for first, stop in edges.reshape(-1, 2).tolist())
    return re.compile(f"([{marks}]{{{MAX_MARKS}}})[{marks}]+")
