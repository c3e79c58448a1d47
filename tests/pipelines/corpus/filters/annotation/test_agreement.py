"""Agreement against published examples and brute force over pairs of ratings."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.corpus.filters.annotation.agreement import cohen_kappa, fleiss_kappa, krippendorff_alpha, span_f1

KRIPPENDORFF = [
    "1 2 3 3 2 1 4 1 2 * * *",
    "1 2 3 3 2 2 4 1 2 5 * 3",
    "* 3 3 3 2 3 4 2 2 5 1 *",
    "1 2 3 3 2 4 4 1 2 5 1 *",
]
"""Four observers and twelve units (Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, section D)."""
FLEISS = [
    [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
]  # fmt: skip
"""Fourteen raters, ten subjects, five categories: the standard worked example, kappa 0.210."""


def table(rows):
    return np.array([[-1 if item == "*" else int(item) - 1 for item in row.split()] for row in rows])


def test_krippendorffs_own_example():
    ratings, values = table(KRIPPENDORFF), [1, 2, 3, 4, 5]
    assert krippendorff_alpha(ratings) == pytest.approx(0.743, abs=5e-4)
    assert krippendorff_alpha(ratings, "ordinal") == pytest.approx(0.815, abs=5e-4)
    assert krippendorff_alpha(ratings, "interval", values) == pytest.approx(0.849, abs=5e-4)


def test_the_worked_examples_of_kappa():
    assert fleiss_kappa(np.array(FLEISS)) == pytest.approx(0.210, abs=5e-4)
    first = np.array([0] * 25 + [1] * 25)
    second = np.array([0] * 20 + [1] * 5 + [0] * 10 + [1] * 15)
    assert cohen_kappa(first, second) == pytest.approx(0.4)


@given(st.lists(st.tuples(*[st.integers(-1, 2)] * 3), min_size=1, max_size=12))
def test_alpha_is_one_minus_the_ratio_of_disagreements(rows):
    ratings = np.array(rows).T
    units = [[value for value in row if value >= 0] for row in rows]
    units = [unit for unit in units if len(unit) > 1]
    found = krippendorff_alpha(ratings)
    pooled = [value for unit in units for value in unit]
    pairs = list(combinations(pooled, 2))
    expected = sum(a != b for a, b in pairs) / len(pairs) if pairs else 0
    if expected == 0:
        assert found is None
        return
    observed = sum(2 * sum(a != b for a, b in combinations(unit, 2)) / (len(unit) - 1) for unit in units) / len(pooled)
    assert found == pytest.approx(1 - observed / expected)


@given(st.lists(st.tuples(st.integers(-1, 2), st.integers(-1, 2)), min_size=1, max_size=20))
def test_cohens_kappa_by_counting(rows):
    both = [(a, b) for a, b in rows if a >= 0 and b >= 0]
    found = cohen_kappa(np.array([a for a, _ in rows]), np.array([b for _, b in rows]))
    if not both:
        assert found is None
        return
    observed = sum(a == b for a, b in both) / len(both)
    expected = sum(a == b for a, _ in both for _, b in both) / len(both) ** 2
    if expected == 1:
        assert found is None
    else:
        assert found == pytest.approx((observed - expected) / (1 - expected))


def test_fleiss_wants_as_many_ratings_for_each():
    with pytest.raises(ValueError, match="at least two"):
        fleiss_kappa(np.array([[2, 1], [1, 1]]))


def test_spans():
    one, two = [(0, 4, "a"), (10, 12, "b")], [(0, 4, "a"), (10, 14, "b")]
    assert span_f1(one, two) == (0.5, pytest.approx(2 * 6 / (6 + 8)))
    assert span_f1(one, [(0, 4, "b")]) == (0.0, 0.0)
    assert span_f1([], []) == (None, None)
