"""Chinese: which text is, and traditional and simplified script into one another (OpenCC).

Only Chinese is looked at. A declared language decides; without one a text is Chinese when a fifth of it is Han
characters and next to nothing kana: converting Japanese would change its words (聲 is no traditional form of 声 there),
and a file name in source code is no text.
"""

import re
from functools import cache
from typing import Any, Final

from pipelines.corpus.normalization.config import ChineseScript

CHINESE: Final = frozenset({"zh", "yue", "wuu", "cmn", "lzh", "hak", "nan", "gan", "hsn", "cdo", "cjy"})
HAN: Final = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_HAN = re.compile(f"[{HAN}]")
_KANA = re.compile("[\u3041-\u309f\u30a1-\u30fa\u30fd-\u30ff]")
KANA_SHARE: Final = 0.05
"""Kana per Han character from which on a text of no known language is taken for Japanese, whose prose has over one."""

HAN_SHARE: Final = 0.2
"""Han characters per character of a Chinese text, marks, blanks and foreign names included; prose has over 0.7."""


def is_chinese(text: str, language: str | None) -> bool:
    """Whether Han characters of `text` are Chinese: by the declared language, else by the share of kana."""
    if language is not None:
        return language in CHINESE and _HAN.search(text) is not None
    if text.isascii() or _HAN.search(text) is None:
        return False
    han = len(_HAN.findall(text))
    return han >= HAN_SHARE * len(text) and len(_KANA.findall(text)) <= KANA_SHARE * han


def chinese_script(text: str, config: ChineseScript, language: str | None) -> str:
    """`text` in the other script; one that is not Chinese as it is."""
    if not is_chinese(text, language):
        return text
    # OpenCC's C++ ends a text at U+0000.
    return "\0".join(_converter(config.conversion).convert(piece) for piece in text.split("\0"))


@cache
def _converter(conversion: str) -> Any:
    import opencc

    return opencc.OpenCC(f"{conversion}.json")
