"""A classifier from its examples: train, measure on what was held out, and once more with pseudo-labels if declared.

In: `Examples` (a text is an example once, and its hash alone decides whether it is held out). 1. Train on the rest, in
a process of its own. 2. Score the held-out examples: for a quality classifier the precision-recall curve, the threshold
(declared, or the quantile of the held-out negatives that `keep` asks for), calibration, and the quantiles of the
negatives' scores, which later turn a score into a rank; for topics the confusion matrix and the calibration of the
winning probability. 3. With pseudo-labels: score the named batches, add the documents that the model was sure of to the
training examples, train again from nothing, measure on the same held-out examples. Out: the model file, `measures`
(JSON-ready, with both trainings) and the examples with their scores. Held-out texts and their copies are never trained
on, pseudo-labelled or not. Cost: `train.py`, and some thousand predictions a second.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.core.fingerprint import Algorithm
from pipelines.corpus.filters.classifier.config import QualityClassifier, TopicClassifier
from pipelines.corpus.filters.classifier.model import fasttext_package, probabilities
from pipelines.corpus.filters.classifier.text import one_line
from pipelines.corpus.filters.classifier.train import fasttext_seed, train_fasttext, training_order
from pipelines.corpus.filters.labelled import metrics
from pipelines.corpus.filters.labelled.examples import Examples, ExamplesError, ExampleSet, Labelled, gather

MEASURES: Final = Algorithm("classifier_measures", 1)
PSEUDO_LABELS: Final = Algorithm("pseudo_labels", 1)

QUANTILES: Final = 1001
MIN_HELD_OUT: Final = 5
EPOCHS, EXAMPLES_SEEN = 5, 50_000
"""DCLM trains 5 epochs at a rate of 0.1 on 400,000 documents. On 1,600 that leaves every score near a half (AUC 0.94
against 0.99), and 2,200 questions of ten subjects are not told apart at all (0.17 right against 0.65)."""
ERRORS_SHOWN, SNIPPET = 6, 240


class Trained(NamedTuple):
    """The model's file, its labels in order, JSON-ready measures, and `EXAMPLES` without texts, with scores."""

    model: Path
    labels: tuple[str, ...]
    measures: dict[str, Any]
    examples: pa.Table


def build_classifier(
    examples: Examples, config: QualityClassifier | TopicClassifier, folder: Path, pool: Iterable[str] = ()
) -> Trained:
    """Train and measure. `folder` is an empty scratch folder; `pool` are the texts of the batches to pseudo-label.

    Raises `ExamplesError` when a class has too few examples to train on or to measure with, and `TrainingError`.
    """
    labels = _labels_of(examples.table, config)
    table = examples.table
    model = _fit(table, config, folder / "first")
    scored = _score(model, labels, table, config)
    measures = _measure(scored, table, labels, config)
    if config.pseudo_labels is not None:
        added = pseudo_label(model, labels, pool, table, config)
        before = {name: measures[name] for name in ("headline", "calibration")}
        table = pa.concat_tables([table, added.table])
        model = _fit(table, config, folder / "second")
        scored = _score(model, labels, table, config)
        measures = _measure(scored, table, labels, config)
        counted = dict(zip(*_value_counts(added.table["label"]), strict=True))
        measures["pseudo_labels"] = {"before": before, "added": counted, "counts": added.counts}
    measures["examples"] = _example_counts(table)
    measures["texts"] = examples.counts
    shown = table.drop_columns(["text"]).append_column("score", pa.array(_winning(scored, labels), pa.float64()))
    return Trained(model, labels, measures, shown.combine_chunks())


