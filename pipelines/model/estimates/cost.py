"""The estimate of one run before it starts, and the short measurement of a rate that it wants.

Everything but the time follows from the configuration; the time is tokens divided by a rate that was measured on the
machine: small models reach a share of the peak that no closed form gives.
"""

from collections.abc import Callable
from typing import NamedTuple

from pipelines.model.config import ArchitectureConfig, TrainConfig
from pipelines.model.estimates.flops import flops_per_token
from pipelines.model.estimates.memory import checkpoint_bytes, training_peak_bytes
from pipelines.model.estimates.parameters import parameter_count


class Estimate(NamedTuple):
    """What a run will take."""

    parameters: int
    tokens: int
    flops: float
    peak_bytes: int
    checkpoint_bytes: int
    seconds: float


def estimate(train: TrainConfig, architecture: ArchitectureConfig, tokens_per_second: float) -> Estimate:
    """The cost of `train` on a machine that was measured at `tokens_per_second`."""
    if tokens_per_second <= 0:
        raise ValueError(f"a rate is above 0 tokens a second, not {tokens_per_second}")
    return Estimate(
        parameters=parameter_count(architecture),
        tokens=train.total_tokens,
        flops=flops_per_token(architecture, train.sequence_length) * train.total_tokens,
        peak_bytes=training_peak_bytes(architecture, train),
        checkpoint_bytes=checkpoint_bytes(architecture),
        seconds=train.total_tokens / tokens_per_second,
    )


def measure_rate(
    train: TrainConfig, architecture: ArchitectureConfig, clock: Callable[[], float], steps: int = 3
) -> float:
    """Tokens a second of our loop on this machine: the median of `steps` optimiser steps after one to warm up.

    `clock` gives seconds. Random tokens are as slow as real ones.
    """
    import numpy as np

    from pipelines.core.seeds import generator
    from pipelines.model.config import OptimiserConfig, ScheduleConfig
    from pipelines.model.loop import fresh_state
    from pipelines.model.loop import train as run
    from pipelines.model.objectives import CausalLanguageModelling
    from pipelines.model.schedules import Schedule

    short = train.model_copy(update={"steps": steps + 1, "tokens": None})
    optimiser = OptimiserConfig(learning_rate=1e-4)
    draws = generator(0, "measure_rate").integers(
        architecture.vocab_size, size=(train.batch_sequences, train.sequence_length + 1), dtype=np.int64
    )
    moments: list[float] = []
    run(
        fresh_state(architecture, optimiser, 0),
        CausalLanguageModelling(train.z_loss),
        short,
        Schedule(ScheduleConfig(kind="constant", warmup_share=0), steps + 1),
        optimiser.learning_rate,
        batches=lambda _: (draws[:, :-1], draws[:, 1:]),
        save=lambda _: None,
        progress=lambda _: moments.append(clock()),
        stop=lambda: False,
        failpoint=lambda _: None,
    )
    return float(train.tokens_per_step / np.median(np.diff(moments)))
