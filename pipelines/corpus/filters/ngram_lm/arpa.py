"""ARPA files, the common text format of n-gram models: written for other tools, read from them.

A line is `log10 p <tab> the words, apart by spaces <tab> log10 backoff`; the backoff is left out at the highest order
and where it is 0. Numbers have seven digits, as float32 has. Reading wants every n-gram's first words to be an n-gram
too, as KenLM writes it. Cost: a million n-grams takes some seconds either way.
"""

import gzip
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TextIO

import numpy as np

from pipelines.core.errors import GristmillError
from pipelines.core.fingerprint import Algorithm
from pipelines.corpus.filters.blocks import hash_words
from pipelines.corpus.filters.ngram_lm.counts import SPECIAL
from pipelines.corpus.filters.ngram_lm.estimate import Level
from pipelines.corpus.filters.ngram_lm.model import NgramModel, flat

ARPA: Final = Algorithm("arpa_reading", 1)


class ArpaError(GristmillError, ValueError):
    """A file that is no ARPA file as we can read it."""


def write_arpa(model: NgramModel, words: Sequence[str], stream: TextIO) -> None:
    """Write a model; `words` are those of `model.hashes`."""
    spelled = [*SPECIAL, *words]
    starts = _level_starts(model)
    stream.write("\\data\\\n")
    for order in range(model.order):
        stream.write(f"ngram {order + 1}={starts[order + 1] - starts[order]}\n")
    names = [spelled[word] for word in model.word[: starts[1]]]
    for order in range(model.order):
        low, high = starts[order], starts[order + 1]
        if order:
            below = np.arange(starts[order - 1], low)
            parents = np.repeat(below, np.diff(model.first_child[starts[order - 1] : low + 1]))
            before = starts[order - 1]
            names = [
                f"{names[parent - before]} {spelled[word]}"
                for parent, word in zip(parents, model.word[low:high], strict=True)
            ]
        stream.write(f"\n\\{order + 1}-grams:\n")
        for name, score, backoff in zip(
            names, model.log_probability[low:high], model.log_backoff[low:high], strict=True
        ):
            tail = f"\t{backoff:.7g}" if backoff and order + 1 < model.order else ""
            stream.write(f"{score:.7g}\t{name}{tail}\n")
    stream.write("\n\\end\\\n")


def arpa_bytes(model: NgramModel, words: Sequence[str]) -> bytes:
    """The gzipped file, the same bytes for the same model."""
    text = io.StringIO()
    write_arpa(model, words, text)
    return gzip.compress(text.getvalue().encode(), compresslevel=6, mtime=0)


def _level_starts(model: NgramModel) -> list[int]:
    """Where the n-grams of each order begin, and the end."""
    starts = [0, len(model.hashes) + len(SPECIAL)]
    for _ in range(model.order - 1):
        starts.append(int(model.first_child[starts[-1]]) if starts[-1] < len(model.word) else starts[-1])
    return starts


def read_arpa(path: Path) -> tuple[NgramModel, list[str]]:
    """The model of an ARPA file (plain or gzipped) and its words. Raises `ArpaError` with the line."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as stream:
        try:
            sections = list(_sections(stream, path.name))
        except (UnicodeDecodeError, OSError) as error:
            raise ArpaError(f"{path.name}: cannot be read: {error}") from error
    if not sections:
        raise ArpaError(f"{path.name}: no section \\1-grams:; is it an ARPA file?")
    plain = [name for (name,), _, _ in sections[0] if name not in SPECIAL]
    hashes = hash_words(plain) if plain else np.zeros(0, np.uint64)
    order = np.argsort(hashes)
    words = [plain[index] for index in order]
    ids = {name: number for number, name in enumerate([*SPECIAL, *words])}
    nodes: dict[tuple[int, ...], int] = {(number,): number for number in range(len(ids))}
    given = {name: (score, backoff) for (name,), score, backoff in sections[0]}
    missing = (-99.0, 0.0)
    levels = [_level([((number,), 0, *given.get(name, missing)) for name, number in ids.items()], 1)]
    for length, section in enumerate(sections[1:], start=2):
        rows = []
        for names, score, backoff in section:
            try:
                key = tuple(ids[name] for name in names)
                rows.append((key, nodes[key[:-1]], score, backoff))
            except KeyError:
                raise ArpaError(
                    f"{path.name}: {' '.join(names)!r} is listed, its words or its beginning are not"
                ) from None
        rows.sort(key=lambda row: (row[1], row[0][-1]))
        levels.append(_level(rows, len(levels[-1].word)))
        nodes = {row[0]: number for number, row in enumerate(rows)}
        if len(nodes) < len(rows):
            raise ArpaError(f"{path.name}: an n-gram of order {length} is listed twice")
    return flat(levels, hashes[order]), words


def _level(rows: Sequence[tuple[tuple[int, ...], int, float, float]], parents: int) -> Level:
    prefix = np.array([row[1] for row in rows], np.int64)
    return Level(
        prefix.astype(np.int32),
        np.array([row[0][-1] for row in rows], np.int32),
        np.array([row[2] for row in rows], np.float32),
        np.array([row[3] for row in rows], np.float32),
        np.searchsorted(prefix, np.arange(parents + 1)).astype(np.int64),
    )


def _sections(stream: TextIO, name: str) -> Iterator[list[tuple[tuple[str, ...], float, float]]]:
    rows: list[tuple[tuple[str, ...], float, float]] = []
    length = 0
    for number, line in enumerate(stream, start=1):
        line = line.rstrip("\n")
        if line.startswith("\\") and line.endswith("-grams:"):
            if length:
                yield rows
            length, rows = length + 1, []
        elif line == "\\end\\":
            if length:
                yield rows
            return
        elif length and line.strip():
            score, _, rest = line.partition("\t")
            words, _, backoff = rest.partition("\t")
            names = tuple(words.split(" "))
            try:
                rows.append((names, float(score), float(backoff or 0)))
            except ValueError:
                raise ArpaError(f"{name}, line {number}: {line[:80]!r} is no n-gram") from None
            if len(names) != length:
                raise ArpaError(f"{name}, line {number}: {len(names)} words among the {length}-grams")
    raise ArpaError(f"{name}: ends before \\end\\")
