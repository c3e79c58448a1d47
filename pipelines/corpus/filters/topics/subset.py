"""Topical subsets without embeddings: BM25 of a query, or of the terms that set seed documents apart.

In: a query or seeds, and background texts of the pool. 1. Document frequencies of terms in the background (`terms.py`).
2. The terms looked for: those of the query with idf as their weight, or the seeds' terms with the largest weight
(share of the seeds that have the term) x idf, a term having to be in two of the seeds where there are that many. 3. The
score of a text (BM25, Robertson and Zaragoza 2009):
    sum over terms of weight x tf (k1 + 1) / (tf + k1 (1 - b + b length / mean length))
with idf = ln(1 + (N - n + 0.5) / (n + 0.5)) of N background texts, n of which have the term.
Out: `TermWeights`, pinned; then the family `subsets` with `<name>_relevance` and `<name>_rank`, its rank among the
background's scores (0 to 1). A text without a term has 0. Cost: 10 MB/s on one core, whatever the number of subsets.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from pipelines.core.config import Config
from pipelines.core.documents import ATTRIBUTE_KEYS
from pipelines.core.fingerprint import Algorithm
from pipelines.core.parts import PartResult
from pipelines.corpus.filters.classifier.ensemble import ranks_of
from pipelines.corpus.filters.labelled.config import ExamplesConfig
from pipelines.corpus.filters.labelled.examples import ExamplesError
from pipelines.corpus.filters.topics.config import SubsetConfig
from pipelines.corpus.filters.topics.terms import ALGORITHMS as TERM_ALGORITHMS
from pipelines.corpus.filters.topics.terms import terms_of

SUBSET: Final = Algorithm("topical_subset", 2)
SUBSETS: Final = Algorithm("subset_scores", 1)
ALGORITHMS: Final = (SUBSETS, *TERM_ALGORITHMS)

QUANTILES: Final = 1001
SAMPLES, SAMPLE_CHARACTERS = 12, 300
F64 = npt.NDArray[np.float64]


class TermWeights(Config):
    """What a subset looks for: terms (64-bit hashes, ascending) with weights, and the background's mean length."""

    terms: tuple[int, ...] = Field(description="Hashes of the terms, ascending.")
    weights: tuple[float, ...] = Field(description="Weight of each term.")
    mean_length: float = Field(description="Words of a background text on average.")
    k1: float = Field(description="BM25's k1.")
    b: float = Field(description="BM25's b.")
    max_characters: int = Field(description="How much of the start of a text is looked at.")
    reference: tuple[float, ...] = Field(description="Quantiles of the background's scores.")


class SubsetScoring(Config):
    """All subsets of a project by name."""

    subsets: dict[str, TermWeights] = Field(description="Subsets by name.")


class BuiltSubset(NamedTuple):
    """The weights, and JSON-ready measures.

    `terms` as text with weight and document frequency, heaviest first; of the background the number of texts, how many
    have one of the terms, and `SAMPLES` of these from most to least relevant, evenly by rank.
    """

    weights: TermWeights
    measures: dict[str, Any]


def build_subset(wanted: Sequence[str], background: Sequence[str], config: SubsetConfig) -> BuiltSubset:
    """`wanted` is the query alone, or the seed documents. Raises `ExamplesError` when nothing is left to look for."""
    held, mean_length = _frequencies(background, config.max_characters)
    mine, _ = _frequencies(wanted, config.max_characters)
    spelled = _spell(wanted, config.max_characters)
    need = 2 if config.query is None and len(wanted) > 1 else 1
    total = len(background)
    weighed = []
    for term, seeds in mine.items():
        if seeds >= need:
            idf = float(np.log(1 + (total - held.get(term, 0) + 0.5) / (held.get(term, 0) + 0.5)))
            weighed.append((idf * seeds / len(wanted), term, held.get(term, 0)))
    weighed.sort(key=lambda item: (-item[0], item[1]))
    chosen = weighed if config.query is not None else weighed[: config.terms]
    if not chosen or not background:
        raise ExamplesError("a subset needs background texts, and a query or seeds that have words in common")
    by_hash = sorted((term, weight) for weight, term, _ in chosen)
    weights = TermWeights(
        terms=tuple(term for term, _ in by_hash),
        weights=tuple(round(weight, 9) for _, weight in by_hash),
        mean_length=mean_length,
        k1=config.k1,
        b=config.b,
        max_characters=config.max_characters,
        reference=(),
    )
    scores = relevance(background, weights)
    reference = tuple(round(float(x), 9) for x in np.quantile(scores, np.linspace(0, 1, QUANTILES)))
    shown = [{"term": spelled[term], "weight": round(weight, 6), "background": n} for weight, term, n in chosen]
    order = np.argsort(-scores, kind="stable")[: int(np.count_nonzero(scores))]
    places = np.linspace(0, len(order) - 1, min(SAMPLES, len(order))).astype(int).tolist()
    samples = [
        {"place": at + 1, "score": round(float(scores[text]), 6), "text": background[text][:SAMPLE_CHARACTERS]}
        for at, text in zip(places, order[places].tolist(), strict=True)
    ]
    measures = {"terms": shown, "background": total, "matched": len(order), "samples": samples}
    return BuiltSubset(weights.model_copy(update={"reference": reference}), measures)


