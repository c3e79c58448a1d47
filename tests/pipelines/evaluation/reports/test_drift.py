import numpy as np
import pytest

from pipelines.evaluation.reports.drift import noise_of, number_drift, stability_index, text_drift


def test_the_index_is_the_textbook_sum():
    """Shares 0.5, 0.5 against 0.8, 0.2: (0.3) ln 1.6 + (-0.3) ln 0.4 = 0.4159."""
    assert stability_index(np.array([50, 50]), np.array([80, 20])) == pytest.approx(0.3 * np.log(1.6 / 0.4))
    assert stability_index(np.array([7, 3]), np.array([70, 30])) == pytest.approx(0)


def test_the_noise_is_a_quantile_of_chi_squared():
    """scipy's 0.999 quantiles: 27.88 for 9 degrees of freedom, 10.83 for one."""
    assert noise_of(10, 200, 50) == pytest.approx(27.877 * (1 / 200 + 1 / 50), rel=0.01)
    assert noise_of(2, 100, 100) == pytest.approx(10.828 * 0.02, rel=0.05)
    assert noise_of(1, 100, 100) == 0


def test_two_samples_of_one_population_seldom_exceed_the_noise():
    """About once in a thousand; 600 pairs of small samples of a skewed signal with a heavy zero."""
    rng = np.random.default_rng(5)
    above = 0
    for _ in range(600):
        draws = [np.where(rng.random(size) < 0.3, 0.0, rng.lognormal(0, 1, size)) for size in (150, 80)]
        above += number_drift("x", *draws, limit=0.0).drifted
    assert above <= 8


@pytest.mark.parametrize(
    "shifted",
    [lambda x: x + 1.0, lambda x: x * 0.3, lambda x: np.where(np.arange(len(x)) % 2, np.nan, x), np.zeros_like],
)
def test_a_shift_a_scale_missing_values_and_a_collapse_are_seen(shifted):
    rng = np.random.default_rng(1)
    before, now = rng.normal(2, 1, 500), shifted(rng.normal(2, 1, 400))
    drift = number_drift("x", before, now, limit=0.25)
    assert drift.drifted and np.isfinite(drift.index)


def test_a_signal_that_left_its_only_value_has_drifted():
    """All 1 before, spread below 1 now: no decile lies between them."""
    rng = np.random.default_rng(2)
    assert number_drift("share", np.ones(300), rng.random(300), limit=0.25).drifted
    assert number_drift("share", np.zeros(300), rng.random(300), limit=0.25).drifted
    assert not number_drift("share", np.ones(300), np.ones(200), limit=0.25).drifted


def test_where_the_quartiles_are_one_value_its_share_is_told():
    few = np.concatenate([np.zeros(190), np.ones(10)])
    drift = number_drift("share", few, np.arange(200.0), limit=0.25)
    assert (drift.before, drift.now) == ("0 for 95.0%", "49.8 · 99.5 · 149")


def test_nothing_known_on_either_side():
    empty = np.full(40, np.nan)
    assert number_drift("x", empty, empty, limit=0.25).index == 0
    assert number_drift("x", empty, np.ones(40), limit=0.25).drifted


def test_languages():
    drift = text_drift("language", ["en"] * 90 + ["de"] * 10, ["en"] * 40 + ["de"] * 60, limit=0.25)
    assert drift.drifted
    assert (drift.before, drift.now) == ("en 90%, de 10%", "de 60%, en 40%")
    many = [f"l{number}" for number in range(30)] * 10
    assert not text_drift("language", many, many, limit=0.01).drifted
