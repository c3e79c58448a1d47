"""Go or hold: nothing stands against a round, or every reason that does is told."""

from dataclasses import replace
from typing import Any

import pytest

from pipelines.model.plans.proposal import Situation, decide

READY = Situation(
    new_tokens=1000,
    new_batches=("news.late",),
    min_new_tokens=1000,
    in_flight=None,
    already_run=None,
    parent_released=True,
    failed_checks=(),
    estimated_bytes=1_000,
    max_bytes=1_000,
    estimated_seconds=60.0,
    max_seconds=60.0,
)


def test_a_round_goes_when_nothing_stands_against_it_limits_included() -> None:
    assert (decide(READY).decision, decide(READY).reasons) == ("go", ())


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"new_tokens": 999}, "min_new_tokens"),
        ({"in_flight": "r0001"}, "r0001 is in flight"),
        ({"already_run": "r0001"}, "did not pass its gates"),
        ({"parent_released": False}, "no released checkpoint"),
        ({"failed_checks": ("snapshot is incomplete",)}, "snapshot is incomplete"),
        ({"estimated_bytes": 1_001}, "max_memory_gb"),
        ({"estimated_seconds": 60.1}, "max_hours"),
    ],
)
def test_each_obstacle_alone_holds_and_is_named(change: dict[str, Any], word: str) -> None:
    proposal = decide(replace(READY, **change))
    assert proposal.decision == "hold"
    assert len(proposal.reasons) == 1 and word in proposal.reasons[0]


def test_every_reason_is_told_at_once() -> None:
    assert len(decide(replace(READY, new_tokens=0, in_flight="r0001", parent_released=False)).reasons) == 3
