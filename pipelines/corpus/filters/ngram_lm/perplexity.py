"""The attribute family `perplexity`: how expected a document's text is to a model of good text.

In: documents, and the pinned models in the project's order. 1. Each document goes to the first model that is for its
language. 2. Its perplexity: 10 ** (-sum of log10 p over its lines / (words + lines)), CCNet's. 3. Its rank among the
model's reference documents, and the bucket: `head` below the first cut, `middle` below the second, else `tail`. Out:
`perplexity`, `perplexity_rank` (0 to 1), `perplexity_bucket`, `perplexity_unknown` (share of unknown words) and
`perplexity_model`; null without a word or a model. Perplexities of two models cannot be compared, buckets and ranks
can. Repeated and listed text has a very low perplexity: a rule needs a lower end too. Counts: documents by bucket.

Any other model is a scorer that is passed in (`score_with`): texts in, log10 probabilities and token counts out.
Cost: 5 MB/s and model on one core.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from pipelines.core.config import Config, operational
from pipelines.core.documents import ATTRIBUTE_KEYS
from pipelines.core.fingerprint import Algorithm
from pipelines.core.parts import PartResult
from pipelines.corpus.filters.classifier.ensemble import ranks_of
from pipelines.corpus.filters.classifier.score import language_column
from pipelines.corpus.filters.config import LanguageConfig
from pipelines.corpus.filters.language import LANGUAGE
from pipelines.corpus.filters.ngram_lm.model import (
    ARRAYS,
    BACKOFF_SCORES,
    NgramModel,
    Scorer,
    mapped,
    score_texts,
)
from pipelines.corpus.filters.ngram_lm.words import ALGORITHMS as WORDS

PERPLEXITY: Final = Algorithm("document_perplexity", 1)
ALGORITHMS: Final = (PERPLEXITY, BACKOFF_SCORES, LANGUAGE, *WORDS)
BUCKETS: Final = ("head", "middle", "tail")
PERPLEXITY_TYPES: Final = {
    "perplexity": pa.float64(),
    "perplexity_rank": pa.float64(),
    "perplexity_bucket": pa.large_string(),
    "perplexity_unknown": pa.float64(),
    "perplexity_model": pa.large_string(),
}


class PinnedLanguageModel(Config):
    """A language model as scoring needs it; assets fill it in from the model's artifact."""

    paths: dict[str, str] = operational({}, "Paths of the arrays on this machine, by name.")
    digests: dict[str, str] = Field(description="SHA-256 of every array, or of every file of a checkpoint.")
    order: int = Field(description="Longest n-gram; 0 for a model that is passed in.")
    end_of_text: int = Field(0, description="The token that a checkpoint starts a document with.")
    unknown_words: int = Field(description="How many different words `<unk>` stands for.")
    languages: tuple[str, ...] = Field(description="Languages that it scores; empty: all.")
    max_characters: int = Field(description="How much of the start of a document is scored.")
    head_below: float = Field(description="Documents below this perplexity are the head.")
    middle_below: float = Field(description="Documents below this one are the middle.")
    reference: tuple[float, ...] = Field(description="Quantiles of the reference perplexities.")


class PerplexityScoring(Config):
    """All language models of a project, by name, in the order in which they are asked."""

    models: dict[str, PinnedLanguageModel] = Field(description="Language models by name.")
    language: LanguageConfig | None = Field(description="Language identification, when a model is for some languages.")


def perplexity_part(tables: Mapping[str, pa.Table], config: PerplexityScoring) -> PartResult:
    """`tables["documents"]` to `tables["perplexity"]`."""
    return score_with(tables, config, {name: ngram_scorer(model) for name, model in config.models.items()})


def score_with(tables: Mapping[str, pa.Table], config: PerplexityScoring, scorers: Mapping[str, Scorer]) -> PartResult:
    """As `perplexity_part`, with a scorer for each model of the configuration."""
    documents = tables["documents"]
    texts = documents["text"].to_pylist()
    found = language_column(texts, config.models.values(), config.language)
    values: dict[str, Any] = {name: np.full(len(texts), np.nan) for name in ("perplexity", "rank", "unknown")}
    bucket: list[str | None] = [None] * len(texts)
    chosen: list[str | None] = [None] * len(texts)
    for name, model in config.models.items():
        rows = [
            row
            for row in range(len(texts))
            if chosen[row] is None and (not model.languages or (found and found[row] in model.languages))
        ]
        scores = scorers[name]([texts[row][: model.max_characters] for row in rows])
        perplexity = scores.perplexity()
        values["perplexity"][rows] = perplexity
        values["rank"][rows] = ranks_of(perplexity, model.reference)
        values["unknown"][rows] = scores.unknown / np.maximum(scores.words, 1)
        for row, value in zip(rows, perplexity, strict=True):
            if not np.isnan(value):
                chosen[row] = name
                bucket[row] = "head" if value < model.head_below else "middle" if value < model.middle_below else "tail"
    scored = np.array([name is not None for name in chosen], bool)
    columns: dict[str, Any] = {field.name: documents.column(field.name) for field in ATTRIBUTE_KEYS}
    signals = (values["perplexity"], values["rank"], bucket, values["unknown"], chosen)
    for (column, kind), signal in zip(PERPLEXITY_TYPES.items(), signals, strict=True):
        columns[column] = pa.array(signal, kind, mask=~scored if kind == pa.float64() else None)
    table = pa.table(columns)
    counts = {"rows_in": len(documents), "kept": len(table), **count_buckets(table, config)}
    return PartResult({"perplexity": table}, counts)


def count_buckets(table: pa.Table, config: PerplexityScoring) -> dict[str, int]:
    """`perplexity/<model>/<bucket>`: documents."""
    between = pa.scalar("/", pa.large_string())
    keys = pc.binary_join_element_wise(table["perplexity_model"], table["perplexity_bucket"], between)
    counted = pc.value_counts(pc.drop_null(keys)).to_pylist()
    return {f"perplexity/{item['values']}": item["counts"] for item in sorted(counted, key=lambda item: item["values"])}


def ngram_scorer(model: PinnedLanguageModel) -> Scorer:
    """The scorer of a pinned n-gram model; its arrays are mapped once a process."""
    paths = tuple(model.paths[name] for name in ARRAYS)
    return lambda texts: score_texts(_open(model.order, paths), texts, model.max_characters, model.unknown_words)


@lru_cache(maxsize=8)
def _open(order: int, paths: tuple[str, ...]) -> NgramModel:
    """Stored arrays by their digests' paths: what lies there never changes."""
    return mapped(order, {name: Path(path) for name, path in zip(ARRAYS, paths, strict=True)})
