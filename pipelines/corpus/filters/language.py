"""The attribute family `language`: fastText's language identification, the first and the second guess.

In: documents. Steps: take the first `max_characters` of a text, turn its newlines into spaces (fastText reads one
line, so everything after the first newline would be ignored), and ask the model for two labels. Out: `language`,
`language_score`, `second_language`, `second_language_score`; null for a text of white space alone. Scores are clipped
to 1: fastText's float softmax can give 1.00001. Identity is the model's digest, not its path.
Cost: about 6,000 documents a second at 1,000 characters, 8 MB/s on whole documents; a batch call gains nothing.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from pipelines.core.documents import ATTRIBUTE_KEYS
from pipelines.core.fingerprint import Algorithm, digest_file
from pipelines.core.parts import PartResult
from pipelines.corpus.filters.config import LanguageConfig

LANGUAGE: Final = Algorithm("fasttext_language", 1)
ALGORITHMS: Final = (LANGUAGE,)

LANGUAGE_DESCRIPTIONS: Final = {
    "language": "the most likely language, as the model labels it (ISO 639-1 where there is a code)",
    "language_score": "its probability, 0 to 1",
    "second_language": "the second most likely language",
    "second_language_score": "its probability, 0 to 1",
}
_LABEL = "__label__"
_TYPES = {name: pa.float64() if name.endswith("score") else pa.large_string() for name in LANGUAGE_DESCRIPTIONS}


def language_part(tables: Mapping[str, pa.Table], config: LanguageConfig) -> PartResult:
    """`tables["documents"]` to `tables["language"]`: the keys and the columns of LANGUAGE_DESCRIPTIONS.

    Raises FileNotFoundError when the model file is absent, ValueError when it is not the configured one.
    """
    documents = tables["documents"]
    predict = load_language_model(config.model, config.model_digest).f.predict
    guesses: dict[str, list[str | float | None]] = {name: [] for name in LANGUAGE_DESCRIPTIONS}
    for chunk in documents.column("text").chunks:
        for scalar in chunk:
            text = (scalar.as_py() or "")[: config.max_characters].replace("\n", " ")
            found = predict(text + "\n", 2, 0.0, "strict") if text.strip() else []
            for slot, name in enumerate(("language", "second_language")):
                score, label = found[slot] if slot < len(found) else (None, None)
                if slot and score is not None and score < config.second_threshold:
                    score, label = None, None
                guesses[name].append(label and label.removeprefix(_LABEL))
                guesses[f"{name}_score"].append(None if score is None else min(score, 1.0))
    columns: dict[str, Any] = {field.name: documents.column(field.name) for field in ATTRIBUTE_KEYS}
    columns.update({name: pa.array(guesses[name], _TYPES[name]) for name in LANGUAGE_DESCRIPTIONS})
    table = pa.table(columns)
    return PartResult({"language": table}, {"rows_in": len(documents), "kept": len(table)})


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
    return _fasttext().load_model(path)


def _fasttext() -> Any:
    """The real fasttext package: `fasttext-predict` installs a cut one under the same name."""
    import fasttext

    if not hasattr(fasttext, "train_supervised"):
        raise ImportError(
            "the module `fasttext` is not the package fasttext (fasttext-predict has overwritten it): reinstall with "
            "`pip install --force-reinstall --no-deps fasttext==0.9.3`"
        )
    return fasttext