def relevance(texts: Sequence[str], weights: TermWeights) -> F64:
    """BM25 of every text, float64[texts]."""
    wanted, weight = np.array(weights.terms, np.uint64), np.array(weights.weights)
    result = np.zeros(len(texts))
    for block in terms_of(list(texts), weights.max_characters):
        places = np.minimum(np.searchsorted(wanted, block.hashes), len(wanted) - 1)
        hit = wanted[places] == block.hashes
        keys = block.owners[hit] * len(wanted) + places[hit]
        pairs, counts = np.unique(keys, return_counts=True)
        owner, term = pairs // len(wanted), pairs % len(wanted)
        norm = weights.k1 * (1 - weights.b + weights.b * block.lengths[owner] / weights.mean_length)
        part = weight[term] * counts * (weights.k1 + 1) / (counts + norm)
        result[block.first : block.first + len(block.lengths)] = np.bincount(owner, part, len(block.lengths))
    return result


def most_relevant(texts: Sequence[str], query: str, count: int, max_characters: int) -> list[int]:
    """Places of the `count` texts that BM25 finds most relevant to a query, the best first; ties in their order.

    Texts without a word of the query are none of them. Raises `ExamplesError` for a query without a word.
    """
    config = SubsetConfig(query=query, background=(ExamplesConfig(batches=("-",)),), max_characters=max_characters)
    scores = relevance(texts, build_subset([query], texts, config).weights)
    ranked = np.argsort(-scores, kind="stable")[:count]
    return [int(place) for place in ranked if scores[place] > 0]


def subsets_part(tables: Mapping[str, pa.Table], config: SubsetScoring) -> PartResult:
    """`tables["documents"]` to `tables["subsets"]`."""
    documents = tables["documents"]
    texts = documents["text"].to_pylist()
    columns: dict[str, Any] = {field.name: documents.column(field.name) for field in ATTRIBUTE_KEYS}
    for name, weights in config.subsets.items():
        scores = relevance(texts, weights)
        for column, values in zip(subset_columns(name), (scores, ranks_of(scores, weights.reference)), strict=True):
            columns[column] = pa.array(values, pa.float64())
    table = pa.table(columns)
    return PartResult({"subsets": table}, {"rows_in": len(documents), "kept": len(table)})


def subset_columns(name: str) -> tuple[str, str]:
    """The signals of one subset: how relevant a document is to it, and the rank of that."""
    return f"{name}_relevance", f"{name}_rank"


def _frequencies(texts: Iterable[str], max_characters: int) -> tuple[dict[int, int], float]:
    """(term -> texts that have it, words of a text on average)."""
    found: dict[int, int] = {}
    words = number = 0
    for block in terms_of(list(texts), max_characters):
        order = np.lexsort((block.owners, block.hashes))
        hashes, owners = block.hashes[order], block.owners[order]
        fresh = np.ones(len(hashes), bool)
        fresh[1:] = (hashes[1:] != hashes[:-1]) | (owners[1:] != owners[:-1])
        for term, count in zip(*(x.tolist() for x in np.unique(hashes[fresh], return_counts=True)), strict=True):
            found[term] = found.get(term, 0) + count
        words, number = words + int(block.lengths.sum()), number + len(block.lengths)
    return found, max(words / max(number, 1), 1.0)


def _spell(texts: Sequence[str], max_characters: int) -> dict[int, str]:
    """Terms as they are written where they first occur."""
    spelled: dict[int, str] = {}
    for block in terms_of(list(texts), max_characters):
        terms, first = np.unique(block.hashes, return_index=True)
        for term, place in zip(terms.tolist(), first.tolist(), strict=True):
            text = block.characters[block.starts[place] : block.stops[place]].tobytes().decode("utf-32-le")
            spelled.setdefault(term, text)
    return spelled
