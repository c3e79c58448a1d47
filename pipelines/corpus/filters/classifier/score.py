"""The attribute family `classifiers`: what every quality classifier of the project says of a document.

In: documents, and the pinned models. 1. Where a classifier is for some languages only, the language is identified as
the family `language` does. 2. Each model scores the start of the text. 3. The score becomes a rank among the model's
reference scores. 4. Ensembles combine them. Out: `<name>_score`, `<name>_rank` (0 to 1) and one column an ensemble,
null where there is no score. Counts: documents scored and kept by each classifier, and how each two of them agree.
Identity: the models' digests. Cost: 2,000 to 10,000 documents a second and model on one core.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from pipelines.core.config import Config, operational
from pipelines.core.documents import ATTRIBUTE_KEYS
from pipelines.core.fingerprint import Algorithm
from pipelines.core.parts import PartResult
from pipelines.corpus.filters.classifier.config import EnsembleConfig
from pipelines.corpus.filters.classifier.ensemble import ENSEMBLE, F64, Member, agreement, combine, keeps, ranks_of
from pipelines.corpus.filters.classifier.model import load_fasttext, probabilities
from pipelines.corpus.filters.classifier.text import FASTTEXT_LINE
from pipelines.corpus.filters.config import LanguageConfig
from pipelines.corpus.filters.language import LANGUAGE, languages_of

SCORES: Final = Algorithm("classifier_scores", 1)
ALGORITHMS: Final = (SCORES, ENSEMBLE, FASTTEXT_LINE, LANGUAGE)


class PinnedClassifier(Config):
    """A trained classifier as scoring needs it; assets fill it in from the classifier's artifact."""

    model: str = operational("", "Path of the model file on this machine.")
    model_digest: str = Field(description="SHA-256 of the model file.")
    labels: tuple[str, ...] = Field(description="Labels in the order of the training.")
    languages: tuple[str, ...] = Field(description="Languages that it scores; empty: all.")
    max_characters: int = Field(description="How much of the start of a text it looks at.")
    threshold: float = Field(
        0.0, description="A quality classifier keeps documents, and a topic holds, from this score on."
    )
    reference: tuple[float, ...] = Field((), description="Quantiles of the scores of the pool's sample.")


class ClassifierScoring(Config):
    """All quality classifiers of a project, by name, and the ensembles."""

    models: dict[str, PinnedClassifier] = Field(description="Quality classifiers by name.")
    ensembles: dict[str, EnsembleConfig] = Field(description="Ensembles by name.")
    language: LanguageConfig | None = Field(description="Language identification, when a model is for some languages.")


def classifiers_part(tables: Mapping[str, pa.Table], config: ClassifierScoring) -> PartResult:
    """`tables["documents"]` to `tables["classifiers"]`."""
    documents = tables["documents"]
    texts = documents["text"].to_pylist()
    found = language_column(texts, config.models.values(), config.language)
    columns: dict[str, Any] = {field.name: documents.column(field.name) for field in ATTRIBUTE_KEYS}
    members: dict[str, Member] = {}
    for name, model in config.models.items():
        scores = scores_of(texts, found, model)[:, model.labels.index("positive")]
        members[name] = Member(scores, ranks_of(scores, model.reference), model.threshold)
        for column, values in zip(classifier_columns(name), (scores, members[name].ranks), strict=True):
            columns[column] = _nullable(values)
    for name, ensemble in config.ensembles.items():
        columns[name] = _nullable(combine(members, ensemble))
    table = pa.table(columns)
    counts = {"rows_in": len(documents), "kept": len(table), **count_verdicts(table, config)}
    return PartResult({"classifiers": table}, counts)


def classifier_columns(name: str) -> tuple[str, str]:
    """The signals of one quality classifier: its score and its rank."""
    return f"{name}_score", f"{name}_rank"


def count_verdicts(table: pa.Table, config: ClassifierScoring) -> dict[str, int]:
    """Documents that each classifier and ensemble scored and keeps, and the four cells of each pair's agreement."""
    counts: dict[str, int] = {}
    members = {}
    for name, model in config.models.items():
        scores = pc.fill_null(table[classifier_columns(name)[0]], float("nan")).to_numpy()
        members[name] = Member(scores, scores, model.threshold)
        counts[f"classifier/{name}/scored"] = int((~np.isnan(scores)).sum())
        counts[f"classifier/{name}/kept"] = int((scores >= model.threshold).sum())
    for name, ensemble in config.ensembles.items():
        values = pc.fill_null(table[name], float("nan")).to_numpy()
        counts[f"ensemble/{name}/scored"] = int((~np.isnan(values)).sum())
        counts[f"ensemble/{name}/kept"] = int(keeps(values, ensemble).sum())
    for one, two in combinations(sorted(members), 2):
        for cell, number in agreement(members[one], members[two])._asdict().items():
            counts[f"agreement/{one}/{two}/{cell}"] = number
    return counts


def language_column(texts: Sequence[str], models: Any, language: LanguageConfig | None) -> list[str | None] | None:
    """The language of every text when any of the models asks for it, else None."""
    if not any(model.languages for model in models):
        return None
    if language is None:
        raise ValueError("a classifier is for some languages only: `signals.language` must be computed for that")
    return languages_of(texts, language)


def scores_of(texts: Sequence[str], languages: list[str | None] | None, model: PinnedClassifier) -> F64:
    """float64[texts, labels], NaN in the rows of blank texts and of texts in other languages."""
    loaded = load_fasttext(model.model, model.model_digest)
    result = np.full((len(texts), len(model.labels)), np.nan)
    wanted = [
        row for row in range(len(texts)) if not model.languages or (languages and languages[row] in model.languages)
    ]
    result[wanted] = probabilities(loaded, model.labels, (texts[row] for row in wanted), model.max_characters)
    return result


def _nullable(values: F64) -> pa.Array:
    return pa.array(values, pa.float64(), mask=np.isnan(values))
