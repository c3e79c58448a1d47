"""Nearest neighbours against plain loops and the published example of scikit-learn's KNNImputer."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.corpus.metadata.estimates import RefusedEstimateError
from pipelines.corpus.metadata.nearest import learn_donors, nearest_means

NAN = math.nan


def looped(rows: np.ndarray, donors: np.ndarray, target: list[float], scales: list[float], k: int) -> list[float]:
    """The same, one distance at a time."""
    found = []
    for row in rows.T:
        pairs = []
        for donor, value in zip(donors.T, target, strict=True):
            parts = [((a - b) / s) ** 2 for a, b, s in zip(row, donor, scales, strict=True) if not math.isnan(a + b)]
            if parts:
                pairs.append((len(row) / len(parts) * sum(parts), value))
        pairs.sort()
        if not pairs:
            found.append(NAN)
            continue
        last = pairs[min(k, len(pairs)) - 1][0]
        near = [value for distance, value in pairs if distance <= last * (1 + 1e-12)]
        found.append(sum(near) / len(near))
    return found


@given(st.integers(1, 4), st.integers(1, 6), st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_means_are_those_of_plain_loops(width: int, neighbours: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    # Small whole numbers have many ties; a power of two as scale keeps them exact.
    matrix = generator.integers(0, 4, (width, 40)).astype(np.float64)
    matrix[generator.random(matrix.shape) < 0.2] = NAN
    target = generator.integers(0, 100, 40).astype(np.float64)
    target[:12] = NAN
    learned = json.loads(json.dumps(learn_donors(list(matrix), target, neighbours, 1000), allow_nan=False))
    learned["scales"] = [2.0] * width
    rows = matrix[:, :12]
    ours = nearest_means(list(rows), learned, neighbours)
    usable = ~np.isnan(target) & ~np.isnan(matrix).all(axis=0)
    expected = looped(rows, matrix[:, usable], target[usable].tolist(), learned["scales"], neighbours)
    np.testing.assert_allclose(ours, expected, rtol=1e-12)
    one_by_one = [nearest_means(list(rows[:, [place]]), learned, neighbours)[0] for place in range(12)]
    np.testing.assert_array_equal(ours, one_by_one)


def test_the_example_of_scikit_learns_documentation() -> None:
    """KNNImputer(n_neighbors=2) of [[1, 2, nan], [3, 4, 3], [nan, 6, 5], [8, 8, 7]] gives 4 and 5.5."""
    table = np.array([[1.0, 3.0, NAN, 8.0], [2.0, 4.0, 6.0, 8.0], [NAN, 3.0, 5.0, 7.0]])
    for gap, others, expected in ((2, (0, 1), 4.0), (0, (1, 2), 5.5)):
        learned = learn_donors([table[one] for one in others], table[gap], 2, 10)
        learned["scales"] = [1.0, 1.0]  # it measures in the units of the columns
        gaps = np.isnan(table[gap])
        assert nearest_means([table[one][gaps] for one in others], learned, 2).tolist() == [expected]


def test_all_that_are_as_far_as_the_last_count_and_gaps_have_no_say() -> None:
    x, y = np.array([0.0, 1.0, 1.0, -1.0, 5.0]), np.array([NAN, 10.0, 20.0, 60.0, 1000.0])
    learned = learn_donors([x], y, 1, 10)
    assert nearest_means([x[:1]], learned, 1).tolist() == [30.0]
    assert nearest_means([x[:1]], learned, 4).tolist() == [272.5]
    assert np.isnan(nearest_means([np.array([NAN])], learned, 1)).all()


def test_columns_count_in_their_own_spread() -> None:
    near = np.array([0.0, 1000.0, 0.0, 5000.0, 9000.0])
    other = np.array([0.0, 0.1, 0.9, 0.0, 1.0])
    learned = learn_donors([near, other], np.array([NAN, 1.0, 2.0, 3.0, 4.0]), 1, 10)
    assert nearest_means([near[:1], other[:1]], learned, 1).tolist() == [1.0]


def test_of_many_donors_an_even_share_is_looked_through() -> None:
    x = np.arange(1000.0)
    learned = learn_donors([x], x * 2, 1, 10)
    assert learned["predictors"] == [[float(n) for n in range(0, 1000, 100)]]
    assert nearest_means([np.array([420.0])], learned, 1).tolist() == [800.0]


@pytest.mark.parametrize(
    ("x", "y", "told"),
    [
        ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0], "constant"),
        ([1.0, 2.0, NAN], [1.0, NAN, 3.0], "1 rows with a value are too few for 2 neighbours"),
        ([NAN, NAN], [1.0, 2.0], "no value is known"),
    ],
)
def test_a_batch_that_says_too_little_is_refused(x: list[float], y: list[float], told: str) -> None:
    arguments: tuple[Any, ...] = ([np.array(x)], np.array(y), 2, 10)
    with pytest.raises(RefusedEstimateError, match=told):
        learn_donors(*arguments)
