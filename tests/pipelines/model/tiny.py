"""Small architectures and runs that the tests of this chapter share."""

from collections.abc import Callable
from typing import Any

import numpy as np

from pipelines.core.seeds import generator
from pipelines.model.config import ArchitectureConfig, OptimiserConfig, ScheduleConfig, ShapeConfig, TrainConfig
from pipelines.model.loop import TrainState, train
from pipelines.model.objectives import Batch, CausalLanguageModelling, Objective
from pipelines.model.schedules import Schedule

OPTIMISER = OptimiserConfig(learning_rate=3e-3)


def architecture(vocab_size: int = 97, **fields: Any) -> ArchitectureConfig:
    shape = {"layers": 2, "hidden": 32, "intermediate": 48, "heads": 4, "kv_heads": 2, "max_positions": 64} | fields
    return ShapeConfig(**shape).with_vocabulary(vocab_size)


def run_config(**fields: Any) -> TrainConfig:
    return TrainConfig(
        **{"sequence_length": 16, "batch_sequences": 4, "micro_batch_sequences": 4, "steps": 12, "threads": 1} | fields
    )


def noisy_cycle(config: TrainConfig, vocab_size: int = 97) -> Callable[[int], Batch]:
    """Batches of x, x + 3, x + 6, ... with a tenth of random tokens: learnable, a function of the step."""

    def batch(step: int) -> Batch:
        draw = generator(5, "batch", step)
        shape = (config.batch_sequences, config.sequence_length + 1)
        rows = (draw.integers(vocab_size, size=(shape[0], 1)) + 3 * np.arange(shape[1])) % vocab_size
        noise = draw.integers(vocab_size, size=shape)
        tokens = np.where(draw.random(shape) < 0.1, noise, rows).astype(np.int64)
        return tokens[:, :-1].copy(), tokens[:, 1:].copy()

    return batch


def run(
    state: TrainState,
    config: TrainConfig,
    *,
    batches: Callable[[int], Batch] | None = None,
    objective: Objective | None = None,
    schedule: ScheduleConfig | None = None,
    **hooks: Any,
) -> tuple[bool, list[dict[str, float | int]]]:
    """Train with quiet hooks; gives whether it finished and the progress lines."""
    lines: list[dict[str, float | int]] = []
    callables: dict[str, Any] = {
        "batches": batches or noisy_cycle(config, state.model.config.vocab_size),
        "save": lambda _: None,
        "progress": lines.append,
        "stop": lambda: False,
        "failpoint": lambda _: None,
    }
    done = train(
        state,
        objective or CausalLanguageModelling(config.z_loss),
        config,
        Schedule(schedule or ScheduleConfig(), config.total_steps),
        OPTIMISER.learning_rate,
        **callables | hooks,
    )
    return done, lines
