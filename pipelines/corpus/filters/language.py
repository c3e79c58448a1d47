"""The attribute family `language`: fastText's language identification of the document and of its paragraphs.

In: documents. 1. The document: the first `max_characters` on one line (fastText reads one line and stops at the word
`</s>`, so newlines become spaces and that word is broken up), two labels. 2. The paragraphs (`paragraphs.py`): which
languages share the text, so that a page of two halves does not pass for one language. 3. With a calibration
(`calibration.py`), the score becomes the share of documents that were right at such a score. Out: the columns of
LANGUAGE_DESCRIPTIONS, null for a text of white space alone. Scores are clipped to 1: fastText's float softmax can give
1.00001. Counts: documents by language, and mixed ones. Identity is the model's digest, not its path.
Cost: about 6,000 documents a second at 1,000 characters, 8 MB/s on whole documents; a batch call gains nothing.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.core.documents import ATTRIBUTE_KEYS
from pipelines.core.fingerprint import Algorithm, digest_file
from pipelines.core.parts import PartResult
from pipelines.corpus.filters.classifier.model import fasttext_package
from pipelines.corpus.filters.classifier.text import LABEL, predictable
from pipelines.corpus.filters.config import LanguageConfig
from pipelines.corpus.filters.paragraphs import PARAGRAPH_TYPES, PARAGRAPHS, paragraph_row

LANGUAGE: Final = Algorithm("fasttext_language", 2)
ALGORITHMS: Final = (LANGUAGE, PARAGRAPHS)

LANGUAGE_DESCRIPTIONS: Final = {
    "language": "the most likely language, as the model labels it (ISO 639-1 where there is a code)",
    "language_score": "its probability as the model gives it, 0 to 1",
    "second_language": "the second most likely language",
    "second_language_score": "its probability, 0 to 1",
    "language_probability": "the share of labelled texts that were right at such a score; null without a calibration",
    "paragraph_languages": "languages of the paragraphs with their shares of the characters, as `en:0.81 zh:0.19`",
    "paragraph_main_share": "share of the characters in paragraphs of the most frequent language",
    "paragraph_second_language": "the language with the second most characters",
    "paragraph_second_share": "its share of the characters",
    "mixed_language": "whether that share reaches `mixed_share`",
}
LANGUAGE_TYPES: Final = {
    name: PARAGRAPH_TYPES.get(name, pa.float64() if name.endswith(("score", "probability")) else pa.large_string())
    for name in LANGUAGE_DESCRIPTIONS
}
UNKNOWN: Final = "none"


class Guess(NamedTuple):
    """A language with its probability."""

    language: str
    score: float


def language_part(tables: Mapping[str, pa.Table], config: LanguageConfig) -> PartResult:
    """`tables["documents"]` to `tables["language"]`: the keys and the columns of LANGUAGE_DESCRIPTIONS.

    Raises FileNotFoundError when the model file is absent, ValueError when it is not the configured one.
    """
    documents = tables["documents"]
    values: dict[str, list[Any]] = {name: [None] * len(documents) for name in LANGUAGE_DESCRIPTIONS}
    model = load_language_model(config.model, config.model_digest)
    row = -1
    for chunk in documents.column("text").chunks:
        for scalar in chunk:
            row += 1
            text = scalar.as_py() or ""
            guesses = guess(model, text, config.max_characters, 2)
            if guesses:
                values["language"][row], values["language_score"][row] = guesses[0]
            if len(guesses) > 1 and guesses[1].score >= config.second_threshold:
                values["second_language"][row], values["second_language_score"][row] = guesses[1]
            if guesses and config.paragraphs is not None:
                for name, value in paragraph_row(
                    text, guesses[0], config.paragraphs, lambda t: guess(model, t, len(t), 1)
                ):
                    values[name][row] = value
    columns: dict[str, Any] = {field.name: documents.column(field.name) for field in ATTRIBUTE_KEYS}
    columns.update({name: pa.array(values[name], kind) for name, kind in LANGUAGE_TYPES.items()})
    if config.calibration:
        scores, right = np.array(config.calibration).T
        known = pc.fill_null(columns["language_score"], float("nan")).to_numpy(zero_copy_only=False)
        columns["language_probability"] = pa.array(np.interp(known, scores, right), mask=np.isnan(known))
    table = pa.table(columns)
    return PartResult(
        {"language": table}, {"rows_in": len(documents), "kept": len(table), **count_languages(table, config)}
    )


def count_languages(table: pa.Table, config: LanguageConfig) -> dict[str, int]:
    """`language/<language>`: documents; `language_mixed`: those of several."""
    counted = pc.value_counts(pc.fill_null(table["language"], UNKNOWN)).to_pylist()
    counts = {f"language/{item['values']}": item["counts"] for item in sorted(counted, key=lambda item: item["values"])}
    return counts | {"language_mixed": pc.sum(table["mixed_language"]).as_py() or 0}


def languages_of(texts: Sequence[str], config: LanguageConfig) -> list[str | None]:
    """The most likely language of each text, None for a blank one: the same as the column `language`."""
    model = load_language_model(config.model, config.model_digest)
    return [next((found.language for found in guess(model, text, config.max_characters, 1)), None) for text in texts]


def guess(model: Any, text: str, max_characters: int, labels: int) -> list[Guess]:
    """The likeliest languages of a text, the best first; none for a blank one."""
    line = predictable(text, max_characters)
    if not line.strip():
        return []
    return [
        Guess(label.removeprefix(LABEL), min(score, 1.0))
        for score, label in model.f.predict(line + "\n", labels, 0.0, "strict")
    ]


@lru_cache(maxsize=2)
def load_language_model(path: str, digest: str) -> Any:
    """The fastText model of the file at `path`, checked against its SHA-256; loaded once in a process."""
    file = Path(path)
    if not path or not file.is_file():
        raise FileNotFoundError(
            f"no language model at {path!r}: set `language.model` to a fastText file such as lid.176.ftz"
        )
    found = digest_file(file)
    if found != digest:
        raise ValueError(
            f"the language model {path!r} has SHA-256 {found}, the configuration names {digest}: give the right "
            "file, or set `language.model_digest` (every document is then scored again)"
        )
    return fasttext_package().load_model(path)
