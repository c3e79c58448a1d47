"""The estimate of a run and the measured rate behind its time."""

import pytest

from pipelines.model.estimates.cost import estimate, measure_rate
from pipelines.model.estimates.flops import flops_per_token
from pipelines.model.estimates.parameters import parameter_count
from tests.pipelines.model.tiny import architecture, run_config


def test_an_estimate_counts_the_tokens_that_the_run_sees() -> None:
    config = run_config(steps=None, tokens=1000)
    cost = estimate(config, architecture(), tokens_per_second=48.0)
    assert cost.tokens == 15 * 64
    assert cost.seconds == 20.0
    assert cost.parameters == parameter_count(architecture())
    assert cost.flops == 960 * flops_per_token(architecture(), 16)
    assert cost.checkpoint_bytes == 12 * cost.parameters
    with pytest.raises(ValueError, match="rate"):
        estimate(config, architecture(), tokens_per_second=0)


def test_a_rate_is_the_median_over_steps_of_the_clock_that_was_given() -> None:
    ticks = iter([0.0, 1.0, 3.0, 4.0])
    assert measure_rate(run_config(), architecture(), lambda: next(ticks), steps=3) == 64.0
