import math

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from pipelines.core.seeds import generator
from pipelines.evaluation import scores
from pipelines.evaluation.config import EvaluationConfig
from pipelines.evaluation.perplexity import DOCUMENT_SCORES
from pipelines.evaluation.scores import (
    bootstrap_ratios,
    domain_scores,
    mean_stderr,
    percentile_interval,
    ratio_estimate,
    ratio_stderr,
)


def rows_of(*rows):
    return pa.Table.from_pylist(
        [
            {"id": index.to_bytes(16, "big"), "domain": domain, "bytes": size, "tokens": size, "nll": nll}
            for index, (domain, size, nll) in enumerate(rows)
        ],
        DOCUMENT_SCORES,
    )


def test_the_standard_error_of_half_right_out_of_a_hundred():
    assert mean_stderr([0.0, 1.0] * 50) == pytest.approx(0.050252, abs=5e-7)


def test_standard_errors_of_too_few_values_are_missing():
    assert mean_stderr([1.0]) is None
    assert ratio_stderr([1.0], [2.0]) is None
    assert ratio_stderr([1.0, 2.0], [0.0, 0.0]) is None


def test_with_equal_denominators_the_ratio_is_a_mean():
    values = np.random.default_rng(0).normal(size=50)
    assert ratio_stderr(values, np.full(50, 3.0)) == pytest.approx(mean_stderr(values / 3))


def test_bootstrap_draws_equal_those_of_scipy():
    rng = np.random.default_rng(7)
    size = rng.lognormal(6, 1, 40)
    nll = size * rng.normal(1.5, 0.2, 40)
    oracle = stats.bootstrap(
        (nll, size),
        lambda y, x, axis: y.sum(axis=axis) / x.sum(axis=axis),
        paired=True,
        n_resamples=1000,
        method="percentile",
        confidence_level=0.9,
        rng=np.random.default_rng(11),
    )
    draws = bootstrap_ratios(nll, size, np.random.default_rng(11), 1000)
    assert np.sort(draws) == pytest.approx(np.sort(oracle.bootstrap_distribution), rel=1e-12)
    assert percentile_interval(draws, 0.9) == pytest.approx(tuple(oracle.confidence_interval), rel=1e-9)
    assert ratio_stderr(nll, size) == pytest.approx(oracle.standard_error, rel=0.1)


def test_draws_do_not_depend_on_the_chunk(monkeypatch):
    y, x = np.arange(1.0, 38.0), np.arange(2.0, 39.0)
    whole = bootstrap_ratios(y, x, generator(1), 501)
    monkeypatch.setattr(scores, "_CHUNK", 100)
    assert np.array_equal(bootstrap_ratios(y, x, generator(1), 501), whole)


def test_the_interval_covers_the_true_ratio_about_as_often_as_it_claims():
    """300 corpora of 60 documents with lengths from a lognormal: percentile intervals of a ratio cover 93 to 95 %."""
    config = EvaluationConfig(bootstrap_samples=400)
    rng, true, covered = np.random.default_rng(5), 1.4, 0
    for trial in range(300):
        size = rng.lognormal(7, 0.8, 60)
        nll = size * true * np.exp(rng.normal(0, 0.3, 60) - 0.045)
        estimate = ratio_estimate(nll, size, config, "trial", str(trial))
        covered += estimate.low <= true <= estimate.high
    assert 0.90 <= covered / 300 <= 0.98


def test_domains_have_streams_of_their_own():
    config = EvaluationConfig()
    rng = np.random.default_rng(0)
    web = [("web", int(rng.integers(50, 900)), float(rng.uniform(50, 900))) for _ in range(30)]
    alone = domain_scores(rows_of(*web), config)
    beside = domain_scores(rows_of(*web, *[("books", 10, 5.0)] * 9), config)
    assert beside[1] == alone[0]
    assert [score.domain for score in beside] == ["books", "web"]


def test_bits_per_byte_is_the_ratio_of_sums():
    (score,) = domain_scores(
        rows_of(("web", 100, 100 * math.log(2)), ("web", 300, 900 * math.log(2))), EvaluationConfig()
    )
    assert score.bits_per_byte.value == pytest.approx(2.5)
    assert (score.documents, score.bytes) == (2, 400)
    assert score.token_perplexity == pytest.approx(2**2.5)


@pytest.mark.parametrize(
    ("rows", "value", "reason"),
    [
        ([("web", 0, 0.0)], None, "no held-out text"),
        ([("web", 8, 8 * math.log(2))], 1.0, "one document"),
        ([("web", 8, None), ("web", 8, 3.0)], None, "1 documents without a finite"),
    ],
)
def test_what_cannot_be_computed_is_missing_with_a_reason(rows, value, reason):
    (score,) = domain_scores(rows_of(*rows), EvaluationConfig())
    assert score.bits_per_byte.value == (None if value is None else pytest.approx(value))
    assert score.bits_per_byte.low is None
    assert score.reason.startswith(reason)


def test_an_absurd_loss_has_no_perplexity_but_bits():
    (score,) = domain_scores(rows_of(("web", 1, 5000.0), ("web", 1, 5000.0)), EvaluationConfig())
    assert score.token_perplexity is None
    assert score.bits_per_byte.value == pytest.approx(5000 / math.log(2))


def test_no_rows_no_domains():
    assert domain_scores(rows_of(), EvaluationConfig()) == ()
