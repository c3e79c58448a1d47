"""What a batch is learned from, against scipy, numpy and the handbook's figures."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pipelines.corpus.metadata import estimates
from pipelines.corpus.metadata.estimates import RefusedEstimateError

columns = st.lists(st.integers(-(10**7), 10**7), min_size=12, max_size=80).map(lambda v: np.array(v) / 1024)
EXAMPLE = np.array([10, 12, 12, 13, 12, 100], np.float64)


@given(columns, st.sampled_from([0, 1]))
@settings(max_examples=200, deadline=None)
def test_zscores_are_scipys(values: np.ndarray, ddof: int) -> None:
    centre, unit = estimates.zscore(values, 3.0, ddof)
    if unit > 1e-6 * (1 + np.abs(values).max()):
        np.testing.assert_allclose((values - centre) / unit, stats.zscore(values, ddof=ddof), rtol=1e-6, atol=1e-6)


@given(columns)
@settings(max_examples=200, deadline=None)
def test_quartiles_and_deviations_are_scipys(values: np.ndarray) -> None:
    centre, unit = estimates.mad(values)
    assert centre == pytest.approx(np.median(values))
    spread = stats.median_abs_deviation(values)
    if spread:
        assert unit == pytest.approx(spread / 0.6745)
        assert unit == pytest.approx(stats.median_abs_deviation(values, scale="normal"), rel=1e-4)
    if stats.iqr(values):
        low, high = estimates.iqr(values)
        assert high - low == pytest.approx(stats.iqr(values))


@pytest.mark.parametrize("ddof", [0, 1])
def test_the_largest_zscore_of_a_sample_is_reached_by_one_value_far_out(ddof: int) -> None:
    for count in range(2, 40):
        values = np.array([0.0] * (count - 1) + [1.0])
        reached = np.abs(stats.zscore(values, ddof=ddof)).max()
        assert estimates.largest_zscore(count, ddof) == pytest.approx(reached)


@pytest.mark.parametrize("ddof", [0, 1])
def test_three_standard_deviations_need_eleven_values(ddof: int) -> None:
    estimates.zscore(np.arange(11.0), 3.0, ddof)
    with pytest.raises(RefusedEstimateError, match=r"10 values are too few: the largest \|z\|.*never above 3"):
        estimates.zscore(np.arange(10.0), 3.0, ddof)
    with pytest.raises(RefusedEstimateError, match="0 values are too few"):
        estimates.zscore(np.zeros(0), 3.0, ddof)


def test_the_example_whose_outlier_three_standard_deviations_do_not_find() -> None:
    with pytest.raises(RefusedEstimateError, match=r"2\.236"):
        estimates.zscore(EXAMPLE, 3.0, 0)
    low, high = estimates.iqr(EXAMPLE)
    assert (low - 1.5 * (high - low), high + 1.5 * (high - low)) == (10.875, 13.875)
    centre, unit = estimates.mad(EXAMPLE)
    modified = (EXAMPLE - centre) / unit
    assert modified[0] == pytest.approx(-2.698)
    assert (np.abs(modified) > 3.5).tolist() == [False] * 5 + [True]


def test_even_samples() -> None:
    with pytest.raises(RefusedEstimateError, match="the IQR is 0"):
        estimates.iqr(np.array([1.0, 1, 1, 1, 9]))
    # The MAD is 0, too; the mean absolute deviation stands in: 1.253314 * 8 / 5.
    assert estimates.mad(np.array([1.0, 1, 1, 1, 9])) == (1.0, pytest.approx(2.0053, abs=1e-4))
    assert estimates.mad(np.ones(4)) == (1.0, 0.0)
    for function in (estimates.mean, estimates.median, estimates.mad):
        with pytest.raises(RefusedEstimateError, match="no value is known"):
            function(np.zeros(0))


@given(st.lists(st.tuples(st.integers(-20, 20), st.floats(-1e3, 1e3)), min_size=1, max_size=40))
@settings(max_examples=200, deadline=None)
def test_points_are_ascending_means(pairs: list[tuple[int, float]]) -> None:
    x, y = (np.array(values, np.float64) for values in zip(*pairs, strict=True))
    nodes, heights = estimates.points(x, y)
    assert nodes == sorted(set(x.tolist()))
    for node, height in zip(nodes, heights, strict=True):
        assert height == pytest.approx(y[x == node].mean(), abs=1e-9)


@given(st.integers(1, 4), st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_least_squares_is_numpys(width: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    predictors = [
        random.normal(loc=1e3 * random.random(), scale=10 ** random.uniform(-2, 3), size=60) for _ in range(width)
    ]
    target = random.normal(size=60) + 3 * predictors[0]
    ours = estimates.least_squares(predictors, target)
    theirs, *_ = np.linalg.lstsq(np.stack([np.ones(60), *predictors], axis=1), target, rcond=None)
    fitted = ours[0] + sum(slope * column for slope, column in zip(ours[1:], predictors, strict=True))
    np.testing.assert_allclose(fitted, np.stack([np.ones(60), *predictors], axis=1) @ theirs, rtol=1e-6, atol=1e-6)


def test_planes_that_are_not_determined_are_refused() -> None:
    line = np.arange(20.0)
    with pytest.raises(RefusedEstimateError, match="depend on one another"):
        estimates.least_squares([line, 2 * line + 1], line)
    with pytest.raises(RefusedEstimateError, match="constant"):
        estimates.least_squares([np.ones(20)], line)
    with pytest.raises(RefusedEstimateError, match="3 complete rows are too few"):
        estimates.least_squares([line[:3]], line[:3])
    assert math.isclose(estimates.least_squares([line], 2 * line + 1)[0], 1.0, abs_tol=1e-9)
