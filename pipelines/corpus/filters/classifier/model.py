"""A fastText model in this process: loaded once, checked against its digest, asked for all probabilities at once."""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.core.fingerprint import digest_file
from pipelines.corpus.filters.classifier.text import LABEL, one_line


def fasttext_package() -> Any:
    """The real fasttext package: `fasttext-predict` installs a cut one under the same name."""
    import fasttext

    if not hasattr(fasttext, "train_supervised"):
        raise ImportError(
            "the module `fasttext` is not the package fasttext (fasttext-predict has overwritten it): reinstall with "
            "`pip install --force-reinstall --no-deps fasttext==0.9.3`"
        )
    return fasttext


@lru_cache(maxsize=8)
def load_fasttext(path: str, digest: str) -> Any:
    """The model of the file at `path`. Raises FileNotFoundError, and ValueError when its SHA-256 is not `digest`."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"no fastText model at {path!r}")
    found = digest_file(Path(path))
    if found != digest:
        raise ValueError(f"the fastText model {path!r} has SHA-256 {found}, not {digest}")
    return fasttext_package().load_model(path)


def probabilities(
    model: Any, labels: tuple[str, ...], texts: Iterable[str], max_characters: int
) -> npt.NDArray[np.float64]:
    """float64[texts, labels]: the softmax of a model of ours, clipped to 0..1; a row of NaN for a blank text.

    fastText's float softmax can give 1.00001; `strict` refuses a line that is not UTF-8.
    """
    predict, place = model.f.predict, {LABEL + label: number for number, label in enumerate(labels)}
    rows = []
    for text in texts:
        row = [float("nan")] * len(labels)
        line = one_line(text, max_characters)
        if line:
            for score, label in predict(line + "\n", len(labels), 0.0, "strict"):
                row[place[label]] = min(max(score, 0.0), 1.0)
        rows.append(row)
    return np.array(rows, np.float64).reshape(len(rows), len(labels))
