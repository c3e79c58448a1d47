"""How good a score or a decision is, on examples whose labels are known: plain numpy, no model.

Binary measures take `truth` (bool[n]) and `scores` (float64[n], higher means positive). Curves have one point for each
distinct score, so ties never depend on an order. Costs: a sort.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
BOOL = npt.NDArray[np.bool_]
CURVE_POINTS: Final = 200


class Curve(NamedTuple):
    """Precision and recall of `score >= thresholds[i]`; thresholds fall, so recall never does."""

    thresholds: F64
    precision: F64
    recall: F64


class Reliability(NamedTuple):
    """Calibration by bins of the score: mean score, share of positives, examples; empty bins are left out."""

    predicted: F64
    observed: F64
    examples: npt.NDArray[np.int64]
    expected_error: float
    """ECE: mean of |observed - predicted|, weighted by the examples."""
    brier: float
    """Mean of (score - truth) squared."""


def precision_recall(truth: BOOL, scores: F64) -> Curve:
    """The curve over every distinct score. Raises ValueError without a positive and a negative example."""
    _both(truth)
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(truth[order])
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    return Curve(ranked[last], hits[last] / (last + 1), hits[last] / hits[-1])


def average_precision(curve: Curve) -> float:
    """Sum over the thresholds of precision times the step of recall (no interpolation)."""
    return float(np.sum(np.diff(curve.recall, prepend=0.0) * curve.precision))


def roc_auc(truth: BOOL, scores: F64) -> float:
    """The chance that a positive scores above a negative, ties counting half (Mann-Whitney U over both counts)."""
    _both(truth)
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    positives, negatives = int(truth.sum()), int((~truth).sum())
    return float((ranks[truth].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def reliability(truth: BOOL, scores: F64, bins: int = 10) -> Reliability:
    """Calibration over `bins` equal intervals of 0 to 1; a score of 1 is in the last."""
    which = np.minimum((scores * bins).astype(np.int64), bins - 1)
    count = np.bincount(which, minlength=bins)
    some = count > 0
    predicted = np.bincount(which, scores, bins)[some] / count[some]
    observed = np.bincount(which, truth.astype(np.float64), bins)[some] / count[some]
    error = float(np.sum(np.abs(observed - predicted) * count[some]) / max(len(scores), 1))
    brier = float(np.mean((scores - truth) ** 2)) if len(scores) else 0.0
    return Reliability(predicted, observed, count[some], error, brier)


def confusion(truth: npt.NDArray[np.int64], found: npt.NDArray[np.int64], classes: int) -> npt.NDArray[np.int64]:
    """`counts[t, f]`: examples of class t that were taken for f."""
    return np.bincount(truth * classes + found, minlength=classes * classes).reshape(classes, classes)


def by_class(counts: npt.NDArray[np.int64]) -> tuple[F64, F64, F64]:
    """(precision, recall, F1) of every class of a confusion matrix; 0 where nothing was found or nothing is."""
    right = np.diag(counts).astype(np.float64)
    precision = right / np.maximum(counts.sum(0), 1)
    recall = right / np.maximum(counts.sum(1), 1)
    return precision, recall, 2 * right / np.maximum(counts.sum(0) + counts.sum(1), 1)


def isotonic(scores: F64, truth: F64) -> tuple[F64, F64]:
    """The rising step function nearest to `truth` in squares (pool adjacent violators), as (score, value) breakpoints.

    Scores rise strictly; between them a value is interpolated. Examples of one score are one point.
    """
    points, places = np.unique(scores, return_inverse=True)
    weight = np.bincount(places).astype(np.float64)
    value = np.bincount(places, truth) / weight
    blocks: list[list[float]] = []  # value, weight, points
    for mean, size in zip(value, weight, strict=True):
        blocks.append([mean, size, 1])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            last, before = blocks.pop(), blocks[-1]
            before[0] = (before[0] * before[1] + last[0] * last[1]) / (before[1] + last[1])
            before[1] += last[1]
            before[2] += last[2]
    fitted = np.repeat([block[0] for block in blocks], [int(block[2]) for block in blocks])
    edge = np.ones(len(points), bool)
    edge[1:-1] = (np.diff(fitted)[:-1] != 0) | (np.diff(fitted)[1:] != 0)
    return points[edge], fitted[edge]


def thin(curve: Curve, points: int = CURVE_POINTS) -> Curve:
    """At most `points` points of a curve, both ends among them, evenly by recall."""
    if len(curve.recall) <= points:
        return curve
    wanted = np.searchsorted(curve.recall, np.linspace(curve.recall[0], curve.recall[-1], points))
    kept = np.unique(np.append(wanted, len(curve.recall) - 1))
    return Curve(curve.thresholds[kept], curve.precision[kept], curve.recall[kept])


def _both(truth: BOOL) -> None:
    if truth.all() or not truth.any():
        raise ValueError(f"{len(truth)} examples of one class: precision and recall need positives and negatives")
