"""Smoothing against scipy and brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from pipelines.core.series import gaussian_filter, moving_average

series = st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), max_size=60).map(lambda v: np.array(v, np.float64))


@given(series, st.integers(1, 80))
@settings(max_examples=200, deadline=None)
def test_the_moving_average_is_the_mean_of_the_window(values: np.ndarray, window: int) -> None:
    reach = (window - 1) // 2
    for place, smooth in enumerate(moving_average(values, window)):
        inside = values[max(place - reach, 0) : place + reach + 1]
        known = inside[~np.isnan(inside)]
        assert np.isnan(smooth) if not len(known) else smooth == pytest.approx(known.mean(), abs=1e-4)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 3.3, 20.0])
def test_the_gaussian_is_scipys(sigma: float) -> None:
    values = np.random.default_rng(1).normal(size=300).cumsum()
    reach = int(4 * sigma + 0.5)
    inner = slice(reach, len(values) - reach)
    theirs = gaussian_filter1d(values, sigma)
    np.testing.assert_allclose(gaussian_filter(values, sigma)[inner], theirs[inner], atol=1e-10)
    # At the ends and around gaps: scipy's filter of the known values over its filter of what is known.
    values[[0, 7, 8, 9, 150, 299]] = np.nan
    known = ~np.isnan(values)
    top = gaussian_filter1d(np.where(known, values, 0.0), sigma, mode="constant")
    bottom = gaussian_filter1d(known.astype(float), sigma, mode="constant")
    expected = np.divide(top, bottom, out=np.full(300, np.nan), where=bottom > 1e-300)
    ours = gaussian_filter(values, sigma)
    covered = bottom > 1e-3  # less than that is left of both in the far tail
    np.testing.assert_allclose(ours[covered], expected[covered], atol=1e-9)


def test_constants_stay_and_nothing_gives_nothing() -> None:
    values = np.array([np.nan, 5.0, 5.0, np.nan, 5.0])
    assert moving_average(values, 3).tolist() == [5.0] * 5
    np.testing.assert_allclose(gaussian_filter(values, 2.0), 5.0)
    assert np.isnan(moving_average(np.full(3, np.nan), 3)).all()
    assert np.isnan(gaussian_filter(np.full(3, np.nan), 1.0)).all()
    assert len(moving_average(np.zeros(0), 3)) == len(gaussian_filter(np.zeros(0), 3.0)) == 0


def test_senseless_widths_are_refused() -> None:
    with pytest.raises(ValueError, match="one value or more"):
        moving_average(np.zeros(3), 0)
    with pytest.raises(ValueError, match="above 0"):
        gaussian_filter(np.zeros(3), 0.0)
