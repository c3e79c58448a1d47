"""The definitions of dedup once more, in slow plain Python that shares no code with the library: the tests' oracle."""

import unicodedata
from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np
import pyarrow as pa

from pipelines.core.documents import document_id, text_hash
from pipelines.corpus.dedup.config import DedupConfig
from pipelines.corpus.dedup.index import IndexEntry, in_memory
from pipelines.corpus.dedup.matching import BatchSignatures, MatchResult, match_batch
from pipelines.corpus.dedup.minhash import band_column, signatures_part

UNSPACED_NAMES = ("CJK UNIFIED", "CJK COMPATIBILITY IDEOGRAPH", "HIRAGANA", "KATAKANA", "HALFWIDTH KATAKANA", "THAI")


def words(text: str) -> list[tuple[str, bool]]:
    """(word, is a character of a script without spaces), by Unicode names and categories instead of a table."""
    found: list[tuple[str, bool]] = []
    open_ = ""
    for character in text:
        if "！" <= character <= "～":
            character = unicodedata.normalize("NFKC", character)
        if "\u0300" <= character <= "\u036f" or "\ufe00" <= character <= "\ufe0f":
            continue
        folded = character.casefold()
        stripped = "".join(c for c in unicodedata.normalize("NFD", folded) if not "\u0300" <= c <= "\u036f")
        folded = next((form for form in (stripped, folded) if len(form) == 1), character)
        category = unicodedata.category(folded)
        if category == "Cf" and character != "\u200b":
            continue
        if category[0] not in "LMN":
            folded = ""
        unspaced = bool(folded) and unicodedata.name(folded, "").startswith(UNSPACED_NAMES)
        if open_ and (unspaced or not folded):
            found.append((open_, False))
            open_ = ""
        if unspaced:
            found.append((folded, True))
        else:
            open_ += folded
    return [*found, (open_, False)] if open_ else found


def shingles(text: str, config: DedupConfig) -> set[tuple[str, ...]]:
    """The shortest run of words that ends at each word and weighs at least one shingle."""
    read = words(text)
    found: set[tuple[str, ...]] = set()
    for end in range(1, len(read) + 1):
        weight = Fraction(0)
        for start in range(end - 1, -1, -1):
            weight += Fraction(1, config.ngram_unspaced if read[start][1] else config.ngram)
            if weight >= 1:
                found.add(tuple(word for word, _ in read[start:end]))
                break
    return found or ({tuple(word for word, _ in read)} if read else set())


def jaccard(a: set[tuple[str, ...]], b: set[tuple[str, ...]]) -> float:
    return len(a & b) / len(a | b)


def documents_table(texts: Sequence[str], ids: Sequence[bytes] | None = None) -> pa.Table:
    ids = ids or [document_id("test.batch", str(number)) for number in range(len(texts))]
    columns = [
        pa.array(ids, pa.binary(16)),
        pa.array(texts, pa.large_string()),
        pa.array([text_hash(text) for text in texts], pa.binary(16)),
    ]
    return pa.table(columns, names=["id", "text", "text_hash"])


def match_texts(
    batches: Sequence[Sequence[Sequence[str]]], config: DedupConfig, ids: Iterable[bytes] | None = None
) -> tuple[list[MatchResult], list[IndexEntry]]:
    """Match batches of parts of texts one after the other, as the chain does; ids number the texts by default."""
    numbered = iter(ids) if ids else (number.to_bytes(16, "big") for number in range(10**9))
    entries: list[IndexEntry] = []
    results: list[MatchResult] = []

    def read_texts(ordinal: int, part: int, rows: list[int]) -> list[str]:
        assert rows == sorted(rows)
        return [batches[ordinal][part][row] for row in rows]

    for ordinal, batch in enumerate(batches):
        tables = [documents_table(part, [next(numbered) for _ in part]) for part in batch]
        parts = [signatures_part({"documents": table}, config).tables["signatures"] for table in tables]
        positions = [
            np.stack([np.full(len(part), number), np.arange(len(part))], axis=1) for number, part in enumerate(batch)
        ]
        result = match_batch(BatchSignatures(ordinal, parts, positions), entries, read_texts, config)
        results.append(result)
        entries.append(in_memory(ordinal, f"digest {ordinal}", result.entry))
    return results, entries


def greedy(batches: Sequence[Sequence[str]], config: DedupConfig) -> list[tuple[int, int, str, float]]:
    """(document, leader, kind, similarity) of every dropped document, numbered over all batches, by brute force.

    Candidates are the kept documents that share a band; the band hashes themselves are checked against datasketch.
    """
    texts = [text for batch in batches for text in batch]
    table = signatures_part({"documents": documents_table(texts)}, config).tables["signatures"]
    columns = [table[band_column(band)].to_pylist() for band in range(config.bands)]
    sets = [shingles(text, config) for text in texts]
    normal = [tuple(word for word, _ in words(text)) or text for text in texts]
    order: list[int] = []
    for batch in batches:
        numbers = range(len(order), len(order) + len(batch))
        rank = (lambda n: -len(words(texts[n]))) if config.policy == "longest" else (lambda n: 0)
        order.extend(sorted(numbers, key=rank))
    kept: list[int] = []
    dropped: list[tuple[int, int, str, float]] = []
    for document in order:
        copy = next((leader for leader in kept if normal[leader] == normal[document]), None)
        if copy is not None:
            dropped.append((document, copy, "exact", 1.0))
            continue
        a = sets[document]
        candidates = [
            leader
            for leader in kept
            if a
            and any(column[leader] is not None and column[leader] == column[document] for column in columns)
            and min(len(a), len(sets[leader])) / max(len(a), len(sets[leader])) >= config.threshold
        ]
        for leader in candidates[: config.max_candidates]:
            if jaccard(a, sets[leader]) >= config.threshold:
                dropped.append((document, leader, "near", jaccard(a, sets[leader])))
                break
        else:
            kept.append(document)
    return sorted(dropped)


def found(results: Sequence[MatchResult]) -> list[tuple[int, int, str, float]]:
    """The matches of `match_texts` with default ids, in the form of `greedy`."""
    rows = [row for result in results for row in result.matches.to_pylist()]
    number = int.from_bytes
    return sorted((number(r["id"]), number(r["leader_id"]), r["kind"], r["similarity"]) for r in rows)