def pseudo_label(
    model: Path,
    labels: tuple[str, ...],
    texts: Iterable[str],
    known: pa.Table,
    config: QualityClassifier | TopicClassifier,
) -> Examples:
    """Texts that the model at `model` is sure of, as training examples of its likeliest label; `known` ones are not."""
    settings = config.pseudo_labels
    assert settings is not None
    loaded = fasttext_package().load_model(str(model))
    seen = set(known["text_hash"].to_pylist())
    found: dict[str, list[Labelled]] = {label: [] for label in labels}
    offered = unsure = 0
    for chunk in _chunks(texts, 512):
        scores = probabilities(loaded, labels, chunk, config.max_characters)
        offered += len(chunk)
        for text, row in zip(chunk, scores, strict=True):
            best = int(np.argmax(row))
            if row[best] >= settings.confidence:
                found[labels[best]].append(Labelled(text, labels[best]))
            else:
                unsure += 1
    sets = [ExampleSet("pseudo-labels", settings.max_documents, found[label]) for label in labels]
    chosen = gather(sets, max_characters=config.max_characters, held_out=0.0, seed=config.seed)
    fresh = pa.array([identity not in seen for identity in chosen.table["text_hash"].to_pylist()], pa.bool_())
    table = chosen.table.filter(fresh)
    counts = chosen.counts | {"rows_in": offered, "kept": len(table), "dropped/unsure": unsure}
    counts["dropped/known"] = chosen.counts["kept"] - len(table)
    return Examples(table, counts)


def _labels_of(table: pa.Table, config: QualityClassifier | TopicClassifier) -> tuple[str, ...]:
    pairs = set(zip(table["label"].to_pylist(), table["held_out"].to_pylist(), strict=True))
    labels = ("negative", "positive") if config.kind == "quality" else tuple(sorted({label for label, _ in pairs}))
    if len(labels) < 2:
        raise ExamplesError(
            f"the examples have one label ({', '.join(labels) or 'none'}): two are needed to tell apart"
        )
    for label in labels:
        held_out = pc.sum(pc.equal(table.filter(pc.field("label") == label)["held_out"], True)).as_py() or 0
        if (label, False) not in pairs or held_out < MIN_HELD_OUT:
            raise ExamplesError(
                f"{label!r} has {held_out} held-out examples, {MIN_HELD_OUT} are needed to measure with: declare more "
                "texts of it, or raise `held_out`"
            )
    return labels


