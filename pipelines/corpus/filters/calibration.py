"""Calibration of the language identification on labelled text.

In: labelled texts and the language family's model. 1. Each text is identified; it is right when the label is the
model's. 2. On one half, chosen by the hash of the text, isotonic regression maps a score to the share of texts that
were right. 3. The other half measures: reliability before and after, and right guesses by language. Out: breakpoints
(score, probability) and JSON-ready measures. Cost: one identification a text.
"""

from typing import Any, Final

import numpy as np
import pyarrow as pa

from pipelines.core.fingerprint import Algorithm
from pipelines.corpus.filters.config import LanguageConfig
from pipelines.corpus.filters.labelled.examples import ExamplesError
from pipelines.corpus.filters.labelled.metrics import Reliability, isotonic, reliability
from pipelines.corpus.filters.language import guess, load_language_model

CALIBRATION: Final = Algorithm("language_calibration", 1)
MIN_TEXTS: Final = 100


def calibrate(examples: pa.Table, config: LanguageConfig) -> tuple[tuple[tuple[float, float], ...], dict[str, Any]]:
    """(breakpoints, measures) of labelled `examples` (rows of `EXAMPLES`; held-out ones measure, the others fit).

    A label's region is left out (`zh-Hant` is `zh`). Raises `ExamplesError` when there are too few texts.
    """
    model = load_language_model(config.model, config.model_digest)
    rows = []
    for row in examples.select(["text", "label", "held_out"]).to_pylist():
        found = guess(model, row["text"], config.max_characters, 1)
        label = row["label"].replace("_", "-").split("-")[0].lower()
        if found:
            rows.append((label, found[0].language, found[0].score, row["held_out"]))
    held_out = np.array([row[3] for row in rows], bool)
    if min(int(held_out.sum()), int((~held_out).sum())) < MIN_TEXTS:
        raise ExamplesError(f"{len(rows)} labelled texts are too few for a calibration: {2 * MIN_TEXTS} are needed")
    scores = np.array([row[2] for row in rows])
    right = np.array([row[0] == row[1] for row in rows])
    points, values = isotonic(scores[~held_out], right[~held_out].astype(np.float64))
    breakpoints = tuple((round(float(x), 6), round(float(y), 6)) for x, y in zip(points, values, strict=True))
    mapped = np.interp(scores[held_out], points, values)
    tested = [row for row in rows if row[3]]
    languages = [
        {"language": label, "texts": len(mine), "right": sum(row[1] == label for row in mine) / len(mine),
         "taken_for": _commonest([row[1] for row in mine if row[1] != label])}
        for label in sorted({row[0] for row in tested})
        for mine in [[row for row in tested if row[0] == label]]
    ]  # fmt: skip
    measures = {
        "texts": {"fitted": int((~held_out).sum()), "measured": int(held_out.sum())},
        "accuracy": float(right[held_out].mean()),
        "before": _shown(reliability(right[held_out], scores[held_out])),
        "after": _shown(reliability(right[held_out], mapped)),
        "languages": languages,
    }
    return breakpoints, measures


def _commonest(names: list[str]) -> str:
    return max(sorted(set(names)), key=names.count, default="")


def _shown(found: Reliability) -> dict[str, Any]:
    lists = {name: [round(float(x), 6) for x in getattr(found, name)] for name in ("predicted", "observed")}
    ends = {"expected_error": round(found.expected_error, 6), "brier": round(found.brier, 6)}
    return {**lists, "count": found.examples.tolist(), **ends}
