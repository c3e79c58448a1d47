"""A language model of the project: trained or read, with the percentiles that make head, middle and tail.

In: texts to train on (or an ARPA file), and texts of the pool as reference. 1. Hold texts out by their hash. 2. Train
(`train.py`, or KenLM in `kenlm.py`). 3. Perplexity of the held-out texts says how well it fits; perplexities of the
reference (without one: of the held-out texts) are stored as quantiles. A percentile of them is the line between head
and middle, another between middle and tail (CCNet: 30 and 60, by language, over the pool). Out: the model, its words,
JSON-ready measures.
"""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from pipelines.core.fingerprint import Algorithm
from pipelines.corpus.filters.labelled.examples import ExamplesError
from pipelines.corpus.filters.ngram_lm.arpa import read_arpa
from pipelines.corpus.filters.ngram_lm.config import LanguageModelConfig
from pipelines.corpus.filters.ngram_lm.model import F64, DocumentScores, NgramModel, Scorer, score_texts
from pipelines.corpus.filters.ngram_lm.train import TrainedNgrams, train_ngrams

PERCENTILES: Final = Algorithm("perplexity_percentiles", 1)

QUANTILES: Final = 1001
MIN_REFERENCE: Final = 10


Estimator = Callable[[Collection[str], LanguageModelConfig], TrainedNgrams]
"""What trains: our own (`train_ngrams`), or `train_kenlm` with its tool."""


class BuiltModel(NamedTuple):
    """The model, its words in the order of its hashes, and its measures."""

    model: NgramModel
    words: list[str]
    measures: dict[str, Any]


def build_language_model(
    train: Collection[str],
    held_out: Sequence[str],
    reference: Sequence[str],
    config: LanguageModelConfig,
    arpa: Path | None,
    estimator: Estimator = train_ngrams,
) -> BuiltModel:
    """Train on `train` with `estimator`, or read `arpa`.

    Raises `ExamplesError` when the reference is too small for percentiles."""
    if arpa is None:
        trained = estimator(train, config)
        model, words, unknown_words = trained.model, trained.words, trained.unknown_words
        counts = {"words_read": trained.tokens, "texts": len(train)}
    else:
        model, words = read_arpa(arpa)
        unknown_words, counts = 1, {}

    def scorer(texts: Sequence[str]) -> DocumentScores:
        return score_texts(model, texts, config.max_characters, unknown_words)

    measures = measure(scorer, held_out, reference, config)
    counts |= {"held_out": len(held_out), "vocabulary": len(words), "ngrams": len(model.word)}
    found = {**measures, "counts": counts, "unknown_words": unknown_words, "order": model.order}
    return BuiltModel(model, words, found)


def measure(
    scorer: Scorer, held_out: Sequence[str], reference: Sequence[str], config: LanguageModelConfig
) -> dict[str, Any]:
    """`headline` and `reference` of any model: how well it fits, the cuts, and quantiles of its pool's perplexities.

    Raises `ExamplesError` when the pool is too small for percentiles.
    """
    perplexities = scorer(reference or held_out).perplexity()
    perplexities = np.sort(perplexities[~np.isnan(perplexities)])
    if len(perplexities) < MIN_REFERENCE:
        raise ExamplesError(
            f"{len(perplexities)} reference texts with words are too few for percentiles: give {MIN_REFERENCE}"
        )
    fit = scorer(held_out)
    words = int(fit.words.sum())
    head, middle = cuts_of(perplexities, config)
    headline = {
        "held_out_perplexity": 10 ** (-float(fit.log_probability.sum()) / words) if words else None,
        "unknown_share": float(fit.unknown.sum() / words) if words else None,
        "head_below": head,
        "middle_below": middle,
    }
    quantiles = np.quantile(perplexities, np.linspace(0, 1, QUANTILES))
    return {"headline": headline, "reference": [float(f"{value:.9g}") for value in quantiles]}


def cuts_of(perplexities: F64, config: LanguageModelConfig) -> tuple[float, float]:
    """The perplexities below which a document is head, and middle."""
    percentiles = [config.head_percentile, config.middle_percentile]
    head, middle = np.percentile(perplexities, percentiles)
    return float(f"{head:.9g}"), float(f"{middle:.9g}")
