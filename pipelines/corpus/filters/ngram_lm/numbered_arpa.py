"""ARPA files whose words are numbers, by columns: what KenLM makes of the lines that `kenlm.py` writes.

In: a file of `lmplz` over the ids of a model. 1. Sections are found by their names, which no numbered word can be. 2. A
section is read as three columns, and has as many rows as the header says. 3. Level by level an n-gram finds its first
words by binary search in the level below, and rows are sorted by (prefix, word), as `Level` wants them. Out: levels as
`estimate` gives them.
"""

import mmap
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.corpus.filters.ngram_lm.arpa import ArpaError
from pipelines.corpus.filters.ngram_lm.counts import BEGIN, END, UNKNOWN
from pipelines.corpus.filters.ngram_lm.estimate import Level

Whole = npt.NDArray[np.int64]
Real = npt.NDArray[np.float64]

_NAME: Final = b"\\%d-grams:\n"
_COUNT: Final = re.compile(rb"^ngram \d+=(\d+)$", re.MULTILINE)
_SYMBOLS: Final = {"<unk>": "-1", "<s>": str(BEGIN), "</s>": str(END)}
_NEVER: Final = -99.0
"""The log10 probability of what a file has no line for."""


def read_numbered(path: Path, vocabulary: int) -> list[Level]:
    """The levels of a file over the words 0 to `vocabulary` - 1. Raises `ArpaError` where it is none.

    Where the word 0 occurs it is `<unk>`, and the file's own `<unk>` is dropped; else that one is the word 0.
    """
    levels: list[Level] = []
    keys: list[Whole] = []
    for order, orders, count, lines in _sections(path):
        words, score, backoff = _columns(lines, count, order, orders, path.name)
        if words.size and not (words.min() >= (-1 if order == 1 else 0) and words.max() < vocabulary):
            raise ArpaError(f"{path.name}: an n-gram of order {order} has a word that is none of ours")
        if order == 1:
            words, score, backoff = _unigrams(words[:, 0], score, backoff, vocabulary)
        prefix = _places(words[:, :-1], keys, vocabulary, path.name)
        key = prefix * vocabulary + words[:, -1]
        rows = np.argsort(key, kind="stable")
        parents = 1 if order == 1 else len(keys[-1])
        keys.append(key[rows])
        levels.append(
            Level(
                prefix[rows].astype(np.int32),
                words[rows, -1].astype(np.int32),
                score[rows].astype(np.float32),
                backoff[rows].astype(np.float32),
                np.searchsorted(prefix[rows], np.arange(parents + 1)).astype(np.int64),
            )
        )
    return levels


def _sections(path: Path) -> Iterator[tuple[int, int, int, bytes]]:
    """(order, highest order, n-grams that the header counts, their lines), order by order."""
    if not path.stat().st_size:  # an empty file cannot be mapped
        raise ArpaError(f"{path.name}: is empty")
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        start = max(data.find(_NAME % 1), 0)
        counts = [int(count) for count in _COUNT.findall(data[:start])]
        for order, count in enumerate(counts, start=1):
            start += len(_NAME % order)
            end = data.find(_NAME % (order + 1) if order < len(counts) else b"\\end\\", start)
            if end < 0:
                break
            yield order, len(counts), count, data[start:end].strip()
            start = end
        else:
            if counts:
                return
    raise ArpaError(f"{path.name}: is no whole ARPA file")


def _columns(lines: bytes, count: int, order: int, orders: int, name: str) -> tuple[Whole, Real, Real]:
    """(words int64[n, order], log10 probabilities, log10 backoffs) of the lines of a section."""
    if not count and not lines:
        return np.zeros((0, order), np.int64), np.zeros(0), np.zeros(0)
    schema = {"score": pl.Float64, "words": pl.String}
    if order < orders:
        schema["backoff"] = pl.Float64
    try:
        table = pl.read_csv(lines, separator="\t", has_header=False, quote_char=None, schema=schema)
        parts = table["words"].str.split_exact(" ", order).struct.unnest()
        columns = [column.replace(_SYMBOLS).cast(pl.Int64) for column in parts.iter_columns()]
    except pl.exceptions.PolarsError as error:
        raise ArpaError(f"{name}: the section of order {order} cannot be read: {error}") from error
    more = columns.pop()
    missing = sum(column.null_count() for column in (*columns, table["score"]))
    if len(table) != count or missing or more.null_count() < count:
        raise ArpaError(f"{name}: the section of order {order} has not {count} lines of {order} words")
    words = np.stack([column.to_numpy() for column in columns], 1)
    backoff = table["backoff"].fill_null(0.0).to_numpy() if order < orders else np.zeros(count)
    return words, table["score"].to_numpy(), backoff


def _unigrams(words: Whole, score: Real, backoff: Real, vocabulary: int) -> tuple[Whole, Real, Real]:
    """One line a word of the vocabulary, in order; the file's own `<unk>` (-1) is word 0 where that never occurred."""
    words = np.where((words < 0) & ~(words == UNKNOWN).any(), UNKNOWN, words)
    scores, backoffs = np.full(vocabulary, _NEVER), np.zeros(vocabulary)
    known = words >= 0
    scores[words[known]], backoffs[words[known]] = score[known], backoff[known]
    return np.arange(vocabulary)[:, None], scores, backoffs


def _places(words: Whole, keys: list[Whole], vocabulary: int, name: str) -> Whole:
    """The node of every row's words one order below: their place among the keys of each level in turn."""
    node = np.zeros(len(words), np.int64)
    for level, column in enumerate(words.T):
        wanted = node * vocabulary + column
        node = np.searchsorted(keys[level], wanted)
        found = keys[level][np.minimum(node, len(keys[level]) - 1)] == wanted if len(keys[level]) else node < 0
        if not np.all(found):
            raise ArpaError(f"{name}: an n-gram is listed, its first {level + 1} words are not")
    return node
