"""Go or hold: the one decision that every launch of a round passes, from the form, the schedule or a sensor.

A pure function of what the store says and of the estimate. Every reason for a hold is given, not just the first.
"""

from dataclasses import dataclass
from typing import Final, Literal

from pipelines.core.fingerprint import Algorithm

PROPOSAL: Final = Algorithm("round-proposal", 1)


@dataclass(frozen=True)
class Situation:
    """What a proposal looks at; tokens and bytes are counts, memory and time are the estimate's."""

    new_tokens: int
    new_batches: tuple[str, ...]
    min_new_tokens: int
    in_flight: str | None
    already_run: str | None
    """The finished round that had this very plan: its gates held its release back."""
    parent_released: bool
    failed_checks: tuple[str, ...]
    estimated_bytes: int
    max_bytes: int
    estimated_seconds: float
    max_seconds: float


@dataclass(frozen=True)
class Proposal:
    """The decision with every reason that stood against it."""

    decision: Literal["go", "hold"]
    reasons: tuple[str, ...]


def decide(situation: Situation) -> Proposal:
    """Hold when anything stands against the round, else go."""
    reasons = []
    if situation.in_flight is not None:
        reasons.append(f"round {situation.in_flight} is in flight; one round of a lane at a time")
    if situation.already_run is not None:
        reasons.append(
            f"round {situation.already_run} was this very plan and did not pass its gates: see its report, then change "
            "the rounds of the lane (more replay, a lower learning rate, fewer steps) or wait for new batches"
        )
    if not situation.parent_released:
        reasons.append("no released checkpoint to start from: materialize the base first")
    if situation.new_tokens < situation.min_new_tokens:
        reasons.append(
            f"{situation.new_tokens:,} new tokens, fewer than min_new_tokens {situation.min_new_tokens:,}: "
            "wait for more batches, or lower rounds.min_new_tokens"
        )
    if situation.failed_checks:
        reasons.append(f"checks that are open: {', '.join(situation.failed_checks)}")
    if situation.estimated_bytes > situation.max_bytes:
        reasons.append(
            f"needs {situation.estimated_bytes / 1e9:.2f} GB of memory by estimate, more than rounds.max_memory_gb "
            f"{situation.max_bytes / 1e9:.2f}: lower micro_batch_sequences"
        )
    if situation.estimated_seconds > situation.max_seconds:
        reasons.append(
            f"takes {situation.estimated_seconds / 3600:.2f} h by estimate, more than rounds.max_hours "
            f"{situation.max_seconds / 3600:.2f}: lower steps, or raise the limit"
        )
    return Proposal("hold" if reasons else "go", tuple(reasons))