def _fit(table: pa.Table, config: QualityClassifier | TopicClassifier, folder: Path) -> Path:
    folder.mkdir()
    train = table.filter(pc.invert(table["held_out"]))
    labels, texts = train["label"].to_pylist(), train["text"]
    order = training_order(labels, config.seed, config.balance)
    lines = ((labels[index], one_line(texts[index].as_py(), config.max_characters)) for index in order)
    settings = {
        "lr": config.learning_rate,
        "dim": config.dimension,
        "epoch": config.epochs or max(EPOCHS, -(-EXAMPLES_SEEN // max(len(order), 1))),
        "wordNgrams": config.word_ngrams,
        "minCount": config.min_count,
        "bucket": config.buckets,
        "seed": fasttext_seed(config.seed),
    }
    return train_fasttext(lines, folder, settings)


def _score(
    model: Path, labels: tuple[str, ...], table: pa.Table, config: QualityClassifier | TopicClassifier
) -> metrics.F64:
    """float64[examples, labels]; a text that is blank on one line counts as undecided."""
    loaded = fasttext_package().load_model(str(model))
    chunks = (scalar.as_py() for scalar in table["text"])
    return np.nan_to_num(probabilities(loaded, labels, chunks, config.max_characters), nan=1 / len(labels))


def _measure(
    scored: metrics.F64, table: pa.Table, labels: tuple[str, ...], config: QualityClassifier | TopicClassifier
) -> dict[str, Any]:
    held_out = table["held_out"].to_numpy()
    truth = np.array([labels.index(label) for label in table["label"].to_pylist()])[held_out]
    scores = scored[held_out]
    texts = table.filter(table["held_out"])["text"]
    if isinstance(config, QualityClassifier):
        return _quality(truth == 1, scores[:, 1], texts, config)
    return _topics(truth, scores, texts, labels)


def _quality(
    truth: metrics.BOOL, scores: metrics.F64, texts: pa.ChunkedArray, config: QualityClassifier
) -> dict[str, Any]:
    pool = np.sort(scores[~truth])
    threshold = config.threshold
    if threshold is None:  # `higher`: not more than the declared share lies at or above it, ties aside
        threshold = float(np.quantile(pool, 1 - config.keep, method="higher"))
    kept = scores >= threshold
    hits = int((kept & truth).sum())
    curve = metrics.precision_recall(truth, scores)
    wrong = np.flatnonzero(kept != truth)
    worst = wrong[np.argsort(-np.abs(scores[wrong] - threshold), kind="stable")][:ERRORS_SHOWN]
    return {
        "headline": {
            "precision": hits / max(int(kept.sum()), 1),
            "recall": hits / int(truth.sum()),
            "average_precision": metrics.average_precision(curve),
            "roc_auc": metrics.roc_auc(truth, scores),
            "threshold": threshold,
            "negatives_kept": float((kept & ~truth).sum() / (~truth).sum()),
        },
        "calibration": _calibration(truth, scores),
        "curve": {name: _rounded(values) for name, values in metrics.thin(curve)._asdict().items()},
        "reference": _rounded(np.quantile(pool, np.linspace(0, 1, QUANTILES)), 9),
        "errors": [
            {
                "label": "positive" if truth[row] else "negative",
                "score": round(float(scores[row]), 6),
                "text": _snippet(texts, row),
            }
            for row in worst
        ],
    }


def _topics(truth: Any, scores: metrics.F64, texts: pa.ChunkedArray, labels: tuple[str, ...]) -> dict[str, Any]:
    found = scores.argmax(1)
    counts = metrics.confusion(truth, found, len(labels))
    precision, recall, f1 = metrics.by_class(counts)
    top = scores.max(1)
    wrong = np.flatnonzero(found != truth)
    worst = wrong[np.argsort(-top[wrong], kind="stable")][:ERRORS_SHOWN]
    return {
        "headline": {
            "accuracy": float(np.mean(found == truth)),
            "macro_f1": float(f1.mean()),
            "majority": float(counts.sum(1).max() / counts.sum()),
        },
        "calibration": _calibration(found == truth, top),
        "classes": [
            {"label": label, "examples": int(counts[row].sum()), "precision": float(precision[row]),
             "recall": float(recall[row]), "f1": float(f1[row])}
            for row, label in enumerate(labels)
        ],
        "confusion": counts.tolist(),
        "errors": [
            {"label": f"{labels[truth[row]]}, taken for {labels[found[row]]}", "score": round(float(top[row]), 6),
             "text": _snippet(texts, row)}
            for row in worst
        ],
    }  # fmt: skip


def _calibration(truth: metrics.BOOL, scores: metrics.F64) -> dict[str, Any]:
    found = metrics.reliability(truth, scores)
    return {
        "predicted": _rounded(found.predicted),
        "observed": _rounded(found.observed),
        "count": found.examples.tolist(),
        "expected_error": round(found.expected_error, 6),
        "brier": round(found.brier, 6),
    }


def _winning(scored: metrics.F64, labels: tuple[str, ...]) -> metrics.F64:
    return scored[:, 1] if labels == ("negative", "positive") else scored.max(1)


def _example_counts(table: pa.Table) -> list[dict[str, Any]]:
    grouped = table.group_by(["label", "origin", "held_out"]).aggregate([([], "count_all")])
    return sorted(grouped.to_pylist(), key=lambda row: (row["label"], row["origin"], row["held_out"]))


def _value_counts(column: pa.ChunkedArray) -> tuple[list[str], list[int]]:
    counted = sorted(pc.value_counts(column).to_pylist(), key=lambda item: item["values"])
    return [item["values"] for item in counted], [item["counts"] for item in counted]


def _rounded(values: metrics.F64, digits: int = 6) -> list[float]:
    return [round(float(value), digits) for value in values]


def _snippet(texts: pa.ChunkedArray, row: int) -> str:
    return " ".join(texts[int(row)].as_py()[: 2 * SNIPPET].split())[:SNIPPET]


def _chunks(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    held: list[str] = []
    for text in texts:
        held.append(text)
        if len(held) == size:
            yield held
            held = []
    if held:
        yield held
