"""The attribute family `topics`: what a document is about, by the topic classifier of its language.

In: documents, and the pinned models in the project's order. Each document goes to the first classifier that is for
its language; a topic below the classifier's `min_score` is `uncertain`. Out: `topic`, `topic_score`, `second_topic`,
`second_topic_score` (probabilities, 0 to 1) and `topic_classifier`; null for a blank text and where no classifier is
for its language. Counts: documents by topic, so that reports and mixtures have topic shares without a look at any
row. Cost: as `classifier/score.py`.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from pipelines.core.config import Config
from pipelines.core.documents import ATTRIBUTE_KEYS
from pipelines.core.fingerprint import Algorithm
from pipelines.core.parts import PartResult
from pipelines.corpus.filters.classifier.score import PinnedClassifier, language_column, scores_of
from pipelines.corpus.filters.classifier.text import FASTTEXT_LINE
from pipelines.corpus.filters.config import LanguageConfig
from pipelines.corpus.filters.language import LANGUAGE
from pipelines.corpus.filters.topics.taxonomies import UNCERTAIN

TOPICS: Final = Algorithm("topics", 1)
ALGORITHMS: Final = (TOPICS, FASTTEXT_LINE, LANGUAGE)

NO_TOPIC: Final = "none"


class TopicScoring(Config):
    """All topic classifiers of a project, by name, in the order in which they are asked."""

    models: dict[str, PinnedClassifier] = Field(description="Topic classifiers by name.")
    language: LanguageConfig | None = Field(description="Language identification, when a model is for some languages.")


def topics_part(tables: Mapping[str, pa.Table], config: TopicScoring) -> PartResult:
    """`tables["documents"]` to `tables["topics"]`."""
    documents = tables["documents"]
    texts = documents["text"].to_pylist()
    found = language_column(texts, config.models.values(), config.language)
    rows: dict[str, list[Any]] = {name: [None] * len(texts) for name in TOPIC_TYPES}
    open_rows = np.ones(len(texts), bool)
    for name, model in config.models.items():
        here = np.flatnonzero(open_rows)
        languages = None if found is None else [found[row] for row in here]
        scores = scores_of([texts[row] for row in here], languages, model)
        for row, values in zip(here, scores, strict=True):
            if np.isnan(values[0]):
                continue
            first, second = np.argsort(-values, kind="stable")[:2]
            sure = values[first] >= model.threshold
            rows["topic"][row], rows["topic_score"][row] = (
                model.labels[first] if sure else UNCERTAIN,
                float(values[first]),
            )
            rows["second_topic"][row], rows["second_topic_score"][row] = model.labels[second], float(values[second])
            rows["topic_classifier"][row] = name
            open_rows[row] = False
    columns: dict[str, Any] = {field.name: documents.column(field.name) for field in ATTRIBUTE_KEYS}
    columns |= {name: pa.array(rows[name], kind) for name, kind in TOPIC_TYPES.items()}
    table = pa.table(columns)
    counts = {"rows_in": len(documents), "kept": len(table), **count_topics(table, config)}
    return PartResult({"topics": table}, counts)


def count_topics(table: pa.Table, config: TopicScoring) -> dict[str, int]:
    """`topic/<topic>`: documents; `topic/none` are those without one."""
    counted = pc.value_counts(pc.fill_null(table["topic"], NO_TOPIC)).to_pylist()
    return {f"topic/{item['values']}": item["counts"] for item in sorted(counted, key=lambda item: item["values"])}


TOPIC_TYPES: Final = {
    "topic": pa.large_string(),
    "topic_score": pa.float64(),
    "second_topic": pa.large_string(),
    "second_topic_score": pa.float64(),
    "topic_classifier": pa.large_string(),
}
