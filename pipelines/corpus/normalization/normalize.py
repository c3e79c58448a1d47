"""The declared operations on one text, in order, with what each of them changed.

In: a text, its language, the list of operations. Step 0 is no choice: lone surrogates go (`surrogates`). Then each
operation sees what the one before left. Out: the text and, for every operation that changed it, `<name>/documents` (1),
`<name>/added` and `<name>/removed`: characters that are there more or less often after it than before, so a replaced
character counts in both. A text that no operation changes costs the searches only.

Measured on 51 MB of English, code, mathematics and Chinese, one core of a loaded machine, MB/s of UTF-8: `line_ends`
850 and more, `controls` 400 and more, `repeated_punctuation` 150 to 450, `nfc` 170 and more, `white_space` 50 to 150,
`dehyphenation` 40 to 290, `chinese_script` 80 in Chinese, `mojibake` 8 in prose full of typographic marks to 400,
operations on words 2 to 6, on characters 20 and more.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any, Final, NamedTuple

import numpy as np

from pipelines.core.fingerprint import Algorithm
from pipelines.corpus.normalization import characters, chinese, hyphens, layout, tables, words
from pipelines.corpus.normalization import mojibake as broken
from pipelines.corpus.normalization.config import DEFAULT_OPERATIONS, EXTRAS, AnyOperation

Function = Callable[[str, Any, str | None], str]
SHORT: Final = 10_000
"""Characters up to which a dictionary counts faster than an array over all code points; longer texts at 200 MB/s."""
SURROGATES: Final = Algorithm("surrogates", 1)
ALGORITHMS: Final = (SURROGATES,)
"""What every text goes through. Versions of the others are in `identity_of`: only sources that list one feel a bump."""


class Normalized(NamedTuple):
    """Text in normal form, and the counts of what was done to it."""

    text: str
    counts: dict[str, int]


class _Step(NamedTuple):
    algorithm: Algorithm
    function: Function
    library: str | None = None
    """Distribution whose version decides the output, too."""


def _plain(function: Callable[[str], str]) -> Function:
    return lambda text, config, language: function(text)


STEPS: Final[dict[str, _Step]] = {
    "mojibake": _Step(Algorithm("mojibake", 1), broken.mojibake, "ftfy"),
    "line_ends": _Step(Algorithm("line_ends", 1), _plain(characters.line_ends)),
    "controls": _Step(Algorithm("controls", 1), _plain(characters.controls)),
    "nfc": _Step(Algorithm("nfc", 1), _plain(characters.nfc)),
    "white_space": _Step(Algorithm("white_space", 1), layout.white_space),
    "repeated_punctuation": _Step(Algorithm("repeated_punctuation", 1), layout.repeated_punctuation),
    "dehyphenation": _Step(Algorithm("dehyphenation", 1), hyphens.dehyphenation),
    "chinese_script": _Step(Algorithm("chinese_script", 1), chinese.chinese_script, "opencc"),
    "word_segmentation": _Step(Algorithm("word_segmentation", 1), words.word_segmentation, "jieba"),
    "stop_words": _Step(Algorithm("stop_words", 1), words.stop_words, "stopwordsiso"),
    "case_folding": _Step(Algorithm("case_folding", 1), words.case_folding),
    "punctuation": _Step(Algorithm("punctuation", 1), words.punctuation),
    "special_characters": _Step(Algorithm("special_characters", 1), words.special_characters),
    "abbreviations": _Step(Algorithm("abbreviations", 1), tables.abbreviations),
    "spelling": _Step(Algorithm("spelling", 1), tables.spelling),
    "stemming": _Step(Algorithm("stemming", 1), words.stemming, "snowballstemmer"),
    "lemmatization": _Step(Algorithm("lemmatization", 1), words.lemmatization, "simplemma"),
}


def load_dictionaries(operations: Sequence[AnyOperation]) -> bool:
    """Whether one of them does, which takes up to 2 s in a new process; the slowest then does 0.3 MB/s."""
    return any(STEPS[operation.operation].library in EXTRAS for operation in operations)


def identity_of(operations: Sequence[AnyOperation]) -> list[dict[str, Any]]:
    """What decides the output of a list: each operation's settings, its version, and its library's."""
    identity = []
    for operation in operations:
        step = STEPS[operation.operation]
        entry = {**operation.identity(), "version": step.algorithm.version}
        if step.library is not None:
            entry[step.library] = _installed(step.library)
        identity.append(entry)
    return identity


def _installed(library: str) -> str | None:
    """The version of a library, None for one that the settings do without."""
    try:
        return version(library)
    except ImportError:
        return None


def normalize(
    text: str, operations: Sequence[AnyOperation] = DEFAULT_OPERATIONS, language: str | None = None
) -> Normalized:
    """`text` after `operations`; `language` is a tag such as `zh` or `zh-Hant`, or None when nobody knows."""
    counts: dict[str, int] = {}
    code = None if not language else language.replace("_", "-").split("-")[0].lower()
    cleaned = characters.surrogates(text)
    _count(counts, "surrogates", text, cleaned)
    for operation in operations:
        text, cleaned = cleaned, STEPS[operation.operation].function(cleaned, operation, code)
        _count(counts, operation.operation, text, cleaned)
    return Normalized(cleaned, counts)


def _count(counts: dict[str, int], name: str, before: str, after: str) -> None:
    if before is after or before == after:
        return
    counts[f"{name}/documents"] = 1
    counts[f"{name}/added"], counts[f"{name}/removed"] = _difference(before, after)


def _difference(before: str, after: str) -> tuple[int, int]:
    """Characters that occur more often in `after` than in `before`, and less often, each as often as they do."""
    if len(before) + len(after) < SHORT:
        old, new = Counter(before), Counter(after)
        return (new - old).total(), (old - new).total()
    points = [np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4") for text in (before, after)]
    size = max(int(each.max(initial=0)) for each in points) + 1
    old_counts, new_counts = (np.bincount(each, minlength=size) for each in points)
    more = new_counts - old_counts
    return int(more[more > 0].sum()), int(-more[more < 0].sum())
