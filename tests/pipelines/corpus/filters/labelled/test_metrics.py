"""Measures against brute force over every pair and threshold, and against scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from pipelines.corpus.filters.labelled.metrics import (
    average_precision,
    by_class,
    confusion,
    isotonic,
    precision_recall,
    reliability,
    roc_auc,
    thin,
)

cases = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=40).filter(
    lambda rows: len({truth for truth, _ in rows}) == 2
)


def arrays(rows):
    return np.array([truth for truth, _ in rows]), np.array([score for _, score in rows]) / 8


@given(cases)
def test_curve_is_what_every_threshold_gives(rows):
    truth, scores = arrays(rows)
    curve = precision_recall(truth, scores)
    assert sorted(set(scores), reverse=True) == curve.thresholds.tolist()
    for threshold, precision, recall in zip(*curve, strict=True):
        kept = scores >= threshold
        assert precision == pytest.approx((kept & truth).sum() / kept.sum())
        assert recall == pytest.approx((kept & truth).sum() / truth.sum())
    area = sum(
        (recall - before) * precision
        for before, recall, precision in zip([0, *curve.recall[:-1]], curve.recall, curve.precision, strict=True)
    )
    assert average_precision(curve) == pytest.approx(area)


@given(cases)
def test_auc_is_the_share_of_pairs_in_the_right_order(rows):
    truth, scores = arrays(rows)
    pairs = [(p > n) + 0.5 * (p == n) for p in scores[truth] for n in scores[~truth]]
    assert roc_auc(truth, scores) == pytest.approx(sum(pairs) / len(pairs))


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 1)), min_size=1, max_size=40))
def test_isotonic_equals_scipy(rows):
    scores = np.array([score for score, _ in rows]) / 12
    truth = np.array([value for _, value in rows], float)
    points, values = isotonic(scores, truth)
    distinct = np.unique(scores)
    weights = np.array([(scores == point).sum() for point in distinct], float)
    means = np.array([truth[scores == point].mean() for point in distinct])
    expected = isotonic_regression(means, weights=weights).x
    assert np.interp(distinct, points, values) == pytest.approx(expected)
    assert np.all(np.diff(points) > 0) and np.all(np.diff(values) >= 0)


def test_reliability_by_hand():
    found = reliability(np.array([True, False, True, True]), np.array([0.05, 0.09, 0.95, 1.0]), bins=10)
    assert found.predicted == pytest.approx([0.07, 0.975])
    assert found.observed == pytest.approx([0.5, 1.0])
    assert found.examples.tolist() == [2, 2]
    assert found.expected_error == pytest.approx((0.43 * 2 + 0.025 * 2) / 4)
    assert found.brier == pytest.approx((0.95**2 + 0.09**2 + 0.05**2 + 0) / 4)


def test_classes_by_hand():
    counts = confusion(np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 2, 0]), 3)
    assert counts.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 1]]
    precision, recall, f1 = by_class(counts)
    assert precision == pytest.approx([1 / 2, 1 / 2, 1])
    assert recall == pytest.approx([1 / 2, 1, 1 / 2])
    assert f1 == pytest.approx([1 / 2, 2 / 3, 2 / 3])


def test_one_class_has_no_curve():
    with pytest.raises(ValueError, match="one class"):
        precision_recall(np.ones(3, bool), np.zeros(3))


def test_a_thin_curve_keeps_its_ends():
    rng = np.random.default_rng(1)
    truth, scores = rng.random(5000) < 0.5, rng.random(5000)
    curve = precision_recall(truth, scores)
    small = thin(curve)
    assert 50 < len(small.recall) <= 201
    assert small.recall[-1] == 1 and set(small.thresholds) <= set(curve.thresholds)
