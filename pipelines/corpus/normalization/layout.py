"""White space and runs of punctuation.

`white_space` changes white space only: blanks at line ends go, runs of blank lines are cut, blank lines at both ends
of the text go (a line feed at its end stays); on demand runs of blanks inside a line become one and exotic spaces
plain. The indentation of a line is never touched, U+3000 at the start of a Chinese paragraph included.
`repeated_punctuation` takes characters away only, from runs of one mark. Both are idempotent and linear.
"""

import re
from functools import cache
from typing import Final

from pipelines.corpus.normalization.config import RepeatedPunctuation, WhiteSpace

BLANKS: Final = "".join([" \t\u00a0\u1680", *map(chr, range(0x2000, 0x200B)), "\u202f\u205f\u3000"])
"""Blanks inside a line: tab and Unicode's Zs. Zero-width characters are no white space."""
_EXOTIC = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f]")
_INNER = re.compile(f"(?<=[^{BLANKS}\n])[{BLANKS}]{{2,}}(?=[^{BLANKS}\n])|(?<=[^{BLANKS}\n])\t(?=[^{BLANKS}\n])")


def white_space(text: str, config: WhiteSpace, language: str | None) -> str:
    """`text` with tidy white space; every other character stays, in order."""
    if config.plain_spaces and not text.isascii():
        text = _EXOTIC.sub(" ", text)
    if text.endswith(tuple(BLANKS)) or any(f"{blank}\n" in text for blank in BLANKS):
        text = "\n".join([line.rstrip(BLANKS) for line in text.split("\n")])
    text = text.lstrip("\n")
    if text.endswith("\n\n"):
        text = text.rstrip("\n") + "\n"
    if "\n" * (config.max_blank_lines + 2) in text:
        text = _blank_lines(config.max_blank_lines).sub("\n" * (config.max_blank_lines + 1), text)
    return _INNER.sub(" ", text) if config.inner_runs else text


@cache
def _blank_lines(most: int) -> re.Pattern[str]:
    return re.compile(f"\n{{{most + 2},}}")


def repeated_punctuation(text: str, config: RepeatedPunctuation, language: str | None) -> str:
    """`text` with runs of one mark of `config.characters` cut to `config.max_run`."""
    if not any(mark * (config.max_run + 1) in text for mark in set(config.characters)):
        return text
    return _runs(config.characters, config.max_run).sub(lambda run: run[1] * config.max_run, text)


@cache
def _runs(characters: str, most: int) -> re.Pattern[str]:
    return re.compile(f"([{re.escape(characters)}])\\1{{{most},}}")
