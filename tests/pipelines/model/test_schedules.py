"""Learning-rate schedules against published values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.model.config import ScheduleConfig
from pipelines.model.schedules import Schedule, decay


def test_cosine_values() -> None:
    """Peak 3e-4, floor 3e-5, 2,000 steps of warmup in 250,000."""
    schedule = Schedule(ScheduleConfig(kind="cosine", warmup_share=0.008, final_ratio=0.1), 250_000)
    rates = [3e-4 * schedule(step) for step in (0, 1000, 2000, 126_000, 250_000)]
    assert rates == pytest.approx([0.0, 1.5e-4, 3e-4, 1.65e-4, 3e-5], rel=1e-12)


def test_one_minus_sqrt_decay_of_yulan_mini() -> None:
    """lr 1e-2, decay from step 243,198 over 19,000 steps."""
    rates = [1e-2 * decay((step - 243_198) / 19_000, "1-sqrt", 0.0) for step in (243_198, 247_948, 252_698, 262_000)]
    assert rates == pytest.approx([1e-2, 5.0e-3, 2.9289e-3, 5.2242e-5], rel=2e-5)


def test_warmup_stable_decay_by_hand() -> None:
    for shape, middle in (
        ("linear", 0.55),
        ("cosine", 0.55),
        ("exponential", 0.1**0.5),
        ("1-sqrt", 1 - 0.9 * 0.5**0.5),
    ):
        config = ScheduleConfig(warmup_share=0.1, decay_share=0.2, decay_shape=shape, final_ratio=0.1)
        schedule = Schedule(config, 100)
        assert [schedule(step) for step in (5, 10, 50, 80)] == [0.5, 1.0, 1.0, 1.0]
        assert schedule(90) == pytest.approx(middle, rel=1e-12)
        assert schedule(100) == pytest.approx(0.1, rel=1e-12)


def test_constant_stays() -> None:
    schedule = Schedule(ScheduleConfig(kind="constant", warmup_share=0.5), 10)
    assert [schedule(step) for step in (1, 5, 10)] == [0.2, 1.0, 1.0]


@given(
    st.sampled_from(["wsd", "cosine", "constant"]),
    st.sampled_from(["1-sqrt", "linear", "cosine", "exponential"]),
    st.floats(0, 0.5),
    st.floats(0, 0.5),
    st.floats(0.01, 1),
    st.integers(1, 200),
)
def test_every_schedule_rises_then_falls_between_0_and_1(kind, shape, warm, cool, ratio, steps) -> None:  # type: ignore[no-untyped-def]
    schedule = Schedule(
        ScheduleConfig(kind=kind, decay_shape=shape, warmup_share=warm, decay_share=cool, final_ratio=ratio), steps
    )
    values = [schedule(step) for step in range(steps + 1)]
    assert all(0 <= value <= 1 for value in values)
    peak = values.index(max(values))
    assert values[: peak + 1] == sorted(values[: peak + 1])
    assert all(b <= a + 1e-15 for a, b in zip(values[peak:], values[peak + 1 :], strict=False))
    assert schedule(1) > 0
