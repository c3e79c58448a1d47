"""One training loop for every objective: batches by step in, trained weights and a loss curve out.

Each step: take the batch of that step, cut it into micro-batches, add up gradients of loss sum / weight of the whole
batch, clip the global norm, set the learning rate from the schedule, update, record the loss in float64. The state is
(weights, optimiser, position, random states); the schedule and the batches are functions of the step, so a state is all
that a restart needs. With equal settings (threads, number format, kernels) a resumed run equals an uninterrupted one
bit for bit. The loop reads no clock, file or environment: everything outside comes in as a callable.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.model.config import ArchitectureConfig, OptimiserConfig, TrainConfig
from pipelines.model.hf_layout import hf_config
from pipelines.model.objectives import Batch, Objective
from pipelines.model.optimisers import build_optimiser, set_learning_rate
from pipelines.model.schedules import Schedule
from pipelines.model.transformer import Transformer, build_model


class DivergedError(RuntimeError):
    """The loss or the gradient is no longer a finite number."""


@dataclass
class TrainState:
    """Everything that changes during a run. `losses[i]` is the loss of step i + 1, before its update."""

    model: Transformer
    optimiser: torch.optim.AdamW
    step: int = 0
    losses: NDArray[np.float64] = field(default_factory=lambda: np.empty(0, np.float64))


def fresh_state(
    architecture: ArchitectureConfig, optimiser: OptimiserConfig, seed: int, parent: Transformer | None = None
) -> TrainState:
    """A run's beginning: new weights of `seed`, or those of `parent` with a new optimiser (continued pretraining)."""
    if parent is not None:
        theirs, ours = hf_config(parent.config), hf_config(architecture)
        odd = [key for key in ours if key != "initializer_range" and theirs.get(key) != ours[key]]
        if odd:
            differences = ", ".join(f"{key} {theirs.get(key)} instead of {ours[key]}" for key in odd)
            raise ValueError(f"the parent's architecture is not the plan's: {differences}")
    model = build_model(architecture, seed) if parent is None else parent
    return TrainState(model, build_optimiser(model, optimiser))


@contextmanager
def deterministic(threads: int) -> Iterator[None]:
    """Fixed thread count and deterministic kernels inside, the former settings after.

    PyTorch would also fill every new buffer with NaN in this mode; our kernels write all that they read.
    """
    filled = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
        torch.utils.deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]


def micro_batches(batch: Batch, config: TrainConfig, vocab_size: int) -> Iterator[list[Tensor]]:
    """The batch's rows in slices of `micro_batch_sequences`. Raises `ValueError` on a batch that is not the plan's."""
    for array in batch:
        if array.dtype != np.int64 or len(array) != config.batch_sequences:
            raise ValueError(
                f"a batch array is {array.dtype} {array.shape}; the plan says int64 with {config.batch_sequences} rows"
            )
        if array.size and int(array.max()) >= vocab_size:
            raise ValueError(f"token id {int(array.max())} is beyond the vocabulary of {vocab_size}")
    for start in range(0, config.batch_sequences, config.micro_batch_sequences):
        yield [torch.from_numpy(array[start : start + config.micro_batch_sequences]) for array in batch]


def accumulate(
    forward: Callable[..., Tensor], objective: Objective, batch: Batch, config: TrainConfig, vocab_size: int
) -> float:
    """Add the gradients of the batch's mean loss; gives that loss. Sum over micro-batches, one division."""
    weight = objective.weight(batch)
    if weight <= 0:
        raise ValueError("the batch carries no loss: every target is ignored")
    total = 0.0
    for micro in micro_batches(batch, config, vocab_size):
        with _precision(config):
            sums = objective.sums(forward, micro)
        (sums.optimised / weight).backward()  # type: ignore[no-untyped-call]
        total += float(sums.recorded)
    return total / weight


def train(
    state: TrainState,
    objective: Objective,
    config: TrainConfig,
    schedule: Schedule,
    learning_rate: float,
    *,
    batches: Callable[[int], Batch],
    save: Callable[[TrainState], Any],
    progress: Callable[[dict[str, float | int]], None],
    stop: Callable[[], bool],
    failpoint: Callable[[str], None],
) -> bool:
    """Run from `state.step` to the end of the plan; True when finished, False when `stop()` ended it (state saved).

    `batches(step)` gives the arrays of step 0, 1, ...; `save` is called every `checkpoint_every` steps, at the end and
    on a stop; `progress` after every step. Raises `DivergedError` before a non-finite update reaches the weights.
    """
    model, optimiser, steps = state.model, state.optimiser, config.total_steps
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    losses = np.empty(steps, np.float64)
    losses[: state.step] = state.losses
    saved = state.step
    with deterministic(config.threads):
        forward: Callable[..., Tensor] = torch.compile(model, dynamic=False) if _compiled(config) else model
        model.train()
        while state.step < steps:
            loss = accumulate(forward, objective, batches(state.step), config, model.config.vocab_size)
            norm = _clip(parameters, config.grad_clip)
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise DivergedError(
                    f"step {state.step + 1}: loss {loss}, gradient norm {norm}; lower the learning rate or raise the "
                    f"warmup (last finite loss {losses[state.step - 1] if state.step else 'none'})"
                )
            rate = learning_rate * schedule(state.step + 1)
            set_learning_rate(optimiser, rate)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            losses[state.step] = loss
            state.step += 1
            state.losses = losses[: state.step]
            progress(
                {
                    "step": state.step,
                    "steps": steps,
                    "loss": loss,
                    "learning_rate": rate,
                    "gradient_norm": norm,
                    "tokens": state.step * config.tokens_per_step,
                }
            )
            failpoint("train_step")
            stopping = state.step < steps and stop()
            if stopping or state.step == steps or state.step % config.checkpoint_every == 0:
                save(state)
                saved = state.step
            if stopping:
                return False
        if saved != steps:
            save(state)
        return True


def _clip(parameters: Sequence[torch.nn.Parameter], limit: float) -> float:
    """Scale the gradients to a global L2 norm of at most `limit` (0: leave them); gives the norm before."""
    norm = torch.nn.utils.clip_grad_norm_(parameters, limit or math.inf)
    return float(norm)


def _compiled(config: TrainConfig) -> bool:
    return config.kernel_mode == "compiled"


def _precision(config: TrainConfig) -> AbstractContextManager[Any]:
    """bfloat16 products with float32 weights, or nothing."""
    return torch.autocast("cpu", torch.bfloat16) if config.dtype == "bfloat16" else nullcontext()
