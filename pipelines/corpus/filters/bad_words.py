"""The attribute family `bad_words`: C4's rule, with the list of the document's own language.

In: documents and their detected language, row by row; a folder of lists, one file for each language, an entry a line
(the layout of the list that C4 used, "Dirty, Naughty, Obscene and Otherwise Bad Words", which does not come with this
program). Steps: 1. The list of the language, or of the one that stands in for it (`same`), without the entries that
are common parts of longer words (`allow`; C4: 性 in Chinese). 2. The text in lower case, every place where an entry
stands; between characters that are no letter, digit or `_` on both sides, but in Chinese, Japanese and Thai anywhere.
Out: `bad_words_hits`, `bad_words_list` (the language of the list), `bad_words_terms` (JSON, what was hit) and
`bad_words_draw`, a number from [0, 1) that a hash of seed and document decides: a page with a hit is kept when its draw
is below the share of such pages to keep, which the rule says. Hits and terms are null where there is no list.

A Chinese entry hits inside longer words. Where that costs too much, a keyword list with `boundaries: words` does not.
Cost: as the lists of `keywords`.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa

from pipelines.core.documents import ATTRIBUTE_KEYS
from pipelines.core.fingerprint import Algorithm, digest_file
from pipelines.core.parts import PartResult
from pipelines.core.seeds import derive
from pipelines.corpus.filters.config import BadWordsConfig
from pipelines.corpus.filters.keywords import KeywordListError, file_lines, shown_terms
from pipelines.corpus.filters.term_hits import Flags, Places, code_points, occurrences

BAD_WORDS: Final = Algorithm("bad_words", 1)
ALGORITHMS: Final = (BAD_WORDS,)
BAD_WORDS_TYPES: Final = {
    "bad_words_hits": pa.int64(),
    "bad_words_list": pa.large_string(),
    "bad_words_terms": pa.large_string(),
    "bad_words_draw": pa.float64(),
}
_LIST = re.compile(r"([a-z]{2,3})(\.txt)?")


def declared(config: BadWordsConfig, folder: Path) -> BadWordsConfig:
    """The settings with the path and the digest of every list of `folder`: what a worker reads and what identity names.

    Files are named by a language, `zh` or `zh.txt`; others are left alone. Raises KeywordListError without any.
    """
    if not folder.is_dir():
        raise KeywordListError(f"there is no folder of bad words {folder}: paths are relative to the project file")
    named = [(found[1], path) for path in sorted(folder.iterdir()) if (found := _LIST.fullmatch(path.name))]
    paths = dict(named)
    if len(paths) < len(named):
        raise KeywordListError(f"the folder of bad words {folder} has two lists of one language: leave one of them")
    if not paths:
        raise KeywordListError(f"the folder of bad words {folder} has no list: files are named `en`, `zh` or `zh.txt`")
    digests = {language: digest_file(path) for language, path in paths.items()}
    for language, digest in config.digests.items():
        if digests.get(language) != digest:
            raise KeywordListError(
                f"the bad words of {language!r} in {folder} have SHA-256 {digests.get(language, 'none, no file')}, the "
                f"project file says {digest}"
            )
    files = {language: str(path) for language, path in paths.items()}
    return config.model_copy(update={"files": files, "digests": digests})


def bad_words_part(tables: Mapping[str, pa.Table], config: BadWordsConfig) -> PartResult:
    """`tables["documents"]` and `tables["language"]` to `tables["bad_words"]`, columns of BAD_WORDS_TYPES."""
    documents = tables["documents"]
    lists = [_list_for(language, config) for language in tables["language"]["language"].to_pylist()]
    key = derive(config.seed, "bad_words").to_bytes(8, "little")
    hits: list[int | None] = [None if name is None else 0 for name in lists]
    terms: list[str | None] = [None] * len(lists)
    for name in sorted({name for name in lists if name is not None}):
        rows = [row for row, other in enumerate(lists) if other == name]
        texts = documents["text"].take(pa.array(rows)).to_pylist()
        for row, counted in zip(rows, _hits(texts, name, config), strict=True):
            hits[row] = counted.total()
            terms[row] = shown_terms(counted)
    draws = [_draw(key, identity) for identity in documents["id"].to_pylist()]
    columns: dict[str, Any] = {field.name: documents.column(field.name) for field in ATTRIBUTE_KEYS}
    for (column, kind), values in zip(BAD_WORDS_TYPES.items(), (hits, lists, terms, draws), strict=True):
        columns[column] = pa.array(values, kind)
    table = pa.table(columns)
    return PartResult({"bad_words": table}, {"rows_in": len(table), "kept": len(table)})


def entries(language: str, config: BadWordsConfig) -> tuple[str, ...]:
    """The entries of one list, in lower case, without blank lines and what is allowed, sorted."""
    allowed = {entry.lower() for entry in config.allow.get(language, ())}
    lines = file_lines(config.files[language], config.digests.get(language, ""))
    return tuple(sorted({line.strip().lower() for line in lines} - allowed - {""}))


def _list_for(language: str | None, config: BadWordsConfig) -> str | None:
    if language is None:
        return None
    name = language if language in config.files else config.same.get(language)
    return name if name in config.files else None


def _hits(texts: list[str], language: str, config: BadWordsConfig) -> list[Counter[str]]:
    listed = entries(language, config)
    if not listed:
        return [Counter() for _ in texts]
    lowered = pl.Series([text.lower() for text in texts], dtype=pl.String)
    anywhere = language in config.unbounded
    result: list[Counter[str]] = []
    for text, found in zip(lowered, occurrences(lowered, listed), strict=True):
        if found is None:
            result.append(Counter())
        else:
            result.append(Counter((found if anywhere else found.where(_apart(text, found))).of(text)))
    return result


def _apart(text: str, places: Places) -> Flags:
    """Whether no word character, as regular expressions have them, stands at either end."""
    points, which = np.unique(code_points(text), return_inverse=True)
    word = np.array([character.isalnum() or character == "_" for character in map(chr, points.tolist())])
    beside = np.concatenate(([False], word[which], [False]))  # beside[n + 1] is of character n
    return np.asarray(~beside[places.starts] & ~beside[places.stops + 1], bool)


def _draw(key: bytes, identity: bytes) -> float:
    number = int.from_bytes(hashlib.blake2b(identity, digest_size=8, key=key).digest(), "little")
    return (number >> 11) / 2.0**53
